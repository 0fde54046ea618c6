"""Lists that say which class each picture in a val/ without class folders has.

ImageNet's 50,000 validation pictures come in one folder, and their classes in many forms:

    n01751748                                        a class a line, in the order of the pictures
    ILSVRC2012_val_00000001.JPEG n01751748           the picture's name and its class
    ILSVRC2012_val_00000001.JPEG 65                  … its place among the sorted classes, from 0
    ILSVRC2012_val_00000001,n01751748 111 108 …      Kaggle's LOC_val_solution.csv
    val_0.JPEG  n03444034  0 32 44 62                Tiny ImageNet's val_annotations.txt
    490                                              the devkit's ground truth

A list is of one of these kinds from the first line to the last. Names of pictures and of classes
may have spaces: a line is cut where a picture comes before the cut and a class after it.

The devkit's numbers, from 1, are not the places of the sorted classes: its meta.mat has the order
(devkit.py).
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tinyalex.data import devkit
from tinyalex.data.pictures import ENDINGS
from tinyalex.support import reading
from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError
from tinyalex.support.text import composed, plural

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
NAMES = ("LOC_val_solution.csv", "val.txt", "val_labels.txt", "val_annotations.txt", GROUND_TRUTH)
PLACES = (".", "ILSVRC2012_devkit_t12/data", "data")
META, MAPPING = "meta.mat", "LOC_synset_mapping.txt"
NONE_PACKED: Mapping[Path, bytes] = MappingProxyType({})
_ENDS = re.compile("\r\n?|\n")  # not all that Unicode knows: names may have the others
_CUT = re.compile(r"\s*,\s*|\s+")
_BOXES = re.compile(r"(\S+)(?:\s+\d+){4}(?:\s+\S+(?:\s+\d+){4})*")  # a class, and where it is seen
_PATH, _CUTS = 4096, 100  # letters, and words; no picture's name has more
_OTHER_LIST = "use the list that belongs to these classes."


class Row(NamedTuple):
    """A line of a list: its number, and the class as written."""

    number: int
    text: str


def find(folder: Path, val: str = "val") -> Path:
    """The list beside the pictures, under one of its usual names; UserError where there is none."""
    places = [folder / val, *(folder / place for place in PLACES)]
    if folder.name == "CLS-LOC":  # Kaggle's list is beside ILSVRC/Data/CLS-LOC
        places.append(folder.resolve().parents[2])
    for place in places:
        for name in NAMES:
            if (place / name).is_file():
                return place / name
    raise UserError(f"{folder / val}: no class folders in it, and no list of the classes",
                    f"{', '.join(NAMES)} in {folder} are found; python -m tinyalex.prepare takes "
                    "others with --val-labels.")


def read(path: Path, names: list[str], classes: tuple[str, ...],
         packed: Mapping[Path, bytes] = NONE_PACKED) -> list[int]:
    """The label of each of the pictures `names`, as an index into the sorted `classes`.

    names: file names, sorted. packed: contents of files that are in an archive, by path. UserError
    where the list does not fit the pictures or the classes, or can be read in two ways.
    """
    known = _Classes(classes)
    lines = [(number, line.strip()) for number, line
             in enumerate(_ENDS.split(_text(path, packed)), 1)]
    lines = [(number, line) for number, line in lines if line]
    in_order = all(line in known.index or _is_number(line) for _, line in lines)
    rows = {} if in_order else _named(path, lines, names, known)
    if not rows:
        return _by_order(path, [Row(*line) for line in lines], len(names), known, packed)
    numbers = known.are_numbers(path, list(rows.values()))
    counted = [*_counted(rows, lines)] if numbers else []
    for number, text in counted:
        if int(text) >= len(classes):
            raise UserError(f"{path}, line {number}: {text}; {len(classes)} classes have the "
                            f"numbers 0 to {len(classes) - 1}", _OTHER_LIST)
    if counted and all(int(text) for _, text in counted):
        raise UserError(f"{path}: no line says 0: does it count from 0 or from 1?",
                        "write the names of the classes instead of numbers.")
    if missing := [name for name in names if name not in rows]:
        raise UserError(f"{path}: does not name {missing[0]}"
                        + f", nor {plural(len(missing) - 1, 'other')}" * (len(missing) > 1),
                        "use the list of these pictures.")
    return [int(rows[name].text) if numbers else known.index[rows[name].text] for name in names]


def _counted(rows: dict[str, Row], lines: list[tuple[int, str]]) -> Iterator[Row]:
    """The numbers of classes in a list; those of pictures that are not here may also show that it
    counts from 1."""
    yield from rows.values()
    for number, line in lines:
        words = _CUT.split(line, 2)
        if len(words) == 2 and _is_number(words[1]):
            yield Row(number, words[1])


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 19  # int() takes long for longer ones, or refuses


class _Classes:
    """The sorted classes, and how a list may write them: by their names, or by their places from 0;
    but where classes have numbers as names, 1 is a name."""

    def __init__(self, names: tuple[str, ...]):
        self.index = {name: label for label, name in enumerate(names)}
        self.numbered = not any(map(str.isdecimal, names))

    def __contains__(self, text: str) -> bool:
        return text in self.index or (self.numbered and _is_number(text))

    def are_numbers(self, path: Path, rows: list[Row]) -> bool:
        """Whether a list gives places, not names. UserError where it has both, or others."""
        for row in rows:
            if row.text not in self:
                raise UserError(f"{path}, line {row.number}: there is no class "
                                f"{row.text[:40]!r} in train/", _OTHER_LIST)
            if (row.text in self.index) != (rows[0].text in self.index):
                raise UserError(f"{path}, line {row.number}: {row.text!r}, and in line "
                                f"{rows[0].number} {rows[0].text!r}: a name and a number",
                                "use names on all lines, or numbers.")
        return rows[0].text not in self.index


def _named(path: Path, lines: list[tuple[int, str]], names: list[str],
           classes: _Classes) -> dict[str, Row]:
    """The line that names each picture: with its ending; if not all are named so, without."""
    exact = {composed(name): [name] for name in names}
    without: dict[str, list[str]] = defaultdict(list)
    for key, pictures in exact.items():
        without[_stem(key)] += pictures
    rows = _cut(path, lines, lambda name: exact.get(name, []), classes)
    if len(rows) == len(names):
        return rows
    return _cut(path, lines, lambda name: exact.get(name) or without.get(_stem(name), []), classes)


def _cut(path: Path, lines: list[tuple[int, str]], pictures: Callable[[str], list[str]],
         classes: _Classes) -> dict[str, Row]:
    """By picture, the lines that name one. pictures: those of this name. UserError where that may
    be several, or a line can be cut in several ways; and for a picture with two classes."""
    rows: dict[str, Row] = {}
    for number, line in lines:
        cuts = islice(_CUT.finditer(line, 0, _PATH), _CUTS)
        ways = [(name, _class(line[cut.end() :], classes)) for cut in cuts
                if pictures(name := line[: cut.start()].strip('"').rpartition("/")[2])]
        ways = [way for way in ways if way[1] in classes] or ways[:1]
        if not ways:  # a heading, or a picture that is not here
            continue
        (name, text), *more = ways
        picture, *others = pictures(name)
        if more or others:
            raise UserError(f"{path}, line {number}: " + (
                f"{name} may be {picture} or {others[0]}" if others else
                f"{text!r} may be the class of {name}, or {more[0][1]!r} that of {more[0][0]}"),
                "write names with their endings, and a comma before the class.")
        row = rows.setdefault(picture, Row(number, text))
        if row.text != text:
            raise UserError(f"{path}, line {number}: {picture} is {text!r}, and in line "
                            f"{row.number} {row.text!r}", "keep one of the two.")
    return rows


def _class(text: str, classes: _Classes) -> str:
    """The class that is written after a picture's name, without the boxes around what is seen."""
    text = text.strip().strip('"').strip()
    boxes = _BOXES.fullmatch(text)
    return boxes[1] if boxes and text not in classes.index else text


