"""Fully connected layers, a part of their units at a time.

A unit of a fully connected layer is a column of W, and needs nothing of the others:

    y[:, u] = x @ W[:, u] + b[u]        dW[:, u] = x.T @ dy[:, u]        db[u] = the sum of dy[:, u]

So the units can live in several places. Only dx takes all of them; it is a sum over the parts:

    dx = dy @ W.T = the sum over the parts u of dy[:, u] @ W[:, u].T
"""

import copy
from collections.abc import Sequence

import numpy as np

from tinyalex.devices.base import Array
from tinyalex.layers.activation import Activation
from tinyalex.layers.base import Layer
from tinyalex.layers.dense import Dropout, Linear

Rows = tuple[tuple[int, int], ...]  # of a batch: (the first, how many), …


def add_up(arrays: Sequence[Array]) -> Array:
    """Their sum, along a tree: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)) of eight. Branches can be
    added up elsewhere, and their sums stand in their place: the result has the same bits if the
    left half of the arrays is still the left half of the tree, and so on down."""
    if len(arrays) == 1:
        return arrays[0]
    left = (len(arrays) + 1) // 2
    return add_up(arrays[:left]) + add_up(arrays[left:])


class InPieces(Linear):
    """A Linear whose units are always computed in these pieces, so that a piece gives the same bits
    whichever others there are. BLAS adds in another order where a product has another shape, and
    where a matrix of one column has gaps; so each piece is copied out.

    The parameters and gradients are those of the layer that it is made from.
    """

    def __init__(self, layer: Linear, pieces: Sequence[slice]):
        vars(self).update(vars(layer))
        self.pieces = [(columns, copy.copy(layer)) for columns in pieces]
        for columns, piece in self.pieces:
            piece.W_shape = layer.W_shape[0], columns.stop - columns.start
            piece.grads = {}

    def forward(self, x, remember=False):
        y = self._output(x)
        for columns, piece in self.pieces:
            piece.params = {key: self._copy(value, columns) for key, value in self.params.items()}
            y[:, columns] = piece.forward(x, remember)
        self._keep(remember)
        return y

    def backward(self, dy):
        self._recall(dy)
        dxs = [piece.backward(self._copy(dy, columns)) for columns, piece in self.pieces]
        self.grads.clear()
        for key, value in self.params.items():
            self.grads[key] = self.device.empty(value.shape, value.dtype)
            for columns, piece in self.pieces:
                self.grads[key][..., columns] = piece.grads.pop(key)
        return add_up(dxs) if self.input_gradient else None

    def _copy(self, array, columns):
        view = array[..., columns]
        piece = self.device.empty(view.shape, view.dtype)
        piece[...] = view
        return piece


class DropoutPart(Dropout):
    """Some units of a dropout layer: these columns of the mask that the whole layer, of `units`
    units, would draw. `first`, a number there, is here the `Rows` of the batch."""

    def __init__(self, whole: Dropout, units: int, columns: slice):
        vars(self).update(vars(whole))
        self.units, self.columns = units, columns

    def mask(self, shape: tuple[int, ...], step: int, first: Rows = ()):  # type: ignore[override]
        masks = [super(DropoutPart, self).mask((count, self.units), step, start)
                 for start, count in first]
        return np.ascontiguousarray(np.concatenate(masks)[:, self.columns])


def part(layer: Layer, units: int, columns: slice) -> Layer:
    """Some units of this Linear, Activation or Dropout, which has `units` of them, as a layer of
    their own, with copies of their parameters; frozen, for instance, where the whole one is."""
    if isinstance(layer, Dropout):
        return DropoutPart(layer, units, columns)
    mine = copy.copy(layer)
    mine.params, mine.grads = {}, {}
    if isinstance(mine, Linear):
        for key, value in layer.params.items():
            mine.params[key] = layer.device.put(layer.device.get(value)[..., columns].copy())
        mine.W_shape = mine.params["W"].shape
    return mine


def can_be_parted(layer: Layer) -> bool:
    """Whether its units can do without each other."""
    return isinstance(layer, Linear | Activation | Dropout)
