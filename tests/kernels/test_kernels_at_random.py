"""The NumPy kernels against the plain loops, on shapes that hypothesis looks for.

Indices go wrong at edges that nobody thinks of: a picture of one row, a stride beyond the kernel,
padding wider than the picture. Hypothesis draws such shapes on purpose, and when one fails it
shrinks it to the smallest that still does.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from tinyalex.kernels import loops, numpy, output_size

sizes = some.integers(1, 4)
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def numbers(shape):
    """Different numbers, whole ones: sums are then exact in any order."""
    return np.random.default_rng(0).permutation(np.arange(np.prod(shape))).reshape(shape) * 1.0


@quick
@given(N=some.integers(1, 2), H=some.integers(1, 7), W=some.integers(1, 7), C=sizes, KH=sizes,
       KW=sizes, S=sizes, before=some.integers(0, 3), after=some.integers(0, 3))
def test_columns_and_back(N, H, W, C, KH, KW, S, before, after):
    P = before, after
    OH, OW = output_size(H, KH, S, P), output_size(W, KW, S, P)
    if OH < 1 or OW < 1:
        return
    x, cols = numbers((N, H, W, C)), numbers((N, OH, OW, KH, KW, C))
    results = []
    for kernels in (numpy, loops):
        forth, back = np.full(cols.shape, np.nan), np.full(x.shape, np.nan)
        kernels.im2col(x, (KH, KW), S, P, forth)
        kernels.col2im(cols, S, P, back)
        results.append((forth, back))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, slow)


@quick
@given(H=some.integers(1, 7), W=some.integers(1, 7), C=sizes, KH=sizes, KW=sizes, S=sizes,
       ceil=some.booleans(), ties=some.booleans())
def test_pooling(H, W, C, KH, KW, S, ceil, ties):
    OH, OW = output_size(H, KH, S, ceil=ceil), output_size(W, KW, S, ceil=ceil)
    if OH < 1 or OW < 1 or KH > H or KW > W:
        return
    x, dy = numbers((2, H, W, C)), numbers((2, OH, OW, C))
    x = x % 3 if ties else x
    results = []
    for kernels in (numpy, loops):
        y, average = np.full(dy.shape, np.nan), np.full(dy.shape, np.nan)
        where = np.full(dy.shape, 255, np.uint8)
        dx, every, share = (np.full(x.shape, np.nan) for _ in range(3))
        kernels.max_pool(x, (KH, KW), S, y, where)
        kernels.max_pool_backward(dy, where, (KH, KW), S, dx)
        kernels.max_pool_backward_ties(dy, x, y, (KH, KW), S, every)
        kernels.average_pool(x, (KH, KW), S, average)
        kernels.average_pool_backward(dy, (KH, KW), S, share)
        results.append((y, where, dx, every, average, share))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-13)


@quick
@given(C=some.integers(1, 12), n=some.sampled_from([1, 3, 5, 7, 9]), rows=sizes)
def test_window_sum(C, n, rows):
    x = numbers((rows, 2, C))
    fast, slow = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    numpy.window_sum(x, n, fast)
    loops.window_sum(x, n, slow)
    np.testing.assert_array_equal(fast, slow)


@quick
@given(H=some.integers(1, 9), W=some.integers(1, 9), n=some.sampled_from([1, 3, 5, 7]), C=sizes)
def test_box_sum(H, W, n, C):
    x = numbers((2, H, W, C))
    fast, slow = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    numpy.box_sum(x, n, fast)
    loops.box_sum(x, n, slow)
    np.testing.assert_array_equal(fast, slow)
