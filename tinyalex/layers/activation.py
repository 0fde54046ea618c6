"""Activations: ReLU and tanh."""

import numpy as np

from tinyalex.layers.base import Layer


class Activation(Layer):
    """A function of each number alone, which follows a layer with weights."""


class ReLU(Activation):
    """Rectified linear unit: y = max(0, x) (paper, section 3.1).

    Backward. The slope is 1 where x > 0, which is where y > 0, and 0 where x < 0. (At 0 there is
    none; anything from 0 to 1 would do, and it is 0 here.)

        dx = 0 where y <= 0, else dy

    NaN stays NaN, and lets dy through: a network that diverged must not look sound.

    Any shape. Kept: y. With inplace=True y takes the memory of x, and dx that of dy: right after a
    convolution nobody else needs them, and the largest maps of the net need not be kept twice.
    """

    keeps = "y"

    def __init__(self, name: str = "relu", inplace: bool = False):
        super().__init__(name)
        self.inplace = inplace

    def forward(self, x, remember=False):
        y = self._output(x)

        def rectify(pictures):
            self.device.kernels.relu(x[pictures], y[pictures])

        self._over(x, rectify)
        self._keep(remember, y)
        return y

    def backward(self, dy):
        (y,) = self._recall(dy)
        dx = dy if self.inplace else self.device.empty(dy.shape, dy.dtype)

        def let_through(pictures):
            self.device.kernels.relu_backward(dy[pictures], y[pictures], dx[pictures])

        self._over(dy, let_through)
        return dx


class Tanh(Activation):
    """Hyperbolic tangent: y = tanh(x), the unit that the paper's section 3.1 compares ReLU with.

    Backward: tanh' = 1 − tanh², so dx = dy (1 − y²). Any shape. Kept: y.
    """

    keeps = "y"

    def forward(self, x, remember=False):
        y = np.tanh(x, out=self._output(x))
        self._keep(remember, y)
        return y

    def backward(self, dy):
        (y,) = self._recall(dy)
        return dy * (1 - y * y)
