"""Pictures in folders: which files there are, of which classes, for training or for validation.

    FOLDER/train/<class>/* and FOLDER/val/<class>/*
    FOLDER/train/<class>/* and FOLDER/val/*, with a list of the classes (see labels.py)
    FOLDER/<class>/* or FOLDER/train/<class>/*: some of each class are set apart for validation
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyalex.data import labels
from tinyalex.data.pictures import ENDINGS
from tinyalex.support.errors import UserError

VAL_SHARE = 0.1
LAYOUTS = ("pictures are expected in FOLDER/train/<class>/ and FOLDER/val/<class>/, or in "
           "FOLDER/<class>/")


class Picture(NamedTuple):
    """name: the path inside the folder. label: an index into the classes. size: bytes of the file.
    changed: when, in nanoseconds since 1970."""

    name: str
    label: int
    size: int
    changed: int


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder, by split ("train", "val").

    A split has one picture of each class in turn, so that any first part of it has all classes.
    split: how pictures were set apart for validation, where that was done here.
    """

    folder: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Picture]]
    split: dict[str, float] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))

    def first(self, limit: int | None) -> "Listing":
        """The first `limit` pictures of each split."""
        return replace(self, splits={s: pictures[:limit] for s, pictures in self.splits.items()})

    def digest(self) -> str:
        """Changes as soon as a picture comes, goes, moves or is written anew."""
        sha = hashlib.sha256(os.fsencode("/".join(self.classes)))
        for split, pictures in self.splits.items():
            sha.update(f"\n{split} {len(pictures)}\n".encode())
            for name, *numbers in pictures:
                sha.update(os.fsencode(name) + f"/{numbers}\n".encode())
        return sha.hexdigest()


def listing(folder: str | Path, val_labels: Path | None = None, val_share: float = VAL_SHARE,
            seed: int = 0) -> Listing:
    """The pictures in `folder`, in any of the layouts above.

    val_labels: the list for a val/ without class folders, where it is not where labels.find looks.
    val_share: of each class, where there is no val/; which ones, `seed` decides. A class with two
    or more pictures gets into both splits, one with a single picture is trained on.

    The classes are those of train/, sorted: a label means the same in every split. Raises UserError
    for a folder without pictures, and for a class that train/ does not have.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder", f"{LAYOUTS}.")
    train, val = folder / "train", folder / "val"
    if not val.is_dir():
        return _split(folder, train if train.is_dir() else folder, val_share, seed)
    classes = _classes(train if train.is_dir() else val)  # val/ alone is enough to evaluate on
    if train.is_dir() and not class_names(val):
        to_validate = _flat(folder, val, classes, val_labels)
    else:
        to_validate = _turns(folder, val, classes)
    return Listing(folder, classes, {"train": _turns(folder, train, classes), "val": to_validate})


def class_names(folder: Path) -> tuple[str, ...]:
    """The names of the folders in it that have pictures, sorted."""
    return tuple(sorted(entry.name for entry in _seen(folder)
                        if entry.is_dir() and any(_files(Path(entry.path)))))


def _classes(folder: Path) -> tuple[str, ...]:
    names = class_names(folder)
    if not names:
        raise UserError(f"{folder}: no class folders with pictures in it",
                        f"{LAYOUTS}, as {', '.join(sorted(ENDINGS))}.")
    return names


def _split(folder: Path, source: Path, share: float, seed: int) -> Listing:
    classes = _classes(source)
    splits: dict[str, list[list[Picture]]] = {"train": [], "val": []}
    for label, name in enumerate(classes):
        pictures = _pictures(folder, source / name, label)
        count = len(pictures)
        apart = min(max(round(share * count), share > 0), count - 1)
        chosen = set(np.random.default_rng([seed, label]).permutation(count)[:apart].tolist())
        for split in splits:
            splits[split].append([picture for i, picture in enumerate(pictures)
                                  if (i in chosen) == (split == "val")])
    return Listing(folder, classes, {split: _in_turn(parts) for split, parts in splits.items()},
                   {"val_share": share, "seed": seed})


def _flat(folder: Path, val: Path, classes: tuple[str, ...], listed: Path | None) -> list[Picture]:
    pictures = _pictures(folder, val, 0)
    if not pictures:
        raise UserError(f"{val}: no pictures in it", "put some there, or remove the folder: then "
                        "some of train/ are set apart for validation.")
    by_class: list[list[Picture]] = [[] for _ in classes]
    names = [Path(picture.name).name for picture in pictures]
    known = labels.read(listed or labels.find(folder), names, classes)
    for picture, label in zip(pictures, known, strict=True):
        by_class[label].append(picture._replace(label=label))
    return _in_turn(by_class)


def _turns(folder: Path, split: Path, classes: tuple[str, ...]) -> list[Picture]:
    if split.is_dir() and (unknown := set(class_names(split)) - set(classes)):
        raise UserError(f"{split / min(unknown)}: there is no such class in {folder / 'train'}",
                        "every split needs the class folders of train/, with the same names.")
    return _in_turn([_pictures(folder, split / name, label) for label, name in enumerate(classes)])


def _in_turn(by_class: list[list[Picture]]) -> list[Picture]:
    turns = sorted((place, picture.label, picture) for pictures in by_class
                   for place, picture in enumerate(pictures))
    return [picture for _, _, picture in turns]


def _pictures(folder: Path, inside: Path, label: int) -> list[Picture]:
    if not inside.is_dir():
        return []
    prefix, pictures = inside.relative_to(folder).as_posix(), []
    for entry in _files(inside):
        stat = entry.stat()
        pictures.append(Picture(f"{prefix}/{entry.name}", label, stat.st_size, stat.st_mtime_ns))
    return sorted(pictures)


def _files(folder: Path) -> Iterator[os.DirEntry]:
    return (entry for entry in _seen(folder)
            if os.path.splitext(entry.name)[1].lower() in ENDINGS and not entry.is_dir())


def _seen(folder: Path) -> Iterator[os.DirEntry]:
    # .ipynb_checkpoints is not a class, and macOS leaves ._cat.jpg, no picture, beside cat.jpg.
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))
