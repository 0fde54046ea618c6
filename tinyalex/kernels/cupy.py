"""The kernels for a GPU: the contract of __init__.py, with the code of cuda.py."""

import numpy as np

from tinyalex.kernels.cuda import KERNELS
from tinyalex.kernels.norm import normalise, normalise_backward

ROWS = 128  # rows that one thread adds up in sum_rows


def _new(shape, dtype):
    import cupy

    return cupy.empty(shape, dtype)


def im2col(x, K, S, P, cols):
    """A copy does not care what it copies: where it can, it moves 16 bytes at a time."""
    _, H, W, C = x.shape
    _, OH, OW, KH, KW, _ = cols.shape
    if C * x.itemsize % 16 == 0 and _whole(x) and _whole(cols):
        x, cols = x.view(np.complex128), cols.view(np.complex128)
    KERNELS["im2col"](cols.size, x, cols, H=H, W=W, C=x.shape[3], OH=OH, OW=OW, KH=KH, KW=KW, S=S,
                      P=P[0])


def _whole(array) -> bool:
    """Whether the array has no gaps in memory, and begins at a multiple of 16 bytes."""
    return array.flags.c_contiguous and array.data.ptr % 16 == 0


def col2im(cols, S, P, dx):
    _, H, W, C = dx.shape
    _, OH, OW, KH, KW, _ = cols.shape
    KERNELS["col2im"](dx.size, cols, dx, H=H, W=W, C=C, OH=OH, OW=OW, KH=KH, KW=KW, S=S, P=P[0])


def _sizes(x, y, K, S):
    return {"H": x.shape[1], "W": x.shape[2], "C": x.shape[3], "OH": y.shape[1], "OW": y.shape[2],
            "KH": K[0], "KW": K[1], "S": S}


def max_pool(x, K, S, y, where=None):
    store = int(where is not None)
    KERNELS["max_pool"](y.size, x, y, where if store else _new((1,), np.uint8),
                        **_sizes(x, y, K, S), STORE=store)


def max_pool_backward(dy, where, K, S, dx):
    KERNELS["max_pool_backward"](dx.size, dy, where, dx, **_sizes(dx, dy, K, S))


def max_pool_backward_ties(dy, x, y, K, S, dx):
    KERNELS["max_pool_backward_ties"](dx.size, dy, x, y, dx, **_sizes(x, y, K, S))


def average_pool(x, K, S, y):
    KERNELS["average_pool"](y.size, x, y, **_sizes(x, y, K, S))


def average_pool_backward(dy, K, S, dx):
    KERNELS["average_pool_backward"](dx.size, dy, dx, **_sizes(dx, dy, K, S))


def window_sum(x, n, y):
    KERNELS["window_sum"](y.size, x, y, C=x.shape[-1], NEAR=n // 2)


def box_sum(x, n, y):
    _, H, W, C = x.shape
    KERNELS["box_sum"](y.size, x, y, H=H, W=W, C=C, NEAR=n // 2)


def lrn(x, n, k, alpha, beta, y, s):
    KERNELS["lrn"](y.size, x, k, alpha, beta, y, s, C=x.shape[-1], NEAR=n // 2,
                   ROOTS=int(beta == 0.75))


def lrn_backward(dy, x, s, n, alpha, beta, dx):
    KERNELS["lrn_backward"](dx.size, dy, x, s, alpha, beta, dx, C=x.shape[-1], NEAR=n // 2,
                            ROOTS=int(beta == 0.75))


def spatial_norm(x, n, k, alpha, beta, y, s):
    normalise(x, box_sum, n, k, alpha, beta, y, s)


def spatial_norm_backward(dy, x, s, n, alpha, beta, dx):
    normalise_backward(dy, x, s, box_sum, n, alpha, beta, dx)


def relu(x, y):
    KERNELS["relu"](y.size, x, y)


def relu_backward(dy, y, dx):
    KERNELS["relu_backward"](dx.size, dy, y, dx)


def sum_rows(x, y):
    """Level by level, each thread ROWS rows: in the same order every time."""
    F = y.shape[-1]
    while True:
        rows = x.shape[0]
        parts = -(-rows // ROWS)
        out = y if parts == 1 else _new((parts, F), y.dtype)
        KERNELS["sum_rows"](parts * F, x, rows, out, F=F, ROWS=ROWS)
        if parts == 1:
            return
        x = out


def dropout(x, mask, y):
    KERNELS["dropout"](y.size, x, mask, y)


def sgd_update(w, v, g, lr, momentum, weight_decay):
    KERNELS["sgd_update"](w.size, g, lr, momentum, weight_decay, w, v)


def finish_crops(pixels, places, mean, shifts, scale, x):
    KERNELS["finish_crops"](x.size, pixels, places, mean, shifts, scale, x, SIDE=x.shape[1],
                            WIDTH=mean.shape[1])
