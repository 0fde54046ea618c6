"""Lists that say of which class the pictures in a val/ without class folders are.

ImageNet's 50,000 validation pictures come in one folder, and their classes in many shapes:

    n01751748                                        a class a line, in the order of the pictures
    ILSVRC2012_val_00000001.JPEG n01751748           the picture's name and its class
    ILSVRC2012_val_00000001.JPEG 65                  … its place among the sorted classes, from 0
    ILSVRC2012_val_00000001,n01751748 111 108 …      Kaggle's LOC_val_solution.csv
    490                                              the devkit's ground truth

The devkit's numbers, from 1, are not the places of the sorted classes: its meta.mat has the order.
"""

import re
import zlib
from pathlib import Path

from tinyalex.support.errors import UserError

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
NAMES = ("LOC_val_solution.csv", "val.txt", "val_labels.txt", GROUND_TRUTH)
PLACES = (".", "val", "ILSVRC2012_devkit_t12/data", "data")
ILSVRC_CLASSES = 1000


def find(folder: Path) -> Path:
    """The list among the pictures of `folder`, by its usual names; UserError where there is none.
    """
    for place in PLACES:
        for name in NAMES:
            if (folder / place / name).is_file():
                return folder / place / name
    raise UserError(f"{folder / 'val'}: no class folders in it, and no list of the classes",
                    f"name the list with --val-labels FILE; {', '.join(NAMES)} in {folder} "
                    "are found without.")


def read(path: Path, names: list[str], classes: tuple[str, ...]) -> list[int]:
    """The label of each of the pictures `names`, as an index into the sorted `classes`.

    names: file names, sorted. UserError where the list does not fit to the pictures or the classes.
    """
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no list of classes ({getattr(error, 'strerror', '') or error})",
                        "--val-labels needs a text file.") from None
    index = {name: label for label, name in enumerate(classes)}
    rows = [(number, *(("", line) if line in index else _row(line)))
            for number, line in enumerate(lines, 1) if line]
    if not all(name for _, name, _ in rows):
        return _by_order(path, [row for row in rows if not row[1]], names, index)
    stems = {Path(name).stem: i for i, name in enumerate(names)}
    found: list[int | None] = [None] * len(names)
    for number, name, given in rows:
        place = stems.get(Path(name).stem)
        if given.isdecimal() and given not in index and int(given) >= len(classes):
            raise UserError(f"{path}, line {number}: {given}; {len(classes)} classes have the "
                            f"numbers 0 to {len(classes) - 1}",
                            "use the list that belongs to these classes.")
        if place is not None:
            found[place] = _label(path, number, given, index)
    if None in found:
        raise UserError(f"{path}: does not name {names[found.index(None)]}, nor "
                        f"{found.count(None) - 1} others", "use the list of these pictures.")
    return found


def _row(line: str) -> tuple[str, str]:
    """A line's picture, "" where it names none, and its class."""
    name, comma, rest = line.partition(",")
    if not comma:
        name, *rest = line.split(None, 1)
        rest = "".join(rest)
    if not rest.strip():
        return "", name.strip().strip('"')
    return name.strip().strip('"'), rest.strip().strip('"').split()[0]


def _by_order(path: Path, rows: list, names: list[str], index: dict[str, int]) -> list[int]:
    if len(rows) != len(names):
        raise UserError(f"{path}: {len(rows)} lines for {len(names)} pictures",
                        "a list without file names must have a line for every picture.")
    numbers = all(given.isdecimal() and given not in index for _, _, given in rows)
    order = _devkit_order(path.with_name("meta.mat"), path) if numbers else ()
    labels = []
    for number, _, given in rows:
        if numbers:
            if not 1 <= int(given) <= len(order):
                raise UserError(f"{path}, line {number}: {given} is not a number from 1 to "
                                f"{len(order)}", f"use the devkit's {GROUND_TRUTH}.")
            given = order[int(given) - 1]
        labels.append(_label(path, number, given, index))
    return labels


def _label(path: Path, number: int, given: str, index: dict[str, int]) -> int:
    if given in index:
        return index[given]
    if given.isdecimal():
        return int(given)
    raise UserError(f"{path}, line {number}: there is no class {given!r} in train/",
                    "use the list that belongs to these classes.")


def _devkit_order(meta: Path, listed: Path) -> list[str]:
    """The WNIDs of the classes 1 to 1000, from the devkit's meta.mat.

    A MATLAB 5 file: 128 bytes of header, then elements (type, length, content), those of type 15
    packed by zlib. In the table of classes inside, the WNIDs follow each other in the order of the
    numbers, with one or two bytes a letter; the first 1000 are the classes, then come groups.
    """
    if not meta.is_file():
        raise UserError(f"{listed}: numbers of the devkit, but there is no {meta}",
                        "put the devkit's meta.mat beside it: it has the order of the classes.")
    content, at, table = meta.read_bytes(), 128, b""
    order = "big" if content[126:128] == b"MI" else "little"
    try:
        while at + 8 <= len(content):
            kind, length = (int.from_bytes(content[i : i + 4], order) for i in (at, at + 4))
            element = content[at + 8 : at + 8 + length]
            table += zlib.decompress(element) if kind == 15 else element
            at += 8 + length
    except zlib.error as error:
        raise UserError(f"{meta}: damaged ({error})", "unpack the devkit again.") from None
    wnids = [found.replace(b"\0", b"").decode() for found in
             re.findall(rb"n(?:\0?[0-9]){8}", table)]
    if len(set(wnids[:ILSVRC_CLASSES])) < ILSVRC_CLASSES:
        raise UserError(f"{meta}: {len(set(wnids))} classes found in it, {ILSVRC_CLASSES} expected",
                        "unpack the devkit again.")
    return wnids[:ILSVRC_CLASSES]
