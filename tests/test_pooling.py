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
"""

import numpy as np
import pytest

from tinyalex import gradcheck
from tinyalex.gradcheck.cases import spaced, tied
from tinyalex.layers import AveragePool2D, MaxPool2D


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
    report = gradcheck.check_layer(layer(kernel, stride, ceil), x)
    assert report.ok, report
    assert report.error < 1e-7
    assert not report.findings[0].kinks


def test_ties_are_reported_as_kinks_and_still_checked():
    x = tied((2, 6, 6, 2), np.random.default_rng(0))
    (finding,) = gradcheck.check_layer(MaxPool2D(3, 2), x).findings
    assert finding.kinks > 0
    assert finding.verdict == "ok"


def test_of_equal_pixels_one_gets_the_gradient():
    """A window of zeros after a ReLU: what comes in goes out once, not nine times."""
    pool = MaxPool2D(3, 3)
    y = pool.forward(np.zeros((1, 3, 3, 1)), train=True)
    dx = pool.backward(np.full_like(y, 5.0))
    assert dx.sum() == 5
    assert dx[0, 0, 0, 0] == 5  # the first, row by row


def test_a_pixel_that_wins_four_windows_gets_four_gradients():
    x = np.zeros((1, 5, 5, 1))
    x[0, 2, 2] = 1
    pool = MaxPool2D(3, 2)
    y = pool.forward(x, train=True)
    dx = pool.backward(np.array([1.0, 10, 100, 1000]).reshape(y.shape))
    assert dx[0, 2, 2, 0] == 1111
    assert dx.sum() == 1111


def test_an_average_over_the_edge_counts_the_pixels_that_are_there():
    pool = AveragePool2D(2, 2, ceil=True)
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    y = pool.forward(x, train=True)
    np.testing.assert_allclose(y[0, :, :, 0], [[3, 4.5], [7.5, 9]])
    dx = pool.backward(np.ones_like(y))[0, :, :, 0]
    np.testing.assert_allclose(dx, [[.25, .25, .5], [.25, .25, .5], [.5, .5, 1]])
