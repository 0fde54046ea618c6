"""Files that are never half-written, and the folder where downloads and made data are kept."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from tinyalex.support.errors import UserError


@contextlib.contextmanager
def replacing(path: str | Path, suffix: str = ".part") -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well.

    Whoever reads `path` sees the old file or the new one, never a part of either; if the block
    raises (a full disk, Ctrl-C) the temporary file is removed and the old one stays. `suffix` is
    for writers that choose a format by the ending.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")
    try:
        part.touch(exist_ok=False)
        yield part
        with open(part, "r+b") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        # A full disk does not say for which file; and nobody knows the temporary one.
        if error.errno and error.filename in (None, str(part)):
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of writers that were killed. Nobody else may be writing there."""
    for path in folder.iterdir():
        if re.fullmatch(r"\..+\.[0-9a-f]{8}\.[a-z]+", path.name):
            path.unlink(missing_ok=True)


def expect_regular(path: Path) -> None:
    """UserError where there is no such file, or something that only looks like one: a pipe would be
    waited for without end, and a device may have no end."""
    if not path.is_file():
        kind = "not a regular file" if path.exists() else "no such file"
        raise UserError(f"{path}: {kind}", "check the path.")


def cache_folder() -> Path:
    """Where made and downloaded data live: $TINYALEX_DATA, else ~/.cache/tinyalex. Created."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyalex"
    folder = Path(os.environ.get("TINYALEX_DATA") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
