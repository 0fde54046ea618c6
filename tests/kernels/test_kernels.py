"""The fast kernels compute what the plain loops define, on the CPU and on GPUs.

`loops.py` says in scalars what each kernel does; `numpy.py` does it with strides, shifted views and
matrix products, `cupy.py` with a thread for each number. Where those go wrong it is at the edges:
strides that leave pixels over, padding on one side only, windows that hang over the border, more or
fewer channels than a window. So shapes are drawn at random, with many edges among them. Without a
GPU the bodies of the CUDA kernels are compiled as C++ and run over all their elements one after the
other, with whole numbers of 32 and of 64 bits, which large maps need.
"""

import inspect
import re

import numpy as np
import pytest
from gpus import machines, on

from tinyalex import kernels
from tinyalex.kernels import cuda, cupy, loops, numpy, output_size

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


@pytest.fixture(params=["numpy", *machines("cuda:0")])
def check(request, monkeypatch):
    """Calls a kernel of loops.py and the fast one with the same arguments, in float32 and float64;
    afterwards all their arrays are the same, those that were read and those that were written."""
    def check_on_cpu(name, *args):
        for dtype in TOLERANCE:
            assert_same(called(loops, name, args, dtype), called(numpy, name, args, dtype), dtype)

    def check_on_gpu(name, *args):
        for dtype in TOLERANCE:
            slow = called(loops, name, args, dtype)
            for large in (1 << 31, 0):  # an Index of 32 bits, and of 64
                monkeypatch.setattr(cuda, "LARGE", large)
                assert_same(slow, called(cupy, name, args, dtype, on_gpu), dtype)

    if request.param == "numpy":
        yield check_on_cpu
    else:
        with on(*request.param):
            yield check_on_gpu


def called(module, name, args, dtype, put=lambda array: array) -> list[np.ndarray]:
    """The arrays among the arguments, after the call."""
    args = [put(a.astype(dtype if a.dtype == float else a.dtype))
            if isinstance(a, np.ndarray) else a for a in args]
    getattr(module, name)(*args)
    return [a.get() if hasattr(a, "get") else a for a in args if hasattr(a, "shape")]


def assert_same(slow, fast, dtype):
    for ours, theirs in zip(fast, slow, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def on_gpu(array):
    import cupy  # the simulated one, or the real one

    return cupy.array(array)


def nothing(*shape, dtype=float):
    return np.full(shape, 77, dtype)


def draw_shape(rng, padded=True):
    """padded: the picture may be smaller than the kernel."""
    K, S = (int(rng.integers(1, 5)), int(rng.integers(1, 5))), int(rng.integers(1, 5))
    P = (int(rng.integers(0, 3)), int(rng.integers(0, 4)))
    N, C = int(rng.integers(1, 3)), int(rng.integers(1, 8))
    H, W = (int(rng.integers(max(1, k - padded * sum(P)), k + 6)) for k in K)
    return N, H, W, C, K, S, P


@pytest.mark.parametrize("seed", range(30))
def test_im2col_and_col2im_do_what_the_loops_say(seed, check):
    rng = np.random.default_rng(seed)
    N, H, W, C, K, S, P = draw_shape(rng)
    C = C if seed % 3 else 4  # with 4 channels im2col copies 16 bytes at a time on a GPU
    shape = N, output_size(H, K[0], S, P), output_size(W, K[1], S, P), *K, C
    check("im2col", rng.standard_normal((N, H, W, C)), K, S, P, nothing(*shape))
    check("col2im", rng.standard_normal(shape), S, P, nothing(N, H, W, C))


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
@pytest.mark.parametrize("seed", range(12))
def test_pooling_does_what_the_loops_say(seed, ceil, check):
    rng = np.random.default_rng(seed)
    N, H, W, C, K, S, _ = draw_shape(rng, padded=False)
    # Few different values, so that there are many ties to break in the same way.
    x = rng.integers(-2, 3, (N, H, W, C)).astype(float)
    shape = N, output_size(H, K[0], S, ceil=ceil), output_size(W, K[1], S, ceil=ceil), C
    y, where, dy = nothing(*shape), nothing(*shape, dtype=np.uint8), rng.standard_normal(shape)
    check("max_pool", x, K, S, y, where)
    check("max_pool", x, K, S, y, None)
    below_0 = x - 3  # where what lies beyond an edge must not be taken for 0
    check("max_pool", below_0, K, S, y, where)
    check("max_pool", below_0, K, S, y, None)
    check("average_pool", x, K, S, y)
    loops.max_pool(x, K, S, y, where)
    check("max_pool_backward", dy, where, K, S, nothing(*x.shape))
    check("max_pool_backward_ties", dy, x, y, K, S, nothing(*x.shape))
    check("average_pool_backward", dy, K, S, nothing(*x.shape))


@pytest.mark.parametrize("C", [1, 2, 4, 5, 6, 11, 16, 17, 40])  # numpy.py goes by blocks of 16
@pytest.mark.parametrize("n", [1, 3, 5])
def test_window_sum_is_clipped_at_the_first_and_the_last_channel(C, n, check):
    x = np.random.default_rng(C).standard_normal((2, 3, 2, C))
    check("window_sum", x, n, nothing(*x.shape))


@pytest.mark.parametrize("side", [(1, 1), (2, 5), (4, 3), (7, 9)])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_box_sum_is_clipped_at_the_edges_of_the_map(side, n, check):
    x = np.random.default_rng(n).standard_normal((2, *side, 3))
    check("box_sum", x, n, nothing(*x.shape))


@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize("kind", ["lrn", "spatial_norm"])
@pytest.mark.parametrize(("C", "n"), [(1, 5), (3, 5), (11, 5), (7, 3)])
def test_response_normalisation_does_what_the_loops_say(kind, C, n, beta, check):
    """With alpha = 0.3: at the paper's 1e-4 one could leave out the sum and pass."""
    x, dy = np.random.default_rng(C).standard_normal((2, 2, 4, 3, C))
    y, s = nothing(*x.shape), nothing(*x.shape)
    check(kind, x, n, 2.0, 0.3, beta, y, s)
    getattr(loops, kind)(x, n, 2.0, 0.3, beta, y, s)
    check(f"{kind}_backward", dy, x, s, n, 0.3, beta, nothing(*x.shape))


@pytest.mark.filterwarnings("ignore:invalid value")  # ∞ − ∞, which the devices ignore as well
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("K", "S"), [((3, 3), 2), ((3, 2), 1), ((2, 2), 3)])
def test_what_is_no_number_goes_the_same_way_everywhere(seed, K, S, check):
    """A network that diverged must not look sound behind a layer, nor on one of the devices: NaN in
    x comes out, and NaN in dy goes to the pixel it belongs to, not to all of its window."""
    x, y, where, dy = pooled_with_nan(seed, K, S)
    check("relu", x, nothing(*x.shape))
    check("relu_backward", dy, y, nothing(*y.shape))
    check("max_pool", x, K, S, nothing(*y.shape), nothing(*y.shape, dtype=np.uint8))
    check("max_pool", x, K, S, nothing(*y.shape), None)
    check("max_pool_backward", dy, where, K, S, nothing(*x.shape))
    check("max_pool_backward_ties", dy, x, y, K, S, nothing(*x.shape))


