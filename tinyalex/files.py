"""Files that are never half-written, and the folder where downloads and made data are kept."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | Path, suffix: str = ".part") -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well.

    Whoever reads `path` sees the old file or the new one, never a part of either; if the block
    raises (a full disk, Ctrl-C) the temporary file is removed and the old one stays. `suffix` is
    for writers that choose a format by the ending.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=suffix, dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())  # mkstemp gives 0600, whatever the user's umask says
        with open(part, "r+b") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """Where made and downloaded data live: $TINYALEX_DATA, else ~/.cache/tinyalex. Created."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyalex"
    folder = Path(os.environ.get("TINYALEX_DATA") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
