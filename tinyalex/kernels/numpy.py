"""The kernels for the CPU, in NumPy. The contract is in __init__.py, the definition in loops.py.

NumPy is fast when one call does much work on memory that is close together. So the loops that
remain run over the few elements of a kernel or a pooling window, never over pixels, and callers
hand over a few images at a time, which then stay in the processor's cache.
"""

from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from tinyalex.kernels.norm import normalise, normalise_backward

LINE = 64  # bytes of a cache line


def empty(shape, dtype):
    """np.empty, but aligned to a cache line, so that no vector instruction has to touch two of
    them: the C library promises only 16 bytes."""
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def im2col(x, K, S, P, cols):
    """One strided copy: the view `windows` of the padded picture has the shape of cols already.

    That every pixel appears in it KH·KW/S² times costs no memory, since it is only a way of
    counting through the picture; the copy makes the columns real. A row of a window, KW·C
    contiguous numbers, is a single element here, of a type of that size: NumPy then copies it as a
    whole, where for numbers it would begin a loop of its own for each short row.
    """
    N, H, W, C = x.shape
    if any(P):
        padded = empty((N, H + sum(P), W + sum(P), C), x.dtype)
        padded[...] = 0
        padded[:, P[0] : P[0] + H, P[0] : P[0] + W] = x
        x = padded
    x = np.ascontiguousarray(x)
    n, h, w, _ = x.strides
    row = np.dtype((np.void, K[1] * w))
    windows = np.ndarray(cols.shape[:4], row, x, 0, (n, S * h, S * w, h))
    np.copyto(cols.reshape(*cols.shape[:4], -1).view(row)[..., 0], windows)


def col2im(cols, S, P, dx):
    """Adds up over KH first, then over KW: KH + KW strided additions instead of KH·KW.

    The KW·C numbers of one kernel row are contiguous in cols, so that the KH additions, which
    have nearly all the work, run over long pieces of memory; what is left for the other KW, which
    run over C numbers at a time, is smaller by KH / S. Each is clipped to the picture.
    """
    N, OH, OW, KH, KW, C = cols.shape
    rows = empty((N, dx.shape[1], OW, KW, C), dx.dtype)
    rows[...] = 0
    for kh in range(KH):
        pixels, windows = _clip(kh - P[0], S, OH, dx.shape[1])
        rows[:, pixels] += cols[:, windows, :, kh]
    dx[...] = 0
    for kw in range(KW):
        pixels, windows = _clip(kw - P[0], S, OW, dx.shape[2])
        dx[:, :, pixels] += rows[:, :, windows, kw]


