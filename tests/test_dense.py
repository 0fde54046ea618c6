"""A lesson on the layers behind the maps: full connection, ReLU, dropout, and the loss.

    full connection   y = x W + b      dW = xᵀ dy,  db = Σ dy over the pictures,  dx = dy Wᵀ
    ReLU              y = max(0, x)    dx = dy where x > 0
    dropout           y = x m          dx = dy m, with the same m
    loss              mean of −log p_label, p = softmax(x)        dx = (p − onehot) / N

How they usually go wrong. Transposes are found by the shapes alone, unless there are as many
outputs as inputs: then dW = dyᵀ x is accepted in silence. ReLU's mask is taken from dy. Dropout
draws a new mask in backward, or divides by keep once too often. The loss forgets 1/N, and the
learning rate is blamed; or the one-hot, and the scores only ever fall.
"""

import numpy as np
import pytest

from tinyalex import gradcheck
from tinyalex.gradcheck.cases import spaced
from tinyalex.layers import Dropout, Flatten, Linear, ReLU, SoftmaxCrossEntropy, Tanh


@pytest.mark.parametrize(("N", "inputs", "outputs"), [(3, 5, 4), (1, 4, 6), (4, 5, 5), (3, 1, 1)])
def test_full_connection(N, inputs, outputs):
    x = np.random.default_rng(0).standard_normal((N, inputs))
    report = gradcheck.check_layer(Linear(inputs, outputs, std=0.5, bias=0.1, rng=0), x)
    assert report.ok, report
    assert report.error < 1e-7


def test_a_square_weight_gradient_is_not_transposed():
    layer = Linear(2, 2, std=0.5, rng=0)
    layer.forward(np.array([[1, 0]], np.float32), train=True)
    layer.backward(np.array([[0, 1]], np.float32))
    assert layer.grads["W"].tolist() == [[0, 1], [0, 0]]  # from input 0 to output 1


@pytest.mark.parametrize("layer", [ReLU(), Tanh(), Flatten(), Dropout(0.4)], ids=repr)
@pytest.mark.parametrize("shape", [(3, 2, 3, 2), (1, 4, 1, 3)])
def test_layers_without_weights(layer, shape):
    report = gradcheck.check_layer(layer, spaced(shape, np.random.default_rng(0)) / 3)
    assert report.ok, report
    assert report.error < 1e-7


def test_dropout_lets_the_gradient_through_where_it_let_the_unit_through():
    layer = Dropout(0.5, seed=1)
    y = layer.forward(np.ones((20, 20)), train=True)
    np.testing.assert_array_equal(layer.backward(np.ones_like(y)), y)


@pytest.mark.parametrize(("N", "K"), [(4, 3), (1, 5), (3, 2)])
def test_the_loss(N, K):
    rng = np.random.default_rng(0)
    report = gradcheck.check_loss(SoftmaxCrossEntropy(), rng.standard_normal((N, K)),
                                  rng.integers(0, K, N))
    assert report.ok, report
    assert report.error < 1e-7


def test_the_gradient_of_the_loss_adds_up_to_zero_in_every_picture():
    """All scores raised alike change no probability. Without the one-hot it would add up to 1/N."""
    x = np.random.default_rng(0).standard_normal((4, 6))
    loss = SoftmaxCrossEntropy()
    loss.forward(x, np.array([0, 1, 2, 2]), train=True)
    np.testing.assert_allclose(loss.backward().sum(axis=1), 0, atol=1e-15)


def test_at_the_start_the_loss_is_that_of_a_guess():
    """Equal scores: −log(1/K)."""
    loss = SoftmaxCrossEntropy().forward(np.zeros((5, 10)), np.arange(5))
    assert loss == pytest.approx(np.log(10))
