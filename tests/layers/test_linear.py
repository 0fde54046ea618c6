"""A lesson on full connection, and on the flattening before it.

    y = x W + b      dW = xᵀ dy,  db = Σ dy over the pictures,  dx = dy Wᵀ

How it usually goes wrong. Transposes are found by the shapes alone, unless there are as many
outputs as inputs: then dW = dyᵀ x is accepted in silence. db is the mean, or that of the last
picture only.
"""

import numpy as np
import pytest
from slopes import assert_slopes

from tinyalex.gradcheck.cases import spaced
from tinyalex.layers import Flatten, Linear


@pytest.mark.parametrize(("N", "inputs", "outputs"), [(3, 5, 4), (1, 4, 6), (4, 5, 5), (3, 1, 1)])
def test_full_connection(N, inputs, outputs):
    x = np.random.default_rng(0).standard_normal((N, inputs))
    assert_slopes(Linear(inputs, outputs, std=0.5, bias=0.1, rng=0), x)


def test_a_square_weight_gradient_is_not_transposed():
    layer = Linear(2, 2, std=0.5, rng=0)
    layer.forward(np.array([[1, 0]], np.float32), remember=True)
    layer.backward(np.array([[0, 1]], np.float32))
    assert layer.grads["W"].tolist() == [[0, 1], [0, 0]]  # from input 0 to output 1


@pytest.mark.parametrize("shape", [(3, 2, 3, 2), (1, 4, 1, 3)])
def test_flatten_hands_every_number_back_to_where_it_came_from(shape):
    assert_slopes(Flatten(), spaced(shape, np.random.default_rng(0)))
