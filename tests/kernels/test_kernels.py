"""The fast kernels compute what the plain loops define.

`loops.py` says in scalars what each kernel does; `numpy.py` does it with strides, shifted views and
matrix products. Where those go wrong it is at the edges: strides that leave pixels over, padding on
one side only, windows that hang over the border, more or fewer channels than a window. So shapes
are drawn at random, with many edges among them.
"""

import inspect
import re

import numpy as np
import pytest

from tinyalex import kernels
from tinyalex.kernels import cupy, loops, numpy, output_size


def draw_shape(rng, padded=True):
    """padded: the picture may be smaller than the kernel."""
    K, S = (int(rng.integers(1, 5)), int(rng.integers(1, 5))), int(rng.integers(1, 5))
    P = (int(rng.integers(0, 3)), int(rng.integers(0, 4)))
    N, C = int(rng.integers(1, 3)), int(rng.integers(1, 8))
    H, W = (int(rng.integers(max(1, k - padded * sum(P)), k + 6)) for k in K)
    return N, H, W, C, K, S, P


@pytest.mark.parametrize("seed", range(60))
def test_im2col_and_col2im_do_what_the_loops_say(seed):
    rng = np.random.default_rng(seed)
    N, H, W, C, K, S, P = draw_shape(rng)
    x = rng.standard_normal((N, H, W, C))
    shape = N, output_size(H, K[0], S, P), output_size(W, K[1], S, P), *K, C
    fast, slow = np.full(shape, np.nan), np.full(shape, np.nan)
    numpy.im2col(x, K, S, P, fast)
    loops.im2col(x, K, S, P, slow)
    np.testing.assert_array_equal(fast, slow)

    cols = rng.standard_normal(shape)
    fast, slow = np.full_like(x, np.nan), np.full_like(x, np.nan)
    numpy.col2im(cols, S, P, fast)
    loops.col2im(cols, S, P, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-12)


def test_col2im_is_the_transpose_of_im2col():
    """⟨im2col(x), c⟩ = ⟨x, col2im(c)⟩ for all x and c: what backpropagation needs of the pair."""
    rng = np.random.default_rng(0)
    K, S, P = (3, 2), 2, (1, 2)
    x = rng.standard_normal((2, 6, 7, 3))
    c = rng.standard_normal((2, output_size(6, 3, S, P), output_size(7, 2, S, P), *K, 3))
    cols, dx = np.empty_like(c), np.empty_like(x)
    numpy.im2col(x, K, S, P, cols)
    numpy.col2im(c, S, P, dx)
    assert (cols * c).sum() == pytest.approx((x * dx).sum(), rel=1e-12)


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_pooling_does_what_the_loops_say(seed, ceil):
    rng = np.random.default_rng(seed)
    N, H, W, C, K, S, _ = draw_shape(rng, padded=False)
    # Few different values, so that there are many ties to break in the same way.
    x = rng.integers(-2, 3, (N, H, W, C)).astype(float)
    shape = N, output_size(H, K[0], S, ceil=ceil), output_size(W, K[1], S, ceil=ceil), C
    results = {}
    for backend in (numpy, loops):
        y, where, average = np.empty(shape), np.empty(shape, np.uint8), np.empty(shape)
        backend.max_pool(x, K, S, y, where)
        backend.average_pool(x, K, S, average)
        dy = np.random.default_rng(seed).standard_normal(shape)
        dx, every, share = (np.empty_like(x) for _ in range(3))
        backend.max_pool_backward(dy, where, K, S, dx)
        backend.max_pool_backward_ties(dy, x, y, K, S, every)
        backend.average_pool_backward(dy, K, S, share)
        results[backend] = y, where, average, dx, every, share
    for fast, slow in zip(results[numpy], results[loops], strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-12)


def test_max_pool_without_where_gives_the_same():
    x = np.random.default_rng(0).standard_normal((2, 7, 7, 3))
    (y, again), where = np.empty((2, 2, 3, 3, 3)), np.empty((2, 3, 3, 3), np.uint8)
    numpy.max_pool(x, (3, 3), 2, y)
    numpy.max_pool(x, (3, 3), 2, again, where)
    np.testing.assert_array_equal(y, again)


