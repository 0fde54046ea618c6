"""Max and average pooling."""

from math import prod

import numpy as np

from tinyalex.layers.base import Layer, count_windows, expect_maps, whole
from tinyalex.support.errors import UserError


class Pool2D(Layer):
    """A window of K×K pixels that moves by S: overlapping where S < K (paper, section 3.4).

    With ceil=True the number of windows is rounded up, and the last ones hang over the edge; only
    pixels inside the picture count.
    """

    def __init__(self, kernel: int, stride: int, ceil: bool = False, name: str = "pool"):
        super().__init__(name)
        kernel, self.S = whole(name, kernel=kernel, stride=stride)
        self.K, self.ceil = (kernel, kernel), ceil

    def output_shape(self, shape):
        expect_maps(self, shape)
        return *count_windows(self, shape, self.K, self.S, ceil=self.ceil), shape[2]

    def window(self):
        return self.K[0], self.S, 0


class MaxPool2D(Pool2D):
    """Max pooling: y = the largest pixel of each window.

    Backward. y follows that one pixel and no other: it receives all of dy, and a pixel that is the
    largest of several windows the sum of theirs. Of equal pixels the first, row by row, counts. NaN
    is larger than all numbers, and of several NaN the last one counts.

    ties="all": every pixel that equals the largest receives all of dy, as in the authors' own
    program, whose backward compares x with y. That is not a derivative: where two pixels are equal,
    moving both by h moves y by h, and this says by 2h. After a ReLU it hardly matters: nearly all
    ties are between zeros that it made, and it lets no gradient through to those. Only ties in flat
    areas of a picture are left. NaN equals nothing, and receives nothing.

    x, dx: (N, H, W, C). y, dy: (N, OH, OW, C). Kept: where in its window each largest pixel was, as
    one byte, so a window has 16×16 pixels at most; with ties="all" x and y.
    """

    def __init__(self, kernel: int, stride: int, ceil: bool = False, name: str = "pool",
                 ties: str = "first"):
        super().__init__(kernel, stride, ceil, name)
        if ties not in ("first", "all"):
            raise UserError(f"{name}: ties={ties!r} is not a rule", 'choose "first" or "all".')
        if ties == "first" and kernel > 16:
            raise UserError(f"{name}: a window of {kernel}×{kernel} has more places than a byte "
                            "can count", 'use 16×16 or less, or ties="all".')
        self.ties = ties
        self.keeps = "xy" if ties == "all" else ""

    def extra_bytes(self, shape, itemsize):
        return prod(self.output_shape(shape)) if self.ties == "first" else 0

    def forward(self, x, remember=False):
        y = self._output(x)
        first = self.ties == "first"
        where = self.device.empty(y.shape, np.uint8) if remember and first else None

        def pool(pictures):
            place = None if where is None else where[pictures]
            self.device.kernels.max_pool(x[pictures], self.K, self.S, y[pictures], place)

        self._over(y, pool)
        self._keep(remember, *((where, x.shape) if first else (x, y)))
        return y

    def backward(self, dy):
        return self._backward_first(dy) if self.ties == "first" else self._backward_all(dy)

    def _backward_first(self, dy):
        where, shape = self._recall(dy)
        dx = self.device.empty(shape, dy.dtype)

        def hand_back(pictures):
            self.device.kernels.max_pool_backward(
                dy[pictures], where[pictures], self.K, self.S, dx[pictures])

        self._over(dy, hand_back)
        return dx

    def _backward_all(self, dy):
        # A ReLU in place after this layer has made a negative y into 0, which no pixel equals; but
        # its dy is 0 there, so nothing is lost.
        x, y = self._recall(dy)
        dx = self.device.empty(x.shape, dy.dtype)

        def hand_back(pictures):
            self.device.kernels.max_pool_backward_ties(
                dy[pictures], x[pictures], y[pictures], self.K, self.S, dx[pictures])

        self._over(dy, hand_back)
        return dx


class AveragePool2D(Pool2D):
    """Average pooling: y = the mean of each window, over its pixels inside the picture.

    Backward: each pixel receives dy / (pixels in the window) from every window it lies in.

    x, dx: (N, H, W, C). y, dy: (N, OH, OW, C). Kept: the shape of x.
    """

    def forward(self, x, remember=False):
        y = self._output(x)

        def pool(pictures):
            self.device.kernels.average_pool(x[pictures], self.K, self.S, y[pictures])

        self._over(y, pool)
        self._keep(remember, x.shape)
        return y

    def backward(self, dy):
        (shape,) = self._recall(dy)
        dx = self.device.empty(shape, dy.dtype)

        def hand_back(pictures):
            self.device.kernels.average_pool_backward(
                dy[pictures], self.K, self.S, dx[pictures])

        self._over(dy, hand_back)
        return dx
