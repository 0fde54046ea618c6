"""A prepared folder: pictures as raw pixels in memory-mapped files, open at once.

    train-00000.npy …  (n, side, side, 3) uint8, n <= 1024
    train-00000.npz …  what is known of them; written after the .npy, so it says "complete"
    prepared.npz       the labels of all pictures, and the statistics of the training pictures
    prepared.json      classes, side, pictures a shard; written last: with it this is a dataset
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.data.dataset import Dataset
from tinyalex.data.statistics import Statistics
from tinyalex.support import arrays, reading
from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError

FORMAT = 1
OTHERS = 32  # files that a program has open besides shards
PLAN, ABOUT, NUMBERS = "plan.json", "prepared.json", "prepared.npz"
MOST_SIDE = 1 << 14  # pixels
Wanted = dict[str, tuple[str, tuple[int | None, ...]]]  # kinds and shape by name, see arrays.take
AGAIN = ("run the tinyalex.prepare that made this folder again: it makes what is missing. If "
         "--data made it, remove the folder.")


class Shards:
    """Pictures in several arrays, as if they were one (count, H, W, 3) uint8.

    parts: arrays (n, H, W, 3), memory-mapped as a rule. Nothing is copied: images[i] is a view of
    a picture, images[i, rows, columns] of a part of it, images[a:b] are Shards again.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, parts: Sequence[np.ndarray]):
        self._parts = list(parts)
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), *self._parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice | tuple) -> Any:
        if isinstance(key, tuple):
            return self[key[0]][key[1:]]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step != 1:
                raise IndexError("only consecutive pictures can be cut out")
            return Shards([part[max(start - first, 0) : max(stop - first, 0)] for part, first
                           in zip(self._parts, self._starts[:-1], strict=True)])
        index = range(len(self))[key]  # counts from the end as well; IndexError beyond it
        part = np.searchsorted(self._starts, index, side="right") - 1
        return self._parts[part][index - self._starts[part]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate(self._parts).astype(dtype or self.dtype, copy=False)


def is_prepared(folder: Path) -> bool:
    """Whether the folder was made by tinyalex.prepare, or is being made."""
    return any((folder / name).is_file() for name in (ABOUT, PLAN))


def about(folder: Path) -> dict[str, Any]:
    """What prepared.json says; UserError where the folder is not finished, or not readable."""
    path = folder / ABOUT
    if not path.exists():
        raise UserError(f"{folder}: only partly prepared", AGAIN)
    try:
        record = reading.record(path)
    except Damaged as error:
        raise UserError(f"{path}: damaged ({error})", AGAIN) from None
    if (number := record.get("format", FORMAT)) != FORMAT:
        raise UserError(f"{path}: format {str(number)[:20]}; this version reads {FORMAT}",
                        "prepare the pictures again, into a new folder.")
    match record:
        case {"format": _, "side": int(side), "classes": [*classes], "skipped": int(skipped),
              "shards": {"train": [*train], "val": [*val]}} if (
                  0 < side <= MOST_SIDE and all(isinstance(name, str) for name in classes)
                  and all(type(count) is int and count >= 0 for count in [skipped, *train, *val])):
            return record
    raise UserError(f"{path}: damaged (it does not say which classes, side and shards there are)",
                    AGAIN)


def numbers(folder: Path) -> dict[str, np.ndarray]:
    """What prepared.npz holds: labels by split, and the statistics, if there was anything to train
    on."""
    record = about(folder)
    side, shards = record["side"], record["shards"]
    wanted: Wanted = {split: ("iu", (sum(shards[split]),)) for split in ("train", "val")}
    if sum(shards["train"]):
        wanted |= {"mean": ("f", (side, side, 3)), "covariance": ("f", (3, 3))}
    kept = read_npz(folder / NUMBERS, wanted)
    arrays.expect_finite(folder / NUMBERS, kept)
    return kept


def read_npz(path: Path, wanted: Wanted) -> dict[str, np.ndarray]:
    """These arrays of one of the .npz files; UserError where it is missing or damaged."""
    try:
        stored = arrays.npz(path)
        return {name: arrays.take(stored, name, *kind) for name, kind in wanted.items()}
    except UserError as error:
        raise UserError(error.args[0], AGAIN) from None
    except Damaged as error:
        raise UserError(f"{path}: damaged ({error})", AGAIN) from None


def load(folder: str | Path, split: str, side: int | None = None,
         name: str | None = None) -> Dataset:
    """A split of a prepared folder, its pictures left on the disk until they are asked for.

    side: what the pictures must have; None: whatever they have. name: of the dataset. Raises
    UserError where the side is different, and for files that are missing, cut short or damaged.
    """
    folder = Path(folder)
    record = about(folder)
    size = record["side"]
    if side not in (None, size):
        raise UserError(f"{folder}: pictures of {size}×{size}; {side}×{side} are needed",
                        "prepare them again, into a new folder, with python -m tinyalex.prepare "
                        f"--side {side}.")
    counts = record["shards"][split]
    if not sum(counts):
        raise UserError(f"{name or folder / split}: no pictures",
                        "training needs train/ and val/; without val/, two pictures of a class.")
    allow_open_files(sum(map(len, record["shards"].values())))
    images = Shards([open_shard(folder / f"{stem(split, i)}.npy", (count, size, size, 3))
                     for i, count in enumerate(counts)])
    kept = numbers(folder)
    statistics = (Statistics(kept["mean"], kept["covariance"].astype(float)) if "mean" in kept
                  else None)
    return Dataset(images, kept[split], tuple(record["classes"]), name or str(folder / split),
                   statistics)


def stem(split: str, number: int) -> str:
    """The names of a shard's files, without the ending."""
    return f"{split}-{number:05}"


def open_shard(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The pictures in it, memory-mapped; UserError where the file is not what it should be."""
    try:
        pictures = arrays.npy(path)
    except UserError as error:
        raise UserError(error.args[0], AGAIN) from None
    except Damaged as error:
        raise UserError(f"{path}: cut short or damaged ({error})", AGAIN) from None
    if pictures.shape != shape or pictures.dtype != np.uint8:
        raise UserError(f"{path}: {pictures.dtype} of shape {pictures.shape}; uint8 of shape "
                        f"{shape} is expected", AGAIN)
    return pictures


def allow_open_files(count: int) -> None:
    """A mapped file counts as an open one, and 1,024 are the usual limit: all of ImageNet has 1,300
    shards. A program may lift that itself, up to a second limit; UserError where that is too low.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed, wanted = count + OTHERS, 2 * count + 512  # other datasets may be opened as well
    if hard != resource.RLIM_INFINITY:
        if needed > hard:
            raise UserError(f"{count} shards need {needed} open files, and the limit is {hard}",
                            f"raise it (ulimit -Hn {needed}), or ask who runs this machine.")
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
