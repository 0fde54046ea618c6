"""Arrays in files that may be damaged, or made to do damage.

np.load believes what a file says: it makes room for a shape before it looks whether the numbers are
there. Here a file is first asked what it announces, everything is held against what it really has,
and an array is read only when it is wanted. Nothing is unpickled.
"""

import errno
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from struct import error as StructError

import numpy as np

from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing


class Damaged(ValueError):
    """A file does not hold what it says it holds."""


@dataclass(frozen=True)
class Stored:
    """An array in a file: its shape, and a function that reads it."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


def contents(path: Path) -> memoryview:
    """All bytes of a file, mapped into memory: none is read before it is looked at. UserError where
    there is no such file, or it is empty."""
    if not path.is_file():
        raise UserError(f"{path}: no such file", "check the path.")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty", "download or write it again.")
    return np.memmap(path, np.uint8, "r").data


def expect_finite(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """UserError where an array of the file holds NaN or an infinity."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name} holds numbers that are not finite",
                            "the file is damaged, or its training went wrong: use another one.")


def save_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz file in one move: `path` holds the old one or the new one, never a part."""
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # mypy takes one for allow_pickle


# What stands at the top of an array: a dict in Python's notation, its fields in any order, which
# is read without eval. Before it: \x93NUMPY, the version, the header's length in so many bytes.
_HEADER = re.compile(rb"""
    \{ (?: \s* ['"] (?: descr ['"] \s* : \s* ['"] ([<>|=]? [a-zA-Z?] \w*) ['"]
                      | fortran_order ['"] \s* : \s* (True | False)
                      | shape ['"] \s* : \s* \( ([\d,L\s]*) \) )
           \s* (?: , | (?= \} ) ) ){3} \s* \} \s*""", re.VERBOSE)
_LENGTH = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}
_LONGEST = 10_000  # NumPy reads no longer ones


def npz(path: Path) -> dict[str, Stored]:
    """The arrays of an .npz file by name. Damaged where they are not what the file says, or hold
    Python objects; UserError where there is no such file."""
    contents(path)
    with _unzipping(path) as file:
        return {info.filename.removesuffix(".npy"): _member(path, file, info)
                for info in file.infolist()}


def _member(path: Path, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    name = info.filename
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Damaged(f"{name} is packed in a way that NumPy does not use")
    with file.open(info) as member:
        top = member.read(8)
        digits = _LENGTH.get(top[6:], 0)
        length = member.read(digits)
        if top[:6] != b"\x93NUMPY" or not 0 < digits == len(length):
            raise Damaged(f"{name} is no array")
        header = member.read(min(int.from_bytes(length, "little"), _LONGEST + 1))
    match = _HEADER.fullmatch(header)
    if len(header) > _LONGEST or not match or None in match.groups():
        raise Damaged(f"{name} has no header that can be read")
    kind, columns, sizes = (part.decode() for part in match.groups())
    dtype = np.dtype(kind)
    if dtype.kind not in "biufSU":
        raise Damaged(f"{name} holds Python objects (pickles), and they could do anything"
                      if dtype.kind == "O" else f"{name} holds numbers of the kind {kind}")
    shape = tuple(int(size.strip("L \n")) for size in sizes.split(",") if size.strip())
    start = len(top) + digits + len(header)
    if prod(shape) * dtype.itemsize != info.file_size - start:
        raise Damaged(f"{name} announces {prod(shape):,} numbers of {dtype.itemsize} bytes in "
                      f"{info.file_size - start:,} bytes")

    def read() -> np.ndarray:
        with _unzipping(path) as again:
            return np.ndarray(shape, dtype, again.read(info), start,
                              order="F" if columns == "True" else "C")

    return Stored(shape, read)


@contextmanager
def _unzipping(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file, about whose many ways to be broken zipfile has as many exceptions."""
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except Damaged:
        raise
    except (zipfile.BadZipFile, zlib.error, StructError, NotImplementedError, RuntimeError,
            EOFError, ValueError, TypeError, OverflowError, KeyError) as error:
        raise Damaged(f"as a zip file it is broken: {error}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # told to seek where there is nothing
            raise
        raise Damaged("as a zip file it is broken") from None
