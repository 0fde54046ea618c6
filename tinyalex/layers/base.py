"""What all layers have in common."""

import operator
from collections.abc import Callable
from math import prod

import numpy as np

from tinyalex.devices import HOST, Device
from tinyalex.devices.base import Array
from tinyalex.kernels import output_size
from tinyalex.support.errors import UserError

Spread = float | Callable[["Weighted"], float]  # a number, or a function that gives it for a layer


class Layer:
    """A function of arrays that knows its own derivative.

    name: what messages and parameters call it. params, grads: arrays by name ("W", "b").
    keeps: which of "x" and "y" stay in memory between a forward that remembers and its backward.
    inplace: y takes the memory of x. input_gradient: backward returns dx, else None.
    frozen: its parameters stay as they are. still: training changes nothing in it or below it, so
    it always gives the same for the same picture, and backward stops above it: see freezing.py.
    """

    keeps = ""
    inplace = False
    input_gradient = True
    frozen = False
    still = False

    def __init__(self, name: str = ""):
        self.name = name or type(self).__name__.lower()
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.device: Device = HOST
        self.kept: tuple | None = None
        self.y_shape: tuple[int, ...] = ()  # of the last forward

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def forward(self, x: Array, remember: bool = False) -> Array:
        raise NotImplementedError

    def backward(self, dy: Array) -> Array | None:
        raise NotImplementedError

    def settle(self, device: Device, tower: int, seed: int):
        """Take a place in a network: on this device, in this tower (0, 1, …). seed: for whatever
        the layer draws."""
        self.device = device

    def initialise(self, rng: np.random.Generator, dtype=np.float32) -> "Layer":
        """Draw the parameters, if there are any."""
        return self

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one picture's output, given that of its input. UserError if it won't fit."""
        return shape

    def fit_to(self, shape: tuple[int, ...]):
        """Fit the layer to pictures of this shape, before it has weights. Most layers fit any."""

    def window(self) -> tuple[int, int, int] | None:
        """What an output reads along one side of its input: the size of the kernel, its stride, the
        padding in front. None where every output may read all of the input."""
        return 1, 1, 0

    def multiply_adds(self, shape: tuple[int, ...]) -> int:
        """How many multiplications by a weight one picture of this shape costs in forward."""
        return 0

    def extra_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Memory that a picture takes between forward and backward, besides x and y."""
        return 0

    def _shape(self, x: Array) -> tuple[int, ...]:
        """The shape of y, noted for backward. UserError unless the layer can read x: floats, of one
        picture or more, in a shape that fits."""
        expect_floats(self, "x", x)
        self.y_shape = len(x), *self.output_shape(x.shape[1:])
        return self.y_shape

    def _output(self, x: Array) -> Array:
        """Memory for y: new, or that of x if the layer works in place. UserError as in `_shape`."""
        shape = self._shape(x)
        return x if self.inplace else self.device.empty(shape, x.dtype)

    def _keep(self, remember: bool, *values):
        """Put these by for backward, if it is to come."""
        self.kept = values if remember else None

    def _recall(self, dy: Array | None = None) -> tuple:
        """What forward kept, which is handed out only once. UserError unless dy, if there is one,
        has the shape of y and is of floats."""
        if self.kept is None:
            raise RuntimeError(
                f"{self.name}: backward without a forward(x, remember=True) before it. "
                "HINT: each backward uses up what its forward kept.")
        if dy is not None:
            expect_floats(self, "dy", dy)
            if dy.shape != self.y_shape:
                raise UserError(f"{self.name}: dy has the shape {dy.shape}, and y had "
                                f"{self.y_shape}", "dy is the gradient of y: a number for each.")
        kept, self.kept = self.kept, None
        return kept

    def _over(self, x, body: Callable[[slice], object]):
        """Call body(pictures) for all pictures of x, a few at a time, so that what is read and
        written stays in the processor's cache. See `Device.over`."""
        self.device.over(len(x), body, x[:1].nbytes)


