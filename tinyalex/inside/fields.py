"""Receptive fields: which pixels a unit sees."""

from typing import NamedTuple

import numpy as np

from tinyalex.inside.activities import tower_layers
from tinyalex.layers import Layer
from tinyalex.network import Network


class Unit(NamedTuple):
    """One number that a layer of maps gives: in which map, at which place of it."""

    layer: Layer
    map: int
    row: int
    column: int


class Field(NamedTuple):
    """Rows top to bottom - 1 and columns left to right - 1 of the picture; zeros that a convolution
    adds around it have rows and columns below 0, or after the last one."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


class Lattice(NamedTuple):
    """Where the fields of a layer's units lie: the unit at row r sees `size` rows of the picture
    from first + r·step on, and columns likewise."""

    first: int
    step: int
    size: int


def receptive_field(network: Network, unit: Unit) -> Field:
    """The pixels that can change this unit.

    Rows r to q of a layer's output read the rows r·S - P to q·S - P + K - 1 of its input: so the
    way goes back, layer by layer, to the picture. After a Flatten every unit sees all of it.
    """
    rows, columns = (unit.row, unit.row), (unit.column, unit.column)
    for layer in reversed(_way_to(network, unit.layer)):
        window = layer.window()
        if window is None:
            return Field(0, 0, *network.input_shape[:2])
        K, S, P = window
        rows = rows[0] * S - P, rows[1] * S - P + K - 1
        columns = columns[0] * S - P, columns[1] * S - P + K - 1
    return Field(rows[0], columns[0], rows[1] + 1, columns[1] + 1)


def lattice(network: Network, layer: Layer) -> Lattice:
    """Of a layer of maps; where every unit sees all of the picture, step is 0."""
    zeroth, following = (receptive_field(network, Unit(layer, 0, i, i)) for i in (0, 1))
    return Lattice(zeroth.top, following.top - zeroth.top, zeroth.height)


def _way_to(network: Network, layer: Layer) -> list[Layer]:
    """All layers of its tower, from the picture to this one."""
    for t in range(network.towers):
        layers = tower_layers(network, t)
        if layer in layers:
            return layers[: layers.index(layer) + 1]
    raise ValueError(f"{layer} is not in this network")


def strongest(layer: Layer, y: np.ndarray, map: int | None = None) -> Unit:
    """The unit of maps y (H, W, F) with the largest activity: of all maps, or of one."""
    maps = y if map is None else y[..., map : map + 1]
    row, column, f = (int(i) for i in np.unravel_index(maps.argmax(), maps.shape))
    return Unit(layer, f if map is None else map, row, column)


def peaks(y: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The rows and columns of one map y (H, W) where it is above 0 and no neighbour, of eight, is
    larger: the strongest first, at most `count`. The strongest place at any rate, first of all.

    Units side by side see nearly the same, so that the strongest ones alone would show one place
    over and over again.
    """
    framed = np.pad(y, 1, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(framed, (3, 3)).max(axis=(2, 3))
    value = np.where((y > 0) & (y == around), y, -np.inf).ravel()
    value[y.argmax()] = np.inf
    best = np.argsort(-value, kind="stable")[: min(count, np.count_nonzero(value > 0))]
    return [divmod(i, y.shape[1]) for i in best.tolist()]


def shown_field(network: Network, unit: Unit) -> Field:
    """What to show of what a unit sees: its receptive field, but the picture alone where the field
    is as large."""
    field, (H, W) = receptive_field(network, unit), network.input_shape[:2]
    return field if field.height < H and field.width < W else Field(0, 0, H, W)


def cut(picture: np.ndarray, field: Field, outside: float) -> np.ndarray:
    """The pixels of a field of a picture (H, W, C); what hangs over its edge is `outside`."""
    H, W = picture.shape[:2]
    part = np.full((field.height, field.width, picture.shape[2]), outside, picture.dtype)
    top, left, bottom, right = (max(0, field.top), max(0, field.left), min(H, field.bottom),
                                min(W, field.right))
    part[top - field.top : bottom - field.top, left - field.left : right - field.left] = \
        picture[top:bottom, left:right]
    return part
