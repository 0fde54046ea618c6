"""The layers behind the maps: flatten, full connection, dropout."""

import zlib

import numpy as np

from tinyalex.layers.base import Layer, Spread, Weighted
from tinyalex.support.errors import UserError


class Flatten(Layer):
    """Maps as one row of numbers: y = x.reshape(N, H·W·C). Backward: dx = dy.reshape(N, H, W, C).

    No number moves or changes; a view is enough.
    """

    def output_shape(self, shape):
        return (int(np.prod(shape)),)

    def window(self):
        return None

    def forward(self, x, remember=False):
        self._keep(remember, x.shape)
        return x.reshape(len(x), -1)

    def backward(self, dy):
        (shape,) = self._recall()
        return dy.reshape(shape)


class Linear(Weighted):
    """Full connection: every output sees every input (paper, section 3.5: layers 6 to 8).

        y = x @ W + b

    Backward. dW = x.T @ dy, db = the sum of dy over the pictures, dx = dy @ W.T.

    x, dx: (N, inputs). y, dy: (N, outputs). W: (inputs, outputs). b: (outputs,). Kept: x.
    std: of W, or a function of the number of inputs.
    """

    def __init__(self, inputs: int, outputs: int, *, std: Spread = 0.01, bias: float = 0.0,
                 name: str = "fc", rng=None):
        super().__init__((inputs, outputs), std, bias, name, rng)

    def reads(self, shape):
        """Fit the weights to pictures of this shape (inputs,), before the layer has any."""
        if len(shape) != 1:
            raise UserError(
                f"{self.name} reads numbers in a row and was given {tuple(shape)}",
                "put a Flatten before it.")
        self._reshape((shape[0], self.W_shape[1]))

    def output_shape(self, shape):
        if tuple(shape) != self.W_shape[:1]:
            raise UserError(
                f"{self.name} reads {self.W_shape[0]} numbers a picture and was given "
                f"{tuple(shape)}",
                "check the size of the pictures, or put a Flatten before it.")
        return self.W_shape[1:]

    def window(self):
        return None

    def multiply_adds(self, shape):
        return self.W_shape[0] * self.W_shape[1]

    def forward(self, x, remember=False):
        W, b = self._weights()
        y = self.device.empty((len(x), *self.output_shape(x.shape[1:])), x.dtype)

        def some(columns, worker):
            np.matmul(x, W[:, columns], out=y[:, columns])
            self._add_bias(y[:, columns], b[columns])

        self.device.over(W.shape[1], some)
        self._keep(remember, x)
        return y

    def backward(self, dy):
        (x,) = self._recall()
        W, _ = self._weights()
        dW, db = self._gradients()
        dx = self.device.empty(x.shape, x.dtype)

        def some(rows, worker):
            np.matmul(x.T[rows], dy, out=dW[rows])
            np.matmul(dy, W.T[:, rows], out=dx[:, rows])

        self.device.over(W.shape[0], some)
        np.sum(dy, axis=0, out=db)
        return dx


class Dropout(Layer):
    """Dropout, the paper's way (section 4.2): units are switched off while training, and in the
    test all are there but count by `keep` only, since in training that share of them was.

        training: y = x * m, each m = 1 with probability keep, else 0      test: y = keep * x

    Modern code divides by keep in training and leaves the test alone; in expectation it is equal.

    Backward: dx = dy * m, or keep * dy where nothing was dropped. Any shape. Kept: m.

    forward(x, drop=True) is that of training; without it nothing is dropped, as in a test.

    The mask comes from a counter-based generator keyed by (seed, name, step): it is the same on
    every device, and a run that resumes at some step draws what the unbroken run drew. Each
    forward that drops adds 1 to `step`.
    """

    def __init__(self, keep: float = 0.5, name: str = "dropout", seed: int = 0):
        super().__init__(name)
        if not 0 < keep <= 1:
            raise UserError(f"{name}: keep={keep} is no share of the units", "0 < keep <= 1.")
        self.keep, self.seed, self.step = keep, seed, 0
        self.ahead = {}  # the mask of the next step, where the device prepares it meanwhile

    def extra_bytes(self, shape, itemsize):
        return int(np.prod(shape))

    def mask(self, shape: tuple[int, ...]) -> np.ndarray:
        """The mask of the current step, on the host: booleans, true for the units that stay."""
        return self._draw(shape, self.step)

    def _draw(self, shape, step):
        key = [self.seed, zlib.crc32(self.name.encode())]
        random = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, step]))
        return random.random(shape, np.float32) < self.keep

    drops = True

    def forward(self, x, remember=False, drop=False):
        if not drop:
            self._keep(remember, None)
            return x * x.dtype.type(self.keep)
        ahead = self.ahead.pop((x.shape, self.step), None)
        mask = ahead.result() if ahead else self.mask(x.shape)
        m = self.device.put(self.device.kernels.pack_mask(mask))
        self.step += 1
        if self.device.lag:  # the host has time to spare
            following = x.shape, self.step
            self.ahead = {following: self.device.prepare(self._draw, *following)}
        self._keep(remember, m)
        return self._masked(x, m)

    def backward(self, dy):
        (m,) = self._recall()
        return dy * dy.dtype.type(self.keep) if m is None else self._masked(dy, m)

    def _masked(self, x, m):
        y = self.device.empty(x.shape, x.dtype)
        self.device.kernels.dropout(x, m, y)
        return y
