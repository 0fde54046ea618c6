"""The training loop: batches in, updates out, and everything a run writes on the way."""

import contextlib
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from tqdm import tqdm

from tinyalex import drawing
from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.devices import Devices
from tinyalex.inside.colour import first_kernels, log_columns
from tinyalex.metrics import Result, measure, wrong
from tinyalex.run import assembly, checkpoint
from tinyalex.run.folder import Run
from tinyalex.support.errors import UserError

SAVE_EVERY = 600  # seconds between checkpoints inside a long epoch
LOG_EVERY = 20  # rows of log.csv inside an epoch


@dataclass
class Progress:
    """Where a run is: `batch` batches of epoch number `epoch` are done, `step` in all. The sums run
    over the pictures of this epoch so far."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    pictures: int = 0
    loss_sum: float = 0.0
    wrong_sum: int = 0
    seconds: float = 0.0

    def since(self, before: "Progress") -> dict[str, float]:
        """The mean loss and the error over the pictures that came after `before`."""
        pictures = self.pictures - before.pictures
        return {"train_loss": round((self.loss_sum - before.loss_sum) / pictures, 6),
                "train_error": round((self.wrong_sum - before.wrong_sum) / pictures, 6)}

    def next_epoch(self):
        self.epoch, self.batch = self.epoch + 1, 0
        self.pictures, self.loss_sum, self.wrong_sum = 0, 0.0, 0


@dataclass
class Rate:
    """Pictures a second, and the share of the time that the devices waited for data, of what was
    done since the last look."""

    loader: Loader
    start: float = field(default_factory=time.perf_counter)
    pictures: int = 0
    waited: float = 0.0

    def look(self) -> dict[str, float]:
        spent = time.perf_counter() - self.start
        return {"images_per_s": round(self.pictures / spent, 1),
                "waited": round((self.loader.waited - self.waited) / spent, 4)}


class Stopped(Exception):
    """Ctrl-C was pressed, and the step that was under way is done."""


class Trainer:
    """A network, its data and its optimiser, ready to run from where the run folder says it is.

    run: the folder and the settings. train_set, val_set: the data. devices: where to train.
    """

    def __init__(self, run: Run, train_set: Dataset, val_set: Dataset, devices: Devices):
        settings = run.settings
        self.run, self.settings, self.classes = run, settings, train_set.classes
        self.network = assembly.network(settings, len(train_set.classes), devices)
        self.optimiser = assembly.optimiser(settings, self.network)
        self.schedule = assembly.schedule(settings, self.network)
        self.progress = Progress()
        self.mean = train_set.measure().mean
        side = self.network.input_shape[0]
        self.train_loader = assembly.train_loader(settings, train_set, side, devices[0])
        self.val_loader = assembly.test_loader(settings, val_set, side, self.mean,
                                               device=devices[0])
        self.pending = deque()  # steps whose loss and scores are still on their way to the host
        self.result: Result | None = None
        self.drawn = time.perf_counter()

    def resume(self):
        """Take over the run's checkpoint: weights, velocities, schedule, place in the data."""
        saved = checkpoint.load(self.run.checkpoint)
        check_preset(saved, self.settings.preset, self.run.checkpoint)
        self.network.load_state(saved.values, str(self.run.checkpoint))
        self.optimiser.load_state(saved.velocities)
        self.schedule.load_state(saved.about["schedule"])
        self.optimiser.lr, self.optimiser.layer_lr = self.schedule.lr, self.schedule.layer_lr
        self.progress = Progress(**saved.about["progress"])
        self.network.set_step(self.progress.step)
        self.run.forget_after(self.progress.step)

    def save(self):
        """Write the checkpoint; UserError, and the last one stays, if a weight is not finite."""
        self._take()
        values = self.network.state()
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise self._diverged(f"{name} is no longer finite")
        about = {"preset": self.settings.preset, "classes": list(self.classes),
                 "settings": asdict(self.settings), "schedule": self.schedule.state(),
                 "progress": asdict(self.progress)}
        checkpoint.Checkpoint(about, self.mean, values, self.optimiser.state()).save(
            self.run.checkpoint)

    def train(self, report: Callable[[dict], None]) -> bool:
        """Train to the last epoch; `report` gets the row of log.csv after each one.

        Returns False if Ctrl-C ended it early; the checkpoint then holds the last step. UserError
        where the loss stops being a number; the checkpoint then is the last good one.
        """
        with stop_on_signal() as stopping:
            try:
                while self.progress.epoch <= self.settings.epochs:
                    report(self._epoch(stopping))
            except Stopped:
                self.save()
            self.draw()
        return self.progress.epoch > self.settings.epochs

    def _epoch(self, stopping: threading.Event) -> dict:
        """The rest of the current epoch; returns its row for the log. Stopped if it was stopped."""
        at, total = self.progress, len(self.train_loader)
        rate = Rate(self.train_loader, waited=self.train_loader.waited)
        saved, shown, logged = time.perf_counter(), 0.0, replace(at)
        begun = saved - at.seconds
        log_at = {total * i // LOG_EVERY for i in range(1, LOG_EVERY)} if total > LOG_EVERY else ()
        batches = self.train_loader.epoch(at.epoch, at.batch)
        with contextlib.closing(batches), tqdm(
                total=total, initial=at.batch, desc=f"epoch {at.epoch}/{self.settings.epochs}",
                unit="batch", disable=None, leave=False) as bar:
            for x, labels in batches:
                self._step(x, labels)
                at.seconds = time.perf_counter() - begun
                rate.pictures += len(labels)
                del x  # its memory is wanted for the batch that is being prepared
                if at.pictures and time.perf_counter() - shown > 0.2:
                    shown = time.perf_counter()
                    bar.set_postfix(loss=f"{at.loss_sum / at.pictures:.3f}",
                                    error=f"{at.wrong_sum / at.pictures:.1%}",
                                    images_per_s=f"{rate.look()['images_per_s']:.0f}")
                bar.update()
                if at.batch in log_at:
                    self._take()
                    self.run.append(self._row(at.epoch - 1 + at.batch / total, rate, logged))
                    logged = replace(at)
                if stopping.is_set():
                    raise Stopped
                if time.perf_counter() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.perf_counter()
            self._take()
        return self._end_of_epoch(rate, begun, stopping)

    def _step(self, x: np.ndarray, labels: np.ndarray):
        """One update: forward, loss, backward, SGD."""
        at, device = self.progress, self.network.devices[0]
        scores = self.network.forward(x, remember=True, drop=True)
        value, dscores = self.network.loss_and_gradient(scores, labels)
        self.pending.append((at.step + 1, device.fetch(value), device.fetch(scores), labels))
        self._take(leave=device.steps_ahead)
        self.network.backward(dscores)
        self.optimiser.step()
        at.batch, at.step = at.batch + 1, at.step + 1

    def _take(self, leave: int = 0):
        """Note losses and mistakes of all steps but the last so many: a GPU is still at those.
        UserError where a loss is no number."""
        at = self.progress
        while len(self.pending) > leave:
            step, value, scores, labels = self.pending.popleft()
            value = float(value.result())
            if not np.isfinite(value):
                raise self._diverged(f"the loss is {value}", step)
            at.pictures += len(labels)
            at.loss_sum += value * len(labels)
            at.wrong_sum += wrong(scores.result(), labels)

    def _validate(self, stopping: threading.Event) -> Result:
        def batches():
            for batch in tqdm(self.val_loader.epoch(), "validating", len(self.val_loader),
                              unit="batch", disable=None, leave=False):
                if stopping.is_set():
                    raise Stopped
                yield batch

        self.network.release_memory()
        result = measure(self.network, batches())
        self.network.release_memory()
        return result

    def _end_of_epoch(self, rate: Rate, begun: float, stopping: threading.Event) -> dict:
        speed = rate.look()  # of training alone
        self.result = self._validate(stopping)
        if not np.isfinite(self.result.loss):
            raise self._diverged(f"the validation loss is {self.result.loss}")
        at = self.progress
        at.seconds = time.perf_counter() - begun
        row = self._row(at.epoch, rate, Progress()) | speed | {
            "val_loss": round(self.result.loss, 6), "val_error": round(self.result.error, 6),
            "val_top5_error": round(self.result.top5_error, 6)}
        self.run.append(row)
        self.schedule.after_epoch(at.epoch, self.result.error)
        self.optimiser.change_rates(self.schedule.lr, self.schedule.layer_lr)
        at.next_epoch()
        self.save()
        if time.perf_counter() - self.drawn > 30:
            self.draw()
        return row

    def _row(self, epoch: float, rate: Rate, before: Progress) -> dict:
        at = self.progress
        return {"epoch": round(epoch, 4), "step": at.step, "lr": self.optimiser.lr,
                "seconds": round(at.seconds, 2), **at.since(before), **rate.look(),
                **log_columns(self.network)}

    def draw(self):
        """The pictures of the run folder: the curves so far, and the first layer's kernels."""
        title = self.run.folder.name
        if rows := self.run.rows():
            drawing.curves(rows, self.run.curves, title, classes=len(self.classes))
        drawing.filters(first_kernels(self.network), self.run.filters, title)
        self.drawn = time.perf_counter()

    def _diverged(self, what: str, step: int | None = None) -> UserError:
        at, step = self.progress, step or self.progress.step + 1
        kept = (f"the last good checkpoint is {self.run.checkpoint}" if self.run.checkpoint.exists()
                else "there is no checkpoint yet")
        return UserError(f"epoch {at.epoch}, step {step}: {what}; training stops here",
                         f"try a smaller --lr than {self.settings.lr:g}; {kept}.")


def check_preset(saved: checkpoint.Checkpoint, preset: str, path):
    """UserError unless the checkpoint was written by a run of this preset."""
    if saved.about["preset"] != preset:
        raise UserError(f"{path} was written by --preset {saved.about['preset']}, not {preset}",
                        "resume it with its own preset, or start a new run.")


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C (or SIGTERM) sets, so that a step is finished before the run stops.

    A second Ctrl-C interrupts at once. Outside the main thread signals stay as they are.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def stop(number, frame):
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()
        print("\nstopping after this step; Ctrl-C again stops at once and saves nothing",
              file=sys.stderr, flush=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
