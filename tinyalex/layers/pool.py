"""Max and average pooling."""

import numpy as np

from tinyalex.kernels import output_size
from tinyalex.layers.base import Layer, expect_maps, too_small


class Pool2D(Layer):
    """A window of K×K pixels that moves by S: overlapping where S < K (paper, section 3.4).

    With ceil=True the number of windows is rounded up, and the last ones hang over the edge; only
    pixels inside the picture count.
    """

    def __init__(self, kernel: int, stride: int, ceil: bool = False, name: str = "pool"):
        super().__init__(name)
        self.K, self.S, self.ceil = (kernel, kernel), stride, ceil

    def output_shape(self, shape):
        expect_maps(self, shape)
        OH, OW = (output_size(size, k, self.S, ceil=self.ceil)
                  for size, k in zip(shape[:2], self.K, strict=True))
        if OH < 1 or OW < 1:
            raise too_small(self, shape, self.K)
        return OH, OW, shape[2]


class MaxPool2D(Pool2D):
    """Max pooling: y = the largest pixel of each window.

    Backward. y follows that one pixel and no other: it receives dy, and a pixel that was the
    largest of several windows the sum of theirs. Of equal pixels the first, row by row, counts.

    x, dx: (N, H, W, C). y, dy: (N, OH, OW, C). Kept: where in its window each largest pixel was,
    one byte each.
    """

    def extra_bytes(self, shape, itemsize):
        return int(np.prod(self.output_shape(shape)))

    def forward(self, x, train=False):
        shape = len(x), *self.output_shape(x.shape[1:])
        y = self.device.empty(shape, x.dtype)
        where = self.device.empty(shape, np.uint8) if train else None

        def some(pictures, worker):
            place = where[pictures] if train else None
            self.device.kernels.max_pool(x[pictures], self.K, self.S, y[pictures], place)

        self._over(x, some)
        self._keep(train, where, x.shape)
        return y

    def backward(self, dy):
        where, shape = self._recall()
        dx = self.device.empty(shape, dy.dtype)

        def some(pictures, worker):
            self.device.kernels.max_pool_backward(
                dy[pictures], where[pictures], self.K, self.S, dx[pictures])

        self._over(dy, some)
        return dx


class AveragePool2D(Pool2D):
    """Average pooling: y = the mean of each window, over its pixels inside the picture.

    Backward: each pixel receives dy / (pixels in the window) from every window it lies in.

    x, dx: (N, H, W, C). y, dy: (N, OH, OW, C). Kept: the shape of x.
    """

    def forward(self, x, train=False):
        y = self.device.empty((len(x), *self.output_shape(x.shape[1:])), x.dtype)

        def some(pictures, worker):
            self.device.kernels.average_pool(x[pictures], self.K, self.S, y[pictures])

        self._over(x, some)
        self._keep(train, x.shape)
        return y

    def backward(self, dy):
        (shape,) = self._recall()
        dx = self.device.empty(shape, dy.dtype)

        def some(pictures, worker):
            self.device.kernels.average_pool_backward(
                dy[pictures], self.K, self.S, dx[pictures])

        self._over(dy, some)
        return dx
