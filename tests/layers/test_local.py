"""A lesson on local connection: a convolution that does not share its kernels.

Where all places have the same kernels, it is that convolution, forward and in dx. Its dW is not: of
a convolution dW is a sum over the places, because one kernel served them all; here each place keeps
its own part of that sum.

How it usually goes wrong: dW or db summed over the places out of habit; dcols made with the kernels
of another place. Both have the right shape.
"""

import numpy as np
import pytest

from tinyalex.layers import Conv2D, LocallyConnected2D
from tinyalex.support.errors import UserError


def alike(shape, filters, kernel, **options):
    """A convolution, and a local layer with its kernels at every place; in float64."""
    rng = np.random.default_rng(1)
    conv = Conv2D(shape[2], filters, kernel, std=0.5, bias=0.3, **options).initialise(rng, float)
    local = LocallyConnected2D(shape, filters, kernel, **options).initialise(rng, float)
    local.params["W"][...], local.params["b"][...] = conv.params["W"], conv.params["b"]
    return conv, local


@pytest.mark.parametrize("options", [{}, {"pad": 1}, {"stride": 2, "pad": (0, 1)}])
def test_with_the_same_kernels_everywhere_it_is_a_convolution(options):
    conv, local = alike((6, 5, 2), 3, 3, **options)
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 6, 5, 2))
    y = conv.forward(x, remember=True)
    np.testing.assert_allclose(local.forward(x, remember=True), y, rtol=1e-12)
    dy = rng.standard_normal(y.shape)
    np.testing.assert_allclose(local.backward(dy), conv.backward(dy), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(local.grads["W"].sum(axis=(0, 1)), conv.grads["W"], rtol=1e-12,
                               atol=1e-12)
    np.testing.assert_allclose(local.grads["b"].sum(axis=(0, 1)), conv.grads["b"], rtol=1e-12)


def test_each_place_learns_from_what_it_sees_alone():
    _, local = alike((4, 4, 1), 2, 3)
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 1))
    dy = np.zeros_like(local.forward(x, remember=True))
    dy[:, 0, 1] = 1
    local.backward(dy)
    elsewhere = np.ones((2, 2), bool)
    elsewhere[0, 1] = False
    assert not local.grads["W"][elsewhere].any() and not local.grads["b"][elsewhere].any()
    np.testing.assert_allclose(local.grads["W"][0, 1, :, :, 0, 0], x[:, 0:3, 1:4, 0].sum(axis=0))


def test_maps_of_another_size_than_it_has_kernels_for_are_refused():
    local = LocallyConnected2D((4, 4, 2), 3, 3, name="local3", rng=0)
    with pytest.raises(UserError, match="local3 has kernels for 2×2 places, and maps of 5×4 have"):
        local.forward(np.zeros((1, 5, 4, 2), np.float32))
