"""What a mistake in a forward pass would give; for exercise mode, where the right output is known.

(A gradient check cannot see such a mistake: backward may well be the derivative of the wrong
function.)
"""

from collections.abc import Iterator

import numpy as np

from tinyalex.gradcheck.mistakes_norm import along
from tinyalex.kernels import loops
from tinyalex.layers import LocalResponseNorm, SpatialResponseNorm


def forward_mistakes(kind: str, layer, x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Hints, each with the output that the mistake would give. layer: the right one."""
    return {"Conv2D": _conv, "Linear": _linear, "LocalResponseNorm": _lrn,
            "SpatialResponseNorm": _spatial, "ReLU": _relu, "MaxPool2D": _pool,
            "AveragePool2D": _pool, "Flatten": _flatten, "Tanh": _tanh}[kind](layer, x)


def _with(layer, x, **params):
    kept = dict(layer.params)
    layer.params.update(params)
    y = layer.forward(x)
    layer.params.update(kept)
    return y


def _conv(layer, x):
    W, b = layer.params["W"], layer.params["b"]
    yield "the bias is not added.", _with(layer, x, b=0 * b)
    yield ("the kernel is turned round: layers correlate, whatever they are called.",
           _with(layer, x, W=W[::-1, ::-1]))
    yield "the kernel's rows and columns are exchanged.", _with(layer, x, W=W.swapaxes(0, 1))
    OH, OW, _ = layer.output_shape(x.shape[1:])
    for S, P, hint in ((1, layer.P, "the stride is ignored."),
                       (layer.S, (0, 0), "the padding is missing before the first pixel."),
                       (layer.S, layer.P[::-1], "the padding is on the wrong side.")):
        cols = np.empty((len(x), OH, OW, *layer.K, x.shape[3]))
        loops.im2col(x, layer.K, S, P, cols)
        yield hint, np.einsum("nhwijc,ijcf->nhwf", cols, W) + b


def _linear(layer, x):
    yield "the bias is not added.", _with(layer, x, b=0 * layer.params["b"])
    W = layer.params["W"]
    yield "W is read transposed.", x @ W.reshape(W.shape[::-1]).T + layer.params["b"]


def _lrn(layer, x):
    n, k, alpha, beta = layer.n, layer.k, layer.alpha, layer.beta

    def lrn(**changed):
        settings = {"n": n, "k": k, "alpha": alpha, "beta": beta} | changed
        return LocalResponseNorm(**settings).forward(x)

    yield "alpha is divided by n: the paper's sum is not.", lrn(alpha=alpha / n)
    yield "s is multiplied where it should divide.", lrn(beta=-beta)
    yield "the power beta is missing.", lrn(beta=1.0)
    yield "k is not added, or 1 is.", lrn(k=1.0)
    yield "the window is two maps too wide.", lrn(n=n + 2)
    yield "the window is too narrow: n // 2 maps to either side.", lrn(n=n - 2)
    C, half = x.shape[-1], n // 2
    for first, last in ((half, 0), (half - 1, 1)):
        sums = [np.sum(x[..., max(0, i - first):i + half + last] ** 2, axis=-1) for i in range(C)]
        s = k + alpha * np.stack(sums, axis=-1)
        yield "the window is one map short: range() ends before its end.", x * s**-beta


def _spatial(layer, x):
    size, k, alpha, beta = layer.size, layer.k, layer.alpha, layer.beta

    def norm(**changed):
        settings = {"size": size, "k": k, "alpha": alpha, "beta": beta} | changed
        return SpatialResponseNorm(**settings).forward(x)

    def of(squares, divisor=size**2):
        """The output with these sums of squares."""
        return x * (k + alpha / divisor * squares) ** -beta

    def sums(a, before, after):
        return along(along(a, 1, before, after), 2, before, after)

    half, squares = size // 2, x * x
    there = sums(np.ones(x.shape), half, half)  # pixels in each window
    yield "alpha is not divided by size².", norm(alpha=alpha * size**2)
    yield "alpha is divided by size, not by size².", norm(alpha=alpha * size)
    yield ("alpha is divided by the pixels that are there; it is size² that divides, also where a "
           "window hangs over.", of(sums(squares, half, half), there))
    yield "the window runs over maps, not pixels.", of(along(squares, -1, half, half))
    yield "the window has columns as well.", of(along(squares, 1, half, half))
    yield "the window has rows as well.", of(along(squares, 2, half, half))
    yield "s is multiplied where it should divide.", norm(beta=-beta)
    yield "the power beta is missing.", norm(beta=1.0)
    yield "k is not added, or 2 is.", norm(k=2.0)
    yield "k is not added.", norm(k=0.0)
    yield "the window is two pixels too wide.", of(sums(squares, half + 1, half + 1))
    yield ("the window is too narrow: size // 2 pixels to every side.",
           of(sums(squares, half - 1, half - 1)))
    for before, after in ((half, half - 1), (half - 1, half)):
        yield ("the window is one row and one column short: range() ends before its end.",
               of(sums(squares, before, after)))


def _relu(layer, x):
    yield "that is |x|.", abs(x)
    yield "nothing is cut off.", x
    yield "the negative side is kept.", np.minimum(x, 0)


def _tanh(layer, x):
    yield "that is the sigmoid.", 1 / (1 + np.exp(-x))


def _pool(layer, x):
    OH, OW, C = layer.output_shape(x.shape[1:])
    whole = layer.K[0] * layer.K[1]
    for hint, value in (("that is the mean of each window.", np.mean),
                        ("that is the maximum of each window.", np.max),
                        ("that is the minimum of each window.", np.min),
                        ("that is the sum of each window.", np.sum),
                        ("windows over the edge are divided by K·K.", lambda v: sum(v) / whole)):
        y = np.empty((len(x), OH, OW, C))
        for n, oh, ow, c in np.ndindex(y.shape):
            window = loops._window(oh, ow, layer.K, layer.S, *x.shape[1:3])
            y[n, oh, ow, c] = value([x[n, h, w, c] for _, h, w in window])
        yield hint, y


def _flatten(layer, x):
    yield "the numbers come in another order.", x.reshape(len(x), -1, order="F")
    yield "the channels come first.", x.transpose(0, 3, 1, 2).reshape(len(x), -1)
