"""The kernels as plain loops: slow, and the definition of what the fast ones compute.

Each function says in scalars what happens to one element; nothing here shares an idea with
numpy.py, so that a slip in one shows up against the other. The contract is in __init__.py.
"""

import numpy as np


def im2col(x, K, S, P, cols):
    """cols[n, oh, ow, kh, kw, c] = the pixel that kernel element (kh, kw) sees at (oh, ow)."""
    N, H, W, C = x.shape
    for n, oh, ow, kh, kw, c in np.ndindex(cols.shape):
        h, w = oh * S + kh - P[0], ow * S + kw - P[0]
        inside = 0 <= h < H and 0 <= w < W
        cols[n, oh, ow, kh, kw, c] = x[n, h, w, c] if inside else 0


def col2im(cols, S, P, dx):
    """dx[n, h, w, c] = the sum of all column elements that im2col read from that pixel."""
    N, H, W, C = dx.shape
    dx[...] = 0
    for n, oh, ow, kh, kw, c in np.ndindex(cols.shape):
        h, w = oh * S + kh - P[0], ow * S + kw - P[0]
        if 0 <= h < H and 0 <= w < W:
            dx[n, h, w, c] += cols[n, oh, ow, kh, kw, c]


def _window(oh, ow, K, S, H, W):
    """The pixels of the pooling window (oh, ow), row by row, without those beyond the edge: the
    place of each in the window, its row and its column."""
    for kh in range(K[0]):
        for kw in range(K[1]):
            h, w = oh * S + kh, ow * S + kw
            if h < H and w < W:
                yield kh * K[1] + kw, h, w


def max_pool(x, K, S, y, where=None):
    """y = the largest pixel of each window; where = its place in the window, counted row by row.
    Of equal pixels the first one counts. NaN is larger than all numbers, and of several NaN the
    last one counts."""
    N, H, W, C = x.shape
    for n, oh, ow, c in np.ndindex(y.shape):
        best = None
        for place, h, w in _window(oh, ow, K, S, H, W):
            if best is None or x[n, h, w, c] > best or np.isnan(x[n, h, w, c]):
                best, best_place = x[n, h, w, c], place
        y[n, oh, ow, c] = best
        if where is not None:
            where[n, oh, ow, c] = best_place


def max_pool_backward(dy, where, K, S, dx):
    """Each window hands its gradient to the pixel that was its largest; overlaps add up."""
    N, H, W, C = dx.shape
    dx[...] = 0
    for n, oh, ow, c in np.ndindex(dy.shape):
        for place, h, w in _window(oh, ow, K, S, H, W):
            if place == where[n, oh, ow, c]:
                dx[n, h, w, c] += dy[n, oh, ow, c]


def max_pool_backward_ties(dy, x, y, K, S, dx):
    """Each window hands its gradient, whole, to every pixel that equals its largest."""
    N, H, W, C = dx.shape
    dx[...] = 0
    for n, oh, ow, c in np.ndindex(dy.shape):
        for _, h, w in _window(oh, ow, K, S, H, W):
            if x[n, h, w, c] == y[n, oh, ow, c]:
                dx[n, h, w, c] += dy[n, oh, ow, c]


def average_pool(x, K, S, y):
    """y = the mean of each window, over the pixels that lie inside the picture."""
    N, H, W, C = x.shape
    for n, oh, ow, c in np.ndindex(y.shape):
        pixels = [x[n, h, w, c] for _, h, w in _window(oh, ow, K, S, H, W)]
        y[n, oh, ow, c] = sum(pixels) / len(pixels)


def average_pool_backward(dy, K, S, dx):
    """Each window shares its gradient equally among its pixels; overlaps add up."""
    N, H, W, C = dx.shape
    dx[...] = 0
    for n, oh, ow, c in np.ndindex(dy.shape):
        pixels = [(h, w) for _, h, w in _window(oh, ow, K, S, H, W)]
        for h, w in pixels:
            dx[n, h, w, c] += dy[n, oh, ow, c] / len(pixels)


