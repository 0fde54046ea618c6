"""CIFAR-10: 60,000 photographs of 32×32 pixels in ten classes (Krizhevsky, 2009), read from the
files its author publishes at https://www.cs.toronto.edu/~kriz/cifar.html.

Six batch files of 10,000 pictures each, in two versions with the same content:

    binary   cifar-10-batches-bin/data_batch_1.bin ... data_batch_5.bin, test_batch.bin
             a picture is one label byte, then 1024 bytes of red, 1024 of green, 1024 of blue
    python   cifar-10-batches-py/data_batch_1 ... data_batch_5, test_batch
             a Python 2 pickle: {"data": (10000, 3072) uint8, "labels": list of ints, ...}

Both keep a picture channel by channel; we want NHWC, all three colours of a pixel side by side.
"""

import gzip
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from tinyalex.data import pickled
from tinyalex.data.dataset import Dataset
from tinyalex.support import reading
from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder, expect_content

CLASSES = ("airplane", "automobile", "bird", "cat", "deer",
           "dog", "frog", "horse", "ship", "truck")
SPLITS = {
    "train": ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"),
    "val": ("test_batch",),
}
FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
PICTURES_A_BATCH = 10_000
SIDE = 32
BYTES_A_PICTURE = 3 * SIDE * SIDE
# A batch takes 31 MB, in either version; saved again by today's Python, up to half as much more.
MOST_BYTES = 2 * PICTURES_A_BATCH * BYTES_A_PICTURE

_FETCH = "python -m tinyalex.data fetch cifar10"
_DAMAGED = f"this copy is damaged or not the official one; a good one comes with: {_FETCH}"
_WHERE = (f"name the folder {FOLDERS[0]} or {FOLDERS[1]}, the folder above it, or the .tar.gz "
          f"archive; to download it: {_FETCH}")


def load(split: str, path: str | Path | None = None) -> Dataset:
    """The 50,000 pictures to train on ("train") or the 10,000 to validate with ("val").

    path: the folder with the batch files, a folder that contains it, or one of the two official
        archives, which is read without unpacking it. None looks where `_FETCH` puts it.
    Returns images (count, 32, 32, 3) uint8, RGB, contiguous; labels (count,) int64.

    Raises UserError where the files are missing, cut short, or hold something else.
    """
    if split not in SPLITS:
        raise UserError(f"CIFAR-10 has no split {split!r}", f"its splits are {', '.join(SPLITS)}.")
    batches, source = SPLITS[split], _source(path)
    images = np.empty((len(batches), PICTURES_A_BATCH, SIDE, SIDE, 3), np.uint8)
    labels = np.empty((len(batches), PICTURES_A_BATCH), np.int64)
    missing = set(batches)
    for name, content in _batch_files(source, batches):
        batch = name.removesuffix(".bin")
        decode = _from_pickle if name == batch else _from_binary
        i = batches.index(batch)
        images[i], labels[i] = decode(content, source / name)
        missing.discard(batch)
    if missing:
        raise UserError(
            f"{source}: of the {len(batches)} batches of {split!r} there is no "
            f"{', '.join(sorted(missing))} (with or without .bin)", _DAMAGED)
    return Dataset(images.reshape(-1, SIDE, SIDE, 3), labels.reshape(-1), CLASSES,
                   f"cifar10 {split}")


def file_names(batches: Collection[str]) -> list[str]:
    """What the files of these batches are called, in both versions."""
    return [*batches, *(f"{batch}.bin" for batch in batches)]


def find(folder: Path) -> Path | None:
    """The folder with the batch files: `folder` or one of FOLDERS in it; None where there is no
    batch file at all."""
    names = [name for batches in SPLITS.values() for name in file_names(batches)]
    places = (folder, *(folder / name for name in FOLDERS))
    return next((place for place in places
                 if any((place / name).is_file() for name in names)), None)


