"""Looking inside a network while it sees one picture: what each layer gives, what crosses between
towers, which pixels a unit sees, and which pixels matter for what the network says."""

import contextlib
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from tinyalex.layers import (
    AveragePool2D,
    Conv2D,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    SpatialResponseNorm,
)
from tinyalex.layers.base import Weighted
from tinyalex.metrics import log_probabilities
from tinyalex.network import Network


class Unit(NamedTuple):
    """One number that a layer of maps gives: in which map, at which place of it."""

    layer: Layer
    map: int
    row: int
    column: int


class Field(NamedTuple):
    """Rows top to bottom - 1 and columns left to right - 1 of the picture; zeros that a convolution
    adds around it have rows and columns below 0, or behind the last one."""

    top: int
    left: int
    bottom: int
    right: int


class Crossing(NamedTuple):
    """What a layer that reads all towers makes of each: `shares[t]` of what its sums are made of
    comes from tower t. numbers: how many each tower sends to another for one picture."""

    reader: Layer
    numbers: int
    shares: list[float]


def activities(network: Network, x: np.ndarray) -> dict[Layer, np.ndarray]:
    """What every layer gives for one picture x (1, H, W, C): arrays (OH, OW, F) or (F,), on the
    host, layer by layer as they stand in the towers, stage by stage."""
    given = {}

    def keep(layer, y):
        given[layer] = layer.device.get(y)[0].copy()

    network.forward(x, watch=keep)
    return {layer: given[layer] for layer in network.shapes}


def crossings(network: Network, given: dict[Layer, np.ndarray]) -> list[Crossing]:
    """For every layer that reads the maps of all towers how much it takes from each.

    A unit adds up weight times activity. The sum over the maps of one tower alone is that tower's
    part in it; shares compare the mean absolute values of these parts. With one tower nothing
    crosses.
    """
    found = []
    for before, stage in zip(network.stages, network.stages[1:], strict=False):
        parts = [given[tower[-1]] for tower in before]
        readers = [tower[0] for tower in stage]
        if network.towers == 1 or not all(isinstance(one, Weighted) for one in readers):
            continue
        for reader in readers:
            sizes = [np.abs(_sums(reader, parts, t)).mean() for t in range(len(parts))]
            total = sum(sizes) or 1
            found.append(Crossing(reader, parts[0].size, [float(s / total) for s in sizes]))
    return found


def _sums(reader: Weighted, parts: list[np.ndarray], tower: int) -> np.ndarray:
    """What the layer's units add up from the maps of this tower alone, without their biases."""
    alone = [part if t == tower else np.zeros_like(part) for t, part in enumerate(parts)]
    device = reader.device
    x = device.put(np.concatenate(alone, axis=-1)[None])
    return device.get(device.run(lambda: reader.forward(x) - reader.params["b"]).result())[0]


def receptive_field(network: Network, unit: Unit) -> Field:
    """The pixels that can change this unit.

    Rows r to q of a layer's output read the rows r·S - P to q·S - P + K - 1 of its input: so the
    way goes back, layer by layer, to the picture. Behind a Flatten every unit sees all of it.
    """
    _, layers = _path(network, unit.layer)
    rows, columns = (unit.row, unit.row), (unit.column, unit.column)
    for layer in reversed(layers):
        if isinstance(layer, Flatten | Linear):
            return Field(0, 0, *network.input_shape[:2])
        K, S, P = _window(layer)
        rows = rows[0] * S - P, rows[1] * S - P + K - 1
        columns = columns[0] * S - P, columns[1] * S - P + K - 1
    return Field(rows[0], columns[0], rows[1] + 1, columns[1] + 1)


def _path(network: Network, wanted: Layer) -> tuple[int, list[Layer]]:
    """The tower of a layer, and all layers from the picture to it."""
    for t in range(network.towers):
        layers = [layer for stage in network.stages for layer in stage[t]]
        if wanted in layers:
            return t, layers[: layers.index(wanted) + 1]
    raise ValueError(f"{wanted} is not in this network")


