"""A lesson on the backward of local response normalisation.

    s_i = k + α Σ x_j² (j in W(i), the n maps around i)        y_i = x_i s_i^−β

x_i appears in its own y_i twice, before the power and within s_i, and in every y_j whose window
holds i, within s_j. From s_j the derivative is −β x_j s_j^(−β−1) times 2 α x_i; and j has i in its
window just when i has j in its own. Hence

    dx_i = dy_i s_i^−β − 2 α β x_i Σ dy_j x_j s_j^(−β−1)        (j in W(i))

How it usually goes wrong: the sum left out, its sign, its power −β instead of −β−1, the 2, a window
that ends one map early (range without its end), x_j and x_i confused. At the paper's α = 1e-4 the
sum is a ten-thousandth of dx: a loose check passes without it, and many have. So α is large here.
And the window is clipped at the first and last map: with fewer maps than n all windows are.
"""

import numpy as np
import pytest
from slopes import assert_slopes

from tinyalex.layers import LocalResponseNorm


@pytest.mark.parametrize("C", [1, 3, 5, 8])  # fewer maps than the window, as many, more
@pytest.mark.parametrize(("n", "k", "alpha", "beta"), [
    (5, 2, 0.1, 0.75), (3, 1, 1.0, 0.5), (1, 1, 0.5, 0.75), (7, 2, 0.3, 1.2)])
def test_the_gradient_is_the_slope(C, n, k, alpha, beta):
    x = np.random.default_rng(C).standard_normal((2, 2, 2, C))
    assert_slopes(LocalResponseNorm(n, k, alpha, beta), x)


def test_a_map_hands_something_back_to_its_neighbours_and_to_no_other():
    """dy in map 4 alone: with n = 5 it depends on maps 2 to 6."""
    layer = LocalResponseNorm(5, 2, 0.5, 0.75)
    x = np.random.default_rng(0).standard_normal((1, 1, 1, 9)) + 3
    y = layer.forward(x, remember=True)
    dy = np.zeros_like(y)
    dy[..., 4] = 1
    dx = layer.backward(dy)[0, 0, 0]
    assert np.flatnonzero(dx).tolist() == [2, 3, 4, 5, 6]
    assert (dx[[2, 3, 5, 6]] < 0).all()  # larger neighbours make y smaller


def test_with_a_window_of_one_and_by_hand():
    """n = 1, k = 0, α = 1, β = ½: y = x / |x|, the sign, whose slope is 0 where it has one."""
    layer = LocalResponseNorm(1, 0, 1.0, 0.5)
    x = np.array([[[[2.0, -3.0]]]])
    np.testing.assert_allclose(layer.forward(x, remember=True), [[[[1, -1]]]])
    np.testing.assert_allclose(layer.backward(np.ones_like(x)), 0, atol=1e-15)


def test_alpha_is_not_divided_by_the_window():
    """All ones, five maps in the window: s = 2 + 5 α. (Libraries that divide have s = 2 + α.)"""
    y = LocalResponseNorm(5, 2, 1.0, 1.0).forward(np.ones((1, 1, 1, 5)))
    assert y[0, 0, 0, 2] == pytest.approx(1 / 7)
    assert y[0, 0, 0, 0] == pytest.approx(1 / 5)  # three maps: clipped, not filled up


def test_lrn_is_what_the_paper_prints():
    """b_i = a_i / (k + α Σ a_j²)^β over the n maps around i; the sum is not divided by n."""
    a = np.random.default_rng(0).standard_normal((1, 1, 1, 8)) * 100
    b = LocalResponseNorm(n=5, k=2, alpha=1e-4, beta=0.75).forward(a)
    for i in range(8):
        around = a[0, 0, 0, max(0, i - 2) : i + 3]
        scale = (2 + 1e-4 * (around**2).sum()) ** 0.75
        assert b[0, 0, 0, i] == pytest.approx(a[0, 0, 0, i] / scale)
