"""The marks of a class: as lines, as a table, as JSON, and as a letter to each student."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from tinyalex.gradcheck.marking.marks import Sheet
from tinyalex.support.files import write_text
from tinyalex.support.text import shown


def lines(sheet: Sheet) -> Iterator[str]:
    """What is right, and what is wrong with the rest."""
    yield f"{sheet.student}: {sheet.points} of {sheet.most} points"
    exercise = ""
    for mark in sheet.marks:
        if mark.exercise != exercise:
            exercise = mark.exercise
            yield f"  {exercise}"
        yield f"    {mark.part.name}: {mark.points} of {mark.part.points}"
        yield from (f"      {line}" for line in mark.said.splitlines())
    yield from (f"  {remark}" for remark in sheet.remarks)


def write_letters(sheets: list[Sheet], folder: Path) -> None:
    """A text file for each student."""
    for sheet in sheets:
        text = "".join(f"{shown(line)}\n" for line in lines(sheet))
        write_text(folder / f"{sheet.student}.txt", text)


def write_csv(sheets: list[Sheet], path: Path) -> None:
    """A row for each student: the points of each part, and their sum."""
    parts = dict.fromkeys(f"{mark.exercise}/{mark.part.name}"
                          for sheet in sheets for mark in sheet.marks)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["student", *parts, "points", "of"])
    for sheet in sheets:
        points = {f"{mark.exercise}/{mark.part.name}": mark.points for mark in sheet.marks}
        name = shown(sheet.student)
        name = f"'{name}" if name.startswith(("=", "+", "-", "@")) else name  # not as a formula
        table.writerow([name, *(points.get(part, "") for part in parts), sheet.points, sheet.most])
    write_text(path, text.getvalue())


def write_json(sheets: list[Sheet], path: Path, seed: int) -> None:
    """Everything, with the seed that gives the same again."""
    students = [{"student": sheet.student, "points": sheet.points, "of": sheet.most,
                 "marks": [{"exercise": mark.exercise, "part": mark.part.name,
                            "points": mark.points, "of": mark.part.points, "said": mark.said}
                           for mark in sheet.marks],
                 "remarks": sheet.remarks} for sheet in sheets]
    write_text(path, json.dumps({"seed": seed, "students": students}, indent=1))
