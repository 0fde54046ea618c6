"""Files that are never half-written, folders in which one process works at a time, and the folder
where downloads and made data are kept."""

import contextlib
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO

from tinyalex.support.errors import UserError, reason
from tinyalex.support.text import megabytes, note

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows, and Python in a browser
    HAS_LOCKS = False


@contextlib.contextmanager
def replacing(path: str | Path, suffix: str = ".part") -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well. Those of writers of
    `path` that were killed are removed.

    Whoever reads `path` sees the old file or the new one, never a part of either; if the block
    raises (a full disk, Ctrl-C) the temporary file is removed and the old one stays. `suffix` is
    for writers that choose a format by the ending.

    A link stays a link: the file that it leads to is replaced, and keeps its permissions. UserError
    where `path` is a folder, a device or a pipe, which a rename would destroy.
    """
    real = Path(os.path.realpath(path))
    if occupied := _occupied(real):
        raise UserError(f"{path}: no place for a file ({occupied})", "name another place.")
    mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
    part = real.with_name(f".{real.name}.{secrets.token_hex(4)}{suffix}")
    remove_leftovers(real.parent, real.name)
    try:
        # No more open to others than the old one, even while it is written.
        part.touch(0o666 if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR, exist_ok=False)
        with _held(part, wait=True):
            yield part
            with open(part, "r+b") as file:
                os.fsync(file.fileno())
            if mode is not None:
                part.chmod(mode)
            part.replace(real)
    except OSError as error:
        # A full disk does not say for which file; and nobody knows the temporary one.
        if error.errno and error.filename in (None, part, str(part)):
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one move, see `replacing`; in UTF-8, its lines ended as they are."""
    with replacing(path) as part:
        part.write_bytes(text.encode())


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


def expect_room(folder: Path, size: int, what: str) -> None:
    """UserError where this folder's disk has fewer bytes free for `what`."""
    if not hasattr(shutil, "disk_usage"):  # WebAssembly's Python
        return
    disk = shutil.disk_usage(folder)
    if disk.total and size > disk.free:  # a total of 0: a disk in the network that does not say
        raise UserError(f"{folder}: {what} would take {megabytes(size)}, and {megabytes(disk.free)}"
                        " are free", "free some space, or name a folder on another disk.")


def _occupied(real: Path) -> str:
    """What is there that is not a file; "" for a file, or nothing. real: links followed."""
    if real.is_dir():
        return "a folder"
    return "a device, a pipe, or a link to itself" if (
        os.path.lexists(real) and not real.is_file()) else ""


def remove_leftovers(folder: Path, *names: str) -> None:
    """Delete the temporary files and the locks that writers of the files of these names left here
    when they were killed. Those in use stay, and so does what others own."""
    for path in folder.glob(".*"):
        match = re.fullmatch(r"\.(.+)\.([0-9a-f]{8}\.[a-z]+|lock)", path.name)
        if match and match[1] in names and path.is_file():
            with contextlib.suppress(OSError), _held(path) as file:
                if file:
                    path.unlink()


@contextlib.contextmanager
def alone(folder: Path, name: str = "", wait: bool = False) -> Iterator[bool]:
    """While the block runs, no other process gets into `alone` with this folder (and this name, for
    folders where several things are made).

    Another one gets a UserError that says who is there, or, with `wait`, says so and waits. The
    lock ends with the process, however that ends. Where files cannot be locked, a line on stderr
    says so, and the block gets False.
    """
    lock = folder / (f".{name}.lock" if name else ".lock")
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_held(lock))
        except BlockingIOError:
            holder = "another process"
            with contextlib.suppress(OSError), open(lock, "rb") as who:
                holder = who.read(200).decode("utf-8", "replace") or holder
            if not wait:
                raise UserError(f"{folder}: {holder} is working in this folder",
                                "wait until it ends, or name another folder.") from None
            note(f"{folder / name}: waiting for {holder}")
            file = stack.enter_context(_held(lock, wait=True))
        stack.callback(lock.unlink, missing_ok=True)
        if file:
            try:
                file.truncate(0)
                os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}".encode())
            except OSError as error:
                error.filename = str(lock)  # a full disk does not say for which file
                raise
        else:
            _say_unlocked(folder)
        yield file is not None


@cache
def _say_unlocked(folder: Path) -> None:
    note(f"{folder}: cannot be locked here: start nothing else in this folder meanwhile")


@contextlib.contextmanager
def _held(path: Path, wait: bool = False) -> Iterator[IO[str] | None]:
    """The file, made where it is not there, locked until the block or the process ends; None where
    files cannot be locked. BlockingIOError if somebody else holds it, unless we are to wait."""
    if not HAS_LOCKS:
        path.touch()
        yield None
        return
    while True:
        with open(path, "a+", encoding="utf-8", opener=_no_link) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                held: IO[str] | None = file
            except BlockingIOError:
                raise
            except OSError:  # some network file systems
                held = None
            if _is_at(file, path):  # else it was removed before we had it
                yield held
                return


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _no_link(path: str, flags: int) -> int:
    """Open it, unless it is a link, which might lead to any other file."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def expect_regular(path: Path) -> None:
    """UserError where there is no such file, or something that only looks like one: a pipe would be
    waited for without end, and a device may have no end."""
    if not path.is_file():
        kind = "not a regular file" if path.exists() else "no such file"
        raise UserError(f"{path}: {kind}", "check the path.")


def expect_content(path: Path) -> None:
    """UserError where there is no such file, as above, or nothing in it."""
    expect_regular(path)
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty", "download or write it again.")


def cache_folder() -> Path:
    """Where made and downloaded data live: $TINYALEX_DATA, else ~/.cache/tinyalex. Created.

    UserError where there is no such place: no home, or one that cannot be written to.
    """
    hint = "set TINYALEX_DATA to a folder for made and downloaded data."
    folder = Path(os.environ.get("TINYALEX_DATA") or _user_cache(hint) / "tinyalex")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({reason(error)})", hint) from None
    return folder


def _user_cache(hint: str) -> Path:
    if os.path.isabs(cache := os.environ.get("XDG_CACHE_HOME", "")):  # others do not count, it says
        return Path(cache)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        raise UserError("there is no home folder to keep data in", hint) from None
