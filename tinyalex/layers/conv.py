"""Convolution, by im2col."""

from math import prod

import numpy as np

from tinyalex.layers.base import Spread, Weighted, count_windows, expect_maps, whole
from tinyalex.support.errors import UserError


class Windows(Weighted):
    """A layer with weights whose outputs each read a window of KH×KW pixels, all C channels.

    channels, filters: C and F. kernel: KH = KW. stride: S. pad: zeros around the picture, P on
    every side, or (before, after): so many at the top and the left, at the bottom and the right.
    """

    def __init__(self, channels: int, filters: int, kernel: int, stride: int,
                 pad: int | tuple[int, int], std: Spread, bias: float, name: str, rng):
        channels, filters, kernel, stride = whole(
            name, channels=channels, filters=filters, kernel=kernel, stride=stride)
        super().__init__((kernel, kernel, channels, filters), std, bias, name, rng)
        self.K, self.S, self.P = (kernel, kernel), stride, _both_sides(name, pad)

    def output_shape(self, shape):
        expect_maps(self, shape, channels=self.W_shape[-2])
        return *self._places(shape), self.W_shape[-1]

    def _places(self, shape):
        """OH and OW."""
        return count_windows(self, shape, self.K, self.S, self.P)

    def window(self):
        return self.K[0], self.S, self.P[0]

    def multiply_adds(self, shape):
        return prod(self.output_shape(shape)) * self.inputs

    def _columns(self, x, OH, OW):
        """The matrix (N·OH·OW, KH·KW·C): for each place, in a row, the pixels of its window."""
        cols = self.device.empty((len(x), OH, OW, *self.K, x.shape[3]), x.dtype)
        self.device.kernels.im2col(x, self.K, self.S, self.P, cols)
        return cols.reshape(len(x) * OH * OW, -1)

    def _column_bytes(self, OH, OW, dtype) -> int:
        return OH * OW * self.inputs * dtype.itemsize


class Conv2D(Windows):
    """Convolution (paper, section 3.5), as one matrix product (im2col).

    A kernel at one place sees KH·KW·C pixels. im2col copies them into a row of a matrix, cols, that
    has a row for each place of each picture (libraries that store them as columns gave it its
    name). With W as a matrix too, a column for each of the F kernels,

        y = cols @ W + b

    Backward. y[p, f] is b[f] plus the sum over k of cols[p, k] W[k, f]. So W[k, f] receives
    dy[p, f] cols[p, k] from every place p, and cols[p, k] receives dy[p, f] W[k, f] from every f:

        dW = cols.T @ dy        db = the sum of dy over all places and pictures
        dcols = dy @ W.T        dx = col2im(dcols): every pixel adds up what its copies received

    x, dx: (N, H, W, C). y, dy: (N, OH, OW, F). W: (KH, KW, C, F). b: (F,). Kept: x. cols would be
    KH·KW/S² times as large as x, so it is made for a few pictures at a time, which keeps it in the
    processor's cache, and made again in backward.

    channels, filters, kernel, stride, pad: see `Windows`. std: of W, or a function that gives it
    for the layer, such as lambda layer: 1 / layer.inputs.
    input_gradient=False: backward returns None, for a first layer, since nobody reads the gradient
    of the picture.
    """

    def __init__(self, channels: int, filters: int, kernel: int, stride: int = 1,
                 pad: int | tuple[int, int] = 0, *, std: Spread = 0.01, bias: float = 0.0,
                 input_gradient: bool = True, name: str = "conv", rng=None):
        super().__init__(channels, filters, kernel, stride, pad, std, bias, name, rng)
        self.input_gradient = input_gradient

    def fit_to(self, shape):
        """Fit the kernels to maps of this shape (H, W, C), before the layer has weights."""
        expect_maps(self, shape)
        self._reshape((*self.K, shape[2], self.W_shape[3]))

    def forward(self, x, remember=False):
        W, b = self._weights()
        y = self._output(x)
        _, OH, OW, F = y.shape
        bias = np.tile(b, OW)  # for a row of places at once: long pieces are added faster

        def convolve(pictures):
            ys = y[pictures].reshape(-1, F)
            np.matmul(self._columns(x[pictures], OH, OW), W.reshape(-1, F), out=ys)
            rows = ys.reshape(-1, OW * F)
            rows += bias

        self.device.over(len(x), convolve, self._column_bytes(OH, OW, x.dtype))
        self._keep(remember, x)
        return y

    def backward(self, dy):
        (x,) = self._recall(dy)
        _, OH, OW, F = dy.shape
        W = self.params["W"].reshape(-1, F)
        dx = self.device.empty(x.shape, x.dtype) if self.input_gradient else None

        def gradients(pictures):
            cols, dys = self._columns(x[pictures], OH, OW), dy[pictures].reshape(-1, F)
            dW = np.matmul(cols.T, dys, out=self.device.empty(W.shape, W.dtype))
            db = self._sum_rows(dys)
            if dx is not None:
                dcols = np.matmul(dys, W.T, out=cols)  # cols has done its work
                self.device.kernels.col2im(dcols.reshape(-1, OH, OW, *self.W_shape[:3]),
                                           self.S, self.P, dx[pictures])
            return dW, db

        dW, db = self.device.sum_over(len(x), gradients, self._column_bytes(OH, OW, x.dtype))
        self.grads["W"], self.grads["b"] = dW.reshape(self.W_shape), db
        return dx


def _both_sides(name: str, pad: int | tuple[int, int]) -> tuple[int, int]:
    """The zeros before the picture and after it."""
    sides = pad if isinstance(pad, tuple | list) else (pad, pad)
    if len(sides) != 2:
        raise UserError(f"{name}: pad={pad!r} is neither one number of zeros nor two",
                        "give (before, after): at top and left, at bottom and right.")
    before, after = (whole(name, 0, pad=side)[0] for side in sides)
    return before, after
