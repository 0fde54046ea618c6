"""Where a run is, how right it has been so far, and how fast it goes."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tinyalex.devices import Device
from tinyalex.devices.base import Result
from tinyalex.metrics import wrong
from tinyalex.run.kept import Batches


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

    def next_step(self):
        self.batch, self.step = self.batch + 1, self.step + 1

    def next_epoch(self):
        self.epoch, self.batch = self.epoch + 1, 0
        self.pictures, self.loss_sum, self.wrong_sum = 0, 0.0, 0

    def add(self, step: "Step"):
        """Count the pictures of a step that is known by now."""
        self.pictures += step.pictures
        self.loss_sum += step.loss * step.pictures
        self.wrong_sum += step.wrong

    def sums(self) -> tuple[int, float, int]:
        return self.pictures, self.loss_sum, self.wrong_sum

    def take_in(self, sums: list[tuple[int, float, int]]):
        """Count the pictures that workers have counted."""
        for pictures, loss_sum, wrong_sum in sums:
            self.pictures += pictures
            self.loss_sum += loss_sum
            self.wrong_sum += wrong_sum

    def since(self, before: "Progress") -> dict[str, float]:
        """The mean loss and the error over the pictures that came after `before`."""
        pictures = self.pictures - before.pictures
        return {"train_loss": round((self.loss_sum - before.loss_sum) / pictures, 6),
                "train_error": round((self.wrong_sum - before.wrong_sum) / pictures, 6)}


@dataclass(frozen=True)
class Step:
    """What the host knows of a step. loss: the mean over its pictures. wrong: how many of them the
    network took for another class."""

    number: int
    loss: float
    wrong: int
    pictures: int


class Pending:
    """Steps whose loss and scores are on their way to the host.

    A GPU is given the next steps before it is done with the first, so the host learns a few steps
    late how each of them went. A CPU's are there at once.
    """

    def __init__(self, device: Device):
        self.device = device
        self.steps: deque[tuple[int, Result, Result, np.ndarray]] = deque()

    def add(self, number: int, loss: float, scores: np.ndarray, labels: np.ndarray):
        """What `train_step` returned for step `number`, and the labels of its batch."""
        self.steps.append((number, self.device.fetch(loss), self.device.fetch(scores), labels))

    def arrived(self, wait: bool = False) -> Iterator[Step]:
        """The steps that the device should be done with by now, or, where the host waits for it,
        all of them."""
        while len(self.steps) > (0 if wait else self.device.steps_ahead):
            number, loss, scores, labels = self.steps.popleft()
            yield Step(number, float(loss.result()), wrong(scores.result(), labels), len(labels))


class Pace:
    """How fast an epoch goes, from where the run is now.

    pictures: trained on since then. logged: where the run was at the last row of its log.
    """

    def __init__(self, loader: Batches, progress: Progress):
        self.loader, self.waited, self.pictures = loader, loader.waited, 0
        self.start, self.before = time.perf_counter(), progress.seconds
        self.logged = replace(progress)

    def seconds(self) -> float:
        """How long the run has taken, with what it took before."""
        return self.before + time.perf_counter() - self.start

    def rates(self) -> dict[str, float]:
        """Pictures a second, and the share of the time that the devices waited for data."""
        spent = time.perf_counter() - self.start
        return {"images_per_s": round(self.pictures / spent, 1),
                "waited": round((self.loader.waited - self.waited) / spent, 4)}
