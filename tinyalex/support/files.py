"""Files that are never half-written, and the folder where downloads and made data are kept."""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from tinyalex.support.errors import UserError


@contextlib.contextmanager
def replacing(path: str | Path, suffix: str = ".part") -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well.

    Whoever reads `path` sees the old file or the new one, never a part of either; if the block
    raises (a full disk, Ctrl-C) the temporary file is removed and the old one stays. `suffix` is
    for writers that choose a format by the ending.

    A link stays a link: the file that it leads to is replaced. So do permissions. UserError where
    `path` is a folder, a device or a pipe, which a rename would destroy.
    """
    real = Path(os.path.realpath(path))
    if occupied := _occupied(real):
        raise UserError(f"{path}: no place for a file ({occupied})", "name another place.")
    mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
    part = real.with_name(f".{real.name}.{secrets.token_hex(4)}{suffix}")
    try:
        # No more open to others than the old one, even while it is written.
        part.touch(0o666 if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR, exist_ok=False)
        yield part
        with open(part, "r+b") as file:
            os.fsync(file.fileno())
        if mode is not None:
            part.chmod(mode)
        part.replace(real)
    except OSError as error:
        # A full disk does not say for which file; and nobody knows the temporary one.
        if error.errno and error.filename in (None, str(part)):
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def expect_place(path: Path) -> None:
    """UserError where no file can be written to `path`, as far as that can be known before the work
    is done."""
    real = Path(os.path.realpath(path))
    obstacle = _occupied(real)
    if not real.parent.is_dir():
        obstacle = f"there is no folder {real.parent}"
    elif not os.access(real.parent, os.W_OK):
        obstacle = f"{real.parent} cannot be written to"
    if obstacle:
        raise UserError(f"{path}: no place for a file ({obstacle})", "name another place.")


def _occupied(real: Path) -> str:
    """What is there that is no file; "" for a file, or nothing. real: links followed."""
    if real.is_dir():
        return "a folder"
    return "a device, a pipe, or a link to itself" if (
        os.path.lexists(real) and not real.is_file()) else ""


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files of writers that were killed. Nobody else may be writing there."""
    for path in folder.iterdir():
        if re.fullmatch(r"\..+\.[0-9a-f]{8}\.[a-z]+", path.name):
            path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where made and downloaded data live: $TINYALEX_DATA, else ~/.cache/tinyalex. Created.

    UserError where there is no such place: no home, or one that cannot be written to.
    """
    hint = "set TINYALEX_DATA to a folder for made and downloaded data."
    folder = Path(os.environ.get("TINYALEX_DATA") or _user_cache(hint) / "tinyalex")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})", hint) from None
    return folder


def _user_cache(hint: str) -> Path:
    if os.path.isabs(cache := os.environ.get("XDG_CACHE_HOME", "")):  # others do not count, it says
        return Path(cache)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        raise UserError("there is no home folder to keep data in", hint) from None
