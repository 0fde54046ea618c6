"""Mistakes in layers with weights: convolution and full connection."""

import numpy as np

from tinyalex.gradcheck.scene import Mistake, Scene, backward, forward
from tinyalex.kernels import loops


def _columns(s: Scene, OH: int, OW: int, S=None, P=None) -> np.ndarray:
    """The columns of x, with another stride or other padding if given."""
    layer = s.layer
    cols = np.empty((len(s.x), OH, OW, *layer.K, s.x.shape[3]))
    loops.im2col(s.x, layer.K, S or layer.S, layer.P if P is None else P, cols)
    return cols


def _y(s: Scene, W: np.ndarray | None = None, **settings) -> np.ndarray:
    """The output of other weights, or with another stride or padding."""
    cols = _columns(s, *s.y.shape[1:3], **settings)
    return np.einsum("nhwijc,ijcf->nhwf", cols, s.arrays["W"] if W is None else W) + s.arrays["b"]


def _dW(s: Scene, only=..., **settings) -> np.ndarray:
    """dW; only: of these pictures, rows and columns of dy."""
    dy = np.zeros_like(s.dy)
    dy[only] = s.dy[only]
    return np.einsum("nhwijc,nhwf->ijcf", _columns(s, *dy.shape[1:3], **settings), dy)


def _transposed_dW(s: Scene) -> np.ndarray:
    W = s.arrays["W"]
    return _dW(s).reshape(-1, W.shape[3]).T.reshape(W.shape)


def _dcols(s: Scene, filters=slice(None)) -> np.ndarray:
    return np.einsum("nhwf,ijcf->nhwijc", s.dy[..., filters], s.arrays["W"][..., filters])


def _reshaped_dcols(s: Scene) -> np.ndarray:
    F = s.dy.shape[3]
    return (s.dy.reshape(-1, F) @ s.arrays["W"].reshape(F, -1)).reshape(_dcols(s).shape)


def _dx(s: Scene, dcols=None, S=None, P=None, border=0) -> np.ndarray:
    """dx; border: how much larger it is than x."""
    N, H, W, C = s.x.shape
    dx = np.empty((N, H + border, W + border, C))
    loops.col2im(_dcols(s) if dcols is None else dcols, S or s.layer.S,
                 s.layer.P if P is None else P, dx)
    return dx


def overwritten(dcols: np.ndarray, S: int, P: tuple[int, int], shape: tuple[int, ...],
                last: str) -> np.ndarray:
    """col2im whose last addition wins: of the windows, or, where the loop runs over kernel
    elements, of those: then a later element is an earlier window."""
    dx = np.zeros(shape)
    _, OH, OW, KH, KW, _ = dcols.shape
    windows, elements = [*np.ndindex(OH, OW)], [*np.ndindex(KH, KW)]
    order = (((w, e) for w in windows for e in elements) if last == "window" else
             ((w, e) for e in elements for w in windows))
    for (oh, ow), (kh, kw) in order:
        h, w = oh * S + kh - P[0], ow * S + kw - P[0]
        if 0 <= h < shape[1] and 0 <= w < shape[2]:
            dx[:, h, w] = dcols[:, oh, ow, kh, kw]
    return dx


def _overwritten_dx(last: str):
    return lambda s: overwritten(_dcols(s), s.layer.S, s.layer.P, s.x.shape, last)


def _sum_db(s: Scene, only=...) -> np.ndarray:
    return s.dy[only].reshape(-1, s.dy.shape[-1]).sum(axis=0)


conv_y, linear_y = forward("Conv2D"), forward("Linear")
conv_dW, conv_db, conv_dx = (backward("Conv2D", array) for array in ("W", "b", "x"))
linear_dW, linear_db, linear_dx = (backward("Linear", array) for array in ("W", "b", "x"))

CONV_FORWARD = [
    conv_y("the bias is not added.", lambda s: _y(s) - s.arrays["b"]),
    conv_y("the kernel is turned round: layers correlate, whatever they are called.",
           lambda s: _y(s, s.arrays["W"][::-1, ::-1])),
    conv_y("the kernel's rows and columns are exchanged.",
           lambda s: _y(s, s.arrays["W"].swapaxes(0, 1))),
    conv_y("the stride is ignored.", lambda s: _y(s, S=1)),
    conv_y("the padding is missing before the first pixel.", lambda s: _y(s, P=(0, 0))),
    conv_y("the padding is on the wrong side.", lambda s: _y(s, P=s.layer.P[::-1])),
]

