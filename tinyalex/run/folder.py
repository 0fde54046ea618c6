"""The folder that a run leaves: recipe, log, checkpoint, pictures.

    config.json      the recipe, the versions and the machine
    log.csv          a row at the end of every epoch, and some in between
    checkpoint.npz   see checkpoint.py
    curves.png, filters.png
"""

import csv
import io
import json
import os
import platform
from pathlib import Path

import numpy as np

import tinyalex
from tinyalex.devices import available_cores
from tinyalex.run import formats
from tinyalex.run.recipe import LARGEST, Recipe
from tinyalex.support import reading
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing

COLUMNS = ("epoch", "step", "lr", "train_loss", "train_error", "val_loss", "val_error",
           "val_top5_error", "images_per_s", "waited", "seconds", "colour_a", "colour_b")
MOST_LOG = 100_000_000  # bytes of log.csv; 500,000 epochs have fewer


class Run:
    """One run folder. `Run.new` plans one, `start` makes it; `Run.open` finds one that is there."""

    def __init__(self, folder: Path, recipe: Recipe):
        self.folder, self.recipe = folder, recipe
        self.checkpoint, self.log = folder / "checkpoint.npz", folder / "log.csv"
        self.curves, self.filters = folder / "curves.png", folder / "filters.png"

    @classmethod
    def new(cls, folder: Path | None, recipe: Recipe) -> "Run":
        """A run to be, in `runs/<preset>-<number>` where no folder is named. Nothing is written
        yet. UserError where the folder holds a run already."""
        folder = folder or _next_free(Path("runs"), recipe.preset)
        if (folder / "config.json").exists():
            raise UserError(f"{folder}: there is a run in this folder already",
                            f"go on with it: --resume {folder}; or name another folder.")
        return cls(folder, recipe)

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """The run in this folder; UserError where there is none, or its config.json is damaged."""
        path = folder / "config.json"
        if not path.exists():
            raise UserError(f"{folder}: no run in this folder (there is no config.json)",
                            "name a folder that tinyalex.train made, such as runs/tiny-1.")
        try:
            config = reading.record(path)
            number = config.get("format", 1)
            formats.expect_known(number, path)
            settings = formats.whole(dict(config["settings"]), number)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: damaged ({error!r})",
                            "start a new run, or mend the file.") from None
        return cls(folder, Recipe.of(settings, path))

    def start(self):
        """Make the folder, with config.json in it. UserError where it cannot be written to."""
        config = {
            "format": formats.FORMAT,
            "settings": self.recipe.settings(),
            "versions": {"tinyalex": tinyalex.__version__, "numpy": np.__version__,
                         "python": platform.python_version()},
            "machine": {"system": platform.platform(), "cores": available_cores()},
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.folder / "config.json") as part:
                part.write_text(json.dumps(config, indent=2) + "\n")
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written to ({error.strerror})",
                            "name a folder of your own with --out.") from None

    def append(self, row: dict):
        """Add a row to log.csv; columns it does not name stay empty."""
        new = not self.log.exists()
        with open(self.log, "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)

    def rows(self) -> list[dict[str, float | None]]:
        """What log.csv holds: numbers, and None where a column is empty."""
        return [_numbers(row, self.log) for row in self._text_rows()]

    def _text_rows(self) -> list[dict[str, str]]:
        if not self.log.exists():
            return []
        try:
            text = reading.text(self.log, MOST_LOG)
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
        except (ValueError, csv.Error) as error:
            raise _damaged(self.log, error) from None
        if rows and None in rows[-1].values():  # cut short, when the disk was full
            rows.pop()
        for row in rows:
            if tuple(row) != COLUMNS or None in row.values():
                raise _damaged(self.log, "a row of other columns")
        return rows

    def forget_after(self, step: int):
        """Take rows behind this step out of log.csv: a run that resumes writes them anew."""
        rows = [text for text, row in zip(self._text_rows(), self.rows(), strict=True)
                if row["step"] is not None and row["step"] <= step]
        with replacing(self.log) as part, open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def _numbers(row: dict[str, str], log: Path) -> dict[str, float | None]:
    try:
        numbers = {key: float(text) if text else None for key, text in row.items()}
    except ValueError as error:
        raise _damaged(log, error) from None
    for key, number in numbers.items():
        if number is None and key == "epoch":
            raise _damaged(log, "a row without an epoch")
        if number is not None and not abs(number) <= LARGEST:
            if key not in ("colour_a", "colour_b"):  # kernels without any colour have none
                raise _damaged(log, f"{key} {number}")
            numbers[key] = None
    return numbers


def _damaged(log: Path, why: object) -> UserError:
    return UserError(f"{log}: damaged ({why})", "mend it or remove it.")


def _next_free(folder: Path, name: str) -> Path:
    number = 1
    while os.path.lexists(folder / f"{name}-{number}"):
        number += 1
    return folder / f"{name}-{number}"