@pytest.mark.parametrize("C", [1, 2, 4, 5, 6, 11, 16, 17, 40])  # numpy.py goes by blocks of 16
@pytest.mark.parametrize("n", [1, 3, 5])
def test_window_sum_is_clipped_at_the_first_and_the_last_channel(C, n):
    x = np.random.default_rng(C).standard_normal((2, 3, 2, C))
    fast, slow = np.empty_like(x), np.empty_like(x)
    numpy.window_sum(x, n, fast)
    loops.window_sum(x, n, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("side", [(1, 1), (2, 5), (4, 3), (7, 9)])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_box_sum_is_clipped_at_the_edges_of_the_map(side, n):
    x = np.random.default_rng(n).standard_normal((2, *side, 3))
    fast, slow = np.full_like(x, np.nan), np.empty_like(x)
    numpy.box_sum(x, n, fast)
    loops.box_sum(x, n, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-12)


def test_sgd_update_does_what_the_loops_say():
    w, v, g = np.random.default_rng(0).standard_normal((3, 7))
    w2, v2 = w.copy(), v.copy()
    numpy.sgd_update(w, v, g, 0.1, 0.9, 0.5)
    loops.sgd_update(w2, v2, g, 0.1, 0.9, 0.5)
    np.testing.assert_allclose([w, v], [w2, v2], rtol=1e-14)


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "ceil", "windows"), [
    (224, 11, 4, (0, 3), False, 55),  # conv1 of the paper
    (224, 11, 4, (0, 0), False, 54),  # … and what it would be without the zeros
    (55, 3, 2, (0, 0), False, 27),
    (32, 3, 2, (0, 0), False, 15),
    (32, 3, 2, (0, 0), True, 16),  # the last window hangs over the edge
    (3, 1, 3, (0, 0), True, 1),  # a second one would start outside
    (2, 3, 1, (0, 0), False, 0),
])
def test_output_size_counts_windows(size, kernel, stride, pad, ceil, windows):
    assert output_size(size, kernel, stride, pad, ceil) == windows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_lets_what_is_no_number_through_and_rows_are_summed(dtype):
    x = np.random.default_rng(3).standard_normal((9, 5)).astype(dtype)
    x[0, 0], x[1, 1], x[2, 2] = np.nan, 0, np.inf
    fast, slow = x.copy(), x.copy()
    numpy.relu(x, fast)
    loops.relu(x, slow)
    np.testing.assert_array_equal(fast, slow)
    fast, slow = np.full(5, np.nan, dtype), np.full(5, np.nan, dtype)
    numpy.sum_rows(x[3:], fast)
    loops.sum_rows(x[3:], slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-5)


@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize("kind", ["lrn", "spatial_norm"])
@pytest.mark.parametrize(("C", "n"), [(1, 5), (3, 5), (11, 5), (7, 3)])
def test_response_normalisation_does_what_the_loops_say(kind, C, n, beta):
    """With alpha = 0.3: at the paper's 1e-4 one could leave out the sum and pass."""
    x, dy = np.random.default_rng(C).standard_normal((2, 2, 4, 3, C))
    results = []
    for backend in (numpy, loops):
        y, s, dx = (np.full_like(x, np.nan) for _ in range(3))
        getattr(backend, kind)(x, n, 2.0, 0.3, beta, y, s)
        getattr(backend, f"{kind}_backward")(dy, x, s, n, 0.3, beta, dx)
        results.append((y, s, dx))
    np.testing.assert_allclose(*results, rtol=1e-12, atol=1e-14)


def test_crops_are_finished_with_their_own_part_of_the_mean():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 4, 4, 3), np.uint8)
    places = np.array([[0, 2, 0, 0], [1, 0, 1, 1], [2, 2, 0, 1]], np.int32)
    mean, shifts = rng.random((6, 6, 3)) * 255, rng.standard_normal((3, 3))
    fast, slow = np.full((3, 4, 4, 3), np.nan), np.full((3, 4, 4, 3), np.nan)
    numpy.finish_crops(pixels, places, mean, shifts, 1 / 64, fast)
    loops.finish_crops(pixels, places, mean, shifts, 1 / 64, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


def test_every_backend_has_every_kernel_of_the_contract_with_the_same_arguments():
    """A layer calls them by name, whatever the device: one that is missing shows only there."""
    contract = dict(re.findall(r"^    (\w+)\(([\w, ]+)\)", kernels.__doc__, re.MULTILINE))
    assert len(contract) > 15
    for backend in (loops, numpy, cupy):
        for name, arguments in contract.items():
            assert list(inspect.signature(getattr(backend, name)).parameters) == \
                arguments.split(", "), (backend.__name__, name)
