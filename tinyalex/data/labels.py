"""Lists that say which class each picture in a val/ without class folders has.

ImageNet's 50,000 validation pictures come in one folder, and their classes in many shapes:

    n01751748                                        a class a line, in the order of the pictures
    ILSVRC2012_val_00000001.JPEG n01751748           the picture's name and its class
    ILSVRC2012_val_00000001.JPEG 65                  … its place among the sorted classes, from 0
    ILSVRC2012_val_00000001,n01751748 111 108 …      Kaggle's LOC_val_solution.csv
    490                                              the devkit's ground truth

The devkit's numbers, from 1, are not the places of the sorted classes: its meta.mat has the order.
"""

import re
import struct
import zlib
from itertools import islice
from pathlib import Path

from tinyalex.support import reading
from tinyalex.support.errors import UserError

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
NAMES = ("LOC_val_solution.csv", "val.txt", "val_labels.txt", GROUND_TRUTH)
PLACES = (".", "val", "ILSVRC2012_devkit_t12/data", "data")
ILSVRC_CLASSES = 1000
MOST_META = 16_000_000  # bytes of meta.mat, packed or not; the devkit's has some two million
Row = tuple[int, str, str]  # of a list: its number, the picture's name or "", the class as written


def find(folder: Path) -> Path:
    """The list that lies with the pictures, by its usual names; UserError where there is none."""
    for place in PLACES:
        for name in NAMES:
            if (folder / place / name).is_file():
                return folder / place / name
    raise UserError(f"{folder / 'val'}: no class folders in it, and no list of the classes",
                    f"name the list with --val-labels FILE; {', '.join(NAMES)} in {folder} "
                    "are found without.")


def read(path: Path, names: list[str], classes: tuple[str, ...]) -> list[int]:
    """The label of each of the pictures `names`, as an index into the sorted `classes`.

    names: file names, sorted. UserError where the list does not fit the pictures or the classes.
    """
    try:
        # No name is longer; int() complains of longer numbers.
        lines = [line.strip()[:4000] for line in reading.text(path).splitlines()]
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no list of classes ({error})",
                        "--val-labels needs a text file.") from None
    index = {name: label for label, name in enumerate(classes)}
    rows: list[Row] = [(number, *(("", line) if line in index else _row(line)))
                       for number, line in enumerate(lines, 1) if line]
    if not all(name for _, name, _ in rows):
        return _by_order(path, [row for row in rows if not row[1]], names, index)
    stems, labels = {Path(name).stem for name in names}, dict[str, int]()
    for number, name, text in rows:
        if text.isdecimal() and text not in index and int(text) >= len(classes):
            raise UserError(f"{path}, line {number}: {text}; {len(classes)} classes have the "
                            f"numbers 0 to {len(classes) - 1}",
                            "use the list that belongs to these classes.")
        if (stem := Path(name).stem) in stems:
            labels[stem] = _label(path, number, text, index)
    if missing := [name for name in names if Path(name).stem not in labels]:
        raise UserError(f"{path}: does not name {missing[0]}, nor {len(missing) - 1} others",
                        "use the list of these pictures.")
    return [labels[Path(name).stem] for name in names]


def _row(line: str) -> tuple[str, str]:
    """A line's picture, "" where it names none, and its class."""
    name, text = (*(line.split(",", 1) if "," in line else line.split(None, 1)), "")[:2]
    name, words = name.strip().strip('"'), text.strip().strip('"').split()
    return (name, words[0]) if words else ("", name)


def _by_order(path: Path, rows: list[Row], names: list[str], index: dict[str, int]) -> list[int]:
    if len(rows) != len(names):
        raise UserError(f"{path}: {len(rows)} lines for {len(names)} pictures",
                        "a list without file names must have a line for every picture.")
    if any(not text.isdecimal() or text in index for _, _, text in rows):
        return [_label(path, number, text, index) for number, _, text in rows]
    order, labels = _devkit_order(path.with_name("meta.mat"), path), []
    for number, _, text in rows:
        if not 1 <= int(text) <= len(order):
            raise UserError(f"{path}, line {number}: {text} is not a number from 1 to "
                            f"{len(order)}", f"use the devkit's {GROUND_TRUTH}.")
        labels.append(_label(path, number, order[int(text) - 1], index))
    return labels


def _label(path: Path, number: int, text: str, index: dict[str, int]) -> int:
    if text in index:
        return index[text]
    if text.isdecimal():
        return int(text)
    raise UserError(f"{path}, line {number}: there is no class {text!r} in train/",
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
    content, at, table = reading.content(meta, MOST_META), 128, bytearray()
    order = ">II" if content[126:128] == b"MI" else "<II"
    try:
        while at + 8 <= len(content) and len(table) < MOST_META:
            kind, length = struct.unpack_from(order, content, at)
            element = content[at + 8 : at + 8 + length]
            table += (zlib.decompressobj().decompress(element, MOST_META) if kind == 15
                      else element)
            at += 8 + length
    except zlib.error as error:
        raise UserError(f"{meta}: damaged ({error})", "unpack the devkit again.") from None
    found = islice(re.finditer(rb"n(?:\0?[0-9]){8}", table), ILSVRC_CLASSES)
    wnids = [match[0].replace(b"\0", b"").decode() for match in found]
    if len(set(wnids)) < ILSVRC_CLASSES:
        raise UserError(f"{meta}: {len(set(wnids))} classes found in it, {ILSVRC_CLASSES} expected",
                        "unpack the devkit again.")
    return wnids
