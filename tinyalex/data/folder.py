"""Pictures in folders: which files there are, of which classes, for training or for validation.

    FOLDER/train/<class>/* and FOLDER/val/<class>/*
    FOLDER/train/<class>/* and FOLDER/val/*, with a list of the classes (see labels.py)
    FOLDER/<class>/* or FOLDER/train/<class>/*: some of each class are set aside for validation

Next to train/, val/ may be called valid/, validation/ or dev/. Pictures may lie one folder deeper,
in <class>/images/, as in Tiny ImageNet; and FOLDER may be the top of Kaggle's ImageNet.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import numpy as np

from tinyalex.data import labels
from tinyalex.data.pictures import ENDINGS
from tinyalex.data.shards import is_prepared
from tinyalex.support.errors import UserError
from tinyalex.support.text import composed, shown

VAL_SHARE = 0.1
VAL_NAMES = ("val", "valid", "validation", "dev")
KAGGLE = PurePosixPath("ILSVRC/Data/CLS-LOC")
TOPS = ("", "Data/CLS-LOC", str(KAGGLE))  # where train/ may be
TORCHVISION = "meta.bin"  # written by torchvision, and never read here
LAYOUTS = ("pictures are expected in FOLDER/train/<class>/ and FOLDER/val/<class>/, or in "
           "FOLDER/<class>/")
MOST_LINKS = 3  # on a path: where all folders are linked to all, paths never end
NAMED = 3  # of the files that are left out
OUTSIDE, OTHERS = "pictures outside the class folders", "files that are not pictures"
LeftOut = dict[str, list[str]]  # the names of files that are not read, by the kind that they are of


class Found(NamedTuple):
    """pictures: the name of each, and the folder that is its class ("" for the searched one): both
    paths inside the searched folder, with slashes. left_out: hidden, and other files."""

    pictures: list[tuple[str, str]]
    left_out: LeftOut


def find(folder: Path) -> Found:
    """All pictures in a folder and the folders in it, linked ones too, in the order of their names.

    Skipped: what is hidden (.ipynb_checkpoints is not a class, and macOS leaves ._cat.jpg beside
    cat.jpg), what does not end like a picture, links that lead nowhere, and prepared folders, whose
    look.png is not a photograph.
    """
    found = Found([], defaultdict(list))
    _search(folder, "", frozenset(), found)
    return found


def _search(top: Path, inside: str, above: frozenset[tuple[int, int]], found: Found,
            links: int = 0) -> None:
    folder = top / inside
    stat = folder.stat()
    key = stat.st_dev, stat.st_ino
    if key in above:  # a link to where one came from
        return
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    if is_prepared(folder):
        found.left_out["prepared folders"].append(inside or ".")
        return
    if inside and not listed:
        found.left_out["empty folders"].append(inside)
    class_folder = class_of(folder).relative_to(top).as_posix() if inside else ""
    for entry in listed:
        name = f"{inside}/{entry.name}" if inside else entry.name
        if entry.name.startswith("."):
            found.left_out["hidden"].append(name)
        elif entry.is_symlink() and not os.path.exists(entry.path):  # or to itself
            found.left_out["links that lead nowhere"].append(name)
        elif entry.is_dir():
            if (followed := links + entry.is_symlink()) <= MOST_LINKS:
                _search(top, name, above | {key}, found, followed)
            else:
                found.left_out["links in linked folders"].append(name)
        elif is_picture(entry):
            found.pictures.append((name, "" if class_folder == "." else class_folder))
        else:
            found.left_out[OTHERS].append(name)


def is_picture(file: Path | os.DirEntry) -> bool:
    """Whether it is a file, and ends like a picture."""
    return os.path.splitext(file.name)[1].lower() in ENDINGS and file.is_file()


def class_of(folder: Path) -> Path:
    """The folder that is the class of the pictures in this one: itself, or the one above if this is
    its only folder and is called "images"."""
    if folder.name == "images":
        with os.scandir(folder.parent) as entries:
            if sum(os.path.isdir(entry.path) and not entry.name.startswith(".")
                   for entry in entries) == 1:  # entry.is_dir fails for a link to itself
                return folder.parent
    return folder


def left_out(kinds: LeftOut, before: str = "") -> str:
    """How many files are not read, of each kind, with the first names, on one line; "" for none.
    before: what to put before it."""
    parts = []
    for kind, names in kinds.items():
        first = ", ".join(map(shown, names[:NAMED]))
        parts.append(f"{kind}: {len(names):,} ({first}{', …' * (len(names) > NAMED)})")
    return f"{before}left out: {'; '.join(parts)}" if parts else ""


class Picture(NamedTuple):
    """name: the path inside the folder. label: an index into the classes. size: bytes of the file.
    changed: when, in nanoseconds since 1970. at: where it begins in the archive that it is in."""

    name: str
    label: int
    size: int
    changed: int
    at: int = 0


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder, by split ("train", "val").

    A split has one picture of each class in turn, so that any first part of it has all classes.
    split: how pictures were set aside for validation, where that was done here. left_out: the other
    files in the folder. layout: in words. words: what the classes are called, where that is said.
    """

    folder: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Picture]]
    split: dict[str, float] | None = None
    left_out: LeftOut = field(default_factory=dict)
    layout: str = ""
    words: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))

    def first(self, limit: int | None) -> "Listing":
        """The first `limit` pictures of each split."""
        return replace(self, splits={s: pictures[:limit] for s, pictures in self.splits.items()})

    def digest(self) -> str:
        """Changes as soon as a picture comes, goes, moves or is rewritten."""
        sha = hashlib.sha256(os.fsencode("/".join(self.classes)))
        for split, pictures in self.splits.items():
            sha.update(f"\n{split} {len(pictures)}\n".encode())
            for name, *numbers, _ in pictures:
                sha.update(os.fsencode(name) + f"/{numbers}\n".encode())
        return sha.hexdigest()

    def source(self, picture: Picture) -> Path | BinaryIO:
        """What the picture is read from."""
        return self.folder / picture.name


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
    folder = _top(folder)
    train, val = _splits(folder)
    found = find(folder)
    groups, others = _groups(found, [split for split in (train, val) if split] or [""])
    flat = {split: classes.pop("", []) for split, classes in groups.items()}
    classes = tuple(sorted(groups[train or val]))  # val/ alone is enough to evaluate on
    listed = train and val and not groups[val]  # by a list, of the classes in val/
    if val_labels and not listed:
        raise UserError(f"--val-labels {val_labels}: there is no val/ without class folders in "
                        f"{folder}", "leave it out.")
    if outside := [name for split in flat if not (listed and split == val) for name in flat[split]]:
        others.setdefault(OUTSIDE, []).extend(outside)
    others |= found.left_out
    if not classes:
        place = folder / (train or val)
        raise UserError(f"{place}: " + ("no class folders with pictures in it" if any(
                        place.iterdir()) else "the folder is empty") + left_out(others, "; "),
                        f"{LAYOUTS}, as {', '.join(sorted(ENDINGS))}.")
    if not val:
        return _split(folder, groups[train], classes, val_share, seed, others)
    to_train = _turns(folder, train, groups[train], classes) if train else []
    if not listed:
        kind = " (torchvision's ImageNet)" if (folder / TORCHVISION).is_file() else ""
        splits = {"train": to_train, "val": _turns(folder, val, groups[val], classes)}
        return Listing(folder, classes, splits, None, others, f"a folder for each class{kind}")
    if not flat[val]:
        raise UserError(f"{folder / val}: no pictures in it", "put some there, or remove the "
                        "folder: then some of train/ is set aside for validation.")
    path = val_labels or labels.find(folder, val)
    known = labels.read(path, [Path(name).name for name in flat[val]], classes)
    to_validate = labelled(_pictures(folder, flat[val], 0), known)
    kind = " (Kaggle's ImageNet)" if folder.name == KAGGLE.name else ""
    return Listing(folder, classes, {"train": to_train, "val": to_validate}, None, others,
                   f"a folder for each class in {train}/, a list for {val}/: {path}{kind}",
                   labels.words(path))


