"""Pictures to show to a network, however they are named: files, folders, patterns, datasets.

    cat.jpg                     a file, however it ends
    photos                      all pictures in a folder and the folders in it (see folder.find)
    'photos/*.png'              what matches a pattern
    shapes/val  cifar10/val/3   a split of a dataset (see sources.KINDS), or its pictures by number,
    shapes/train/0-9            counted from 0; the last one is included
"""

import glob
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyalex.data import cifar10, folder, sources
from tinyalex.data.dataset import Dataset
from tinyalex.data.folder import LeftOut, class_of
from tinyalex.data.pictures import BrokenPicture, read_picture, resized
from tinyalex.data.shards import is_prepared
from tinyalex.support.errors import UserError
from tinyalex.support.text import composed, note, say

KINDS = ("a picture, a folder, a pattern in quotes, or pictures of a dataset: shapes/val, "
         "cifar10/val/3, shapes/train/0-9")
_OF_A_DATASET = re.compile(r"(.+)/(train|val)(?:/(\d{1,18})(?:-(\d{1,18}))?)?/?")


class Shown(NamedTuple):
    """name: finds the picture again, see above; a file from any folder. true: the class that its
    folder or dataset says it has. source: its file, or the dataset of which it is number `i`."""

    name: str
    true: str
    source: Path | Dataset
    i: int = 0


