"""The CUDA kernels compute what the plain loops define, with a GPU and without.

Without one their bodies are compiled as C++ and run over all their elements one after the other.
Shapes have many edges: strides that leave pixels over, padding on one side, windows that hang over
the border, fewer channels than a window. In whole numbers of 32 and of 64 bits, which large maps
need.
"""

import numpy as np
import pytest
from test_kernels import draw_shape

from tinyalex.kernels import cupy, loops, output_size

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


@pytest.fixture(autouse=True)
def everywhere(gpu):
    """Every test runs on a simulated GPU and, marked gpu, on a real one."""


def on_gpu(array):
    import cupy  # the simulated one, or the real one

    return cupy.array(array)


def empty(shape, dtype=float):
    return on_gpu(nothing(*np.atleast_1d(shape), dtype=dtype))


@pytest.fixture(params=["int", "long long"], autouse=True)
def index(request, monkeypatch):
    """Every test runs with either type of whole numbers."""
    monkeypatch.setattr(cupy, "LARGE", 1 << 31 if request.param == "int" else 0)


def check(name, dtype, *args):
    """Call the kernel of loops.py and that of cupy.py with the same arguments; afterwards all their
    arrays are the same, those that they read and those that they wrote."""
    after = []
    for kernels in (loops, cupy):
        mine = [a.astype(dtype if a.dtype == float else a.dtype) if isinstance(a, np.ndarray) else a
                for a in args]
        if kernels is cupy:
            mine = [on_gpu(a) if isinstance(a, np.ndarray) else a for a in mine]
        getattr(kernels, name)(*mine)
        after.append([a.get() if kernels is cupy else a for a in mine if hasattr(a, "shape")])
    for slow, fast in zip(*after, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype],
                                   err_msg=name)


def nothing(*shape, dtype=float):
    return np.full(shape, 77, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("seed", range(15))
def test_im2col_and_col2im(seed, dtype):
    rng = np.random.default_rng(seed)
    N, H, W, C, K, S, P = draw_shape(rng)
    C = C if seed % 3 else 4  # with 4 channels im2col copies 16 bytes at a time
    shape = N, output_size(H, K[0], S, P), output_size(W, K[1], S, P), *K, C
    check("im2col", dtype, rng.standard_normal((N, H, W, C)), K, S, P, nothing(*shape))
    check("col2im", dtype, rng.standard_normal(shape), S, P, nothing(N, H, W, C))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_pooling(seed, ceil, dtype):
    rng = np.random.default_rng(seed)
    N, H, W, C, K, S, _ = draw_shape(rng, padded=False)
    x = rng.integers(-2, 3, (N, H, W, C)).astype(float)  # many ties
    shape = N, output_size(H, K[0], S, ceil=ceil), output_size(W, K[1], S, ceil=ceil), C
    y, where, dy = nothing(*shape), nothing(*shape, dtype=np.uint8), rng.standard_normal(shape)
    check("max_pool", dtype, x, K, S, y, where)
    check("average_pool", dtype, x, K, S, y)
    loops.max_pool(x, K, S, y, where)
    check("max_pool_backward", dtype, dy, where, K, S, nothing(*x.shape))
    check("max_pool_backward_ties", dtype, dy, x, y, K, S, nothing(*x.shape))
    check("average_pool_backward", dtype, dy, K, S, nothing(*x.shape))


def test_max_pool_without_where_gives_the_same():
    x = on_gpu(np.random.default_rng(0).standard_normal((2, 7, 7, 3)))
    y, again = (empty((2, 3, 3, 3)) for _ in range(2))
    cupy.max_pool(x, (3, 3), 2, y)
    cupy.max_pool(x, (3, 3), 2, again, empty((2, 3, 3, 3), np.uint8))
    np.testing.assert_array_equal(y.get(), again.get())


def test_what_is_not_a_number_stays_so():
    """A network that diverged must not look sound behind a ReLU or a pooling layer."""
    x = np.ones((1, 3, 3, 1))
    x[0, 1, 1] = np.nan
    for kernel, *args in (("relu", (1, 3, 3, 1)), ("max_pool", (1, 1, 1, 1), (3, 3), 1)):
        y = empty(args[0])
        getattr(cupy, kernel)(on_gpu(x), *args[1:], y)
        assert np.isnan(y.get()).any()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n", [1, 3, 5])
@pytest.mark.parametrize("C", [1, 2, 5, 6, 11])
def test_window_and_box_sums(C, n, dtype):
    x = np.random.default_rng(C).standard_normal((2, 3, 4, C))
    check("window_sum", dtype, x, n, nothing(*x.shape))
    check("box_sum", dtype, x, n, nothing(*x.shape))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize(("C", "n"), [(1, 5), (3, 5), (11, 5), (7, 3)])
def test_response_normalisation(C, n, beta, dtype):
    """With alpha = 0.3: at the paper's 1e-4 one could leave out the sum and pass."""
    x, dy = np.random.default_rng(C).standard_normal((2, 2, 3, 2, C))
    y, s = nothing(*x.shape), nothing(*x.shape)
    check("lrn", dtype, x, n, 2.0, 0.3, beta, y, s)
    loops.lrn(x, n, 2.0, 0.3, beta, y, s)
    check("lrn_backward", dtype, dy, x, s, n, 0.3, beta, nothing(*x.shape))
    loops.spatial_norm(x, n, 2.0, 0.3, beta, y, s)
    check("spatial_norm", dtype, x, n, 2.0, 0.3, beta, nothing(*x.shape), nothing(*x.shape))
    check("spatial_norm_backward", dtype, dy, x, s, n, 0.3, beta, nothing(*x.shape))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_what_goes_element_by_element(dtype):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 3, 5, 7))
    x[0, 0] = 0
    check("relu", dtype, x, nothing(*x.shape))
    check("relu_backward", dtype, dy, x, nothing(*x.shape))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rows", [1, 2, 127, 128, 129, 40_000])
def test_sums_of_rows(rows, dtype):
    """Of more rows than one thread adds up, and than two levels of threads do."""
    x = np.random.default_rng(rows).integers(-9, 9, (rows, 2)).astype(dtype)
    y = empty(2, dtype)
    cupy.sum_rows(on_gpu(x), y)
    np.testing.assert_array_equal(y.get(), x.sum(axis=0))


@pytest.mark.parametrize("size", [1, 7, 8, 9, 30])
def test_dropout_reads_a_bit_for_each_unit(size):
    rng = np.random.default_rng(size)
    x, mask = rng.standard_normal((3, size)), rng.random((3, size)) < 0.5
    slow, fast = np.empty_like(x), empty(x.shape)
    loops.dropout(x, mask, slow)
    packed = np.packbits(mask)
    cupy.dropout(on_gpu(x), on_gpu(packed), fast)
    np.testing.assert_array_equal(fast.get(), slow)
    assert packed.nbytes == -(-x.size // 8)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_sgd_update(dtype):
    w, v, g = np.random.default_rng(0).standard_normal((3, 50))
    check("sgd_update", dtype, w, v, g, 0.1, 0.9, 0.5)


def test_crops_are_finished_with_their_own_part_of_the_mean():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 4, 4, 3), np.uint8)
    places = np.array([[0, 2, 0, 0], [1, 0, 1, 1], [2, 2, 0, 1]], np.int32)
    mean, shifts = rng.random((6, 6, 3)) * 255, rng.standard_normal((3, 3))
    check("finish_crops", np.float32, pixels, places, mean, shifts, 1 / 64, nothing(3, 4, 4, 3))
