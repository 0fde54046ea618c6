"""Which pictures of a dataset excite a unit most, and what in them it is (Zeiler and Fergus, 2014).

Their figure 2 shows, for maps of each layer, the nine pictures in which the map is strongest, cut
down to what the strongest unit sees, and beside them what a deconvnet makes of that unit alone: the
same pixels, by how much they count.
"""

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tinyalex.freezing import up_to
from tinyalex.inside.backwards import back_to_pixels
from tinyalex.inside.fields import Unit
from tinyalex.inside.units import one_hot
from tinyalex.layers import Layer
from tinyalex.network import Network


class Excited(NamedTuple):
    """In which picture, and at which place of its map, a unit gave how much."""

    value: float
    picture: int
    row: int = 0
    column: int = 0


def most_exciting(network: Network, units: Sequence[Unit], batches: Iterable[np.ndarray],
                  count: int = 9, broken: Container[int] = ()) -> dict[Unit, list[Excited]]:
    """For the map of each unit the pictures in which it is strongest, the strongest first: each
    picture once, with its strongest place; of equal ones the first.

    batches: the pictures, (n, H, W, C) at a time, which are read once; no more is kept of them than
    `count` numbers for each unit. broken: pictures that do not count; their numbers are asked for
    after the batch that they are in.
    """
    maps: dict[Layer, list[int]] = {}
    for unit in units:
        maps.setdefault(unit.layer, []).append(unit.map)
    part = up_to(network, *maps)
    best: dict[Unit, list[Excited]] = {unit: [] for unit in units}
    outputs = {}

    def keep(layer, y):
        if layer in maps:
            outputs[layer] = layer.device.get(y[..., maps[layer]])

    start = 0
    for x in batches:
        part.forward(x, watch=keep)
        for unit, ranking in best.items():
            y = outputs[unit.layer][..., maps[unit.layer].index(unit.map)]
            ranking += [excited for excited in _strongest(y, start)
                        if excited.picture not in broken]
            best[unit] = sorted(ranking, key=lambda excited: -excited.value)[:count]
        start += len(x)
    return best


def _strongest(y: np.ndarray, start: int) -> list[Excited]:
    """The strongest place of a map of each picture, y (N, OH, OW) or (N,), numbered from `start`.
    """
    flat = y.reshape(len(y), -1)
    places = np.transpose(np.unravel_index(flat.argmax(axis=1), y.shape[1:] or (1,)))
    return [Excited(float(value), start + n, *place) for n, (value, place) in
            enumerate(zip(flat.max(axis=1), places.tolist(), strict=True))]


def reconstructions(network: Network, unit: Unit, excited: Sequence[Excited], x: np.ndarray,
                    rule: str = "deconvnet") -> np.ndarray:
    """What, in each of the pictures x (N, H, W, C), excites the unit at the place where it was
    strongest: (N, H, W, C), by one of the RULES of backwards.py."""
    there = [unit._replace(row=place.row, column=place.column) for place in excited]
    return back_to_pixels(up_to(network, unit.layer), x, one_hot(network, there, x.dtype), rule)
