"""The kernels for the CPU, in NumPy. The contract is in __init__.py, the definition in loops.py.

NumPy is fast when one call does much work on memory that lies close together. So the loops that
remain run over the few elements of a kernel or a pooling window, never over pixels, and callers
hand over one or two images at a time, which then stay in the processor's cache.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided


def im2col(x, K, S, P, cols):
    """One strided copy: the view `windows` of the padded picture has the shape of cols already.

    It costs no memory that every pixel appears in it KH·KW/S² times, since it is only a way of
    counting through the picture; the copy makes the columns real.
    """
    N, H, W, C = x.shape
    if any(P):
        padded = np.zeros((N, H + sum(P), W + sum(P), C), x.dtype)
        padded[:, P[0] : P[0] + H, P[0] : P[0] + W] = x
        x = padded
    n, h, w, c = x.strides
    windows = as_strided(x, cols.shape, (n, S * h, S * w, h, w, c), writeable=False)
    np.copyto(cols, windows)


def col2im(cols, S, P, dx):
    """For each kernel element one strided addition of the whole map, clipped to the picture."""
    _, OH, OW, KH, KW, _ = cols.shape
    dx[...] = 0
    for kh in range(KH):
        to_h, from_h = _clip(kh - P[0], S, OH, dx.shape[1])
        for kw in range(KW):
            to_w, from_w = _clip(kw - P[0], S, OW, dx.shape[2])
            dx[:, to_h, to_w] += cols[:, from_h, from_w, kh, kw]


def _clip(offset, S, count, size):
    """Where the windows' element at `offset` lies: the pixels, and the windows, that count.

    Window i looks at pixel i * S + offset, which must lie in 0..size-1.
    """
    first = max(0, -(offset // S))
    last = min(count, (size - 1 - offset) // S + 1)
    start = first * S + offset
    return slice(start, start + max(0, last - first) * S, S), slice(first, max(first, last))


def _shifts(K, S, OH, OW, H, W):
    """For each place in a pooling window: its number, the pixels there, the windows that reach it.

    Only with sizes rounded up do windows hang over the edge, so that some miss a place.
    """
    for kh in range(K[0]):
        from_h, to_h = _clip(kh, S, OH, H)
        for kw in range(K[1]):
            from_w, to_w = _clip(kw, S, OW, W)
            yield kh * K[1] + kw, (slice(None), from_h, from_w), (slice(None), to_h, to_w)


def max_pool(x, K, S, y, where=None):
    """KH·KW passes over shifted views, keeping the larger and, when asked, where it was."""
    shifts = _shifts(K, S, *y.shape[1:3], *x.shape[1:3])
    _, pixels, _ = next(shifts)
    np.copyto(y, x[pixels])
    if where is not None:
        where[...] = 0
    for place, pixels, windows in shifts:
        here, best = x[pixels], y[windows]
        if where is not None:
            # Places come in rising order, so the larger number is the newer winner.
            newer = (here > best).view(np.uint8) * np.uint8(place)
            np.maximum(where[windows], newer, out=where[windows])
        np.maximum(best, here, out=best)


def max_pool_backward(dy, where, K, S, dx):
    """KH·KW passes; in each the windows whose largest pixel was at that place hand it over."""
    dx[...] = 0
    for place, pixels, windows in _shifts(K, S, *dy.shape[1:3], *dx.shape[1:3]):
        dx[pixels] += dy[windows] * (where[windows] == place)


def max_pool_backward_ties(dy, x, y, K, S, dx):
    """The same passes, but who won is seen by comparing again."""
    dx[...] = 0
    for _, pixels, windows in _shifts(K, S, *dy.shape[1:3], *dx.shape[1:3]):
        dx[pixels] += dy[windows] * (x[pixels] == y[windows])


def average_pool(x, K, S, y):
    """KH·KW additions of shifted views, then one division by the windows' sizes."""
    y[...] = 0
    for _, pixels, windows in _shifts(K, S, *y.shape[1:3], *x.shape[1:3]):
        y[windows] += x[pixels]
    y /= _window_sizes(K, S, x, y)


def average_pool_backward(dy, K, S, dx):
    """The same additions the other way round."""
    share = dy / _window_sizes(K, S, dx, dy)
    dx[...] = 0
    for _, pixels, windows in _shifts(K, S, *dy.shape[1:3], *dx.shape[1:3]):
        dx[pixels] += share[windows]


def _window_sizes(K, S, x, y):
    """(OH, OW, 1): how many pixels of each window lie inside the picture."""
    high = np.minimum(x.shape[1] - S * np.arange(y.shape[1]), K[0])
    wide = np.minimum(x.shape[2] - S * np.arange(y.shape[2]), K[1])
    return np.multiply.outer(high, wide)[:, :, None].astype(x.dtype)


def window_sum(x, n, y):
    """A product with a matrix of ones near the diagonal: y[:, i] = sum of x[:, j], |i - j| <= n//2.

    It does C multiplications an element where n - 1 additions would do, and still wins: BLAS does
    them in the time in which NumPy would move the data once or twice.
    """
    C = x.shape[-1]
    channel = np.arange(C)
    band = (abs(channel[:, None] - channel) <= n // 2).astype(x.dtype)
    np.matmul(x.reshape(-1, C), band, out=y.reshape(-1, C))


def box_sum(x, n, y):
    """Along H, then along W: 2n − 2 additions of shifted maps instead of n² − 1.

    A product with a band of ones, as in window_sum, is no faster here (27×27×128), and slower on
    larger maps: it multiplies all pixels of a row where only n of them count.
    """
    high = x.copy()
    for d in range(1, n // 2 + 1):
        high[:, d:] += x[:, :-d]
        high[:, :-d] += x[:, d:]
    np.copyto(y, high)
    for d in range(1, n // 2 + 1):
        y[:, :, d:] += high[:, :, :-d]
        y[:, :, :-d] += high[:, :, d:]


def sgd_update(w, v, g, lr, momentum, weight_decay):
    """v ← momentum·v − weight_decay·lr·w − lr·g, then w ← w + v, in place."""
    v *= momentum
    step = w * (weight_decay * lr)
    v -= step
    np.multiply(g, lr, out=step)
    v -= step
    w += v
