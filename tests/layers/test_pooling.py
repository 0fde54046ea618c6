"""A lesson on the backward of pooling.

The largest pixel of a window is y itself, the others do not matter: it gets dy, they get nothing.
In an average each of the m pixels counts 1/m. Windows that overlap (3 wide, 2 apart, as in the
paper) share pixels, and a pixel adds up what every window sends it.

How it usually goes wrong: a pixel that wins two windows keeps the gradient of the last; every pixel
that *equals* the maximum gets all of it, which after a ReLU, where many are 0, is a multiple of the
right gradient; the winner's place is counted in the wrong order; at the edge, where a window hangs
over, the average divides by pixels that are not there. A check with random inputs sees no ties:
they have to be made. And it must not be run where two pixels are nearly equal: one step and the
winner is another, and what looks like a mistake is a kink.

The authors' own program made the second of these mistakes, and who wants its numbers has to make
it as well: ties="all".
"""

import numpy as np
import pytest
from slopes import assert_slopes

from tinyalex import gradcheck
from tinyalex.devices import HOST
from tinyalex.gradcheck.cases import spaced, tied
from tinyalex.layers import AveragePool2D, Conv2D, Flatten, Linear, MaxPool2D, ReLU
from tinyalex.network import Network


@pytest.mark.parametrize("layer", [MaxPool2D, AveragePool2D])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(("shape", "kernel", "stride"), [
    ((3, 7, 7, 2), 3, 2),  # overlapping
    ((2, 6, 8, 2), 3, 2),  # … and not dividing: left over, or over the edge
    ((2, 4, 6, 2), 2, 2),  # side by side
    ((2, 5, 7, 1), 2, 3),  # with gaps
    ((1, 4, 4, 3), 3, 1),  # one picture, windows one pixel apart
    ((2, 3, 3, 2), 3, 2),  # one window
])
def test_the_gradient_is_the_slope(layer, ceil, shape, kernel, stride):
    x = spaced(shape, np.random.default_rng(0))
    assert not assert_slopes(layer(kernel, stride, ceil), x).findings[0].kinks


def test_ties_are_reported_as_kinks_and_still_checked():
    x = tied((2, 6, 6, 2), np.random.default_rng(0))
    (finding,) = gradcheck.check_layer(MaxPool2D(3, 2), x).findings
    assert finding.kinks > 0
    assert finding.verdict == "ok"


def test_of_equal_pixels_one_gets_the_gradient():
    """A window of zeros after a ReLU: what comes in goes out once, not nine times."""
    pool = MaxPool2D(3, 3)
    y = pool.forward(np.zeros((1, 3, 3, 1)), remember=True)
    dx = pool.backward(np.full_like(y, 5.0))
    assert dx.sum() == 5
    assert dx[0, 0, 0, 0] == 5  # the first, row by row


def test_what_is_no_number_is_larger_than_all_and_the_last_of_them_counts():
    """As in PyTorch. Of windows with NaN the gradient would else go to a pixel that decided
    nothing, or, as NaN times 0, to all of them."""
    x = np.array([[5, np.nan, 9, 1], [np.nan, 7, 2, 3]]).reshape(1, 2, 4, 1)
    for ties, expected in (("first", [[0, 0, np.nan, 0], [4, 0, 0, 0]]),
                           ("all", [[0, 0, np.nan, 0], [0, 0, 0, 0]])):
        pool = MaxPool2D(2, 2, ties=ties)
        y = pool.forward(x, remember=True)
        np.testing.assert_array_equal(y[0, 0, :, 0], [np.nan, 9])
        dx = pool.backward(np.array([4, np.nan]).reshape(y.shape))
        np.testing.assert_array_equal(dx[0, ..., 0], expected)


def test_a_pixel_that_wins_four_windows_gets_four_gradients():
    x = np.zeros((1, 5, 5, 1))
    x[0, 2, 2] = 1
    pool = MaxPool2D(3, 2)
    y = pool.forward(x, remember=True)
    dx = pool.backward(np.array([1.0, 10, 100, 1000]).reshape(y.shape))
    assert dx[0, 2, 2, 0] == 1111
    assert dx.sum() == 1111


def test_an_average_over_the_edge_counts_the_pixels_that_are_there():
    pool = AveragePool2D(2, 2, ceil=True)
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    y = pool.forward(x, remember=True)
    np.testing.assert_allclose(y[0, :, :, 0], [[3, 4.5], [7.5, 9]])
    dx = pool.backward(np.ones_like(y))[0, :, :, 0]
    np.testing.assert_allclose(dx, [[.25, .25, .5], [.25, .25, .5], [.5, .5, 1]])


def test_to_all_ties_means_all_of_it_to_each():
    """A window of nines: what comes in goes out nine times. Smaller pixels get nothing."""
    pool, x = MaxPool2D(3, 3, ties="all"), np.full((1, 3, 6, 1), 9.0)
    x[0, 1, 1] = 8
    y = pool.forward(x, remember=True)
    dx = pool.backward(np.array([5.0, 7]).reshape(y.shape))[0, ..., 0]
    np.testing.assert_array_equal(dx, [[5, 5, 5, 7, 7, 7], [5, 0, 5, 7, 7, 7], [5, 5, 5, 7, 7, 7]])


def test_to_all_ties_is_no_derivative_and_the_check_says_so():
    report = gradcheck.check_layer(MaxPool2D(3, 2, ties="all"),
                                   tied((2, 5, 5, 2), np.random.default_rng(0)))
    assert not report.ok
    assert report.mistakes == ["gradient to all ties"]


def test_zeros_of_a_relu_tie_and_no_gradient_gets_through_to_them():
    """Why the rule hardly matters: conv → ReLU → pool has the same gradient under both."""
    x = np.random.default_rng(0).standard_normal((3, 8, 8, 2)) - 1.5
    results = []
    for ties in ("first", "all"):
        relu, pool = ReLU(), MaxPool2D(3, 2, ties=ties)
        y = pool.forward(relu.forward(x, remember=True), remember=True)
        dy = np.random.default_rng(1).standard_normal(y.shape)
        between = pool.backward(dy)
        results.append((between, relu.backward(between)))
    assert (y == 0).sum() > 5  # windows of nothing but zeros
    assert abs(results[0][0] - results[1][0]).max() > 0.5
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12)


def test_a_relu_in_place_behind_it_may_overwrite_y():
    """The authors pool before the ReLU of layer 1; in place the ReLU writes into the y that was
    kept to compare with."""
    x, dy = np.random.default_rng(0).standard_normal((2, 2, 8, 8, 2)) - 1
    results = []
    for inplace in (False, True):
        pool, relu = MaxPool2D(2, 2, ties="all"), ReLU(inplace=inplace)
        y = relu.forward(pool.forward(x, remember=True), remember=True)
        results.append(pool.backward(relu.backward(dy[:, :4, :4].copy())))
    assert (y == 0).any() and (y > 0).any()
    assert results[0].any()
    np.testing.assert_array_equal(*results)


def test_a_network_that_hands_all_ties_the_gradient_is_checked_like_any_other():
    """The check has to know which pixel won: by numbers that change with every step it would
    take each step for one across a kink."""
    tower = [[Conv2D(3, 4, 3, std=0.3, name="conv1"), ReLU("relu1"),
              MaxPool2D(3, 2, name="pool1", ties="all"), Flatten("flatten"),
              Linear(36, 5, std=0.3, name="fc2")]]
    network = Network([tower], (9, 9, 3), [HOST])
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 3))
    report = gradcheck.check_network(network, x)
    assert report.ok, report
    assert {f.verdict for f in report.findings} == {"ok"}
