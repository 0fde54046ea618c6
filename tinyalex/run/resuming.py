"""A run that continues from its checkpoint, if that is this run's, and every number in it is
possible.

What is not noticed here would continue as another run: classes that were renamed, other pictures, a
velocity that points uphill, a learning rate below 0.
"""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyalex import freezing, optim
from tinyalex.data.identity import expect_same_classes, same_pictures
from tinyalex.network import Network
from tinyalex.optim import Schedule
from tinyalex.run import best, checkpoint
from tinyalex.run.checkpoint import Checkpoint
from tinyalex.run.meters import Progress
from tinyalex.run.recipe import LARGEST, Recipe
from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError
from tinyalex.support.text import warn

if TYPE_CHECKING:
    from tinyalex.run.trainer import Trainer

Prints = dict[str, dict[str, Any]]  # the fingerprints of the data, by split


def resume(trainer: "Trainer") -> None:
    """Take over the run's checkpoint: weights, velocities, schedule, place in the data. A run that
    was ended before its first one starts again at step 0. UserError, and nothing is changed, where
    the checkpoint is another run's or damaged."""
    run, network, optimiser = trainer.run, trainer.network, trainer.optimiser
    if not run.has_begun():
        run.forget_after(0)
        return
    saved, at = _read(run.checkpoint, trainer)
    best_step = _best_step(trainer)
    network.load_state(saved.values, str(run.checkpoint))
    _go_on(trainer.schedule, trainer.recipe, saved, run.checkpoint)
    optimiser.load_state(saved.velocities)
    then = saved.about["schedule"]  # its rates are those of the velocities
    optimiser.lr, optimiser.layer_lr = then["lr"], then.get("layer_lr", {})
    optimiser.change_rates(trainer.schedule.lr, trainer.schedule.layer_lr)
    trainer.progress = at
    network.set_step(at.step)
    run.forget_after(at.step)
    if best_step > at.step:  # of rows that are forgotten: not this run's best, but somebody's
        aside = run.best.replace(run.folder / f"best-of-step-{best_step}.npz")
        warn(f"{run.best}: of a later step than the checkpoint; it is {aside.name} now")
    best.keep(run, at.step)  # where it was killed between the checkpoint and the copy


def _best_step(trainer: "Trainer") -> int:
    """The step of best.npz, 0 where there is none. UserError where it is not this run's."""
    path = trainer.run.best
    try:
        return _read(path, trainer)[1].step if path.exists() else 0
    except UserError as error:
        raise UserError(error.args[0], f"move it away to continue without it: {path}") from None


def _read(path: Path, trainer: "Trainer") -> tuple[Checkpoint, Progress]:
    """A checkpoint of the trainer's run, and where it was then. UserError where it is none."""
    saved = checkpoint.load(path)
    _expect_same_run(saved, path, trainer.recipe, trainer.classes, trainer.mean, trainer.data)
    return saved, _place(saved, path, trainer.network, len(trainer.train_loader.dataset))


def _expect_same_run(saved: Checkpoint, path: Path, recipe: Recipe, classes: tuple[str, ...],
                     mean: np.ndarray, data: Prints) -> None:
    """UserError where the checkpoint is of another run than the one with this recipe, whose data
    have these classes, this mean picture and these fingerprints.

    Checkpoints of 0.2.0 and before have no fingerprints: for them the mean picture decides.
    """
    if "converted_from" in saved.about:
        raise UserError(f"{path}: weights converted from {saved.about['converted_from']}, not "
                        "a run to continue", "put the run's own checkpoint back, or start a new "
                        "run.")
    theirs = Recipe.of(saved.about["settings"], path)
    for name in (f.name for f in fields(Recipe) if f.name not in recipe.resumable):
        if getattr(theirs, name) != (ours := getattr(recipe, name)):
            raise UserError(f"{path}: written by a run with {name} {getattr(theirs, name)}; "
                            f"config.json beside it says {ours}",
                            "put its own config.json back, or start a new run.")
    hint = "name the data that the run began with (--data), or start a new run."
    expect_same_classes(classes, recipe.data, saved.about["classes"], f"{path} has", hint)
    known: Prints = saved.about.get("data", {})
    try:
        same = (saved.mean.shape == mean.shape and np.allclose(saved.mean, mean, rtol=0, atol=1)
                and all(same_pictures(known[split], data[split]) for split in known))
        if not same:
            began = _described(known) or "pictures of {1}×{0}".format(*saved.mean.shape)
            raise UserError(f"{path}: trained with {theirs.data} ({began}); {recipe.data} is other "
                            f"data now ({_described(data)})", hint)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{path}: damaged in what it says about its data ({error!r})",
                        "start a new run.") from None


