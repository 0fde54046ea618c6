"""What the last hidden layer makes of pictures, and which pictures are near each other there.

Section 6.1 of the paper: two pictures are alike to the network where the vectors of 4096 activities
of its last hidden layer are a small Euclidean distance apart, however little their pixels agree.

A file of features is an .npz that np.load reads: "features" (N, D) float32, "names" (N,) and "true"
(N,), the pictures and their classes, "network" and "pictures", from what they were made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyalex.inside.activities import last_hidden, outputs
from tinyalex.network import Network
from tinyalex.support import arrays
from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError

CHUNK = 1024  # pictures whose distances are computed at a time


@dataclass(frozen=True)
class Features:
    """values: (N, D) float32. names, true: N texts. network, pictures: digests, which change as
    soon as a weight, or a picture, changes."""

    values: np.ndarray
    names: list[str]
    true: list[str]
    network: str
    pictures: str

    def save(self, path: Path) -> None:
        """Write the file, in one move."""
        arrays.save_npz(path, features=self.values, names=np.array(self.names, np.str_),
                        true=np.array(self.true, np.str_), network=np.array(self.network),
                        pictures=np.array(self.pictures))


def load(path: Path) -> Features:
    """Read a file of features. UserError where it is missing, something else, or damaged."""
    hint = "name one that similar --save wrote, or a folder."
    try:
        file = arrays.npz(path)
        values = arrays.take(file, "features", "f", (None, None))
        names, true = (arrays.take(file, name, "U", (len(values),)).tolist()
                       for name in ("names", "true"))
        network, pictures = (str(arrays.take(file, name, "U", ()))
                             for name in ("network", "pictures"))
    except Damaged as error:
        raise UserError(f"{path}: not a file of features, or a damaged one ({error})",
                        hint) from None
    arrays.expect_finite(path, {"features": values})
    return Features(values, names, true, network, pictures)


def width(network: Network) -> int:
    """How many activities the last hidden layer has, of all towers."""
    return sum(network.shapes[layer][1][-1] for layer in last_hidden(network))


def extract(network: Network, batches: Iterable[np.ndarray]) -> np.ndarray:
    """(N, D) float32: the activities of the last hidden layer, of all towers, for each picture of
    these batches, (n, H, W, C) each."""
    layers, rows = last_hidden(network), []
    for x in batches:
        rows.append(np.concatenate([y.reshape(len(x), -1) for y in
                                    outputs(network, x, layers).values()], axis=1))
    return np.concatenate(rows)


def nearest(queries: np.ndarray, among: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest of `among` (N, D) for each of `queries` (Q, D), the nearest first; of
    equal ones the first.

    Returns their indices and their Euclidean distances, both (Q, count).
    """
    distances = np.empty((len(queries), len(among)))
    for row, query in zip(distances, queries.astype(np.float64), strict=True):
        for start in range(0, len(among), CHUNK):
            chunk = slice(start, start + CHUNK)
            row[chunk] = np.sqrt(((among[chunk] - query) ** 2).sum(axis=1))
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(distances, order, axis=1)


def neighbours(name: str, vector: np.ndarray, among: Features,
               count: int) -> list[tuple[int, float]]:
    """The `count` pictures nearest to the one called `name` with the features `vector` (D,), itself
    left out: pairs of their number and their distance."""
    order, distances = nearest(vector[None], among.values, count + 1)
    return [(int(i), float(d)) for i, d in zip(order[0], distances[0], strict=True)
            if among.names[i] != name][:count]