def _clip(offset, S, count, size):
    """Where the windows' element at `offset` lies: the pixels, and the windows, that count.

    Window i looks at pixel i * S + offset, which must lie in 0..size-1.
    """
    first = max(0, -(offset // S))
    last = min(count, (size - 1 - offset) // S + 1)
    start = first * S + offset
    return slice(start, start + max(0, last - first) * S, S), slice(first, max(first, last))


def _pixels(place, S, count):
    """Along one side: the pixels at this place of each of `count` pooling windows."""
    return slice(place, place + S * (count - 1) + 1, S)


def _places(x, K, S, y):
    """For each place in a window, row by row: its number, and the pixels there of all windows."""
    for place, (kh, kw) in enumerate(product(range(K[0]), range(K[1]))):
        yield place, x[:, _pixels(kh, S, y.shape[1]), _pixels(kw, S, y.shape[2])]


def _whole(x, K, S, y, fill):
    """x; or, where windows hang over its edge (only sizes rounded up do that), a larger copy with
    this number beyond the edge."""
    N, H, W, C = x.shape
    high, wide = (S * (count - 1) + k for count, k in zip(y.shape[1:3], K, strict=True))
    if high <= H and wide <= W:
        return x
    larger = empty((N, max(H, high), max(W, wide), C), x.dtype)
    larger[...] = fill
    larger[:, :H, :W] = x
    return larger


def max_pool(x, K, S, y, where=None):
    """The largest along one side of each window, then the largest of those: KH + KW passes over
    shifted views instead of KH·KW, since windows beside each other share the former.

    Down the columns comes first, over whole rows of pixels, which are long pieces of memory. But to
    know where the largest was, along the rows comes first: of equal pixels the first, row by row,
    counts.
    """
    x = _whole(x, K, S, y, -np.inf)
    (N, H, W, C), (OH, OW) = x.shape, y.shape[1:3]
    if where is None:
        columns = empty((N, OH, W, C), x.dtype)
        _largest([x[:, _pixels(kh, S, OH)] for kh in range(K[0])], columns)
        _largest([columns[:, :, _pixels(kw, S, OW)] for kw in range(K[1])], y)
        return
    rows, in_row = empty((N, H, OW, C), x.dtype), empty((N, H, OW, C), np.uint8)
    _largest([x[:, :, _pixels(kw, S, OW)] for kw in range(K[1])], rows, in_row, range(K[1]))
    _largest([rows[:, _pixels(kh, S, OH)] for kh in range(K[0])], y, where,
             [in_row[:, _pixels(kh, S, OH)] + kh * K[1] for kh in range(K[0])])
    if np.isnan(y).any():
        for place, pixels in _places(x, K, S, y):
            np.copyto(where, place, where=np.isnan(pixels))


def _largest(candidates, y, where=None, places=()):
    """y = the largest of the candidates, number by number; where, if asked for, = its place. Of
    equal ones the first counts; places rise from candidate to candidate."""
    if where is not None:
        where[...] = places[0]
    best = candidates[0]
    for i, x in enumerate(candidates[1:], 1):
        if where is not None:
            newer = (x > best).view(np.uint8)
            newer *= places[i]
            np.maximum(where, newer, out=where)  # the newest winner has the largest number
        best = np.maximum(best, x, out=y)
    if best is not y:
        y[...] = best


def max_pool_backward(dy, where, K, S, dx):
    """A pixel receives dy from the windows whose largest it was."""
    won, handed = empty(dy.shape, bool), empty(dy.shape, dy.dtype)
    _hand_back(lambda place: _select(dy, np.equal(where, place, out=won), handed), dy, K, S, dx)


def max_pool_backward_ties(dy, x, y, K, S, dx):
    """The same, but the largest is found by comparing again."""
    won, handed = empty(dy.shape, bool), empty(dy.shape, dy.dtype)
    seen = dict(_places(_whole(x, K, S, y, -np.inf), K, S, y))
    _hand_back(lambda place: _select(dy, np.equal(seen[place], y, out=won), handed), dy, K, S, dx)


def _hand_back(part, dy, K, S, dx):
    """dx = the sum of part(place), what each window hands to the pixel at that place in it: KH·KW
    passes, one for each place."""
    dx[...] = 0
    sums = _whole(dx, K, S, dy, 0)
    for place, pixels in _places(sums, K, S, dy):
        pixels += part(place)
    if sums is not dx:
        dx[...] = sums[:, : dx.shape[1], : dx.shape[2]]


def _select(x, wanted, y):
    """y = x where it is wanted, else 0, by masking the bits, since NaN · 0 is not 0. Returns y."""
    bits = f"u{x.itemsize}"
    np.multiply(x.view(bits), wanted, out=y.view(bits))
    return y


def average_pool(x, K, S, y):
    """KH·KW additions of shifted views, then one division by the windows' sizes."""
    y[...] = 0
    for _, pixels in _places(_whole(x, K, S, y, 0), K, S, y):
        y += pixels
    y /= _window_sizes(K, S, x, y)


def average_pool_backward(dy, K, S, dx):
    """The same additions the other way round."""
    part = dy / _window_sizes(K, S, dx, dy)
    _hand_back(lambda place: part, dy, K, S, dx)


def _window_sizes(K, S, x, y):
    """(OH, OW, 1): how many pixels of each window lie inside the picture."""
    high = np.minimum(x.shape[1] - S * np.arange(y.shape[1]), K[0])
    wide = np.minimum(x.shape[2] - S * np.arange(y.shape[2]), K[1])
    return np.multiply.outer(high, wide)[:, :, None].astype(x.dtype)


def window_sum(x, n, y):
    """A product with a matrix of ones near the diagonal, zeros elsewhere.

    BLAS multiplies, zeros and all, in the time in which NumPy would move the data a few times. To
    keep the zeros few, each product gives 16 channels and reads only those around them. (NaN and
    infinity, times zero, make NaN of all 16: a network that has come to that is lost anyhow.)
    """
    C, near = x.shape[-1], n // 2
    x, y, band = x.reshape(-1, C), y.reshape(-1, C), _band(C, near, x.dtype)
    for first in range(0, C, 16):
        mine = slice(first, min(first + 16, C))
        read = slice(max(0, first - near), min(mine.stop + near, C))
        np.matmul(x[:, read], band[read, mine], out=y[:, mine])


@lru_cache
def _band(C, near, dtype):
    """(C, C): 1 where two channels are at most `near` apart, else 0."""
    channel = np.arange(C)
    return (abs(channel[:, None] - channel) <= near).astype(dtype)


def box_sum(x, n, y):
    """Along H, then along W: 2n − 2 additions of shifted maps instead of n² − 1. (A product with
    ones, as in window_sum, would multiply all pixels of a row where only n of them count.)"""
    high = x.copy()
    for d in range(1, n // 2 + 1):
        high[:, d:] += x[:, :-d]
        high[:, :-d] += x[:, d:]
    np.copyto(y, high)
    for d in range(1, n // 2 + 1):
        y[:, :, d:] += high[:, :, :-d]
        y[:, :, :-d] += high[:, :, d:]


# The two normalisations differ in what they add up over: norm.py has the rest.

def lrn(x, n, k, alpha, beta, y, s):
    normalise(x, window_sum, n, k, alpha, beta, y, s)


def lrn_backward(dy, x, s, n, alpha, beta, dx):
    normalise_backward(dy, x, s, window_sum, n, alpha, beta, dx)


def spatial_norm(x, n, k, alpha, beta, y, s):
    normalise(x, box_sum, n, k, alpha, beta, y, s)


def spatial_norm_backward(dy, x, s, n, alpha, beta, dx):
    normalise_backward(dy, x, s, box_sum, n, alpha, beta, dx)


def relu(x, y):
    """y = max(0, x), with a picture of zeros: for the number 0, NumPy takes one x after the other;
    for an array, as many as fit into a vector."""
    np.maximum(x, _zeros(x.shape[1:], x.dtype), out=y)


@lru_cache(maxsize=32)
def _zeros(shape, dtype):
    return np.zeros(shape, dtype)


def relu_backward(dy, y, dx):
    """dx = 0 where y <= 0, else dy."""
    _select(dy, ~(y <= 0), dx)


def sum_rows(x, y):
    """A product with ones: x.sum(axis=0) is several times slower, since NumPy adds row to row, and
    the rows are short."""
    ones = empty((1, len(x)), x.dtype)
    ones[...] = 1
    np.matmul(ones, x, out=y[None])


def dropout(x, mask, y):
    """y = x · mask."""
    np.multiply(x, mask, out=y)


def sgd_update(w, v, g, lr, momentum, weight_decay):
    """v ← momentum·v − weight_decay·lr·w − lr·g, then w ← w + v, in place."""
    v *= momentum
    step = w * (weight_decay * lr)
    v -= step
    np.multiply(g, lr, out=step)
    v -= step
    w += v


def finish_crops(pixels, places, mean, shifts, scale, x):
    """x = (pixels - mean + shift) * scale, picture by picture."""
    side = x.shape[1]
    for i, (top, left, mean_mirrored, mirrored) in enumerate(places.tolist()):
        part = mean[top : top + side, left : left + side]
        x[i] = pixels[i, :, ::-1] if mirrored else pixels[i]
        x[i] -= part[:, ::-1] if mean_mirrored else part
    x += shifts[:, None, None]
    x *= x.dtype.type(scale)