def _described(data: Prints) -> str:
    words = {"train": "to train on", "val": "to validate with"}
    return ", ".join("{0:,} pictures of {2}×{1} {words}".format(
        *prints["shape"], words=words[split]) for split, prints in data.items())


def _place(saved: Checkpoint, path: Path, network: Network, pictures: int) -> Progress:
    """Where the run was that wrote the checkpoint; its velocities and the state of its schedule can
    be taken over as they are.

    network: of the run. pictures: to train on. UserError where something is missing, or is nothing
    that such a run can have.
    """
    theirs = Recipe.of(saved.about["settings"], path)
    schedule = optim.schedule(theirs.schedule, theirs.lr)
    try:
        for name in ("progress", "schedule"):
            if name not in saved.about:
                raise Damaged(f"no {name}")
        _expect_velocities(saved.velocities, network, theirs.freeze)
        if not _alike(saved.about["schedule"], schedule.state()):
            raise Damaged(f"the schedule's state is {saved.about['schedule']}")
        return _progress(saved.about["progress"], pictures, theirs.batch_size)
    except Damaged as error:
        raise UserError(f"{path}: does not say where its run was ({error})",
                        "it is damaged, or no run wrote it: start a new run.") from None


def _go_on(schedule: Schedule, recipe: Recipe, saved: Checkpoint, path: Path) -> None:
    """Bring the run's schedule to where the checkpoint's was; where the schedule is another one by
    now, to where that would be."""
    theirs = Recipe.of(saved.about["settings"], path)
    if (theirs.schedule, theirs.lr) == (recipe.schedule, recipe.lr):
        schedule.load_state(saved.about["schedule"])
    elif not isinstance(schedule, optim.Plateau):
        schedule.after_epoch(saved.about["progress"]["epoch"] - 1, 1.0)


def _expect_velocities(velocities: dict[str, np.ndarray], network: Network, frozen: str) -> None:
    without = {layer for name in freezing.chosen(network, frozen)
               for layer in freezing.layers_called(network, name)}
    shapes = {p.name: p.value.shape for p in network.parameters if p.layer not in without}
    for name in sorted(shapes.keys() ^ velocities.keys()):
        raise Damaged(f"{'no' if name in shapes else 'an unknown'} velocity of {name}")
    for name, shape in shapes.items():
        if velocities[name].shape != shape:
            raise Damaged(f"the velocity of {name} has shape {velocities[name].shape}, not {shape}")


def _progress(said: Any, pictures: int, batch_size: int) -> Progress:
    if not _alike(said, vars(Progress())):
        raise Damaged(f"its progress is {said}")
    at, batches = Progress(**said), -(-pictures // batch_size)
    if not (at.epoch >= 1 and at.batch <= batches
            and at.step == (at.epoch - 1) * batches + at.batch
            and at.pictures == min(at.batch * batch_size, pictures) >= at.wrong_sum):
        raise Damaged(f"{at} in epochs of {batches} batches")
    return at


def _alike(said: Any, example: dict[str, Any]) -> bool:
    """Whether JSON holds the keys of the example, and for each a number of the same kind, or rates
    by name."""
    return isinstance(said, dict) and said.keys() == example.keys() and all(
        _possible(said[key], example[key]) for key in example)


def _possible(value: Any, example: Any) -> bool:
    if isinstance(example, dict):
        return isinstance(value, dict) and all(_possible(rate, 0.0) for rate in value.values())
    return type(value) in (int, type(example)) and (
        0 <= value <= LARGEST or value == example == float("inf"))