class Gallery:
    """Pictures (N, side, side, 3) uint8, each of which is read when it is asked for: the shorter
    side scaled, the centre taken, as when photographs are prepared.

    Indexed by a number; an array as far as a Dataset and its Loader are concerned. A file that is
    not a picture, or only half of one, is black, and its number goes into `broken`, with the
    reason: the work on all the others is not lost, see `good`.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, pictures: Sequence[Shown], side: int):
        self.pictures, self.side = pictures, side
        self.broken: dict[int, BrokenPicture] = {}

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), self.side, self.side, 3

    def __getitem__(self, i: int) -> np.ndarray:
        picture = self.pictures[i]
        if not isinstance(picture.source, Path):
            return resized(np.asarray(picture.source.images[picture.i]), self.side)
        try:
            return read_picture(picture.source, self.side)
        except BrokenPicture as error:
            self.broken[i] = error
            return np.zeros(self.shape[1:], np.uint8)

    def good(self) -> list[int]:
        """The numbers of those that could be read, once all have been asked for. The others are
        named on stderr; where no picture is left, the error of the first is raised."""
        for i, error in sorted(self.broken.items()):
            if len(self.broken) == len(self):
                raise error
            note(f"skipped {self.pictures[i].name}: {error.reason}")
        return [i for i in range(len(self)) if i not in self.broken]

    def only(self, numbers: Sequence[int]) -> "Gallery":
        """The pictures of these numbers."""
        return Gallery([self.pictures[i] for i in numbers], self.side)

    def expect_unread(self, *written: Path | None) -> None:
        """UserError where one of these files, which are to be written, is one of the pictures."""
        files = [picture.source for picture in self.pictures if isinstance(picture.source, Path)]
        for path in written:
            if path and path.exists() and any(map(path.samefile, files)):
                raise UserError(f"{path}: that is a file to read", "name another file to write.")

    @property
    def names(self) -> list[str]:
        return [picture.name for picture in self.pictures]

    def digest(self) -> str:
        """Changes as soon as a picture comes, goes, moves or is rewritten. A dataset is
        known by its name, its labels and some of its pictures."""
        sha = hashlib.sha256()
        each_once = {id(picture.source): picture.source for picture in self.pictures}
        contents = {key: _digest(source) for key, source in each_once.items()}
        for name, true, source, i in self.pictures:
            sha.update(f"{name} {true} {contents[id(source)]} {i}\n".encode(
                errors="surrogateescape"))
        return sha.hexdigest()[:16]

    def labels(self, classes: Sequence[str]) -> list[int | None]:
        """For each picture its true class, as an index into `classes`; None where its folder has
        another name."""
        index = {name: label for label, name in enumerate(classes)}
        return [index.get(picture.true) for picture in self.pictures]


def built_in(names: Iterable[str]) -> list[str]:
    """The splits of built-in datasets that these names of pictures come from."""
    matches = filter(None, map(_OF_A_DATASET.fullmatch, names))
    return sorted({f"{match[1]}/{match[2]}" for match in matches if match[1] in sources.BUILT_IN})


def _digest(source: Path | Dataset) -> str | tuple[int, int]:
    if isinstance(source, Path):
        stat = source.stat()
        return stat.st_size, stat.st_mtime_ns
    sha = hashlib.sha256(os.fsencode(source.name) + np.asarray(source.labels).tobytes())
    for i in np.linspace(0, len(source) - 1, 64).astype(int).tolist():
        sha.update(np.ascontiguousarray(source.images[i]).tobytes())
    return sha.hexdigest()


def gather(wanted: Sequence[str], side: int, limit: int | None = None) -> Gallery:
    """The pictures that these arguments name, in their order, the first `limit` of them.

    Folders in a folder take turns, one picture each; a line says what is skipped there. UserError
    for an argument that names nothing.
    """
    left_out: LeftOut = defaultdict(list)
    load = partial(lru_cache(None)(sources.load), side=None)
    pictures = [picture for name in wanted for picture in _named(name, load, left_out)]
    if left_out:
        say(folder.left_out(left_out))
    return Gallery(pictures[:limit], side)


def _named(wanted: str, load: Callable[[str, str], Dataset], left_out: LeftOut) -> list[Shown]:
    path, match = Path(wanted), _OF_A_DATASET.fullmatch(wanted)
    if match and match[1] in sources.BUILT_IN:
        sources.say_if_there(match[1])
        return _numbered(load, *match.groups())
    if wanted in sources.BUILT_IN or is_prepared(path):
        raise UserError(f"{wanted}: a dataset has two splits", f"name {wanted}/train or "
                        f"{wanted}/val, or pictures by number, {wanted}/val/0-9"
                        + (f"; ./{wanted} is the folder." if wanted in sources.BUILT_IN else "."))
    if path.is_dir():
        return _folder(path, left_out)
    if path.exists():
        return [_file(path)]
    if match and (sources.is_code(match[1]) or Path(match[1]).exists()):
        return _numbered(load, *match.groups())
    if glob.has_magic(wanted):
        return _pattern(path, left_out)
    raise UserError(f"{wanted}: no such picture, folder or dataset", f"name {KINDS}.")


def _file(path: Path) -> Shown:
    """The class is that of the path as it is written: a link may lead anywhere."""
    path = Path(os.path.abspath(path))
    return Shown(str(path), composed(class_of(path.parent).name), path)


def _folder(path: Path, left_out: LeftOut) -> list[Shown]:
    top, found = Path(os.path.abspath(path)), folder.find(path)
    if not found.pictures:
        left = folder.left_out(found.left_out, "; ")
        raise UserError(f"{path}: no pictures in this folder{left}",
                        f"name a split of CIFAR-10, such as {path / 'val'}." if cifar10.find(path)
                        else "name one with pictures in it, or in its folders.")
    for kind, names in found.left_out.items():
        left_out[kind] += names
    turns, counts = [], defaultdict[Path, int](int)
    for name, place in found.pictures:
        file = top / name
        turns.append((counts[file.parent], file, composed((top / place).name)))
        counts[file.parent] += 1
    return [Shown(str(file), true, file) for _, file, true in sorted(turns)]


def _pattern(path: Path, left_out: LeftOut) -> list[Shown]:
    """The files that match. As far as a folder of this very name exists, brackets in it are not a
    pattern."""
    there = next(parent for parent in path.parents if parent.is_dir())
    pattern = os.path.join(glob.escape(str(there)), path.relative_to(there))
    files = sorted(filter(Path.is_file, map(Path, glob.glob(pattern, recursive=True))))
    pictures = [file for file in files if folder.is_picture(file)]
    if not pictures:
        raise UserError(f"{path}: no picture matches this pattern", f"name {KINDS}.")
    if others := [str(file) for file in files if not folder.is_picture(file)]:
        left_out[folder.OTHERS] += others
    return [_file(file) for file in pictures]


def _numbered(load: Callable[[str, str], Dataset], source: str, split: str, first: str | None,
              last: str | None) -> list[Shown]:
    dataset = load(source, split)
    begin = int(first or 0)
    end = int(last or first or len(dataset) - 1)
    if not begin <= end < len(dataset):
        raise UserError(f"{source}/{split}: has the pictures 0 to {len(dataset) - 1}, not "
                        f"{begin if begin == end else f'{begin}-{end}'}", "name some of these.")
    return [Shown(f"{source}/{split}/{i}", composed(dataset.classes[dataset.labels[i]]),
                  dataset, i)
            for i in range(begin, end + 1)]