def _stem(name: str) -> str:
    """A name without the ending of a picture, if it has one."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot + ending.lower() in ENDINGS else name


def _by_order(path: Path, rows: list[Row], count: int, classes: _Classes,
              packed: Mapping[Path, bytes]) -> list[int]:
    if len(rows) != count:
        raise UserError(f"{path}: {plural(len(rows), 'line')} for {plural(count, 'picture')}",
                        "a list without file names must have a line for every picture.")
    if not classes.are_numbers(path, rows):
        return [classes.index[row.text] for row in rows]
    meta = path.with_name(META)
    if meta not in packed and not meta.is_file():
        raise UserError(f"{path}: numbers of the devkit, but there is no {meta}",
                        "put the devkit's meta.mat beside it: it has the order of the classes.")
    order = [*_synsets(meta, packed)]
    for number, text in rows:
        if not 1 <= int(text) <= len(order):
            raise UserError(f"{path}, line {number}: {text} is not a number from 1 to "
                            f"{len(order)}", f"use the devkit's {GROUND_TRUTH}.")
    wnids = [Row(number, order[int(text) - 1]) for number, text in rows]
    classes.are_numbers(path, wnids)
    return [classes.index[row.text] for row in wnids]


def _synsets(meta: Path, packed: Mapping[Path, bytes]) -> dict[str, str]:
    """The words for each class, by its WNID, in the order of the devkit's numbers from 1 on."""
    try:
        return devkit.synsets(packed[meta] if meta in packed
                              else reading.content(meta, devkit.MOST))
    except Damaged as error:
        raise UserError(f"{meta}: {error}", "unpack the devkit again.") from None


def words(listed: Path, packed: Mapping[Path, bytes] = NONE_PACKED) -> dict[str, str]:
    """What the classes are called in words, where that is said beside the list `listed`: in
    Kaggle's LOC_synset_mapping.txt, or the devkit's meta.mat. packed: as for `read`. {} where those
    cannot be read: pictures have their classes without them."""
    mapping, meta = listed.with_name(MAPPING), listed.with_name(META)
    with contextlib.suppress(UserError):
        if mapping in packed or mapping.is_file():
            lines = [line.strip() for line in _ENDS.split(_text(mapping, packed))]
            return {name: text for name, _, text in (line.partition(" ") for line in lines) if text}
        if meta in packed or meta.is_file():
            return _synsets(meta, packed)
    return {}


def _text(path: Path, packed: Mapping[Path, bytes]) -> str:
    try:
        return composed(packed[path].decode("utf-8-sig") if path in packed else reading.text(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a list of classes ({error})",
                        "the classes of val/ belong in a text file, a line for each "
                        "picture.") from None
