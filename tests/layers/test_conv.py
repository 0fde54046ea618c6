"""A lesson on the backward of a convolution.

With cols the matrix of all pixels that a kernel sees, a row for each place (picture n, window oh,
ow), and W as a matrix of a column for each filter, y = cols W + b. A number of dy tells how the
loss moves with one y[p, f]; that y is the sum over k of cols[p, k] W[k, f], plus b[f]. So

    dW[k, f]    = sum over p of cols[p, k] dy[p, f]        every place used that weight
    db[f]       = sum over p of dy[p, f]                   and that bias
    dcols[p, k] = sum over f of W[k, f] dy[p, f]           every filter saw that pixel
    dx          = col2im(dcols)                            a pixel is in several columns: add up

How it usually goes wrong: dW transposed and reshaped until it fits; a mean where a sum belongs; a
place counted for one picture only; col2im that mirrors the kernel, forgets the stride, leaves the
padding on, or lets the last window win. None of this raises, and most of it still trains.
"""

import numpy as np
import pytest
from slopes import assert_slopes

from tinyalex.layers import Conv2D


@pytest.mark.parametrize(("shape", "filters", "kernel", "stride", "pad"), [
    ((3, 5, 6, 2), 3, 3, 1, 1),  # "same": as large as before
    ((2, 5, 6, 2), 3, 3, 2, 0),  # a row or column is left over: nobody sees it, its dx is 0
    ((2, 7, 5, 1), 2, 2, 3, 0),  # windows with gaps between them
    ((2, 6, 6, 2), 2, 3, 2, (0, 1)),  # zeros at right and bottom, as in the paper's conv1
    ((2, 4, 4, 2), 2, 3, 2, 2),  # more padding than half a kernel
    ((1, 3, 3, 3), 4, 3, 1, 0),  # one picture, one window: a full connection
    ((2, 4, 3, 5), 2, 1, 1, 0),  # 1×1: a full connection at every pixel
    ((2, 3, 3, 2), 2, 5, 1, 2),  # a kernel larger than the picture
])
def test_the_gradients_of_x_and_w_and_b_are_the_slopes(shape, filters, kernel, stride, pad):
    x = np.random.default_rng(3).standard_normal(shape)
    layer = Conv2D(shape[-1], filters, kernel, stride, pad, std=0.5, bias=0.2, rng=0)
    assert_slopes(layer, x)


def test_a_pixel_adds_up_what_every_window_that_saw_it_sends():
    """All ones: dx then counts the windows over a pixel, 1 in the corner, 9 in the middle."""
    layer = Conv2D(1, 1, 3, std=0, rng=0)
    layer.params["W"][...] = 1
    y = layer.forward(np.zeros((1, 5, 5, 1), np.float32), remember=True)
    dx = layer.backward(np.ones_like(y))[0, :, :, 0]
    np.testing.assert_array_equal(dx[0], [1, 2, 3, 2, 1])
    np.testing.assert_array_equal(dx[2], [3, 6, 9, 6, 3])


def test_the_kernel_is_not_mirrored():
    """What layers call convolution is a correlation: the kernel lies on the picture as it is."""
    layer = Conv2D(1, 1, 2, std=0, rng=0)
    layer.params["W"][0, 1, 0, 0] = 1  # the pixel to the right
    x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    np.testing.assert_array_equal(layer.forward(x)[0, :, :, 0], [[1, 2], [4, 5]])
    layer.forward(x, remember=True)
    dx = layer.backward(np.array([[[[1.0], [0]], [[0], [0]]]], np.float32))
    assert dx[0, :, :, 0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_a_convolution_is_what_its_formula_says():
    """y[n, oh, ow, f] = b[f] + sum of x[n, oh·S + kh - P, ow·S + kw - P, c] W[kh, kw, c, f]."""
    conv = Conv2D(2, 3, 3, stride=2, pad=(0, 1), std=1, bias=0.5).initialise(
        np.random.default_rng(1), np.float64)
    x = np.random.default_rng(2).standard_normal((2, 6, 6, 2))
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    y = conv.forward(x)
    for n, oh, ow, f in np.ndindex(2, 3, 3, 3):
        seen = padded[n, 2 * oh : 2 * oh + 3, 2 * ow : 2 * ow + 3]
        assert y[n, oh, ow, f] == pytest.approx(0.5 + (seen * conv.params["W"][..., f]).sum())


def test_many_pictures_give_what_each_gives_alone():
    """Convolution works through the pictures a few at a time; the pieces must fit together."""
    conv = Conv2D(2, 3, 3).initialise(np.random.default_rng(0), np.float64)
    conv.device = type(conv.device)("small", cores=2)
    conv.device.chunk_bytes = 2 * 16 * 18 * 8  # the columns of two pictures
    conv.device.sum_bytes = 3 * 16 * 18 * 8  # in backward of three
    x = np.random.default_rng(0).standard_normal((7, 6, 6, 2))
    y = conv.forward(x, remember=True)
    for n in range(7):
        np.testing.assert_allclose(y[n], conv.forward(x[n : n + 1])[0])
    conv.forward(x, remember=True)
    conv.backward(y)
    dW = conv.grads["W"].copy()
    alone = np.zeros_like(dW)
    for n in range(7):
        conv.forward(x[n : n + 1], remember=True)
        conv.backward(y[n : n + 1])
        alone += conv.grads["W"]
    np.testing.assert_allclose(dW, alone)


def test_a_first_layer_hands_back_no_gradient():
    conv = Conv2D(3, 2, 3, input_gradient=False, rng=0)
    y = conv.forward(np.ones((1, 5, 5, 3), np.float32), remember=True)
    assert conv.backward(y) is None
    assert conv.grads["W"].shape == (3, 3, 3, 2)
