"""How good a network is: loss, top-1 and top-5 error, and which classes it takes for which."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tinyalex.layers import SoftmaxCrossEntropy
from tinyalex.network import Network


@dataclass(frozen=True)
class Result:
    """loss: the mean. error, top5_error: share of the pictures whose class is not the first guess,
    or not among the first five. confusion: (K, K) counts, [true class, first guess]."""

    loss: float
    error: float
    top5_error: float
    confusion: np.ndarray


def measure(network: Network, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> Result:
    """Run the network, not training, over batches of pictures and labels."""
    K = network.classes
    confusion = np.zeros((K, K), np.int64)
    count = loss = missed = missed_top5 = 0
    for x, labels in batches:
        scores = network.devices[0].get(network.forward(x))
        loss += SoftmaxCrossEntropy().forward(scores, labels) * len(labels)
        count += len(labels)
        missed += wrong(scores, labels)
        missed_top5 += wrong(scores, labels, 5)
        np.add.at(confusion, (labels, scores.argmax(axis=1)), 1)
    return Result(loss / count, missed / count, missed_top5 / count, confusion)


def wrong(scores: np.ndarray, labels: np.ndarray, top: int = 1) -> int:
    """How many of the pictures have `top` or more classes with a score at least the true one's.

    Other classes that tie with the true one count against it, and NaN scores count as wrong: a
    network that says the same of all classes, or nothing at all, is never right by luck.
    """
    true = scores[np.arange(len(labels)), labels][:, None]
    return int(((~(scores < true)).sum(axis=1) > top).sum())
