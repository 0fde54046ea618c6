"""Classes of very different sizes: what is said about them, and the weights that make up for it."""

from collections.abc import Sequence

import numpy as np

from tinyalex.data.dataset import Dataset

UNEVEN = 4  # the largest class has more than this many times the pictures of the smallest
NAMED = 3  # classes, at most


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """(K,) float32: how much a picture of each class counts, so that all classes count alike.

    With n_k of the N pictures in class k, and M classes that have pictures at all: N / (M n_k),
    whose mean over the pictures is 1. A class without pictures has 0.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / ((counts > 0).sum() * np.maximum(counts, 1))
    return np.where(counts, weights, 0).astype(np.float32)


def about(train_set: Dataset, val_set: Dataset, balance: bool) -> str:
    """What there is to say about the sizes of the classes, on one line; "" for nothing."""
    names, K = train_set.classes, len(train_set.classes)
    counts = np.bincount(train_set.labels, minlength=K)
    seen = np.flatnonzero(counts)
    least, most = seen[counts[seen].argmin()], seen[counts[seen].argmax()]
    parts = []
    if balance and counts[least] < counts[most]:
        weights = class_weights(train_set.labels, K)
        parts.append(f"a picture of {names[most]} counts {weights[most]:.2g} times, one of "
                     f"{names[least]} {weights[least]:.2g} times")
    elif counts[most] > UNEVEN * counts[least]:
        parts.append(f"from {counts[least]:,} ({names[least]}) to {counts[most]:,} pictures "
                     f"({names[most]}); --balance makes them count alike")
    few = (("no picture to train on", counts == 0), ("a single picture to train on", counts == 1),
           ("no picture to validate with", np.bincount(val_set.labels, minlength=K) == 0))
    return "; ".join(parts + [f"{what}: {_named(names, np.flatnonzero(which))}"
                              for what, which in few if which.any()])


def _named(names: Sequence[str], which: np.ndarray) -> str:
    return ", ".join(names[k] for k in which[:NAMED]) + ", …" * (len(which) > NAMED)