CONV_WEIGHTS = [
    conv_dW("transposed weight gradient",
            "dW = cols.T @ dy; this is dy.T @ cols, read as if it had the shape of W.",
            "dW = dy.T @ cols, forced into the shape of W", _transposed_dW),
    conv_dW("height and width exchanged", "the kernel's rows and columns have changed places.",
            "the rows and columns of the kernel's gradient are exchanged",
            lambda s: _dW(s).swapaxes(0, 1)),
    conv_dW("kernel flipped", "dW comes out upside down and mirrored.",
            "the kernel's gradient is turned by 180°, as in a mathematician's convolution",
            lambda s: _dW(s)[::-1, ::-1]),
    conv_dW("stride ignored", "windows move by S: row oh begins at oh·S, not at oh.",
            "backward makes its columns with a stride of 1", lambda s: _dW(s, S=1)),
    conv_dW("padding ignored", "im2col in backward has to pad as forward does.",
            "backward makes its columns without the padding that forward used",
            lambda s: _dW(s, P=(0, 0))),
    conv_dW("missing sum over the batch", "dW adds up all pictures; here is one of them only.",
            "dW of each picture overwrites the one before: = where += belongs",
            lambda s: _dW(s, -1), lambda s: _dW(s, 0)),
    conv_dW("missing sum over positions", "dW adds up all places of the map; here is one only.",
            "dW of each place of the map overwrites the one before",
            lambda s: _dW(s, np.s_[:, -1, -1]), lambda s: _dW(s, np.s_[:, 0, 0])),
]


def _averaged_db(kind: str) -> Mistake:
    return backward(kind, "b")("bias gradient averaged",
              "backward only adds up: it is the loss that has taken the mean.",
              "db is the mean over places and pictures",
              lambda s: s.dy.reshape(-1, s.dy.shape[-1]).mean(axis=0),
              lambda s: _sum_db(s) / len(s.dy))


CONV_BIAS = [
    _averaged_db("Conv2D"),
    conv_db("missing sum over the batch",
            "every picture and every place adds to db: sum over all axes but the last.",
            "db sums over the places of the last picture only", lambda s: _sum_db(s, -1),
            lambda s: _sum_db(s, 0), lambda s: s.dy.sum(axis=(1, 2))),
    conv_db("missing sum over positions",
            "every picture and every place adds to db: sum over all axes but the last.",
            "db sums over the pictures and forgets the places", lambda s: s.dy.sum(axis=0),
            lambda s: s.dy[:, -1, -1].sum(0), lambda s: s.dy[:, 0, 0].sum(0)),
]

CONV_INPUT = [
    conv_dx("kernel flipped in col2im",
            "element (kh, kw) of a column goes back to the pixel that it came from: no turning "
            "round.",
            "col2im hands element (kh, kw) to the pixel of its mirror image",
            lambda s: _dx(s, _dcols(s)[:, :, :, ::-1, ::-1])),
    conv_dx("padding not cropped", "the padded border has to be cut off: dx[:, P:P+H, P:P+W].",
            "dx is cut out of the padded gradient at (0, 0) instead of (P, P)",
            lambda s: _dx(s, P=(0, 0)), lambda s: _dx(s, P=(0, 0), border=sum(s.layer.P))),
    conv_dx("stride ignored", "window (oh, ow) goes back to the pixels from (oh·S, ow·S) on.",
            "col2im sets neighbouring windows one pixel apart", lambda s: _dx(s, S=1)),
    conv_dx("transposed weights",
            "dcols = dy @ W.T; this is W reshaped to (F, KH·KW·C), which is not its transpose.",
            "dcols = dy @ W.reshape(F, -1), which has the shape of the transpose and is none",
            lambda s: _dx(s, _reshaped_dcols(s))),
    conv_dx("overlaps overwritten",
            "a pixel seen by several windows adds up what each sends: += and not =.",
            "col2im assigns each window where it should add",
            _overwritten_dx("window"), _overwritten_dx("element")),
    conv_dx("missing sum over filters", "every filter that saw the pixel sends something back.",
            "dx is what the last filter sends",
            lambda s: _dx(s, _dcols(s, slice(-1, None))),
            lambda s: _dx(s, _dcols(s, slice(1)))),
]

LINEAR = [
    _averaged_db("Linear"),
    linear_y("the bias is not added.", lambda s: s.x @ s.arrays["W"]),
    linear_y("W is read transposed.",
             lambda s: s.x @ s.arrays["W"].reshape(s.arrays["W"].shape[::-1]).T + s.arrays["b"]),
    linear_dW("transposed weight gradient", "dW = x.T @ dy has the shape of W: (inputs, outputs).",
              "dW = dy.T @ x: nothing complains where there are as many outputs as inputs",
              lambda s: s.dy.T @ s.x, lambda s: (s.dy.T @ s.x).reshape(s.arrays["W"].shape)),
    linear_dW("missing sum over the batch", "dW adds up all pictures; here is one only.",
              "dW is that of the last picture", lambda s: np.outer(s.x[-1], s.dy[-1]),
              lambda s: np.outer(s.x[0], s.dy[0])),
    linear_db("missing sum over the batch", "db is the sum of dy over the pictures.",
              "db is dy itself, a row for each picture",
              lambda s: s.dy, lambda s: s.dy[-1], lambda s: s.dy[0]),
    linear_dx("transposed weights", "dx = dy @ W.T: W the other way round.",
              "dx = dy @ W where it should be W.T: the shape fits, or is made to fit",
              lambda s: s.dy @ s.arrays["W"].reshape(s.arrays["W"].shape[::-1])),
]

WEIGHTED = [*CONV_FORWARD, *CONV_WEIGHTS, *CONV_BIAS, *CONV_INPUT, *LINEAR]
