"""Convolutions and full connections that get one step of their backward wrong."""

import numpy as np

from tinyalex.gradcheck.mutants.plant import plant
from tinyalex.kernels import loops
from tinyalex.kernels import numpy as fast
from tinyalex.layers import Conv2D, Linear


class TextbookConv(Conv2D):
    """The backward of a convolution in plain steps, for mutants to get one of them wrong."""

    def backward(self, dy):
        (x,) = self._recall()
        W, F = self.params["W"], dy.shape[-1]
        cols = self.columns(x, dy)
        flat, rows = dy.reshape(-1, F), cols.reshape(-1, W[..., 0].size)
        self.grads["W"] = self.weights(rows, flat, W)
        self.grads["b"] = self.biases(flat, dy)
        return self.image(self.back(flat, W.reshape(-1, F)).reshape(cols.shape), x)

    def columns(self, x, dy):
        cols = np.empty((*dy.shape[:3], *self.K, x.shape[3]), x.dtype)
        fast.im2col(x, self.K, self.S, self.P, cols)
        return cols

    def weights(self, rows, flat, W):
        return (rows.T @ flat).reshape(W.shape)

    def biases(self, flat, dy):
        return flat.sum(axis=0)

    def back(self, flat, W):
        return flat @ W.T

    def image(self, dcols, x):
        dx = np.empty_like(x)
        fast.col2im(dcols, self.S, self.P, dx)
        return dx


@plant("Conv2D", "transposed weight gradient")
class ConvTransposedWeights(TextbookConv):
    """dW = dy.T @ cols, forced into the shape of W"""

    def weights(self, rows, flat, W):
        return (flat.T @ rows).reshape(W.shape)


@plant("Conv2D", "height and width exchanged")
class ConvSwapsAxes(TextbookConv):
    """the rows and columns of the kernel's gradient are exchanged"""

    def weights(self, rows, flat, W):
        return super().weights(rows, flat, W).swapaxes(0, 1).copy()


@plant("Conv2D", "kernel flipped")
class ConvFlipsWeights(TextbookConv):
    """the kernel's gradient is turned by 180°, as in a mathematician's convolution"""

    def weights(self, rows, flat, W):
        return super().weights(rows, flat, W)[::-1, ::-1].copy()


@plant("Conv2D", "missing sum over the batch")
class ConvLastPicture(TextbookConv):
    """dW of each picture overwrites the one before: = where += belongs"""

    def weights(self, rows, flat, W):
        places = len(rows) // self.pictures
        return super().weights(rows[-places:], flat[-places:], W)

    def columns(self, x, dy):
        self.pictures = len(x)
        return super().columns(x, dy)


@plant("Conv2D", "missing sum over positions")
class ConvLastPlace(TextbookConv):
    """dW of each place of the map overwrites the one before"""

    def weights(self, rows, flat, W):
        rows, flat = rows.reshape(*self.grid, -1), flat.reshape(*self.grid, -1)
        return np.tensordot(rows[:, -1, -1], flat[:, -1, -1], (0, 0)).reshape(W.shape)

    def columns(self, x, dy):
        self.grid = dy.shape[:3]
        return super().columns(x, dy)


@plant("Conv2D", "averaged over the batch")
class ConvMeanWeights(TextbookConv):
    """dW is averaged over the pictures, though the loss has done that already"""

    def weights(self, rows, flat, W):
        return super().weights(rows, flat, W) / self.pictures

    def columns(self, x, dy):
        self.pictures = len(x)
        return super().columns(x, dy)


@plant("Conv2D", "double counting")
class ConvTwice(TextbookConv):
    """dW is added twice"""

    def weights(self, rows, flat, W):
        return 2 * super().weights(rows, flat, W)


@plant("Conv2D", "stride ignored")
class ConvColumnsWithoutStride(TextbookConv):
    """backward makes its columns with a stride of 1"""

    def columns(self, x, dy):
        cols = np.empty((*dy.shape[:3], *self.K, x.shape[3]), x.dtype)
        loops.im2col(x, self.K, 1, self.P, cols)
        return cols


@plant("Conv2D", "padding ignored")
class ConvColumnsWithoutPad(TextbookConv):
    """backward makes its columns without the padding that forward used"""

    def columns(self, x, dy):
        cols = np.empty((*dy.shape[:3], *self.K, x.shape[3]), x.dtype)
        loops.im2col(x, self.K, self.S, (0, 0), cols)
        return cols


@plant("Conv2D", "bias gradient averaged")
class ConvMeanBias(TextbookConv):
    """db is the mean over places and pictures"""

    def biases(self, flat, dy):
        return flat.mean(axis=0)


@plant("Conv2D", "missing sum over the batch")
class ConvBiasOfOnePicture(TextbookConv):
    """db sums over the places of the last picture only"""

    def biases(self, flat, dy):
        return dy[-1].sum(axis=(0, 1))


