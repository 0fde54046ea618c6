"""A run under way: epoch after epoch, and everything that it writes meanwhile."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import numpy as np
from tqdm import tqdm

from tinyalex import freezing
from tinyalex.data.dataset import Dataset
from tinyalex.data.identity import expect_same_classes, fingerprint
from tinyalex.devices import Batch, Device, Devices
from tinyalex.inside.colour import log_columns
from tinyalex.large_batches import warm
from tinyalex.metrics import Result, measure
from tinyalex.network import Network
from tinyalex.optim import falling
from tinyalex.parallel import Part
from tinyalex.run import assembly, balance, best, checkpoint, resuming
from tinyalex.run.folder import Run
from tinyalex.run.kept import Batches, Kept
from tinyalex.run.meters import Pace, Pending, Progress
from tinyalex.run.pictures import Pictures
from tinyalex.run.stopping import Stopped, Stopping, stop_on_signal
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress
from tinyalex.training import train_step
from tinyalex.world import World

SAVE_EVERY = 600  # seconds between checkpoints inside a long epoch
ROWS = 20  # of log.csv for an epoch, one of them at its end


class Trainer:
    """A network, its data and its optimiser, ready to run from where the run folder says it is.

    run: the folder and the recipe. train_set, val_set: the data. devices: where to train. mean: the
    picture that is subtracted, where it is not the mean of the training pictures, because the
    weights are older than that. world: of the workers that train together; one by itself, if not
    given. UserError where the two sets do not have the same classes. `stopped_by` is the number of
    the signal that ended `train` early.
    """

    def __init__(self, run: Run, train_set: Dataset, val_set: Dataset, devices: Devices,
                 mean: np.ndarray | None = None, world: World | None = None):
        expect_same_classes(val_set.classes, val_set.name, train_set.classes,
                            f"{train_set.name} has", "they need the same classes, in one order.")
        if len(train_set.classes) < 2:
            raise UserError(f"{train_set.name}: all pictures are of one class, "
                            f"{train_set.classes[0]}", "at least two are needed: a folder for "
                            "the pictures of each.")
        recipe = run.recipe
        self.run, self.recipe, self.classes = run, recipe, train_set.classes
        self.data = {"train": fingerprint(train_set), "val": fingerprint(val_set)}
        self.mean = train_set.measure().mean if mean is None else mean
        self.progress = Progress()
        self.network = recipe.network(len(train_set.classes), list(devices))
        freezing.freeze(self.network, recipe.freeze)
        if recipe.balance:
            self.network.loss.class_weights = balance.class_weights(
                train_set.labels, len(self.classes))
        self.set_rates()
        self.world = world or World()
        # What learns, and from what: the whole network from pictures; or, where its lower layers
        # are still, those above from what these make of each picture once and for all.
        stem, self.learner = None, self.network
        if recipe.views and (parts := freezing.parts(self.network)):
            stem, self.learner = parts
        self.parallel = assembly.parallel(recipe, self.learner, self.world)
        self.train_loader, self.val_loader = self._loaders(train_set, val_set, stem, devices[0])
        total = len(self.train_loader)
        self.log_at = {total * i // ROWS for i in range(1, ROWS)} if total > ROWS else set()
        self.pending, self.uncounted = Pending(devices[0]), Progress()
        self.result: Result | None = None
        self.taken: list[str] | None = None  # the layers that were taken over, see start.py
        self.stopped_by: int | None = None
        self.pictures = Pictures(run, self.network, len(self.classes))
        self.saved = time.perf_counter()

    def _loaders(self, train_set: Dataset, val_set: Dataset, stem: Network | None,
                 device: Device) -> tuple[Batches, Batches]:
        """Batches to train on and to validate with; with a stem, of what it makes of pictures."""
        recipe, mean, side = self.recipe, self.mean, self.network.input_shape[0]
        rows = self.parallel.rows if self.parallel else None
        if stem:
            return (Kept(recipe, stem, train_set, mean, recipe.views, shuffle=True, rows=rows),
                    Kept(recipe, stem, val_set, mean))
        return (assembly.train_loader(recipe, train_set, mean, side, device, rows),
                assembly.test_loader(recipe, val_set, side, mean, device=device))

    def set_rates(self):
        """An optimiser and a schedule as the recipe has them, both at their beginning."""
        self.optimiser = assembly.optimiser(self.recipe, self.network)
        self.schedule = assembly.schedule(self.recipe, self.network)
        self.optimiser.change_rates(self.schedule.lr, self.schedule.layer_lr)

    def compute_still(self):
        """Let still layers see all pictures now, if they are to see them once and for all."""
        with self.world.in_turn():
            for loader in (self.train_loader, self.val_loader):
                if isinstance(loader, Kept):
                    loader.values()

    def train(self, report: Callable[[dict], None]) -> bool:
        """Train to the last epoch, or until the recipe's patience runs out; `report` gets the row
        of log.csv after each one.

        Returns False if a signal (Ctrl-C is one) ended it; the checkpoint then holds the last step.
        UserError where the loss stops being a number; the checkpoint is then the last good one.
        """
        if self.parallel:
            self.optimiser = self.parallel.begin(self.optimiser)
        with stop_on_signal() as stopping:
            try:
                while self.progress.epoch <= self.recipe.epochs and not self._is_over():
                    report(self._epoch(stopping))
            except Stopped:
                self.save()
                self.stopped_by = stopping.signal
            if self.world.rank == 0:
                self.pictures.draw()
            self.world.barrier()  # one more signal to any of them would end worker 0 as it writes
        return self.stopped_by is None

    def _is_over(self) -> bool:
        """Whether the run has waited as long for a better epoch as its recipe allows."""
        return self.world.tell(self.world.rank == 0 and best.is_over(self.run))

    def _epoch(self, stopping: Stopping) -> dict:
        """The rest of the current epoch; returns its row for the log. Stopped if it was stopped."""
        self._check(stopping)
        at, pace = self.progress, Pace(self.train_loader, self.progress)
        batches = self.train_loader.epoch(at.epoch, at.batch)
        bar = progress(None, f"epoch {at.epoch}/{self.recipe.epochs}", len(self.train_loader),
                       "batch", initial=at.batch)
        with contextlib.closing(batches), bar:
            for x, labels in batches:
                pictures = self._batch_size()
                parts = self._step(x, labels, pictures)
                del x  # its memory is wanted for the batch that is being prepared
                at.next_step()
                for part in parts:
                    self.pending.add(at.step, *part)
                self._count()
                self._keep_records(pace, pictures, bar)
                self._check(stopping)
        self._count(wait=True)
        return self._end_of_epoch(pace, stopping)

    def _batch_size(self) -> int:
        """How many pictures the next batch has: an epoch's last one may have fewer."""
        size = self.recipe.batch_size
        return min(size, len(self.train_loader.dataset) - self.progress.batch * size)

    def _step(self, x: Batch, labels: np.ndarray, pictures: int) -> list[Part]:
        self.optimiser.share = self._share(self.progress.step)
        if self.parallel:
            return self.parallel.step(self.optimiser, x, labels, self.progress.step, pictures)
        return [(*train_step(self.learner, self.optimiser, x, labels), labels)]

    def _share(self, step: int) -> float:
        """What the schedule's rates are multiplied by in update number `step`; 0 is the first."""
        epoch = len(self.train_loader)
        share = warm(step, self.recipe.warmup * epoch)
        if self.recipe.schedule == "linear":
            share *= falling(step, self.recipe.epochs * epoch)
        return share

    def _check(self, stopping: Stopping):
        """Stopped if this worker is to stop, or another: all stop after the same step. A signal
        that comes while they ask each other waits for the next step."""
        if self.world.size > 1:
            signals = self.world.gather(np.array([stopping.signal or 0]))
            if not (signal := int(max(signals)[0])):
                return
            stopping.signal = signal
        stopping.check()

    def _count(self, wait: bool = False):
        """Add up losses and mistakes, of the steps that have arrived, or wait for all. UserError
        where a loss is not a number."""
        for step in self.pending.arrived(wait):
            if not np.isfinite(step.loss):
                raise self._diverged(f"the loss is {step.loss}", step.number)
            (self.progress if self.world.size == 1 else self.uncounted).add(step)
        if wait and self.world.size > 1:
            self.progress.take_in(self.world.share(self.uncounted.sums()))
            self.uncounted = Progress()

    def _keep_records(self, pace: Pace, pictures: int, bar: "tqdm[None]"):
        """After each step: the progress bar, and now and then a row of the log, a checkpoint."""
        at = self.progress
        pace.pictures += pictures
        at.seconds = pace.seconds()
        if at.pictures:
            bar.set_postfix(loss=f"{at.loss_sum / at.pictures:.3f}",
                            error=f"{at.wrong_sum / at.pictures:.1%}",
                            images_per_s=f"{pace.rates()['images_per_s']:.0f}", refresh=False)
        bar.update()
        if at.batch in self.log_at:
            self._count(wait=True)
            done = at.epoch - 1 + at.batch / len(self.train_loader)
            self._log(self._row(done, pace, pace.logged))
            pace.logged = replace(at)
        if self._is_time_to_save():
            self.save()

    def _is_time_to_save(self) -> bool:
        """By worker 0's clock, which the others look at every tenth step."""
        due = time.perf_counter() - self.saved > SAVE_EVERY
        if self.world.size == 1:
            return due
        return self.progress.step % 10 == 0 and self.world.tell(due)

    def _log(self, row: dict):
        if self.world.rank == 0:
            self.run.append(row)

    def _end_of_epoch(self, pace: Pace, stopping: Stopping) -> dict:
        at, rates = self.progress, pace.rates()  # of training alone
        self.result = self._validate(stopping)
        if not np.isfinite(self.result.loss):
            raise self._diverged(f"the validation loss is {self.result.loss}")
        at.seconds = pace.seconds()
        row = self._row(at.epoch, pace, Progress()) | rates | {
            "val_loss": round(self.result.loss, 6), "val_error": round(self.result.error, 6),
            "val_top5_error": round(self.result.top5_error, 6)}
        self._log(row)
        self.schedule.after_epoch(at.epoch, self.result.error)
        self.optimiser.change_rates(self.schedule.lr, self.schedule.layer_lr)
        at.next_epoch()
        self.save()
        if self.world.rank == 0:
            best.keep(self.run, at.step)
            self.pictures.draw(if_due=True)
        return row

    def _validate(self, stopping: Stopping) -> Result:
        rank, size = self.world.rank, self.world.size
        if self.parallel:
            self.parallel.gather_weights()

        def batches() -> Iterator[tuple]:
            for batch in progress(self.val_loader.epoch(first=rank, every=size), "validating",
                                  -(-len(self.val_loader) // size), "batch"):
                if size == 1:  # else all stop together, when they are through
                    stopping.check()
                yield batch

        self.network.release_memory()
        result = measure(self.learner, batches(), self.world)
        self.network.release_memory()
        return result

    def _row(self, epoch: float, pace: Pace, before: Progress) -> dict:
        at = self.progress
        return {"epoch": round(epoch, 4), "step": at.step,
                "lr": self.optimiser.lr * self._share(at.step - 1),
                "seconds": round(at.seconds, 2), **at.since(before), **pace.rates(),
                **log_columns(self.network)}

    def resume(self):
        """Go on from the run's checkpoint, see resuming.py."""
        resuming.resume(self)

    def save(self):
        """Write the checkpoint; UserError, and the last one stays, if a weight is not finite.
        Worker 0 writes; all of them give the counts and the weights that only they have."""
        self._count(wait=True)
        self.saved = time.perf_counter()
        if self.parallel:
            self.parallel.gather_weights()
            velocities = self.parallel.gather_velocities(self.optimiser)
        else:
            velocities = self.optimiser.state()
        if self.world.rank == 0:
            self.write(velocities)

    def write(self, velocities: dict[str, np.ndarray]):
        """Write the checkpoint of what is counted; UserError as in `save`. velocities: of all
        parameters that learn, by name."""
        values = self.network.state()
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise self._diverged(f"{name} is no longer finite")
        about = {"preset": self.recipe.preset, "classes": list(self.classes),
                 "settings": self.recipe.settings(), "schedule": self.schedule.state(),
                 "progress": asdict(self.progress), "data": self.data}
        checkpoint.Checkpoint(about, self.mean, values, velocities).save(self.run.checkpoint)

    def _diverged(self, problem: str, step: int | None = None) -> UserError:
        at, path = self.progress, self.run.checkpoint
        kept = ("worker 0 has the last good checkpoint, if there is one" if self.world.rank
                else f"the last good checkpoint is {path}" if path.exists()
                else "there is no checkpoint yet")
        return UserError(f"epoch {at.epoch}, step {step or at.step + 1}: {problem}; training stops "
                         "here", f"try a smaller --lr than {self.recipe.lr:g}; {kept}.")
