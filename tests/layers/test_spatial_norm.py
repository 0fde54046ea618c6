"""A lesson on normalisation within a map, which the authors ran and the paper does not mention.

    s_i = k + α/size² Σ x_j² (j in W(i), the size×size pixels around i)        y_i = x_i s_i^−β

Its backward is that of LRN with another window:

    dx_i = dy_i s_i^−β − 2 α/size² β x_i Σ dy_j x_j s_j^(−β−1)        (j in W(i))

How it usually goes wrong: what goes wrong in LRN, and besides: α not divided, or divided by size
instead of size²; at the edge, where the window is clipped, divided by the pixels that are there (so
s would not fall off towards the edge; in the original it does); a window along one side only; LRN's
kernel called by mistake, which sums over maps; an edge column that reads the end of the row before.
At α = 0.001 nothing of all that shows in dx, so α is large here too.
"""

import numpy as np
import pytest
from slopes import assert_slopes

from tinyalex.layers import SpatialResponseNorm


@pytest.mark.parametrize("side", [(1, 1), (2, 3), (5, 4), (6, 7)])  # … smaller and larger than it
@pytest.mark.parametrize(("size", "k", "alpha", "beta"), [
    (5, 1, 2.5, 0.75), (3, 2, 1.0, 0.5), (1, 1, 0.5, 0.75), (7, 2, 5.0, 1.2)])
def test_the_gradient_is_the_slope(side, size, k, alpha, beta):
    x = np.random.default_rng(size).standard_normal((2, *side, 2))
    assert_slopes(SpatialResponseNorm(size, k, alpha, beta), x)


def test_it_is_what_its_formula_says():
    """α is divided by the whole window even where the edge clips it."""
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 3)) * 10
    y = SpatialResponseNorm(size=5, k=1, alpha=0.5, beta=0.75).forward(x)
    for n, h, w, c in np.ndindex(x.shape):
        around = x[n, max(0, h - 2):h + 3, max(0, w - 2):w + 3, c]
        scale = (1 + 0.5 / 25 * (around**2).sum()) ** 0.75
        assert y[n, h, w, c] == pytest.approx(x[n, h, w, c] / scale)


def test_a_pixel_hands_something_back_to_its_neighbours_and_to_no_other():
    """dy at one pixel of one map alone: with size 3 dx lives on 3×3 pixels of that map."""
    layer = SpatialResponseNorm(3, 1, 5.0, 0.75)
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 3)) + 4
    y = layer.forward(x, remember=True)
    dy = np.zeros_like(y)
    dy[1, 2, 5, 1] = 1  # at the right edge: the window must not go on in the next row
    dx = layer.backward(dy)
    places = {tuple(map(int, place)) for place in np.argwhere(dx)}
    assert places == {(1, h, w, 1) for h in (1, 2, 3) for w in (4, 5)}
    places.remove((1, 2, 5, 1))
    assert all(dx[place] < 0 for place in places)  # larger neighbours make y smaller


def test_many_pictures_give_what_each_gives_alone():
    """The work is done a few pictures at a time: no window may reach into the next picture."""
    layer = SpatialResponseNorm(5, 1, 3.0, 0.75)
    layer.device = type(layer.device)("small", cores=2)
    layer.device.chunk_bytes = 4 * 2 * 5 * 4 * 3 * 8  # two pictures and what is made of them
    x = np.random.default_rng(0).standard_normal((7, 5, 4, 3))
    y = layer.forward(x, remember=True)
    dx = layer.backward(np.cos(y))
    for n in range(7):
        one = layer.forward(x[n:n + 1], remember=True)
        np.testing.assert_allclose(one[0], y[n])
        np.testing.assert_allclose(layer.backward(np.cos(one))[0], dx[n])
    layer.device.close()