@plant("Conv2D", "missing sum over positions")
class ConvBiasOfEachPlace(TextbookConv):
    """db sums over the pictures and forgets the places"""

    def biases(self, flat, dy):
        return dy.sum(axis=0)


@plant("Conv2D", "kernel flipped in col2im")
class ConvFlipsImage(TextbookConv):
    """col2im hands element (kh, kw) to the pixel of its mirror image"""

    def image(self, dcols, x):
        return super().image(dcols[:, :, :, ::-1, ::-1], x)


@plant("Conv2D", "padding not cropped")
class ConvWrongCrop(TextbookConv):
    """dx is cut out of the padded gradient at (0, 0) instead of (P, P)"""

    def image(self, dcols, x):
        N, H, W, C = x.shape
        padded = np.empty((N, H + sum(self.P), W + sum(self.P), C), x.dtype)
        fast.col2im(dcols, self.S, (0, 0), padded)
        return padded[:, :H, :W].copy()


@plant("Conv2D", "padding not cropped")
class ConvNoCrop(TextbookConv):
    """dx still has its border of padding"""

    def image(self, dcols, x):
        N, H, W, C = x.shape
        padded = np.empty((N, H + sum(self.P), W + sum(self.P), C), x.dtype)
        fast.col2im(dcols, self.S, (0, 0), padded)
        return padded


@plant("Conv2D", "stride ignored")
class ConvImageWithoutStride(TextbookConv):
    """col2im sets neighbouring windows one pixel apart"""

    def image(self, dcols, x):
        dx = np.empty_like(x)
        loops.col2im(dcols, 1, self.P, dx)
        return dx


@plant("Conv2D", "overlaps overwritten")
class ConvImageOverwrites(TextbookConv):
    """col2im assigns each window where it should add"""

    def image(self, dcols, x):
        N, H, W, C = x.shape
        KH, KW = self.K
        padded = np.zeros((N, H + sum(self.P), W + sum(self.P), C), x.dtype)
        for oh, ow in np.ndindex(dcols.shape[1:3]):
            h, w = oh * self.S, ow * self.S
            padded[:, h:h + KH, w:w + KW] = dcols[:, oh, ow]
        return padded[:, self.P[0]:self.P[0] + H, self.P[0]:self.P[0] + W].copy()


@plant("Conv2D", "transposed weights")
class ConvReshapesWeights(TextbookConv):
    """dcols = dy @ W.reshape(F, -1), which has the shape of the transpose and is none"""

    def back(self, flat, W):
        return flat @ W.reshape(W.shape[1], -1)


@plant("Conv2D", "gradients pile up")
class ConvAccumulates(TextbookConv):
    """dW is added to what the last step left"""

    def weights(self, rows, flat, W):
        return self.grads.get("W", 0) + super().weights(rows, flat, W)


@plant("Conv2D", "wrong dtype")
class ConvInFloat64(TextbookConv):
    """dx is made in float64, whatever came in"""

    def image(self, dcols, x):
        return super().image(dcols, x).astype(np.float64)


class TextbookLinear(Linear):
    """The backward of a full connection in plain steps."""

    def backward(self, dy):
        (x,) = self._recall()
        self.grads["W"], self.grads["b"] = self.weights(x, dy), self.biases(dy)
        return self.inputs(dy, self.params["W"])

    def weights(self, x, dy):
        return x.T @ dy

    def biases(self, dy):
        return dy.sum(axis=0)

    def inputs(self, dy, W):
        return dy @ W.T


@plant("Linear", "transposed weight gradient")
class LinearTransposed(TextbookLinear):
    """dW = dy.T @ x: nothing complains where there are as many outputs as inputs"""

    def weights(self, x, dy):
        return dy.T @ x


@plant("Linear", "missing sum over the batch")
class LinearLastPicture(TextbookLinear):
    """dW is that of the last picture"""

    def weights(self, x, dy):
        return np.outer(x[-1], dy[-1])


@plant("Linear", "averaged over the batch")
class LinearMeanWeights(TextbookLinear):
    """dW is averaged over the pictures, though the loss has done that already"""

    def weights(self, x, dy):
        return x.T @ dy / len(x)


@plant("Linear", "bias gradient averaged")
class LinearMeanBias(TextbookLinear):
    """db is the mean of dy where it should be the sum"""

    def biases(self, dy):
        return dy.mean(axis=0)


@plant("Linear", "missing sum over the batch")
class LinearBiasUnsummed(TextbookLinear):
    """db is dy itself, a row for each picture"""

    def biases(self, dy):
        return dy.copy()


@plant("Linear", "transposed weights")
class LinearForwardWeights(TextbookLinear):
    """dx = dy @ W where it should be W.T"""

    def inputs(self, dy, W):
        return dy @ (W if W.shape[0] == W.shape[1] else W.T)


@plant("Linear", "changes its arguments")
class LinearScalesUpstream(TextbookLinear):
    """backward divides dy in place before it is done with it"""

    def inputs(self, dy, W):
        dx = dy @ W.T
        dy /= 2
        return dx