def files_in_archive(path: Path, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The regular files of a .tar.gz that have one of `names`, as (name, content), in its order.

    Folders and everything else in the archive are skipped, links too: what comes out has a name
    that was asked for. Raises UserError where the archive is cut short, is not one, or unpacks to
    more than CIFAR-10 has.
    """
    expect_content(path)
    try:
        with gzip.open(path) as unpacked:
            stream = _Limited(unpacked, 6 * MOST_BYTES)
            with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if not member.isreg() or name not in names:
                        continue
                    if member.size > MOST_BYTES:  # as the archive says; it need not have them
                        raise tarfile.ReadError(f"{name} has {member.size:,} bytes")
                    if file := archive.extractfile(member):
                        yield name, file.read()
            while stream.read(1 << 20):
                pass  # gzip compares its checksum only at the very end, after the last file
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
        # ValueError: tarfile lets it out where a number in a header is not one.
        raise UserError(
            f"{path}: cut short, damaged, or not a .tar.gz archive ({error})", _WHERE) from error


class _Limited:
    """A stream that ends with an error where more comes out of it than it can hold."""

    def __init__(self, stream: gzip.GzipFile, most: int):
        self.stream, self.left = stream, most

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise tarfile.ReadError("it unpacks to far more than CIFAR-10 has")
        return content


def _source(path: str | Path | None) -> Path:
    """The archive, or the folder with the batch files."""
    place = Path(path) if path is not None else cache_folder()
    if place.is_file():
        return place
    folder = find(place)
    if folder is not None:
        return folder
    if path is None:
        raise UserError(f"{place}: CIFAR-10 is not here yet", f"run: {_FETCH}")
    if not place.exists():
        raise UserError(f"{place}: there is no such file or folder", _WHERE)
    raise UserError(
        f"{place}: no CIFAR-10 in this folder (no data_batch_1.bin, data_batch_1, ...)", _WHERE)


def _batch_files(source: Path, batches: Collection[str]) -> Iterator[tuple[str, bytes]]:
    if source.is_file():
        yield from files_in_archive(source, file_names(batches))
        return
    for name in file_names(batches):
        if (source / name).is_file():
            content = reading.content(source / name, MOST_BYTES, blank=True)
            if not content:
                raise UserError(f"{source / name}: the file is empty", _DAMAGED)
            yield name, content


def _from_binary(content: bytes, where: Path) -> tuple[np.ndarray, np.ndarray]:
    """(count, 32, 32, 3) pictures and (count,) labels of a batch in the binary version."""
    a_record = 1 + BYTES_A_PICTURE
    if len(content) != PICTURES_A_BATCH * a_record:
        raise UserError(
            f"{where}: {len(content):,} bytes; {PICTURES_A_BATCH:,} pictures of {a_record:,} bytes "
            f"are {PICTURES_A_BATCH * a_record:,}", _DAMAGED)
    records = np.frombuffer(content, np.uint8).reshape(PICTURES_A_BATCH, a_record)
    return _nhwc(records[:, 1:]), _checked(records[:, 0], where)


def _from_pickle(content: bytes, where: Path) -> tuple[np.ndarray, np.ndarray]:
    """(count, 32, 32, 3) pictures and (count,) labels of a batch in the python version."""
    try:
        rows, labels = pickled.batch(content)
    except Damaged as error:
        raise UserError(f"{where}: not a CIFAR-10 batch of the python version, or cut short "
                        f"({error})", _DAMAGED) from None
    shape = (PICTURES_A_BATCH, BYTES_A_PICTURE)
    if rows.shape != shape or len(labels) != PICTURES_A_BATCH:
        raise UserError(f"{where}: data of shape {rows.shape} with {len(labels)} labels; {shape} "
                        f"with {PICTURES_A_BATCH} were expected", _DAMAGED)
    return _nhwc(rows), _checked(np.array(labels), where)


def _nhwc(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _checked(labels: np.ndarray, where: Path) -> np.ndarray:
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if len(wrong):
        raise UserError(
            f"{where}: picture {wrong[0]} has label {labels[wrong[0]]}; CIFAR-10 has labels "
            f"0 to {len(CLASSES) - 1}", _DAMAGED)
    return labels