def tower_of(network: Network, layer: Layer) -> int:
    """The number of the tower that the layer stands in."""
    return _path(network, layer)[0]


def _window(layer: Layer) -> tuple[int, int, int]:
    """Kernel, stride and padding (at the top and the left) of what a layer reads."""
    if isinstance(layer, Conv2D):
        return layer.K[0], layer.S, layer.P[0]
    if isinstance(layer, MaxPool2D | AveragePool2D):
        return layer.K[0], layer.S, 0
    if isinstance(layer, SpatialResponseNorm):
        return layer.size, 1, layer.size // 2
    return 1, 1, 0


def strongest(layer: Layer, y: np.ndarray, map: int | None = None) -> Unit:
    """The unit of maps y (H, W, F) with the largest activity: of all maps, or of one."""
    some = y if map is None else y[..., map : map + 1]
    row, column, f = (int(i) for i in np.unravel_index(some.argmax(), some.shape))
    return Unit(layer, f if map is None else map, row, column)


def pixel_gradient(network: Network, x: np.ndarray, label: int) -> np.ndarray:
    """How the score of a class changes with each pixel: dscore/dx, of the shape (H, W, C), for one
    picture x (1, H, W, C) (Simonyan et al., 2014).

    Of the score, not of the probability: where that is close to 1 it does not change any more.
    """
    with _gradient_of_the_picture(network):
        scores = network.forward(x, remember=True)
        wanted = np.zeros(scores.shape, scores.dtype)
        wanted[0, label] = 1
        dscores = network.devices[0].put(wanted)
        handed_back = network.backward(dscores)
    return sum(device.get(dx)[0] for device, dx in
               zip(network.devices, handed_back, strict=True))


@contextlib.contextmanager
def _gradient_of_the_picture(network: Network) -> Iterator[None]:
    """Have the first layers hand back the gradient that nobody wants in training."""
    first = [tower[0] for tower in network.stages[0] if hasattr(tower[0], "input_gradient")]
    before = [layer.input_gradient for layer in first]
    for layer in first:
        layer.input_gradient = True
    try:
        yield
    finally:
        for layer, wanted in zip(first, before, strict=True):
            layer.input_gradient = wanted


def occlusion(network: Network, x: np.ndarray, label: int, patch: int, stride: int,
              batch_size: int = 64, progress: Callable[[int], None] = lambda pictures: None
              ) -> np.ndarray:
    """How probable a class stays when a part of the picture is covered (Zeiler and Fergus, 2014).

    A square of patch×patch pixels moves over the picture x (1, H, W, C) in steps of `stride`, its
    centre over all of it; under it x is 0, the mean picture. Returns (H, W) float64: for each pixel
    the probability of the class `label`, on average over the squares that cover it.

    stride is at most half of patch, or pixels would be left out. progress: called after each batch
    with the number of its pictures.
    """
    if not 1 <= stride <= (patch + 1) // 2:
        raise ValueError(f"squares of {patch} pixels in steps of {stride} leave pixels out")
    H, W = x.shape[1:3]
    places = [(slice(max(0, top), top + patch), slice(max(0, left), left + patch))
              for top, left in product(_starts(H, patch, stride), _starts(W, patch, stride))]
    total, times = np.zeros((H, W)), np.zeros((H, W))
    for start in range(0, len(places), batch_size):
        some = places[start : start + batch_size]
        covered = np.repeat(x, len(some), axis=0)
        for one, place in zip(covered, some, strict=True):
            one[place] = 0
        p = np.exp(log_probabilities(network, covered)[:, label])
        for place, probability in zip(some, p, strict=True):
            total[place] += probability
            times[place] += 1
        progress(len(some))
    return total / times


def _starts(length: int, patch: int, stride: int) -> range:
    """Where squares begin, so that every pixel is covered, those at the edge by half a square."""
    return range(-(patch // 2), length - patch // 2, stride)


def occlusion_count(side: int, patch: int, stride: int) -> int:
    """How many pictures `occlusion` shows to the network."""
    return len(_starts(side, patch, stride)) ** 2
