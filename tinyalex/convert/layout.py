"""A layer as others store it: not in towers but whole, and with channels before rows and columns.

Here every tower has its part of a layer; there it is one, and the filters of tower a come before
those of tower b. A convolution that reads only its own tower's maps has groups there.

    convolution       here (KH, KW, C, F/T) in each of T towers    there (F, C, KH, KW)
    full connection   here (inputs, outputs/T)                     there (outputs, inputs)

The first full connection reads maps in a row, here (tower, H, W, C) and there (C, H, W), with C
over all towers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np

from tinyalex.layers import Dropout, Flatten, LocallyConnected2D
from tinyalex.layers.base import Weighted
from tinyalex.network import Network
from tinyalex.support.arrays import Damaged, Stored
from tinyalex.support.errors import UserError


@dataclass(frozen=True)
class Whole:
    """One layer of all towers.

    name: without the letter of a tower. parts: the layer in each tower. maps: (H, W, C) of each
    tower's maps, where the layer reads them in a row. factor: what its weights have to be
    multiplied by to be right there: the share of units that the dropout before it keeps (others
    divide by it in training, we multiply by it at test time, section 4.2), or the scale that the
    pictures have here.
    """

    name: str
    parts: list[Weighted]
    maps: list[tuple[int, int, int]] | None
    factor: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weights, there: (F, C, KH, KW) or (outputs, inputs)."""
        *window, inputs, _ = self.parts[0].W_shape
        return sum(part.W_shape[-1] for part in self.parts), inputs, *window

    def join(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and biases as they are there."""
        W = np.moveaxis(np.concatenate(self._get("W"), axis=-1), (-1, -2), (0, 1))
        if self.maps:
            (H, K, _), ends = self.maps[0], np.cumsum([prod(shape) for shape in self.maps])
            rows = [part.reshape(len(W), H, K, -1).transpose(0, 3, 1, 2)
                    for part in np.split(W, ends[:-1], axis=1)]
            W = np.concatenate(rows, axis=1).reshape(len(W), -1)
        return (np.ascontiguousarray(W) * np.float32(self.factor), np.concatenate(self._get("b")))

    def split(self, W: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
        """Our parameters, by name, of weights and biases as they are there."""
        if self.maps:
            (H, K, _), ends = self.maps[0], np.cumsum([channels for *_, channels in self.maps])
            maps = [part.transpose(0, 2, 3, 1).reshape(len(W), -1)
                    for part in np.split(W.reshape(len(W), -1, H, K), ends[:-1], axis=1)]
            W = np.concatenate(maps, axis=1)
        W = np.moveaxis(W, (0, 1), (-1, -2)) / np.float32(self.factor)
        ends, values = np.cumsum([0] + [part.W_shape[-1] for part in self.parts]), {}
        for part, (first, last) in zip(self.parts, pairwise(ends), strict=True):
            values[f"{part.name}.W"] = np.ascontiguousarray(W[..., first:last])
            values[f"{part.name}.b"] = b[first:last]
        return values

    def _get(self, key: str) -> list[np.ndarray]:
        return [part.device.get(part.params[key]) for part in self.parts]


def wholes(network: Network, scale: float) -> Iterator[Whole]:
    """The layers with weights, in order. scale: of the pictures that the network reads, against
    those that others give it. UserError where one is a kind that only we have."""
    maps, factor = None, scale
    for stage in network.stages:
        for layers in zip(*stage, strict=True):
            match layers[0]:
                case Flatten():
                    maps = [network.shapes[layer][0] for layer in layers]
                case Dropout(keep=keep):
                    factor *= keep
                case LocallyConnected2D(name=name):
                    raise UserError(f"{name}: other formats have no local layers",
                                    "convert a network without local layers.")
                case Weighted(name=name):
                    yield Whole(name.removesuffix(network.letter(0)), list(layers), maps, factor)
                    maps, factor = None, 1.0


def read_array(path: Path, name: str, stored: Stored, shape: tuple[int, ...]) -> np.ndarray:
    """The array, as float32, if it has this shape; leading sizes of 1, which old Caffe files have,
    do not count. UserError where it has another, is damaged, or of another type than a float."""
    sizes = stored.shape
    while len(sizes) > len(shape) and sizes[0] == 1:
        sizes = sizes[1:]
    if sizes != shape:
        raise UserError(f"{path}: {name} have shape {stored.shape}; {shape} was expected",
                        "it is a different network, or has been changed; see docs/weights.md.")
    try:
        array = stored.read()
    except Damaged as error:
        raise UserError(f"{path}: {name} cannot be read ({error})",
                        "download it again.") from None
    if array.dtype.kind != "f":
        raise UserError(f"{path}: {name} are of the type {array.dtype}, not floating-point numbers",
                        "for a quantised network, use the file from before quantisation.")
    return array.astype(np.float32, copy=False).reshape(shape)
