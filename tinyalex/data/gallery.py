"""Pictures to show to a network, however somebody names them: files, folders, patterns, datasets.

    cat.jpg                     a file of any kind that Pillow reads
    photos                      all pictures in a folder and the folders in it
    'photos/*.png'              what matches a pattern
    shapes/val  cifar10/val/3   a split of a dataset (see sources.KINDS), or its pictures by number,
    shapes/train/0-9            counted from 0; the last one is included
"""

import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tinyalex.data import sources
from tinyalex.data.dataset import Dataset
from tinyalex.data.pictures import read_picture, resized
from tinyalex.support.errors import UserError

KINDS = ("a picture, a folder, a pattern in quotes, or pictures of a dataset: shapes/val, "
         "cifar10/val/3, shapes/train/0-9")
BUILT_IN = ("shapes", "cifar10")
_OF_A_DATASET = re.compile(r"(.+)/(train|val)(?:/(\d{1,18})(?:-(\d{1,18}))?)?/?")


class Shown(NamedTuple):
    """name: finds the picture again, see above, from any folder. true: the class that its folder or
    dataset says it has. source: its file, or the dataset of which it is number `i`."""

    name: str
    true: str
    source: Path | Dataset
    i: int = 0


class Gallery:
    """Pictures (N, side, side, 3) uint8, each of which is read when it is asked for: the shorter
    side scaled, the centre taken, as when photographs are prepared.

    Indexed by a number; an array as far as a Dataset and its Loader are concerned. Raises
    BrokenPicture where a file is no picture.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, pictures: Sequence[Shown], side: int):
        self.pictures, self.side = pictures, side

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), self.side, self.side, 3

    def __getitem__(self, i: int) -> np.ndarray:
        shown = self.pictures[i]
        if isinstance(shown.source, Path):
            return read_picture(shown.source, self.side)
        return resized(np.asarray(shown.source.images[shown.i]), self.side)

    @property
    def names(self) -> list[str]:
        return [shown.name for shown in self.pictures]

    def digest(self) -> str:
        """Changes as soon as a picture comes, goes, moves or is written anew. A dataset is
        known by its name, its labels and some of its pictures."""
        sha = hashlib.sha256()
        each_once = {id(shown.source): shown.source for shown in self.pictures}
        contents = {key: _digest(source) for key, source in each_once.items()}
        for name, true, source, i in self.pictures:
            sha.update(f"{name} {true} {contents[id(source)]} {i}\n".encode(
                errors="surrogateescape"))
        return sha.hexdigest()[:16]

    def labels(self, classes: Sequence[str]) -> list[int | None]:
        """For each picture its true class, as an index into `classes`; None where its folder is
        called otherwise."""
        index = {name: label for label, name in enumerate(classes)}
        return [index.get(shown.true) for shown in self.pictures]


def readable(name: str) -> str:
    """A file's name to be printed, whatever bytes it has."""
    return os.fsencode(name).decode(errors="replace")


def _digest(source: Path | Dataset) -> str | tuple[int, int]:
    if isinstance(source, Path):
        stat = source.stat()
        return stat.st_size, stat.st_mtime_ns
    sha = hashlib.sha256(source.name.encode() + np.asarray(source.labels).tobytes())
    for i in np.linspace(0, len(source) - 1, 64).astype(int).tolist():
        sha.update(np.ascontiguousarray(source.images[i]).tobytes())
    return sha.hexdigest()


def gather(wanted: Sequence[str], side: int, limit: int | None = None) -> Gallery:
    """The pictures that these arguments name, in their order, the first `limit` of them.

    From folders in a folder one picture of each comes in turn. UserError for an argument that
    names nothing.
    """
    load = partial(lru_cache(None)(sources.load), side=None)
    pictures = [shown for name in wanted for shown in _named(name, load)]
    return Gallery(pictures[:limit], side)


def _named(wanted: str, load: Callable[[str, str], Dataset]) -> list[Shown]:
    path = Path(wanted)
    if path.is_dir():
        return _folder(path)
    if path.exists():
        return [_file(path)]
    if glob.has_magic(wanted):
        files = _pictures(map(Path, glob.glob(wanted, recursive=True)))
        if not files:
            raise UserError(f"{wanted}: no picture matches this pattern", f"name {KINDS}.")
        return [_file(file) for file in files]
    if match := _OF_A_DATASET.fullmatch(wanted):
        source = match[1]
        if source in BUILT_IN or ":" in source or Path(source).exists():
            return _numbered(source, match[2], load(source, match[2]), match[3], match[4])
    if wanted in BUILT_IN:
        raise UserError(f"{wanted}: a dataset has two splits", f"name {wanted}/train or "
                        f"{wanted}/val, or pictures by number, {wanted}/val/0-9.")
    raise UserError(f"{wanted}: no such picture, folder or dataset", f"name {KINDS}.")


def _file(path: Path) -> Shown:
    return Shown(str(path.resolve()), path.resolve().parent.name, path)


def _folder(path: Path) -> list[Shown]:
    files = _pictures(
        file for file in path.rglob("*")
        if not any(part.startswith(".") for part in file.relative_to(path).parts))
    if not files:
        raise UserError(f"{path}: no pictures in this folder", "name another; of a prepared one, "
                        f"or one of CIFAR-10, name a split: {path / 'val'}.")
    turns, counts = [], dict[Path, int]()
    for file in files:
        counts[file.parent] = counts.get(file.parent, -1) + 1
        turns.append((counts[file.parent], file))
    return [_file(file) for _, file in sorted(turns)]


def _pictures(paths: Iterable[Path]) -> list[Path]:
    """Those that Pillow can open, by their endings; sorted."""
    endings = {end for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return sorted(path for path in paths if path.suffix.lower() in endings and path.is_file())


def _numbered(source: str, split: str, dataset: Dataset, first: str | None,
              last: str | None) -> list[Shown]:
    begin = int(first or 0)
    end = int(last or first or len(dataset) - 1)
    if not begin <= end < len(dataset):
        raise UserError(f"{source}/{split}: has the pictures 0 to {len(dataset) - 1}, and not "
                        f"{begin if begin == end else f'{begin}-{end}'}", "name some of these.")
    return [Shown(f"{source}/{split}/{i}", dataset.classes[dataset.labels[i]], dataset, i)
            for i in range(begin, end + 1)]
