"""The folder that a run leaves: recipe, log, checkpoint, pictures.

    config.json      the recipe, the versions and the machine
    log.csv          a row at the end of every epoch, and some in between
    checkpoint.npz   see checkpoint.py
    best.npz         the checkpoint of the best epoch, if it is to be kept (see best.py)
    curves.png, filters.png, wrong.png
"""

import contextlib
import csv
import io
import itertools
import json
import os
import platform
from pathlib import Path
from string import ascii_lowercase

import numpy as np

import tinyalex
from tinyalex.devices import available_cores
from tinyalex.run import formats
from tinyalex.run.recipe import LARGEST, Recipe
from tinyalex.support import reading
from tinyalex.support.errors import UserError, reason
from tinyalex.support.files import alone, expect_room, remove_leftovers, replacing, write_text
from tinyalex.support.text import command

COLUMNS = ("epoch", "step", "lr", "train_loss", "train_error", "val_loss", "val_error",
           "val_top5_error", "images_per_s", "waited", "seconds", "colour_a", "colour_b")
MOST_LOG = 100_000_000  # bytes of log.csv; 500,000 epochs have fewer


class Run:
    """One run folder. `Run.new` plans one, `start` makes it; `Run.open` finds one that is there,
    and `hold` is for whoever continues it. Until `close`, no other process may write to it."""

    def __init__(self, folder: Path, recipe: Recipe, numbered: bool = False):
        self.recipe, self.numbered = recipe, numbered
        self._lock = contextlib.ExitStack()
        self._be_at(folder)

    def _be_at(self, folder: Path):
        self.folder, self.config = folder, folder / "config.json"
        self.checkpoint, self.log = folder / "checkpoint.npz", folder / "log.csv"
        self.curves, self.filters = folder / "curves.png", folder / "filters.png"
        self.best, self.wrong = folder / "best.npz", folder / "wrong.png"

    @classmethod
    def new(cls, folder: Path | None, recipe: Recipe) -> "Run":
        """A run to be, in `runs/<preset>-<number>` where no folder is named. Nothing is written
        yet. UserError where the folder holds a run already."""
        run = cls(folder or _next_free(recipe.preset), recipe, numbered=folder is None)
        run._expect_free()
        return run

    def _expect_free(self, locked: bool = True):
        """UserError where there is something to lose. A run that was killed or failed before its
        first checkpoint is nothing to lose, if it is known not to be under way."""
        if self.config.exists() and (self.has_begun() or not locked):
            again = command("train", "--resume", self.folder)
            raise UserError(f"{self.folder}: there is a run in this folder already",
                            f"name another folder, or continue it: {again}")
        theirs = [path.name for path in (self.log, self.checkpoint, self.best) if path.exists()]
        if theirs and not self.config.exists():
            raise UserError(f"{self.folder}: there is a {theirs[0]} of something else in this "
                            "folder", "name another folder.")

    def has_begun(self) -> bool:
        """Whether there is a checkpoint, or was: there is a copy of one, or the log is past the
        first epoch, which ends with one."""
        return any(map(os.path.lexists, (self.checkpoint, self.best))) or any(
            (row.get("epoch") or 0) > 1 for row in self.rows())

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
            why = error if isinstance(error, ValueError) else repr(error)
            raise UserError(f"{path}: damaged ({why})",
                            "start a new run, or repair the file.") from None
        return cls(folder, Recipe.of(settings, path))

    def start(self):
        """Make the folder, with config.json in it, and hold it. UserError where it cannot be
        written to, or another run is in it by now."""
        try:
            self._make_folder()
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written to ({reason(error)})",
                            "name a folder of your own with --out.") from None
        self._expect_free(locked=self.hold())
        self.log.unlink(missing_ok=True)
        self.write_config()

    def write_config(self):
        """Write config.json, in one move."""
        config = {
            "format": formats.FORMAT,
            "settings": self.recipe.settings(),
            "versions": {"tinyalex": tinyalex.__version__, "numpy": np.__version__,
                         "python": platform.python_version()},
            "machine": {"system": platform.platform(), "cores": available_cores()},
        }
        write_text(self.config, json.dumps(config, indent=2) + "\n")

    def _make_folder(self):
        """A folder that is named may be there; of those with numbers, making it decides who has
        it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                self.folder.mkdir(exist_ok=not self.numbered)
                return
            except FileExistsError:
                if not self.numbered:
                    raise
                self._be_at(_next_free(self.recipe.preset))

    def hold(self) -> bool:
        """Keep other processes out of the folder until `close`, and remove what a run that was
        killed left half-written. UserError where another one is working there; False where that
        cannot be known."""
        locked = self._lock.enter_context(alone(self.folder))
        remove_leftovers(self.folder, *(path.name for path in (
            self.config, self.checkpoint, self.best, self.log, self.curves, self.filters,
            self.wrong)))
        return locked

    def expect_room(self, size: int):
        """UserError where the disk has no room for checkpoints of so many bytes: the last one, the
        next one beside it, and the best."""
        copies = 2 + (self.recipe.keep == "best")
        there = self.checkpoint.exists() + self.best.exists()
        expect_room(self.folder, max(1, copies - there) * size, "its checkpoints")

    def close(self):
        """Let go of the folder."""
        self._lock.close()

    @property
    def _columns(self) -> tuple[str, ...]:
        """Of the log: a colour specificity for each tower, and for two where there is one."""
        more = ascii_lowercase[2 : self.recipe.towers]
        return *COLUMNS, *(f"colour_{letter}" for letter in more)

    def append(self, row: dict):
        """Add a row to log.csv; columns it does not name stay empty."""
        new = not self.log.exists()
        try:
            with open(self.log, "a", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, self._columns)
                if new:
                    writer.writeheader()
                writer.writerow(row)
                file.flush()
                os.fsync(file.fileno())  # as the checkpoint is: neither may be older
        except OSError as error:
            error.filename = str(self.log)  # a full disk does not say for which file
            raise

    def rows(self) -> list[dict[str, float | None]]:
        """What log.csv holds: numbers, and None where a column is empty."""
        return [_numbers(row, self.log) for row in self._text_rows()]

    def _text_rows(self) -> list[dict[str, str]]:
        if not self.log.exists():
            return []
        try:
            text = reading.text(self.log, MOST_LOG, blank=True)
            whole_lines, _, _ = text.rpartition("\n")  # a full disk cuts the last one short
            rows = list(csv.DictReader(io.StringIO(whole_lines, newline="")))
        except (ValueError, csv.Error) as error:
            raise _damaged(self.log, error) from None
        for row in rows:
            if tuple(row) != self._columns or None in row.values():
                raise _damaged(self.log, "a row with other columns")
        return rows

    def forget_after(self, step: int):
        """Remove rows after this step from log.csv: a run that resumes writes them again."""
        rows = [text for text, row in zip(self._text_rows(), self.rows(), strict=True)
                if row["step"] is not None and row["step"] <= step]
        with replacing(self.log) as part, open(part, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
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
            if not key.startswith("colour_"):  # kernels without any colour have none
                raise _damaged(log, f"{key} {number}")
            numbers[key] = None
    return numbers


def _damaged(log: Path, why: object) -> UserError:
    return UserError(f"{log}: damaged ({why})", "repair it or remove it.")


def _next_free(name: str) -> Path:
    folders = (Path("runs") / f"{name}-{number}" for number in itertools.count(1))
    return next(folder for folder in folders if not os.path.lexists(folder))
