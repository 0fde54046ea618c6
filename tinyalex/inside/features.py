"""What the last hidden layer makes of pictures, and which pictures are near each other there.

Section 6.1 of the paper: two pictures are alike to the network where the vectors of 4096 activities
of its last hidden layer are a small Euclidean distance apart, however little their pixels agree.

A file of features is an .npz that np.load reads: "features" (N, D) float32, "names" (N,) and "true"
(N,), the pictures and their classes, "network" and "pictures", from what they were made.
"""

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyalex.data.gallery import Gallery
from tinyalex.layers.base import Layer, Weighted
from tinyalex.network import Network
from tinyalex.run.opened import OpenedNetwork
from tinyalex.support import arrays
from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder, replacing

CHUNK = 1024  # pictures whose distances are computed at a time


@dataclass(frozen=True)
class Features:
    """values: (N, D) float32. names, true: N texts. network, pictures: digests, see `fingerprint`
    and `Gallery`."""

    values: np.ndarray
    names: list[str]
    true: list[str]
    network: str
    pictures: str

    def save(self, path: Path):
        """Write the file, in one move."""
        with replacing(path, suffix=".npz") as part:
            np.savez(part, features=self.values, names=np.array(self.names, np.str_),
                     true=np.array(self.true, np.str_), network=np.array(self.network),
                     pictures=np.array(self.pictures))


def load(path: Path) -> Features:
    """Read a file of features. UserError where it is something else, or damaged."""
    try:
        file = {name: stored.read() for name, stored in arrays.npz(path).items()}
        values, names, true = file["features"], file["names"].tolist(), file["true"].tolist()
        if values.ndim != 2 or not len(values) == len(names) == len(true):
            raise ValueError(f"{values.shape} numbers for {len(names)} names")
        return Features(values, names, true, str(file["network"]), str(file["pictures"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a file of features, or a damaged one ({error})",
                        "name one that similar --save wrote, or a folder.") from None


def last_hidden(network: Network) -> list[Layer]:
    """Of each tower the layer whose output the last layer with weights reads."""
    found = []
    for t in range(network.towers):
        layers = [layer for stage in network.stages for layer in stage[t]]
        last = max(i for i, layer in enumerate(layers) if isinstance(layer, Weighted))
        found.append(layers[last - 1])
    return found


def extract(net: OpenedNetwork, shown: Gallery, batch_size: int | None = None) -> np.ndarray:
    """(N, D) float32: the activities of the last hidden layer, of all towers, for each picture's
    centre patch."""
    wanted, rows = last_hidden(net.network), []
    for x in net.batches(shown, "features", batch_size):
        given = {}

        def keep(layer, y, given=given):
            if layer in wanted:
                given[layer] = layer.device.get(y).reshape(len(y), -1).copy()

        net.network.forward(x, watch=keep)
        rows.append(np.concatenate([given[layer] for layer in wanted], axis=1))
    return np.concatenate(rows)


def cached(net: OpenedNetwork, shown: Gallery, batch_size: int | None = None) -> Features:
    """The features of these pictures; kept in the cache folder, so that they are extracted once.

    Another network, other weights, a picture that came, went or was written anew: all make another
    file.
    """
    network, pictures = fingerprint(net), shown.digest()
    path = cache_folder() / "features" / f"{network}-{pictures}.npz"
    with contextlib.suppress(UserError):  # a damaged one is made anew
        return load(path)
    found = Features(extract(net, shown, batch_size), shown.names,
                     [one.true for one in shown.pictures], network, pictures)
    path.parent.mkdir(exist_ok=True)
    found.save(path)
    return found


def fingerprint(net: OpenedNetwork) -> str:
    """Another text as soon as a weight, the mean picture or the network is another."""
    sha = hashlib.sha256(f"{net.recipe}".encode() + net.mean.tobytes())
    for name, value in sorted(net.network.state().items()):
        sha.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return sha.hexdigest()[:16]


def nearest(queries: np.ndarray, among: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest of `among` (N, D) for each of `queries` (Q, D), the nearest first; of
    equal ones the first.

    Returns their indices and their Euclidean distances, both (Q, count).
    """
    distances = np.empty((len(queries), len(among)))
    for row, query in zip(distances, queries.astype(np.float64), strict=True):
        for start in range(0, len(among), CHUNK):
            some = slice(start, start + CHUNK)
            row[some] = np.sqrt(((among[some] - query) ** 2).sum(axis=1))
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(distances, order, axis=1)


def neighbours(name: str, vector: np.ndarray, among: Features,
               count: int) -> list[tuple[int, float]]:
    """The `count` pictures nearest to the one called `name` with the features `vector` (D,), itself
    left out: pairs of their number and their distance."""
    order, distances = nearest(vector[None], among.values, count + 1)
    return [(int(i), float(d)) for i, d in zip(order[0], distances[0], strict=True)
            if among.names[i] != name][:count]
