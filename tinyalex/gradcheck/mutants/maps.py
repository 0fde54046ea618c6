"""Layers without weights that get their backward wrong: activations, pooling, dropout."""

import numpy as np

from tinyalex.gradcheck.mutants.plant import plant
from tinyalex.layers import AveragePool2D, Dropout, Flatten, MaxPool2D, ReLU, Tanh


@plant("ReLU", "mask of the gradient")
class ReLUMasksGradient(ReLU):
    """dx = dy where dy > 0: the mask of the gradient instead of the input's"""

    def backward(self, dy):
        self._recall()
        return np.maximum(dy, 0)


@plant("ReLU", "no mask")
class ReLUWithoutMask(ReLU):
    """dx = dy"""

    def backward(self, dy):
        self._recall()
        return dy.copy()


@plant("ReLU", "multiplied by the value")
class ReLUTimesValue(ReLU):
    """dx = dy · y, as if y were its own slope"""

    def backward(self, dy):
        (y,) = self._recall()
        return dy * y


@plant("ReLU", "mask inverted")
class ReLUInverted(ReLU):
    """the gradient flows where x was negative"""

    def backward(self, dy):
        (y,) = self._recall()
        return dy * (y == 0)


@plant("ReLU", "changes its arguments")
class ReLUWritesDy(ReLU):
    """the mask is applied to dy in place, which the layer's other readers share"""

    def backward(self, dy):
        (y,) = self._recall()
        dy[y == 0] = 0
        return dy


@plant("Tanh", "y not squared")
class TanhNotSquared(Tanh):
    """dx = dy (1 − y)"""

    def backward(self, dy):
        (y,) = self._recall()
        return dy * (1 - y)


@plant("Tanh", "input instead of output")
class TanhOfInput(Tanh):
    """dx = dy (1 − x²): the layer kept x"""

    def backward(self, dy):
        (y,) = self._recall()
        return dy * (1 - np.arctanh(y) ** 2)


@plant("Tanh", "derivative of the sigmoid")
class TanhAsSigmoid(Tanh):
    """dx = dy y (1 − y)"""

    def backward(self, dy):
        (y,) = self._recall()
        return dy * y * (1 - y)


class TextbookPool:
    """A backward of pooling window by window; `shares` says which part each pixel gets."""

    def forward(self, x, remember=False):
        self.seen = x.copy()
        return super().forward(x, remember)

    def backward(self, dy):
        self._recall()
        x, (KH, KW), S = self.seen, self.K, self.S
        dx = np.zeros_like(x)
        for n, oh, ow, c in np.ndindex(dy.shape):
            window = x[n, oh * S:oh * S + KH, ow * S:ow * S + KW, c]
            self.add(dx[n, ..., c], oh, ow, dy[n, oh, ow, c] * self.shares(window))
        return dx

    def add(self, dx, oh, ow, part):
        h, w = oh * self.S, ow * self.S
        dx[h:h + part.shape[0], w:w + part.shape[1]] += part


class TextbookMaxPool(TextbookPool, MaxPool2D):
    """Max pooling window by window."""

    def shares(self, window):
        return (np.arange(window.size) == window.argmax()).reshape(window.shape)


@plant("MaxPool2D", "gradient to all ties")
class MaxPoolTies(TextbookMaxPool):
    """every pixel that equals the maximum gets the whole gradient"""

    def shares(self, window):
        return window == window.max()


@plant("MaxPool2D", "shared by all pixels")
class MaxPoolShares(TextbookMaxPool):
    """every pixel of the window gets its share, as in average pooling"""

    def shares(self, window):
        return np.full(window.shape, 1 / window.size)


@plant("MaxPool2D", "overlaps overwritten")
class MaxPoolOverwrites(TextbookMaxPool):
    """a pixel that wins two windows keeps the gradient of the last"""

    def add(self, dx, oh, ow, part):
        h, w = (int(i[0]) for i in np.nonzero(part))
        dx[oh * self.S + h, ow * self.S + w] = part[h, w]


@plant("MaxPool2D", "wrong winner")
class MaxPoolFirst(TextbookMaxPool):
    """the gradient goes to the corner of the window"""

    def shares(self, window):
        return (np.arange(window.size) == 0).reshape(window.shape)


@plant("MaxPool2D", "wrong winner")
class MaxPoolMinimum(TextbookMaxPool):
    """the gradient goes to the smallest pixel"""

    def shares(self, window):
        return (np.arange(window.size) == window.argmin()).reshape(window.shape)


@plant("MaxPool2D", "wrong winner")
class MaxPoolTransposed(TextbookMaxPool):
    """row and column of the winner are exchanged"""

    def shares(self, window):
        right = super().shares(window)
        return right.T if window.shape[0] == window.shape[1] else right


@plant("MaxPool2D", "stride ignored")
class MaxPoolWithoutStride(TextbookMaxPool):
    """the gradient is put back as if windows stood one pixel apart"""

    def add(self, dx, oh, ow, part):
        dx[oh:oh + part.shape[0], ow:ow + part.shape[1]] += part


class TextbookAverage(TextbookPool, AveragePool2D):
    """Average pooling window by window."""

    def shares(self, window):
        return np.full(window.shape, 1 / window.size)


@plant("AveragePool2D", "not divided")
class AverageUndivided(TextbookAverage):
    """every pixel gets the whole gradient"""

    def shares(self, window):
        return np.ones(window.shape)


@plant("AveragePool2D", "divided by the whole window at the edge")
class AverageWholeWindow(TextbookAverage):
    """windows over the edge are divided by K·K, though fewer pixels are in them"""

    def shares(self, window):
        return np.full(window.shape, 1 / (self.K[0] * self.K[1]))


@plant("AveragePool2D", "overlaps overwritten")
class AverageOverwrites(TextbookAverage):
    """windows assign where they should add"""

    def add(self, dx, oh, ow, part):
        h, w = oh * self.S, ow * self.S
        dx[h:h + part.shape[0], w:w + part.shape[1]] = part


@plant("Flatten", "wrong order")
class FlattenByColumns(Flatten):
    """backward fills the maps in another order than forward read them"""

    def backward(self, dy):
        (shape,) = self._recall()
        return dy.reshape(shape, order="F")


@plant("Flatten", "wrong order")
class FlattenChannelsFirst(Flatten):
    """backward takes the row for one with channels first"""

    def backward(self, dy):
        ((N, H, W, C),) = self._recall()
        return dy.reshape(N, C, H, W).transpose(0, 2, 3, 1)


@plant("Dropout", "mask not reused")
class DropoutNewMask(Dropout):
    """backward draws a mask of its own"""

    def backward(self, dy):
        self._recall()
        return dy * self.mask(dy.shape)


@plant("Dropout", "rescaled in backward")
class DropoutRescaled(Dropout):
    """backward divides by keep, which forward did not"""

    def backward(self, dy):
        (m,) = self._recall()
        return dy * m / dy.dtype.type(self.keep)


@plant("Dropout", "no mask")
class DropoutWithoutMask(Dropout):
    """backward lets everything through"""

    def backward(self, dy):
        self._recall()
        return dy.copy()


@plant("Dropout", "mask inverted")
class DropoutInverted(Dropout):
    """backward switches off the units that were on"""

    def backward(self, dy):
        (m,) = self._recall()
        return dy * ~m
