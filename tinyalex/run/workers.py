"""What the workers of a run tell each other, besides gradients: where they begin, and who waits for
whom."""

from dataclasses import asdict
from zlib import crc32

import numpy as np

from tinyalex.run.alike import expect_same
from tinyalex.run.meters import Progress
from tinyalex.run.recipe import Recipe
from tinyalex.run.terminal import report
from tinyalex.run.trainer import Trainer
from tinyalex.support.errors import UserError
from tinyalex.world import World


def expect_enough(recipe: Recipe, world: World) -> None:
    """UserError where there are more workers than pictures in a batch, or more than one for an
    optimiser that has to see whole layers."""
    if recipe.batch_size < world.size:
        raise UserError(f"--batch-size {recipe.batch_size}: less than a picture for each of "
                        f"{world.size} workers", "it is the size of the batch that they share: "
                        "take a larger one, or fewer workers.")
    if world.size > 1 and recipe.parallel != "data" and recipe.optimiser == "lars":
        raise UserError(f"--parallel {recipe.parallel}: with --optimiser lars the step of a layer "
                        "depends on all of its weights, and a worker has only some",
                        "use --parallel data, or --optimiser sgd.")


def begin_alike(trainer: Trainer) -> None:
    """Let all workers begin where worker 0 does: weights, velocities, rates, place in the data.
    UserError where one of them has another version of the program, or other pictures."""
    world = trainer.world
    if world.size == 1:
        return
    expect_same(world, trainer.classes, {
        "the pictures": trainer.data, "the mean picture": crc32(trainer.mean.tobytes()),
        "the kind of devices": trainer.learner.devices[0].xp.__name__})
    told = world.tell({
        "settings": trainer.recipe.settings(), "progress": asdict(trainer.progress),
        "schedule": trainer.schedule.state(),
        "rates": [trainer.optimiser.lr, trainer.optimiser.layer_lr]})
    if world.rank:
        trainer.recipe = trainer.run.recipe = Recipe(**told["settings"])
        trainer.set_rates()
        trainer.schedule.load_state(told["schedule"])
        trainer.optimiser.lr, trainer.optimiser.layer_lr = told["rates"]
        trainer.progress = Progress(**told["progress"])
    for of in (trainer.network, trainer.optimiser):
        state = {name: np.array(value) for name, value in of.state().items()}
        for value in state.values():
            world.broadcast(value)
        of.load_state(state)
    trainer.network.set_step(trainer.progress.step)


class Waits:
    """What share of an epoch each worker waits, for data and for the others."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self.before = self._seconds()

    def _seconds(self) -> np.ndarray:
        at = self.trainer
        return np.array([at.progress.seconds, at.train_loader.waited,
                         at.parallel.waited if at.parallel else 0.0])

    def report(self, row: dict) -> None:
        """The line of the table, and one of what the workers waited since the last. The slowest is
        whoever waits least for the others."""
        report(row)
        now = self._seconds()
        spent, self.before = now - self.before, now
        world = self.trainer.world
        told = world.share([world.host, *(spent[1:] / spent[0]).tolist()])
        rank = min(range(len(told)), key=lambda rank: told[rank][2])
        waits = ", ".join(f"{data:.0%} + {others:.0%}" for _, data, others in told)
        print(f"      workers waited for data + for others: {waits}; slowest: {rank} on "
              f"{told[rank][0]}", flush=True)
