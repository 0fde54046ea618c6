"""How good a network is: loss, top-1 and top-5 error, and which classes it confuses."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tinyalex.devices import Batch
from tinyalex.devices.base import Result as Coming
from tinyalex.layers.loss import expect_labels
from tinyalex.network import Network


@dataclass(frozen=True)
class Result:
    """loss: the mean. error, top5_error: share of the pictures whose class is not the first guess,
    or not among the first five. confusion: (K, K) counts, [true class, first guess]. guesses, sure:
    (N,) of each picture the first guess, and how probable the network takes it to be."""

    loss: float
    error: float
    top5_error: float
    confusion: np.ndarray
    guesses: np.ndarray
    sure: np.ndarray


class Tally:
    """Adds up how often a network is right, batch by batch."""

    def __init__(self, classes: int):
        self.confusion = np.zeros((classes, classes), np.int64)
        self.guesses: list[np.ndarray] = []
        self.sure: list[np.ndarray] = []
        self.loss = 0.0
        self.count = self.missed = self.missed_top5 = 0

    def add(self, logp: np.ndarray, labels: np.ndarray):
        """logp: (N, K), the logarithms of the probabilities. labels: (N,) integers."""
        self.missed += wrong(logp, labels)
        self.count += len(labels)
        self.loss -= float(logp[np.arange(len(labels)), labels].sum())
        self.missed_top5 += wrong(logp, labels, 5)
        self.guesses.append(logp.argmax(axis=1))
        self.sure.append(np.exp(logp.max(axis=1)))
        np.add.at(self.confusion, (labels, self.guesses[-1]), 1)

    def result(self) -> Result:
        return Result(self.loss / self.count, self.missed / self.count,
                      self.missed_top5 / self.count, self.confusion,
                      np.concatenate(self.guesses), np.concatenate(self.sure))


Batches = Iterable[tuple[np.ndarray | Batch, np.ndarray]]  # pictures and their labels


def measure(network: Network, batches: Batches) -> Result:
    """Run the network, not training, over batches of pictures and labels."""
    tally = Tally(network.classes)
    for labels, logp in predictions(network, batches):
        tally.add(logp, labels)
    return tally.result()


def predictions(network: Network, batches: Batches,
                ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each batch its labels (N,), and what the network says: see `log_probabilities`.

    A GPU is given the next batches before the host looks at its answer to the first.
    """
    device = network.devices[0]
    pending: deque[tuple[np.ndarray, Coming]] = deque()
    for x, labels in batches:
        pending.append((labels, device.fetch(network.forward(x))))
        if len(pending) > device.steps_ahead:
            labels, scores = pending.popleft()
            yield labels, _log_softmax(scores.result())
    for labels, scores in pending:
        yield labels, _log_softmax(scores.result())


def score(logp: np.ndarray, labels: np.ndarray) -> Result:
    """The result of these predictions: logp (N, K), labels (N,)."""
    tally = Tally(logp.shape[1])
    tally.add(logp, labels)
    return tally.result()


def log_probabilities(network: Network, x: np.ndarray) -> np.ndarray:
    """(N, K) float64: the logarithms of the softmax, for pictures (N, H, W, C) on the host."""
    return _log_softmax(network.devices[0].get(network.forward(x)))


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    scores = scores.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def average(logp: np.ndarray, axis: int) -> np.ndarray:
    """The logarithm of the mean of probabilities along an axis, from their logarithms.

    The paper averages softmax outputs, over ten patches of a picture and over several networks
    (sections 4.1 and 6); probabilities too small for a float do not vanish on the way.
    """
    return np.logaddexp.reduce(logp, axis=axis) - np.log(logp.shape[axis])


def wrong(scores: np.ndarray, labels: np.ndarray, top: int = 1) -> int:
    """How many of the pictures have `top` or more classes with a score at least the true one's.

    Other classes that tie with the true one count against it, and NaN scores count as wrong: a
    network that says the same about all classes, or nothing at all, is never right by luck.
    """
    expect_labels("metrics.wrong", labels, scores)
    true = scores[np.arange(len(labels)), labels][:, None]
    return int(((~(scores < true)).sum(axis=1) > top).sum())