def _near(i, n, size):
    """The window of n around i: what is at most n // 2 away, and in 0..size-1."""
    return range(max(0, i - n // 2), min(size, i + n // 2 + 1))


def _maps(index, n, shape):
    """The window of n maps around one number: the same pixel of each."""
    *pixel, c = index
    return [(*pixel, j) for j in _near(c, n, shape[-1])]


def _box(index, n, shape):
    """The window of n×n pixels around one number, in the same map."""
    b, h, w, c = index
    return [(b, i, j, c) for i in _near(h, n, shape[1]) for j in _near(w, n, shape[2])]


def window_sum(x, n, y):
    """y_i = the sum of x_j over the n maps j around map i."""
    for i in np.ndindex(x.shape):
        y[i] = sum(x[j] for j in _maps(i, n, x.shape))


def box_sum(x, n, y):
    """y_i = the sum of x_j over the n×n pixels j around pixel i."""
    for i in np.ndindex(x.shape):
        y[i] = sum(x[j] for j in _box(i, n, x.shape))


def lrn(x, n, k, alpha, beta, y, s):
    """Divide by a power of the squares of the maps around: `LocalResponseNorm`."""
    for i in np.ndindex(x.shape):
        scale = k + alpha * sum(x[j] ** 2 for j in _maps(i, n, x.shape))
        y[i], s[i] = x[i] * scale**-beta, scale


def lrn_backward(dy, x, s, n, alpha, beta, dx):
    """What dx is made of, as the docstring of `LocalResponseNorm` derives it."""
    for i in np.ndindex(x.shape):
        through = sum(dy[j] * x[j] * s[j] ** (-beta - 1) for j in _maps(i, n, x.shape))
        dx[i] = dy[i] * s[i] ** -beta - 2 * alpha * beta * x[i] * through


def spatial_norm(x, n, k, alpha, beta, y, s):
    """The same with the squares of the pixels around: `SpatialResponseNorm`."""
    for i in np.ndindex(x.shape):
        scale = k + alpha * sum(x[j] ** 2 for j in _box(i, n, x.shape))
        y[i], s[i] = x[i] * scale**-beta, scale


def spatial_norm_backward(dy, x, s, n, alpha, beta, dx):
    """What dx is made of, as the docstring of `LocalResponseNorm` derives it."""
    for i in np.ndindex(x.shape):
        through = sum(dy[j] * x[j] * s[j] ** (-beta - 1) for j in _box(i, n, x.shape))
        dx[i] = dy[i] * s[i] ** -beta - 2 * alpha * beta * x[i] * through


def relu(x, y):
    """y = max(0, x); NaN stays NaN."""
    for i in np.ndindex(x.shape):
        y[i] = 0 if x[i] <= 0 else x[i]


def relu_backward(dy, y, dx):
    """dx = 0 where y <= 0, else dy."""
    for i in np.ndindex(y.shape):
        dx[i] = 0 if y[i] <= 0 else dy[i]


def sum_rows(x, y):
    """y[f] = the sum of x[r, f] over all rows r."""
    y[...] = 0
    for r, f in np.ndindex(x.shape):
        y[f] += x[r, f]


def dropout(x, mask, y):
    """y = x · mask."""
    for i in np.ndindex(x.shape):
        y[i] = x[i] * mask[i]


def sgd_update(w, v, g, lr, momentum, weight_decay):
    """The update of the paper's section 5; w and v change in place."""
    for i in np.ndindex(w.shape):
        v[i] = momentum * v[i] - weight_decay * lr * w[i] - lr * g[i]
        w[i] += v[i]


def finish_crops(pixels, places, mean, shifts, scale, x):
    """x = (pixels - mean + shift) * scale, picture by picture. The place of each says where it lies
    in the mean, and whether the mean and the pixels are to be mirrored."""
    N, SIDE, _, _ = x.shape
    for n, h, w, c in np.ndindex(x.shape):
        top, left, mean_mirrored, mirrored = places[n]
        u, v = (SIDE - 1 - w if back else w for back in (mean_mirrored, mirrored))
        pixel = float(pixels[n, h, v, c]) - mean[top + h, left + u, c]
        x[n, h, w, c] = (pixel + shifts[n, c]) * scale