class Weighted(Layer):
    """A layer with weights W ~ N(0, std²) and biases b, all equal to `bias` at the start.

    shape: of W. Its last axis runs over the units, the axes before over what each of them reads
    (and the first ones, in `LocallyConnected2D`, over places that have weights of their own).
    std: a number, or a function that gives it for the layer, asked when the weights are drawn.
    rng: a generator, or a seed, to draw the weights at once; without it the layer waits for
    `initialise`, as the layers of a network do.
    """

    keeps = "x"

    def __init__(self, shape: tuple[int, ...], std: Spread, bias: float, name: str, rng=None):
        super().__init__(name)
        self.W_shape, self.std, self.bias = shape, std, bias
        if rng is not None:
            self.initialise(np.random.default_rng(rng))

    def initialise(self, rng: np.random.Generator, dtype=np.float32) -> "Weighted":
        std = self.std(self) if callable(self.std) else self.std
        W = rng.standard_normal(self.W_shape, np.float32) * np.float32(std)
        self.params["W"] = self.device.put(W.astype(dtype, copy=False))
        self.params["b"] = self.device.put(np.full(self.b_shape, self.bias, dtype))
        self.grads.clear()
        return self

    @property
    def b_shape(self) -> tuple[int, ...]:
        return self.W_shape[-1:]

    @property
    def inputs(self) -> int:
        """How many numbers each unit reads: KH·KW·C in a convolution, the inputs in a `Linear`."""
        return prod(self.W_shape[-4:-1])

    def _reshape(self, W_shape: tuple[int, ...]):
        """Give W another shape. RuntimeError where W has been drawn already."""
        if self.params:
            raise RuntimeError(
                f"{self.name} has its weights already. HINT: call fit_to before initialise.")
        self.W_shape = W_shape

    def _weights(self):
        if not self.params:
            raise RuntimeError(
                f"{self.name} has no weights yet. HINT: build it with rng=0, or call initialise.")
        return self.params["W"], self.params["b"]

    def _sum_rows(self, dy):
        """db: the sum of dy (R, F) over its rows."""
        db = self.device.empty(dy.shape[1:], dy.dtype)
        self.device.kernels.sum_rows(dy, db)
        return db


def expect_floats(layer: Layer, name: str, array: Array):
    """UserError unless this is an array of floats, of one picture or more."""
    dtype = getattr(array, "dtype", np.dtype(object))
    if dtype.kind != "f":
        raise UserError(f"{layer.name}: {name} has to be an array of floats, but is a "
                        f"{type(array).__name__} of {dtype}",
                        f"convert it: np.asarray({name}, np.float32).")
    if array.ndim == 0 or len(array) == 0:
        raise UserError(f"{layer.name}: {name} has the shape {array.shape}: there is no picture "
                        "in it", "a batch has one picture or more.")


def whole(layer: str, least: int = 1, **sizes) -> list[int]:
    """The sizes that a layer of this name is built with, as ints: whole(name, kernel=kernel).
    UserError for what is not a whole number, or less than `least`."""
    numbers = []
    for size, value in sizes.items():
        try:
            numbers.append(operator.index(value))
        except TypeError:
            numbers.append(least - 1)
        if numbers[-1] < least:
            raise UserError(f"{layer}: {size}={value!r} is not a whole number of at least {least}",
                            "give a whole number; dividing with // gives one.")
    return numbers


def expect_maps(layer: Layer, shape: tuple[int, ...], channels: int | None = None):
    """UserError unless one picture's shape is (H, W, C), with C = channels if given."""
    if len(shape) != 3 or channels not in (None, shape[2]):
        wanted = f"(height, width, {channels or 'channels'})"
        raise UserError(
            f"{layer.name} reads maps of shape {wanted} but was given {tuple(shape)}",
            "arrays are (N, H, W, C): channels come last.")


def count_windows(layer: Layer, shape: tuple[int, ...], K: tuple[int, int], S: int,
                  P: tuple[int, int] = (0, 0), ceil: bool = False) -> tuple[int, int]:
    """OH and OW: how many windows of K pixels, S apart, there are in maps of this shape (H, W, C).
    UserError where there is none."""
    OH, OW = (output_size(size, k, S, P, ceil) for size, k in zip(shape[:2], K, strict=True))
    if OH < 1 or OW < 1:
        raise UserError(
            f"{layer.name}: a window of {K[0]}×{K[1]} does not fit into maps of "
            f"{shape[0]}×{shape[1]}",
            "use larger pictures, a smaller kernel, or padding.")
    return OH, OW
