"""Arrays in files that may be damaged, or made to do damage.

np.load believes what a file says: it makes room for a shape before it looks whether the numbers are
there. Here a file is first asked what it announces, everything is checked against what it really
has, and an array is read only when it is wanted. Nothing is unpickled.
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
from typing import IO, Literal

import numpy as np

from tinyalex.support.errors import UserError
from tinyalex.support.files import expect_content, replacing

# What an .npz file may unpack to, for each byte of it and at the least: weights hardly shrink, and
# whoever packs gigabytes into some megabytes has something else in mind.
MOST_RATIO, FREE = 8, 64_000_000
MOST_ARRAYS = 10_000


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
    expect_content(path)
    try:
        return np.memmap(path, np.uint8, "r").data
    except OSError:  # some Pythons in a browser have no maps; what cannot be read fails again
        return memoryview(path.read_bytes())


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


# What is at the top of an array: a dict in Python's notation, its fields in any order, which
# is read without eval. Before it: \x93NUMPY, the version, the header's length in this many bytes.
_HEADER = re.compile(rb"""
    \{ (?: \s* ['"] (?: descr ['"] \s* : \s* ['"] ([<>|=]? [a-zA-Z?] \w*) ['"]
                      | fortran_order ['"] \s* : \s* (True | False)
                      | shape ['"] \s* : \s* \( ([\d,L\s]*) \) )
           \s* (?: , | (?= \} ) ) ){3} \s* \} \s*""", re.VERBOSE)
_LENGTH = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}
_LONGEST = 10_000  # NumPy reads no longer ones


def npz(path: Path) -> dict[str, Stored]:
    """The arrays of an .npz file by name. Damaged where they are not what the file says, hold
    Python objects, or unpack to far more than they are; UserError where there is no such file."""
    size = len(contents(path))
    with _unzipping(path) as file:
        infos = file.infolist()
        unpacked = sum(info.file_size for info in infos)
        if sum(info.compress_size for info in infos) > size or len(infos) > MOST_ARRAYS:
            raise Damaged("its arrays overlap, or are far too many")
        if unpacked > max(MOST_RATIO * size, FREE):
            raise Damaged(f"{size:,} bytes that unpack to {unpacked:,}: write it again, with "
                          "np.savez, if that is right")
        return {info.filename.removesuffix(".npy"): _member(path, file, info) for info in infos}


def take(file: dict[str, Stored], name: str, kinds: str,
         shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of the file, of this shape, None standing for any size, and of one of these kinds:
    "f" for floats, "iu" for integers, "U" for texts. Damaged where there is none."""
    if name not in file:
        raise Damaged(f"there is no {name} in it")
    stored = file[name]
    if len(stored.shape) != len(shape) or any(
            size not in (None, found) for size, found in zip(shape, stored.shape, strict=True)):
        raise Damaged(f"{name} has the shape {stored.shape}")
    if (array := stored.read()).dtype.kind not in kinds:
        raise Damaged(f"{name} is of the type {array.dtype}")
    return array


def npy(path: Path) -> np.ndarray:
    """The array of an .npy file, mapped into memory, not to be written to. Damaged and UserError as
    in `npz`."""
    data = contents(path)
    try:
        with open(path, "rb") as file:
            dtype, shape, order, start = _header(path.name, file, len(data))
        return np.ndarray(shape, dtype, data, start, order=order)
    except (ValueError, TypeError, OverflowError) as error:
        raise Damaged(str(error)) from None


def _member(path: Path, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    name = info.filename
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Damaged(f"{name} is packed in a way that NumPy does not use")
    with file.open(info) as member:
        dtype, shape, order, start = _header(name, member, info.file_size)

    def read() -> np.ndarray:
        with _unzipping(path) as again:
            return np.ndarray(shape, dtype, again.read(info), start, order=order)

    return Stored(shape, read)


def _header(name: str, file: IO[bytes], size: int,
            ) -> tuple[np.dtype, tuple[int, ...], Literal["C", "F"], int]:
    """What is at the top of an array of this many bytes: its type, shape and order, and where
    its numbers begin."""
    top = file.read(8)
    digits = _LENGTH.get(top[6:], 0)
    length = file.read(digits)
    if top[:6] != b"\x93NUMPY" or not 0 < digits == len(length):
        raise Damaged(f"{name} is not an array")
    header = file.read(min(int.from_bytes(length, "little"), _LONGEST + 1))
    match = _HEADER.fullmatch(header)
    if len(header) > _LONGEST or not match or None in match.groups():
        raise Damaged(f"{name} has no readable header")
    kind, columns, sizes = (part.decode() for part in match.groups())
    dtype = np.dtype(kind)
    if dtype.kind not in "biufSU":
        raise Damaged(f"{name} holds Python objects (pickles), which could do anything"
                      if dtype.kind == "O" else f"{name} holds numbers of the kind {kind}")
    shape = tuple(int(part.strip("L \n")) for part in sizes.split(",") if part.strip())
    start = len(top) + digits + len(header)
    if dtype.itemsize == 0 or prod(shape) * dtype.itemsize != size - start:
        raise Damaged(f"{name} announces {prod(shape):,} numbers of {dtype.itemsize} bytes in "
                      f"{size - start:,} bytes")
    return dtype, shape, "F" if columns == "True" else "C", start


@contextmanager
def _unzipping(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file; there are many ways for one to be broken, and zipfile has as many exceptions."""
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
