"""What a network gets wrong: by class, by pairs of classes, and its worst guesses as pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyalex import drawing
from tinyalex.data.dataset import Dataset
from tinyalex.metrics import Result
from tinyalex.support.text import shown

ALL = 30  # classes, at most, that are listed in full
PAIRS = 5
PICTURES = 10


def by_class(confusion: np.ndarray, classes: Sequence[str], worst: int) -> list[str]:
    """Lines that say for each class how often it was right and what it was mostly taken for; of
    more than ALL only the `worst`. Classes without pictures are left out, and counted. Last come
    the pairs of classes that are confused most.

    confusion: (K, K) counts, [true class, first guess].
    """
    classes, counts = [*map(shown, classes)], confusion.sum(axis=1)
    seen = np.flatnonzero(counts)
    right = np.diag(confusion) / np.maximum(counts, 1)
    listed = seen if len(seen) <= ALL else seen[np.argsort(right[seen], kind="stable")][:worst]
    width = max(len("class"), *map(len, classes))
    lines = [f"{'class':<{width}} {'pictures':>8} {'right':>7}   mostly taken for"]
    wrong = confusion - np.diag(np.diag(confusion))
    for label in listed:
        taken = wrong[label].argmax()
        most = f"{classes[taken]} ({wrong[label, taken]})" if wrong[label, taken] else "–"
        lines.append(f"{classes[label]:<{width}} {counts[label]:>8} {right[label]:>7.1%}   {most}")
    if len(listed) < len(seen):
        lines.append(f"(the {worst} worst of {len(seen)} classes)")
    if none := len(classes) - len(seen):
        lines.append(f"({none} {'class has' if none == 1 else 'classes have'} no pictures)")
    if wrong.any():
        pairs = zip(*np.unravel_index(np.argsort(-wrong, axis=None, kind="stable")[:PAIRS],
                                      wrong.shape), strict=True)
        lines.append("most confused: " + ", ".join(
            f"{classes[true]} for {classes[said]} ({wrong[true, said]})"
            for true, said in pairs if wrong[true, said]))
    return lines


def draw_worst(result: Result, dataset: Dataset, path: Path) -> None:
    """Write a sheet of the mistakes that the network was surest of, the surest first.
    result: of the dataset, picture by picture, with a mistake at least."""
    wrong = np.flatnonzero(result.guesses != dataset.labels)
    worst = wrong[np.argsort(-result.sure[wrong], kind="stable")][:PICTURES]
    names = [*map(shown, dataset.classes)]
    captions = [f"{names[dataset.labels[i]]}\nsays {names[result.guesses[i]]}\n"
                f"{result.sure[i]:.1%} sure" for i in worst]
    drawing.samples(np.stack([dataset.images[int(i)] for i in worst]), captions, path, columns=5)