def has_pictures(folder: Path) -> bool:
    """Whether there is something in it for `listing`."""
    folder = _top(folder)
    return any(_splits(folder)) or any(
        place and "/" not in place for _, place in find(folder).pictures)


def _top(folder: Path) -> Path:
    """The folder itself, or the one in it that has the splits."""
    return next((folder / top for top in TOPS if (folder / top / "train").is_dir()), folder)


def _splits(folder: Path) -> tuple[str, str]:
    """What the folders to train on and to validate with are called; "" where there is none."""
    train = "train" if (folder / "train").is_dir() else ""
    names = VAL_NAMES if train else VAL_NAMES[:1]  # without train/, valid/ may be a class
    return train, next((name for name in names if (folder / name).is_dir()), "")


def _groups(found: Found, splits: list[str]) -> tuple[dict[str, dict[str, list[str]]], LeftOut]:
    """The names of the pictures by split and class ("" where they lie beside the class folders),
    and of those elsewhere."""
    groups: dict[str, dict[str, list[str]]] = {split: defaultdict(list) for split in splits}
    others: LeftOut = defaultdict(list)
    for name, place in found.pictures:
        split, _, inside = ("", "", place) if splits == [""] else place.partition("/")
        if split in groups and "/" not in inside:
            groups[split][composed(inside)].append(name)
        else:
            beside = split and split not in groups
            others[f"pictures in {split}/" if beside else OUTSIDE].append(name)
    return groups, others


