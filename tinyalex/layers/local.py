"""Local connection: a convolution that does not share its weights."""

import numpy as np

from tinyalex.layers.base import Spread, expect_maps, whole
from tinyalex.layers.conv import Windows
from tinyalex.support.errors import UserError


class LocallyConnected2D(Windows):
    """Windows as in a convolution, but each place has its own kernels and biases: a "local" layer
    of cuda-convnet, in the nets that the paper's section 3.3 refers to.

    With cols[p] the matrix of what the windows at place p see, a row for each picture,

        y[p] = cols[p] @ W[p] + b[p]

    Backward. The same for each place by itself, and only dx adds up over places:

        dW[p] = cols[p].T @ dy[p]        db[p] = the sum of dy[p] over the pictures
        dcols[p] = dy[p] @ W[p].T        dx = col2im(dcols)

    x, dx: (N, H, W, C). y, dy: (N, OH, OW, F). W: (OH, OW, KH, KW, C, F). b: (OH, OW, F). Kept: x.

    shape: (H, W, C) of what it reads, which decides how many places there are. filters: F, of each
    place. kernel, stride, pad: see `Windows`. std: of W, or a function that gives it.
    """

    def __init__(self, shape: tuple[int, int, int], filters: int, kernel: int, stride: int = 1,
                 pad: int | tuple[int, int] = 0, *, std: Spread = 0.01, bias: float = 0.0,
                 name: str = "local", rng=None):
        H, W, C = whole(name, height=shape[0], width=shape[1], channels=shape[2])
        super().__init__(C, filters, kernel, stride, pad, std, bias, name, None)
        self.fit_to((H, W, C))
        if rng is not None:
            self.initialise(np.random.default_rng(rng))

    @property
    def b_shape(self):
        return *self.W_shape[:2], self.W_shape[-1]

    def fit_to(self, shape):
        """Fit the kernels to maps of this shape (H, W, C), before the layer has weights."""
        expect_maps(self, shape)
        self._reshape((*self._places(shape), *self.K, shape[2], self.W_shape[-1]))

    def output_shape(self, shape):
        out = super().output_shape(shape)
        if out != self.b_shape:
            raise UserError(
                f"{self.name} has kernels for {self.W_shape[0]}×{self.W_shape[1]} places, and maps "
                f"of {shape[0]}×{shape[1]} have {out[0]}×{out[1]}", "fit it to these maps first.")
        return out

    def forward(self, x, remember=False):
        W, b = self._weights()
        y = self._output(x)
        _, OH, OW, F = y.shape

        def connect(pictures):
            cols, ys = self._by_place(x[pictures], OH, OW), y[pictures].reshape(-1, OH * OW, F)
            for p, kernels in enumerate(W.reshape(OH * OW, -1, F)):
                ys[:, p] = cols[:, p] @ kernels
            ys += b.reshape(-1, F)

        self.device.over(len(x), connect, self._column_bytes(OH, OW, x.dtype))
        self._keep(remember, x)
        return y

    def backward(self, dy):
        (x,) = self._recall(dy)
        _, OH, OW, F = dy.shape
        W = self.params["W"].reshape(OH * OW, -1, F)
        dx = self.device.empty(x.shape, x.dtype)

        def gradients(pictures):
            cols, dys = self._by_place(x[pictures], OH, OW), dy[pictures].reshape(-1, OH * OW, F)
            dW = self.device.empty(W.shape, W.dtype)
            for p, kernels in enumerate(W):
                dW[p] = cols[:, p].T @ dys[:, p]
                cols[:, p] = dys[:, p] @ kernels.T  # dcols: cols has done its work
            self.device.kernels.col2im(cols.reshape(-1, OH, OW, *self.W_shape[2:5]), self.S, self.P,
                                       dx[pictures])
            return dW, self._sum_rows(dys.reshape(-1, OH * OW * F))

        dW, db = self.device.sum_over(len(x), gradients, self._column_bytes(OH, OW, x.dtype))
        self.grads["W"], self.grads["b"] = dW.reshape(self.W_shape), db.reshape(self.b_shape)
        return dx

    def _by_place(self, x, OH, OW):
        """The columns (N, OH·OW, KH·KW·C): at [:, p] a matrix with a row for each picture."""
        return self._columns(x, OH, OW).reshape(len(x), OH * OW, -1)
