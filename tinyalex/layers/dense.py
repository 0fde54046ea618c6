"""The layers after the maps: flatten, fully connected, dropout."""

import zlib
from math import prod

import numpy as np

from tinyalex.layers.base import Layer, Spread, Weighted, whole
from tinyalex.support.errors import UserError


class Flatten(Layer):
    """Maps as one row of numbers: y = x.reshape(N, H·W·C). Backward: dx = dy.reshape(N, H, W, C).

    No number moves or changes; a view is enough.
    """

    def output_shape(self, shape):
        return (prod(shape),)

    def window(self):
        return None

    def forward(self, x, remember=False):
        shape = self._shape(x)
        self._keep(remember, x.shape)
        return x.reshape(shape)

    def backward(self, dy):
        (shape,) = self._recall(dy)
        return dy.reshape(shape)


class Linear(Weighted):
    """Fully connected: every output sees every input (paper, section 3.5: layers 6 to 8).

        y = x @ W + b

    Backward. y[n, o] is b[o] plus the sum over i of x[n, i] W[i, o]. So W[i, o] receives
    dy[n, o] x[n, i] from every picture n, and x[n, i] receives dy[n, o] W[i, o] from every o:

        dW = x.T @ dy        db = the sum of dy over the pictures        dx = dy @ W.T

    x, dx: (N, inputs). y, dy: (N, outputs). W: (inputs, outputs). b: (outputs,). Kept: x.
    std: of W, or a function that gives it for the layer, such as lambda layer: 1 / layer.inputs.
    The cores share out W, since it is larger than a batch: its columns forward, its rows backward.
    """

    def __init__(self, inputs: int, outputs: int, *, std: Spread = 0.01, bias: float = 0.0,
                 name: str = "fc", rng=None):
        # No outputs: one of two towers, where there is only one class.
        shape = *whole(name, inputs=inputs), *whole(name, 0, outputs=outputs)
        super().__init__(shape, std, bias, name, rng)

    def fit_to(self, shape):
        """Fit the weights to pictures of this shape (inputs,), before the layer has any."""
        if len(shape) != 1:
            raise UserError(
                f"{self.name} reads numbers in a row but was given {tuple(shape)}",
                "put a Flatten before it.")
        self._reshape((shape[0], self.W_shape[1]))

    def output_shape(self, shape):
        if tuple(shape) != self.W_shape[:1]:
            raise UserError(
                f"{self.name} reads {self.W_shape[0]} numbers a picture but was given "
                f"{tuple(shape)}",
                "check the size of the pictures, or put a Flatten before it.")
        return self.W_shape[1:]

    def window(self):
        return None

    def multiply_adds(self, shape):
        return self.W_shape[0] * self.W_shape[1]

    def forward(self, x, remember=False):
        W, b = self._weights()
        y = self._output(x)

        def multiply(columns):
            np.matmul(x, W[:, columns], out=y[:, columns])

        self.device.over(W.shape[1], multiply)
        y += b
        self._keep(remember, x)
        return y

    def backward(self, dy):
        (x,) = self._recall(dy)
        W = self.params["W"]
        self.grads.clear()  # dW is large: let it have the memory of the last one
        dW = self.device.empty(W.shape, W.dtype)
        dx = self.device.empty(x.shape, x.dtype) if self.input_gradient else None

        def multiply(rows):
            np.matmul(x.T[rows], dy, out=dW[rows])
            if dx is not None:
                np.matmul(dy, W.T[:, rows], out=dx[:, rows])

        self.device.over(W.shape[0], multiply)
        self.grads["W"], self.grads["b"] = dW, self._sum_rows(dy)
        return dx


class Dropout(Layer):
    """Dropout, the paper's way (section 4.2): in training, units are switched off at random; at
    test time all are on, and multiplied by `keep`, the share that was on in training.

        drop=True, in training: y = x * m, each m = 1 with probability keep, else 0
        drop=False, at test time: y = keep * x

    Modern code divides by keep in training instead; in expectation the two are equal.

    Backward: dx = dy * m, or keep * dy where nothing was dropped. Any shape. Kept: m.

    The mask comes from a counter-based generator keyed by (seed, name, step): it is the same on
    every device, and a run that resumes at some step draws what the unbroken run drew. Each
    forward that drops adds 1 to `step`. Where several workers share a batch, each draws its rows of
    one mask: `first` is the number of x's first picture in the batch.
    """

    def __init__(self, keep: float = 0.5, name: str = "dropout", seed: int = 0):
        super().__init__(name)
        if not 0 < keep <= 1:
            raise UserError(f"{name}: keep={keep} is not a share of the units", "0 < keep <= 1.")
        self.keep, self.seed, self.step, self.first = keep, seed, 0, 0

    def settle(self, device, tower, seed):
        super().settle(device, tower, seed)
        self.seed = seed

    def extra_bytes(self, shape, itemsize):
        return prod(shape)

    def mask(self, shape: tuple[int, ...], step: int, first: int = 0) -> np.ndarray:
        """The mask of a step, on the host: booleans, true for the units that stay. first: how many
        rows of the whole batch's mask come before."""
        key, size = [self.seed, zlib.crc32(self.name.encode())], prod(shape)
        block, before = divmod(first * prod(shape[1:]), 8)  # each count of Philox gives 8 floats
        random = np.random.Generator(np.random.Philox(key=key, counter=[block, 0, 0, step]))
        return (random.random(before + size, np.float32) < self.keep)[before:].reshape(shape)

    def forward(self, x, remember=False, drop=False):
        m, shape = None, self._shape(x)
        if drop:
            m = self.device.mask(self.mask, shape, self.step, self.first)
            self.step += 1
        self._keep(remember, m)
        return self._masked(x, m)

    def backward(self, dy):
        (m,) = self._recall(dy)
        return self._masked(dy, m)

    def _masked(self, x, m):
        if m is None:
            return x * x.dtype.type(self.keep)
        y = self.device.empty(x.shape, x.dtype)
        self.device.kernels.dropout(x, m, y)
        return y