def _split(folder: Path, names: dict[str, list[str]], classes: tuple[str, ...], share: float,
           seed: int, others: LeftOut) -> Listing:
    splits: dict[str, list[list[Picture]]] = {"train": [], "val": []}
    for label, name in enumerate(classes):
        pictures = _pictures(folder, names[name], label)
        count = len(pictures)
        apart = min(max(round(share * count), share > 0), count - 1)
        chosen = set(np.random.default_rng([seed, label]).permutation(count)[:apart].tolist())
        for split in splits:
            splits[split].append([picture for i, picture in enumerate(pictures)
                                  if (i in chosen) == (split == "val")])
    return Listing(folder, classes, {split: in_turn(parts) for split, parts in splits.items()},
                   {"val_share": share, "seed": seed}, others,
                   f"a folder for each class, {share:.0%} of it set aside to validate with")


def labelled(pictures: list[Picture], known: list[int]) -> list[Picture]:
    """The pictures with these labels, a picture of each class in turn."""
    by_class: dict[int, list[Picture]] = defaultdict(list)
    for picture, label in zip(pictures, known, strict=True):
        by_class[label].append(picture._replace(label=label))
    return in_turn(by_class.values())


def _turns(folder: Path, split: str, names: dict[str, list[str]],
           classes: tuple[str, ...]) -> list[Picture]:
    if unknown := set(names) - set(classes):
        raise UserError(f"{folder / split / min(unknown)}: there is no such class in "
                        f"{folder / 'train'}",
                        "every split needs the class folders of train/, with the same names.")
    return in_turn([_pictures(folder, names.get(name, []), label)
                    for label, name in enumerate(classes)])


def in_turn(by_class: Iterable[list[Picture]]) -> list[Picture]:
    """The first picture of each class, then the second of each, and so on."""
    turns = sorted((place, picture.label, picture) for pictures in by_class
                   for place, picture in enumerate(pictures))
    return [picture for _, _, picture in turns]


def _pictures(folder: Path, names: list[str], label: int) -> list[Picture]:
    stats = [os.stat(os.path.join(folder, name)) for name in names]  # a Path each takes longer
    return [Picture(name, label, stat.st_size, stat.st_mtime_ns)
            for name, stat in zip(names, stats, strict=True)]
