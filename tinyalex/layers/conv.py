"""Convolution, by im2col."""

import numpy as np

from tinyalex.kernels import output_size
from tinyalex.layers.base import Spread, Weighted, expect_maps, too_small, whole
from tinyalex.support.errors import UserError


class Windows(Weighted):
    """A layer with weights whose outputs each read a window of KH×KW pixels, all C channels.

    sides: (C, F), the last two axes of W. kernel: KH = KW. stride: S. pad: zeros around the
    picture, P on every side, or (before, after) for top and left, and bottom and right.
    """

    def __init__(self, sides: tuple[int, int], kernel: int, stride: int,
                 pad: int | tuple[int, int], std: Spread, bias: float, name: str, rng):
        kernel, stride = whole(name, kernel=kernel, stride=stride)
        super().__init__((kernel, kernel, *sides), std, bias, name, rng)
        self.K, self.S, self.P = (kernel, kernel), stride, _both_sides(name, pad)

    def output_shape(self, shape):
        expect_maps(self, shape, channels=self.W_shape[-2])
        return *self._places(shape), self.W_shape[-1]

    def _places(self, shape):
        """OH and OW."""
        OH, OW = (output_size(size, k, self.S, self.P)
                  for size, k in zip(shape[:2], self.K, strict=True))
        if OH < 1 or OW < 1:
            raise too_small(self, shape, self.K)
        return OH, OW

    def window(self):
        return self.K[0], self.S, self.P[0]

    def multiply_adds(self, shape):
        return int(np.prod(self.output_shape(shape))) * self.inputs

    def _columns(self, x, OH, OW):
        """The matrix (N·OH·OW, KH·KW·C)."""
        cols = self.device.empty((len(x), OH, OW, *self.K, x.shape[3]), x.dtype)
        self.device.kernels.im2col(x, self.K, self.S, self.P, cols)
        return cols.reshape(len(x) * OH * OW, -1)

    def _column_bytes(self, OH, OW, dtype) -> int:
        return OH * OW * self.inputs * dtype.itemsize


class Conv2D(Windows):
    """Convolution (paper, section 3.5), as one matrix product over columns of pixels (im2col).

    A column holds the KH·KW·C pixels that a kernel sees at one place. With cols the matrix of all
    of them, one row for each place, and W read as a matrix of F columns,

        y = cols @ W + b

    Backward. Each y[p, f] is the sum over k of cols[p, k] W[k, f], so

        dW = cols.T @ dy        db = the sum of dy over all places and pictures
        dcols = dy @ W.T        dx = col2im(dcols): every pixel adds up what its copies received

    x, dx: (N, H, W, C). y, dy: (N, OH, OW, F). W: (KH, KW, C, F). b: (F,). Kept: x. The columns
    would be KH·KW/S² times as large as x, so they are made for a few pictures at a time, which
    keeps them in the processor's cache, and made again in backward.

    channels, filters: C and F. kernel, stride, pad: see `Windows`. std: of W, or what gives it for
    the layer: lambda layer: 1 / layer.inputs.
    input_gradient=False: backward returns None, for a first layer, since nobody reads the gradient
    of the picture.
    """

    def __init__(self, channels: int, filters: int, kernel: int, stride: int = 1,
                 pad: int | tuple[int, int] = 0, *, std: Spread = 0.01, bias: float = 0.0,
                 input_gradient: bool = True, name: str = "conv", rng=None):
        channels, filters = whole(name, channels=channels, filters=filters)
        super().__init__((channels, filters), kernel, stride, pad, std, bias, name, rng)
        self.input_gradient = input_gradient

    def fit_to(self, shape):
        """Fit the kernels to maps of this shape (H, W, C), before the layer has weights."""
        expect_maps(self, shape)
        self._reshape((*self.K, shape[2], self.W_shape[3]))

    def forward(self, x, remember=False):
        W, b = self._weights()
        y = self._output(x)
        _, OH, OW, F = y.shape
        bias = np.tile(b, OW)  # for a row of places at once: it is faster in long pieces

        def convolve(pictures):
            out = y[pictures].reshape(-1, F)
            np.matmul(self._columns(x[pictures], OH, OW), W.reshape(-1, F), out=out)
            rows = out.reshape(-1, OW * F)
            rows += bias

        self.device.over(len(x), convolve, self._column_bytes(OH, OW, x.dtype))
        self._keep(remember, x)
        return y

    def backward(self, dy):
        (x,) = self._recall(dy)
        W, (_, OH, OW, F) = self.params["W"].reshape(self.inputs, -1), dy.shape
        dx = self.device.empty(x.shape, x.dtype) if self.input_gradient else None

        def gradients(pictures):
            cols, out = self._columns(x[pictures], OH, OW), dy[pictures].reshape(-1, F)
            dW = np.matmul(cols.T, out, out=self.device.empty(W.shape, W.dtype))
            db = self._sum_rows(out)
            if dx is not None:
                dcols = np.matmul(out, W.T, out=cols)  # cols has done its work
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
