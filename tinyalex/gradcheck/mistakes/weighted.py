"""Mistakes in layers with weights: convolution, local connection and full connection."""

from typing import Any

import numpy as np

from tinyalex.gradcheck.scene import Scene, backward, forward
from tinyalex.kernels import loops

Pad = tuple[int, int]  # before the first pixel, after the last


def _columns(s: Scene, S: int | None = None, P: Pad | None = None) -> np.ndarray:
    """The columns of x, with another stride or other padding if given."""
    layer, OH, OW = s.layer, *s.y.shape[1:3]
    cols = np.empty((len(s.x), OH, OW, *layer.K, s.x.shape[3]))
    loops.im2col(s.x, layer.K, S or layer.S, layer.P if P is None else P, cols)
    return cols


def _y(s: Scene, cols: np.ndarray) -> np.ndarray:
    """The output from these columns."""
    return np.einsum("nhwijc,ijcf->nhwf", cols, s.arrays["W"]) + s.arrays["b"]


def _dW(s: Scene, cols: np.ndarray | None = None, only: Any = ...) -> np.ndarray:
    """dW; cols: from these columns; only: of these pictures, rows and columns of dy."""
    dy = np.zeros_like(s.dy)
    dy[only] = s.dy[only]
    return np.einsum("nhwijc,nhwf->ijcf", _columns(s) if cols is None else cols, dy)


def _dcols(s: Scene) -> np.ndarray:
    return np.einsum("nhwf,ijcf->nhwijc", s.dy, s.arrays["W"])


def _reshaped_dcols(s: Scene) -> np.ndarray:
    """dy @ W.reshape(F, -1), which has the shape of the transpose but is not the transpose."""
    W = s.arrays["W"]
    return np.einsum("nhwf,fijc->nhwijc", s.dy, W.reshape(W.shape[3], *W.shape[:3]))


def _dx(s: Scene, dcols: np.ndarray | None = None, S: int | None = None, P: Pad | None = None,
        border: int = 0) -> np.ndarray:
    """dx; border: how much larger it is than x."""
    N, H, W, C = s.x.shape
    dx = np.empty((N, H + border, W + border, C))
    loops.col2im(_dcols(s) if dcols is None else dcols, S or s.layer.S,
                 s.layer.P if P is None else P, dx)
    return dx


def overwritten(dcols: np.ndarray, S: int, P: Pad, shape: tuple[int, ...],
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


def _transposed_dW(s: Scene) -> np.ndarray:
    W = s.arrays["W"]
    return _dW(s).reshape(-1, W.shape[3]).T.reshape(W.shape)


conv_y, linear_y = forward("Conv2D"), forward("Linear")
conv_dW, conv_db, conv_dx = (backward("Conv2D", array) for array in ("W", "b", "x"))
local_y = forward("LocallyConnected2D")
local_dW, local_db, local_dx = (backward("LocallyConnected2D", array) for array in ("W", "b", "x"))
linear_dW, linear_db, linear_dx = (backward("Linear", array) for array in ("W", "b", "x"))

CONV = [
    conv_y("the bias is not added.", lambda s: _y(s, _columns(s)) - s.arrays["b"]),
    conv_y("the kernel is flipped: layers correlate, whatever they are called.",
           lambda s: _y(s, _columns(s)[:, :, :, ::-1, ::-1])),
    conv_y("the stride is ignored.", lambda s: _y(s, _columns(s, S=1))),
    conv_y("the padding is missing before the first pixel.",
           lambda s: _y(s, _columns(s, P=(0, 0)))),
    conv_dW("transposed weight gradient",
            "dW = cols.T @ dy; this is dy.T @ cols, read as if it had the shape of W.",
            _transposed_dW),
    conv_dW("height and width swapped", "the kernel's rows and columns are swapped.",
            lambda s: _dW(s).swapaxes(0, 1)),
    conv_dW("kernel flipped",
            "dW comes out upside down and mirrored, as in a mathematician's convolution.",
            lambda s: _dW(s)[::-1, ::-1]),
    conv_dW("stride ignored", "windows move by S: row oh begins at oh·S, not at oh.",
            lambda s: _dW(s, _columns(s, S=1))),
    conv_dW("padding ignored", "im2col in backward has to pad as forward does.",
            lambda s: _dW(s, _columns(s, P=(0, 0)))),
    conv_dW("missing sum over the batch",
            "dW adds up all pictures, +=, not =; this is only one of them.",
            lambda s: _dW(s, only=-1), lambda s: _dW(s, only=0)),
    conv_dW("missing sum over positions",
            "dW adds up all places of the map, +=, not =; this is only one.",
            lambda s: _dW(s, only=np.s_[:, -1, -1]), lambda s: _dW(s, only=np.s_[:, 0, 0])),
    conv_db("missing sum over the batch",
            "every picture and every place adds to db: sum over all axes but the last.",
            lambda s: s.dy[-1].sum(axis=(0, 1)), lambda s: s.dy.sum(axis=(1, 2))),
    conv_db("missing sum over positions",
            "every picture and every place adds to db: sum over all axes but the last.",
            lambda s: s.dy.sum(axis=0), lambda s: s.dy[:, -1, -1].sum(axis=0)),
    conv_db("sum over the wrong axes",
            "db has a number for each filter, the last axis of dy: dy.sum(axis=(0, 1, 2)).",
            *(lambda s, axes=axes: s.dy.sum(axis=axes)
              for axes in ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1), (0, 2), (1, 3), None))),
    conv_dx("kernel flipped in col2im",
            "element (kh, kw) of a column goes back to the pixel that it came from: no "
            "flipping.",
            lambda s: _dx(s, _dcols(s)[:, :, :, ::-1, ::-1])),
    conv_dx("padding not cropped", "the padded border has to be cut off: dx[:, P:P+H, P:P+W].",
            lambda s: _dx(s, P=(0, 0)), lambda s: _dx(s, P=(0, 0), border=sum(s.layer.P))),
    conv_dx("crop that ends at −P", "with P = 0 nothing is left of dx[:, P:-P]: cut [P:P + H].",
            lambda s: _dx(s, P=(0, 0), border=sum(s.layer.P))[
                :, (inside := slice(s.layer.P[0], -s.layer.P[1])), inside]),
    conv_dx("stride ignored", "window (oh, ow) goes back to the pixels from (oh·S, ow·S) on.",
            lambda s: _dx(s, S=1)),
    conv_dx("transposed weights",
            "dcols = dy @ W.T; this is W reshaped to (F, KH·KW·C), which is not its transpose.",
            lambda s: _dx(s, _reshaped_dcols(s))),
    conv_dx("overlaps overwritten",
            "a pixel seen by several windows adds up what each sends: +=, not =.",
            *(lambda s, last=last: overwritten(_dcols(s), s.layer.S, s.layer.P, s.x.shape, last)
              for last in ("window", "element"))),
]

