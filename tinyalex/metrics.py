"""How good a network is: loss, top-1 and top-5 error, and which classes it confuses."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from tinyalex.devices import Batch
from tinyalex.devices.base import Result as Coming
from tinyalex.layers.loss import expect_labels
from tinyalex.network import Network
from tinyalex.world import World


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


Batches = Iterable[tuple[np.ndarray | Batch, np.ndarray]]  # pictures and their labels


def measure(network: Network, batches: Batches, world: World | None = None) -> Result:
    """Run the network, not training, over batches of pictures and labels. world: of the workers
    who have every batch by turns; the result is that of all."""
    return count(predictions(network, batches), network.classes, world)


def count(answers: Iterable[tuple[np.ndarray, np.ndarray]], classes: int,
          world: World | None = None) -> Result:
    """The result of such labels (N,) and predictions (N, classes), logarithms of probabilities,
    batch by batch. world: as in `measure`."""
    confusion = np.zeros((classes, classes), np.int64)
    # A row for each picture of a batch: its loss, whether its class is not the first guess, and not
    # among the first five; the first guess, and how probable that is.
    batches = []
    for labels, logp in answers:
        expect_labels("metrics.count", labels, logp)
        guesses = logp.argmax(axis=1)
        batches.append(np.column_stack([
            -logp[np.arange(len(labels)), labels], _missed(logp, labels), _missed(logp, labels, 5),
            guesses, np.exp(logp.max(axis=1))]))
        np.add.at(confusion, (labels, guesses), 1)
    if world:
        batches, confusion = _of_all(batches, world), np.sum(world.gather(confusion), axis=0)
    facts = np.concatenate(batches)
    loss, missed, missed_top5 = facts[:, :3].sum(axis=0) / len(facts)
    return Result(float(loss), float(missed), float(missed_top5), confusion,
                  facts[:, 3].astype(np.int64), facts[:, 4])


def _of_all(batches: list[np.ndarray], world: World) -> list[np.ndarray]:
    """Those of all workers, in the order in which they had them by turns."""
    sizes = world.gather(np.array([len(facts) for facts in batches], np.int64))
    rows = world.gather(np.concatenate([*batches, np.empty((0, 5))]))
    parts = [np.split(theirs, np.cumsum(n)[:-1]) for theirs, n in zip(rows, sizes, strict=True)]
    return [part for turn in zip_longest(*parts) for part in turn if part is not None]


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
    return count([(labels, logp)], logp.shape[1])


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
    return int(_missed(scores, labels, top).sum())


def _missed(scores: np.ndarray, labels: np.ndarray, top: int = 1) -> np.ndarray:
    true = scores[np.arange(len(labels)), labels][:, None]
    return (~(scores < true)).sum(axis=1) > top