def pooled_with_nan(seed, K, S):
    """x with a few NaN, infinities and ties, what its windows give, and a dy with some as well."""
    rng = np.random.default_rng(seed)
    shape = 2, output_size(7, K[0], S, ceil=True), output_size(8, K[1], S, ceil=True), 3
    x, dy = rng.integers(-2, 3, (2, 7, 8, 3)).astype(float), rng.standard_normal(shape)
    for array in (x, dy):
        for number in (np.nan, np.inf, -np.inf):
            array[rng.random(array.shape) < 0.1] = number
    y, where = nothing(*shape), nothing(*shape, dtype=np.uint8)
    loops.max_pool(x, K, S, y, where)
    return x, y, where, dy


@pytest.mark.parametrize("rows", [1, 2, 127, 128, 129, 40_000])
def test_sums_of_rows(rows, check):
    """Of more rows than one thread of a GPU adds up, and than two levels of threads do."""
    check("sum_rows", np.random.default_rng(rows).integers(-9, 9, (rows, 2)) * 1.0, nothing(2))


@pytest.mark.parametrize("size", [1, 7, 8, 9, 30])
def test_dropout_reads_a_bit_for_each_unit_on_a_gpu(size, gpu):
    rng = np.random.default_rng(size)
    x, mask = rng.standard_normal((3, size)), rng.random((3, size)) < 0.5
    slow, fast = np.empty_like(x), on_gpu(nothing(3, size))
    loops.dropout(x, mask, slow)
    packed = np.packbits(mask)
    cupy.dropout(on_gpu(x), on_gpu(packed), fast)
    np.testing.assert_array_equal(fast.get(), slow)
    assert packed.nbytes == -(-x.size // 8)


def test_sgd_update_does_what_the_loops_say(check):
    w, v, g = np.random.default_rng(0).standard_normal((3, 50))
    check("sgd_update", w, v, g, 0.1, 0.9, 0.5)


def test_crops_are_finished_with_their_own_part_of_the_mean(check):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 4, 4, 3), np.uint8)
    places = np.array([[0, 2, 0, 0], [1, 0, 1, 1], [2, 2, 0, 1]], np.int32)
    mean, shifts = rng.random((6, 6, 3)) * 255, rng.standard_normal((3, 3))
    check("finish_crops", pixels, places, mean, shifts, 1 / 64, nothing(3, 4, 4, 3))


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


def test_every_backend_has_every_kernel_of_the_contract_with_the_same_arguments():
    """A layer calls them by name, whatever the device: one that is missing shows only there."""
    contract = dict(re.findall(r"^    (\w+)\(([\w, ]+)\)", kernels.__doc__, re.MULTILINE))
    assert len(contract) > 15
    for backend in (loops, numpy, cupy):
        for name, arguments in contract.items():
            assert list(inspect.signature(getattr(backend, name)).parameters) == \
                arguments.split(", "), (backend.__name__, name)