LINEAR = [
    linear_y("the bias is not added.", lambda s: s.x @ s.arrays["W"]),
    linear_dW("transposed weight gradient", "dW = x.T @ dy has the shape of W: (inputs, outputs).",
              lambda s: s.dy.T @ s.x, lambda s: (s.dy.T @ s.x).reshape(s.arrays["W"].shape)),
    linear_dW("missing sum over the batch", "dW adds up all pictures; this is only one.",
              lambda s: np.outer(s.x[-1], s.dy[-1]), lambda s: np.outer(s.x[0], s.dy[0])),
    linear_db("missing sum over the batch", "db is the sum of dy over the pictures.",
              lambda s: s.dy, lambda s: s.dy[-1], lambda s: s.dy[0]),
    linear_db("sum over the wrong axis", "db has one number for each output: dy.sum(axis=0).",
              lambda s: s.dy.sum(axis=1), lambda s: s.dy.sum()),
    linear_dx("transposed weights", "dx = dy @ W.T: W transposed.",
              lambda s: s.dy @ s.arrays["W"].reshape(s.arrays["W"].shape[::-1])),
]



def _local_dW(s: Scene, only: Any = ...) -> np.ndarray:
    return np.einsum("nhwijc,nhwf->hwijcf", _columns(s)[only], s.dy[only])


def _turned(s: Scene, W: np.ndarray) -> np.ndarray:
    """The output with these kernels, of each place its own."""
    return np.einsum("nhwijc,hwijcf->nhwf", _columns(s), W) + s.arrays["b"]


LOCAL = [
    local_y("the bias is not added.", lambda s: _turned(s, s.arrays["W"]) - s.arrays["b"]),
    local_y("all places use the kernels of the first, as in a convolution.",
            lambda s: _turned(s, np.broadcast_to(s.arrays["W"][:1, :1], s.arrays["W"].shape))),
    local_dW("summed over positions",
             "each place has kernels of its own: dW has no sum over places.",
             lambda s: np.broadcast_to(_local_dW(s).sum(axis=(0, 1)), s.arrays["W"].shape)),
    local_dW("missing sum over the batch", "dW adds up all pictures; this is only one.",
             lambda s: _local_dW(s, np.s_[-1:]), lambda s: _local_dW(s, np.s_[:1])),
    local_db("summed over positions",
             "each place has biases of its own: db is a sum over pictures.",
             lambda s: np.broadcast_to(s.dy.sum(axis=(0, 1, 2)), s.arrays["b"].shape)),
    local_dx("kernels of another place", "dcols of a place uses the kernels of that place.",
             lambda s: _dx(s, np.einsum("nhwf,hwijcf->nhwijc", s.dy, s.arrays["W"][::-1]))),
    local_dx("overlaps overwritten",
             "a pixel seen by several windows adds up what each sends: +=, not =.",
             *(lambda s, last=last: overwritten(
                 np.einsum("nhwf,hwijcf->nhwijc", s.dy, s.arrays["W"]), s.layer.S, s.layer.P,
                 s.x.shape, last) for last in ("window", "element"))),
]

WEIGHTED = [*CONV, *LINEAR, *LOCAL]
