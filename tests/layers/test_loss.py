"""A lesson on softmax and the logarithmic loss.

    p = softmax(x)    loss = the mean of −log p_label    dx = (p − onehot) / N

How it usually goes wrong. The loss forgets 1/N, and the learning rate is blamed; or the gradient
forgets the one-hot, and the scores only ever fall. An upstream gradient of ones for all p would
find neither: the p of a picture add up to 1 whatever x is. And exp overflows above 88 in float32.
"""

import numpy as np
import pytest

from tinyalex import gradcheck
from tinyalex.layers import SoftmaxCrossEntropy


@pytest.mark.parametrize(("N", "K"), [(4, 3), (1, 5), (3, 2)])
def test_the_gradient_is_the_slope(N, K):
    rng = np.random.default_rng(0)
    report = gradcheck.check_loss(SoftmaxCrossEntropy(), rng.standard_normal((N, K)),
                                  rng.integers(0, K, N))
    assert report.ok, report
    assert report.error < 1e-7


def test_the_gradient_of_the_loss_adds_up_to_zero_in_every_picture():
    """All scores raised alike change no probability. Without the one-hot it would add up to 1/N."""
    x = np.random.default_rng(0).standard_normal((4, 6))
    loss = SoftmaxCrossEntropy()
    loss.forward(x, np.array([0, 1, 2, 2]), remember=True)
    np.testing.assert_allclose(loss.backward().sum(axis=1), 0, atol=1e-15)


def test_at_the_start_the_loss_is_that_of_a_guess():
    """Equal scores: −log(1/K)."""
    loss = SoftmaxCrossEntropy().forward(np.zeros((5, 10)), np.arange(5))
    assert loss == pytest.approx(np.log(10))


def test_the_loss_is_what_the_formula_says_and_large_scores_do_not_overflow():
    x, labels = np.random.default_rng(0).standard_normal((4, 5)), np.array([0, 3, 3, 1])
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    loss = SoftmaxCrossEntropy()
    assert loss.forward(x, labels) == pytest.approx(-np.log(p[range(4), labels]).mean())
    assert np.isfinite(loss.forward((x * 1e4).astype(np.float32), labels))
