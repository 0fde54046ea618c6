"""Working through the runs: each in a folder of its own, where it is resumed after a kill, until
its result is with the others."""

import contextlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import tinyalex
from tinyalex.data import sources
from tinyalex.devices import Devices, available_cores
from tinyalex.reproduce import results
from tinyalex.reproduce.kinds import Arm
from tinyalex.reproduce.measures import MEASURES
from tinyalex.reproduce.results import Result
from tinyalex.run.folder import Run
from tinyalex.run.recipe import Recipe
from tinyalex.run.trainer import Trainer
from tinyalex.support import reading
from tinyalex.support.errors import UserError
from tinyalex.support.files import alone, write_text
from tinyalex.support.signals import Interrupted
from tinyalex.support.text import plural, say


class Reached(Exception):
    """The run has come to the training error at which it was to end."""


@dataclass(frozen=True)
class Places:
    """results: the folder of the results. work: where runs have their folders. photographs: the
    folder of the ten classes. devices: where to train."""

    results: Path
    work: Path
    photographs: str
    devices: str

    def result(self, arm: Arm, seed: int) -> Path:
        return self.results / f"{arm.name}-{seed}.csv"

    def recipe(self, arm: Arm, seed: int) -> Recipe:
        recipe = arm.recipe(seed)
        return replace(recipe, devices=self.devices, data=recipe.data or self.photographs)


def work_through(runs: list[tuple[Arm, int]], places: Places) -> None:
    """Do, one by one, those of these runs that have no result and that nobody else is working on.
    UserError at the end where runs failed: the others are done."""
    failed = []
    for arm, seed in runs:
        name = f"{arm.name}-{seed}"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(alone(places.work, name))
            except UserError:  # somebody else is working on it
                continue
            if places.result(arm, seed).exists():
                continue
            say(f"{name}: tinyalex.train {arm.command(seed)}")
            try:
                with Devices(places.devices, arm.recipe(seed).towers) as devices:
                    _do(arm, seed, places, devices)
            except KeyboardInterrupt:
                say(f"{name}: stopped; the same command goes on from its last checkpoint")
                raise
            except UserError as error:
                say(f"{name}: {error.args[0]}")
                failed.append(name)
    if failed:
        raise UserError(f"{', '.join(failed)}: failed", "see above.")


def _do(arm: Arm, seed: int, places: Places, devices: Devices) -> None:
    """Train, or continue training, measure, and write the result."""
    recipe, name = places.recipe(arm, seed), f"{arm.name}-{seed}"
    train_set, val_set = (sources.load(recipe.data, split, recipe.picture, recipe.limit)
                          for split in ("train", "val"))
    with contextlib.closing(Run(places.work / name, recipe)) as run:
        trainer = Trainer(run, train_set, val_set, devices)
        if run.has_begun():
            run.hold()
            trainer.resume()
        else:
            run.start()
        if not any(map(arm.reached, _ends(run))):
            def note(row: dict):
                if arm.each:
                    _keep(run, row, _measured(arm.each, trainer, train_set, val_set))

            _train(trainer, arm, note)
        rows = _ends(run)
        rows[-1] |= _measured(arm.measures, trainer, train_set, val_set)
    about = _about(arm, seed, devices, len(train_set), len(val_set))
    results.write(places.result(arm, seed), Result(about, rows))


def _measured(names: tuple[str, ...], *of) -> dict[str, float]:
    """The columns of these measures, of a trainer, its training and its validation set."""
    return {column: float(f"{value:.6g}") for name in names
            for column, value in MEASURES[name](*of).items()}


def _train(trainer: Trainer, arm: Arm, note: Callable[[dict], None]) -> None:
    """Train to the last epoch, or to what the arm is to reach; `note` gets the row of each."""
    def report(row: dict):
        note(row)
        say(f"{trainer.run.folder.name}: epoch {row['epoch']:g} of {trainer.recipe.epochs}, "
            f"training error {row['train_error']:.1%}, validation {row['val_error']:.1%}, "
            f"{row['seconds']:.0f} s")
        if arm.reached(row):
            raise Reached

    with contextlib.suppress(Reached):
        trainer.train(report)
        if trainer.stopped_by is not None:
            raise Interrupted(trainer.stopped_by)


def _ends(run: Run) -> list[dict]:
    """The rows of the log at the end of each epoch, with what was kept of it."""
    kept = _kept(run)
    return [{column: value for column, value in row.items()
             if column in results.COLUMNS or column.startswith("colour_")}
            | kept.get(f"{row['epoch']:g}", {})
            for row in run.rows() if row["val_error"] is not None]


def _kept(run: Run) -> dict[str, dict[str, float]]:
    """What was measured at the end of each epoch, by its number: more than the log has columns
    for, and a run that is resumed has it again."""
    path = run.folder / "measured.json"
    return reading.record(path) if path.exists() else {}


def _keep(run: Run, row: dict, columns: dict[str, float]) -> None:
    write_text(run.folder / "measured.json",
               json.dumps(_kept(run) | {f"{row['epoch']:g}": columns}))


def _about(arm: Arm, seed: int, devices: Devices, train: int, val: int) -> dict[str, str]:
    return {
        "run": f"{arm.name}-{seed}", "flags": arm.command(seed), "trained on": f"{train} pictures",
        "validated on": f"{val} pictures", "code": results.code(),
        "versions": f"tinyalex {tinyalex.__version__}, numpy {np.__version__}, "
                    f"Python {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {plural(available_cores(), 'core')}",
        "devices": ", ".join(repr(device)[1:-1] for device in devices),
    }
