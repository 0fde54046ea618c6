"""Convolution, by im2col."""

import numpy as np

from tinyalex.kernels import output_size
from tinyalex.layers.base import Spread, Weighted, expect_maps, too_small


class Conv2D(Weighted):
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

    channels, filters: C and F. kernel: KH = KW. pad: zeros around the picture, P on every side, or
    (before, after) for top and left, and bottom and right. std: of W, or a function of KH·KW·C.
    input_gradient=False: backward returns None, for a first layer, since nobody reads the gradient
    of the picture.
    """

    # In backward each piece of work writes all of dW once more, a large share of the time where
    # maps have few pixels. So a piece takes at least so many places, if need be of more pictures.
    places = 512

    def __init__(self, channels: int, filters: int, kernel: int, stride: int = 1,
                 pad: int | tuple[int, int] = 0, *, std: Spread = 0.01, bias: float = 0.0,
                 input_gradient: bool = True, name: str = "conv", rng=None):
        super().__init__((kernel, kernel, channels, filters), std, bias, name, rng)
        self.K, self.S = (kernel, kernel), stride
        self.P = (pad, pad) if isinstance(pad, int) else tuple(pad)
        self.input_gradient = input_gradient

    def reads(self, shape):
        """Fit the kernels to maps of this shape (H, W, C), before the layer has weights."""
        expect_maps(self, shape)
        self._reshape((*self.K, shape[2], self.W_shape[3]))

    def output_shape(self, shape):
        expect_maps(self, shape, channels=self.W_shape[2])
        OH, OW = (output_size(size, k, self.S, self.P)
                  for size, k in zip(shape[:2], self.K, strict=True))
        if OH < 1 or OW < 1:
            raise too_small(self, shape, self.K)
        return OH, OW, self.W_shape[3]

    def window(self):
        return self.K[0], self.S, self.P[0]

    def multiply_adds(self, shape):
        return int(np.prod(self.output_shape(shape)) * np.prod(self.W_shape[:3]))

    def _columns(self, x, OH, OW):
        """Columns (n, OH, OW, KH, KW, C), and the same memory as a matrix (n·OH·OW, KH·KW·C)."""
        cols = self.device.empty((len(x), OH, OW, *self.W_shape[:3]), x.dtype)
        self.device.kernels.im2col(x, self.K, self.S, self.P, cols)
        return cols, cols.reshape(len(x) * OH * OW, -1)

    def _column_bytes(self, OH, OW, dtype):
        return OH * OW * int(np.prod(self.W_shape[:3])) * dtype.itemsize

    def forward(self, x, remember=False):
        W, b = self._weights()
        OH, OW, F = self.output_shape(x.shape[1:])
        y = self.device.empty((len(x), OH, OW, F), x.dtype)

        def some(pictures, worker):
            _, cols = self._columns(x[pictures], OH, OW)
            out = y[pictures].reshape(-1, F)
            np.matmul(cols, W.reshape(-1, F), out=out)
            self._add_bias(out, b)

        self._over(x, some, self._column_bytes(OH, OW, x.dtype))
        self._keep(remember, x)
        return y

    def backward(self, dy):
        (x,) = self._recall()
        W, _ = self._weights()
        _, OH, OW, F = dy.shape
        W = W.reshape(-1, F)
        dx = self.device.empty(x.shape, x.dtype) if self.input_gradient else None
        dWs, dbs = self._sums_by_worker()

        def some(pictures, worker):
            shaped, cols = self._columns(x[pictures], OH, OW)
            out = dy[pictures].reshape(-1, F)
            dWs[worker] += np.matmul(cols.T, out, out=self.device.empty(W.shape, W.dtype))
            db = self.device.empty((F,), W.dtype)
            self.device.kernels.sum_rows(out, db)
            dbs[worker] += db
            if dx is not None:
                np.matmul(out, W.T, out=cols)  # cols has done its work: dcols takes its place
                self.device.kernels.col2im(shaped, self.S, self.P, dx[pictures])

        self._over(x, some, self._column_bytes(OH, OW, x.dtype), -(-self.places // (OH * OW)))
        for sums in (dWs, dbs):
            for other in sums[1:]:
                sums[0] += other
        return dx

    def _sums_by_worker(self):
        """Zeros, in which each worker adds up the gradients of its own pictures. The first
        worker's are grads["W"] (as a matrix) and grads["b"] themselves."""
        dW, db = self._gradients()
        dWs, dbs = [dW.reshape(-1, dW.shape[-1])], [db]
        for _ in range(self.device.cores - 1):
            dWs.append(self.device.empty(dWs[0].shape, dW.dtype))
            dbs.append(self.device.empty(db.shape, db.dtype))
        for zeros in dWs + dbs:
            zeros[...] = 0
        return dWs, dbs
