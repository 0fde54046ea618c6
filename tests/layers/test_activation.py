"""A lesson on ReLU and tanh.

    ReLU  y = max(0, x)    dx = dy where x > 0, else 0
    tanh  y = tanh(x)      dx = dy (1 − y²)

How it usually goes wrong: ReLU's mask is taken from dy instead of x, or is x ≥ 0, which lets the
gradient of the many exact zeros through; tanh's factor is taken of x. And a numeric check is fooled
by the kink at 0, so the numbers here keep away from it.
"""

import numpy as np
import pytest
from slopes import assert_slopes

from tinyalex.gradcheck.cases import spaced
from tinyalex.layers import ReLU, Tanh


@pytest.mark.parametrize("layer", [ReLU(), Tanh()], ids=repr)
@pytest.mark.parametrize("shape", [(3, 2, 3, 2), (1, 4, 1, 3), (2, 5)])
def test_the_gradient_is_the_slope(layer, shape):
    assert_slopes(layer, spaced(shape, np.random.default_rng(0)) / 3)


def test_relu_lets_no_gradient_through_at_exactly_zero():
    layer = ReLU()
    layer.forward(np.array([[-1.0, 0.0, 1.0]]), remember=True)
    assert layer.backward(np.ones((1, 3))).tolist() == [[0, 0, 1]]


def test_relu_lets_what_is_no_number_through_both_ways():
    """As in PyTorch: only where y ≤ 0 nothing gets through, and there not even NaN does."""
    layer = ReLU()
    y = layer.forward(np.array([[np.nan, -np.inf, np.inf, -1, 1]]), remember=True)
    np.testing.assert_array_equal(y, [[np.nan, 0, np.inf, 0, 1]])
    np.testing.assert_array_equal(layer.backward(np.array([[2, np.nan, 3, np.inf, np.nan]])),
                                  [[2, 0, 3, 0, np.nan]])


def test_relu_in_place_gives_the_same_in_the_memory_it_was_given():
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 2))
    apart, inside = ReLU(), ReLU(inplace=True)
    dy = np.ones_like(x)
    y = apart.forward(x, remember=True)
    dx = apart.backward(dy)
    assert np.shares_memory(inside.forward(x, remember=True), x)
    np.testing.assert_array_equal(x, y)
    assert np.shares_memory(inside.backward(dy), dy)
    np.testing.assert_array_equal(dy, dx)
