"""Every layer: the shapes and dtypes it promises, what it keeps, and its gradients.

A backward pass can be wrong in ways that training hides: a network with a slightly wrong gradient
still learns, only worse. So each one is compared with numbers: in float64, for a random upstream
gradient dy, the derivative of sum(y * dy) with respect to every element of x, W and b, by centred
differences. (An upstream gradient of ones would be too kind: a softmax whose backward returns zero
passes with it.)
"""

import numpy as np
import pytest

from tinyalex.errors import UserError
from tinyalex.layers import (
    AveragePool2D,
    Conv2D,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2D,
    ReLU,
    SoftmaxCrossEntropy,
    Tanh,
)

LAYERS = {
    "conv": (lambda: Conv2D(3, 4, 3, pad=1, std=0.5, rng=0), (2, 5, 6, 3)),
    "conv with stride": (
        lambda: Conv2D(2, 3, 3, stride=2, pad=(0, 1), std=0.5, rng=0), (2, 6, 7, 2)),
    "linear": (lambda: Linear(6, 4, std=0.5, rng=0), (3, 6)),
    "relu": (lambda: ReLU(), (2, 3, 3, 2)),
    "tanh": (lambda: Tanh(), (2, 3, 3, 2)),
    "lrn": (lambda: LocalResponseNorm(5, k=2, alpha=0.3), (2, 3, 2, 7)),
    "lrn of few maps": (lambda: LocalResponseNorm(5, k=1, alpha=0.3, beta=0.6), (2, 2, 2, 3)),
    "overlapping max pool": (lambda: MaxPool2D(3, 2), (2, 7, 7, 2)),
    "max pool over the edge": (lambda: MaxPool2D(3, 2, ceil=True), (2, 6, 6, 2)),
    "average pool": (lambda: AveragePool2D(3, 2, ceil=True), (2, 6, 7, 2)),
    "flatten": (lambda: Flatten(), (2, 3, 2, 2)),
    "dropout": (lambda: Dropout(0.5, seed=1), (4, 10)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def spaced(shape, rng):
    """Random order, but no two numbers closer than 0.1 and none near 0: a small step then crosses
    no kink of ReLU and changes no winner of a maximum."""
    numbers = (np.arange(np.prod(shape)) + 0.5) * 0.1
    return (rng.permutation(numbers) - numbers.mean() - 0.025).reshape(shape) / 2


def numeric(f, x, h=1e-5):
    """The gradient of the number f() with respect to the array x, which f reads."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        kept = x[i]
        x[i] = kept + h
        above = f()
        x[i] = kept - h
        gradient[i] = (above - f()) / (2 * h)
        x[i] = kept
    return gradient


def in_float64(layer):
    for key in layer.params:
        layer.params[key] = layer.params[key].astype(np.float64)
    return layer


@every_layer
def test_backward_is_the_derivative_of_forward(name):
    make, shape = LAYERS[name]
    layer, rng = in_float64(make()), np.random.default_rng(0)
    x = spaced(shape, rng)

    def forward():
        layer.step = 0  # of dropout: the same mask each time
        return layer.forward(x, train=True)

    dy = rng.standard_normal(forward().shape)
    dx = layer.backward(dy)
    grads = {key: value.copy() for key, value in layer.grads.items()}
    np.testing.assert_allclose(dx, numeric(lambda: (forward() * dy).sum(), x), rtol=1e-6, atol=1e-8)
    for key, value in layer.params.items():
        np.testing.assert_allclose(grads[key], numeric(lambda: (forward() * dy).sum(), value),
                                   rtol=1e-6, atol=1e-8, err_msg=key)


@every_layer
def test_output_has_the_promised_shape_and_the_dtype_of_the_input(name):
    make, shape = LAYERS[name]
    for dtype in (np.float32, np.float64):
        layer, x = make(), np.ones(shape, dtype)
        for key in layer.params:
            layer.params[key] = layer.params[key].astype(dtype)
        y = layer.forward(x, train=True)
        assert y.shape[1:] == layer.output_shape(shape[1:])
        assert y.dtype == dtype
        assert layer.backward(np.ones_like(y)).dtype == dtype
        assert all(grad.dtype == dtype for grad in layer.grads.values())


@every_layer
def test_forward_and_backward_leave_their_arguments_alone(name):
    make, shape = LAYERS[name]
    layer, rng = in_float64(make()), np.random.default_rng(0)
    x = rng.standard_normal(shape)
    x0 = x.copy()
    y = layer.forward(x, train=True)
    dy = rng.standard_normal(y.shape)
    dy0 = dy.copy()
    layer.backward(dy)
    np.testing.assert_array_equal(x, x0)
    np.testing.assert_array_equal(dy, dy0)


@every_layer
def test_gradients_do_not_pile_up_from_call_to_call(name):
    make, shape = LAYERS[name]
    layer, x = in_float64(make()), np.random.default_rng(0).standard_normal(shape)
    seen = []
    for _ in range(2):
        layer.step = 0
        y = layer.forward(x, train=True)
        layer.backward(np.ones_like(y))
        seen.append({key: value.copy() for key, value in layer.grads.items()})
    for key in seen[0]:
        np.testing.assert_array_equal(seen[0][key], seen[1][key])


@every_layer
def test_backward_uses_up_what_a_training_forward_kept(name):
    make, shape = LAYERS[name]
    layer, x = make(), np.ones(shape, np.float32)
    y = layer.forward(x, train=True)
    layer.backward(np.ones_like(y))
    with pytest.raises(RuntimeError, match="backward without a forward"):
        layer.backward(np.ones_like(y))
    layer.forward(x)
    with pytest.raises(RuntimeError, match="backward without a forward"):
        layer.backward(np.ones_like(y))


def test_a_convolution_is_what_its_formula_says():
    """y[n, oh, ow, f] = b[f] + sum of x[n, oh·S + kh - P, ow·S + kw - P, c] W[kh, kw, c, f]."""
    conv = in_float64(Conv2D(2, 3, 3, stride=2, pad=(0, 1), std=1, bias=0.5, rng=1))
    x = np.random.default_rng(2).standard_normal((2, 6, 6, 2))
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    y = conv.forward(x)
    for n, oh, ow, f in np.ndindex(2, 3, 3, 3):
        seen = padded[n, 2 * oh : 2 * oh + 3, 2 * ow : 2 * ow + 3]
        assert y[n, oh, ow, f] == pytest.approx(0.5 + (seen * conv.params["W"][..., f]).sum())


def test_many_pictures_give_what_each_gives_alone():
    """Convolution works through the pictures a few at a time; the pieces must fit together."""
    conv = in_float64(Conv2D(2, 3, 3, rng=0))
    conv.device = type(conv.device)("small", cores=2)
    conv.device.chunk_bytes = 2 * 16 * 18 * 8  # the columns of two pictures
    x = np.random.default_rng(0).standard_normal((7, 6, 6, 2))
    y = conv.forward(x, train=True)
    for n in range(7):
        np.testing.assert_allclose(y[n], conv.forward(x[n : n + 1])[0])
    conv.forward(x, train=True)
    conv.backward(y)
    dW = conv.grads["W"].copy()
    alone = np.zeros_like(dW)
    for n in range(7):
        conv.forward(x[n : n + 1], train=True)
        conv.backward(y[n : n + 1])
        alone += conv.grads["W"]
    np.testing.assert_allclose(dW, alone)


def test_a_first_layer_hands_back_no_gradient():
    conv = Conv2D(3, 2, 3, input_gradient=False, rng=0)
    y = conv.forward(np.ones((1, 5, 5, 3), np.float32), train=True)
    assert conv.backward(y) is None
    assert conv.grads["W"].shape == (3, 3, 3, 2)


def test_relu_in_place_gives_the_same_in_the_memory_it_was_given():
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 2))
    apart, inside = ReLU(), ReLU(inplace=True)
    dy = np.ones_like(x)
    y = apart.forward(x, train=True)
    dx = apart.backward(dy)
    assert np.shares_memory(inside.forward(x, train=True), x)
    np.testing.assert_array_equal(x, y)
    assert np.shares_memory(inside.backward(dy), dy)
    np.testing.assert_array_equal(dy, dx)


def test_lrn_is_what_the_paper_prints():
    """b_i = a_i / (k + α Σ a_j²)^β over the n maps around i; the sum is not divided by n."""
    a = np.random.default_rng(0).standard_normal((1, 1, 1, 8)) * 100
    b = LocalResponseNorm(n=5, k=2, alpha=1e-4, beta=0.75).forward(a)
    for i in range(8):
        around = a[0, 0, 0, max(0, i - 2) : i + 3]
        scale = (2 + 1e-4 * (around**2).sum()) ** 0.75
        assert b[0, 0, 0, i] == pytest.approx(a[0, 0, 0, i] / scale)


def test_dropout_drops_in_training_and_halves_in_the_test():
    x = np.ones((100, 100), np.float32)
    drop = Dropout(0.5, seed=3)
    y = drop.forward(x, train=True)
    assert set(np.unique(y)) == {0, 1}
    assert y.mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(drop.forward(x), x / 2)


def test_dropout_draws_another_mask_for_each_step_name_and_seed_and_no_other():
    def mask(seed, name, step):
        drop = Dropout(0.5, name=name, seed=seed)
        drop.step = step
        return drop.mask((64,))

    np.testing.assert_array_equal(mask(0, "fc6", 5), mask(0, "fc6", 5))
    others = [mask(0, "fc6", 5), mask(1, "fc6", 5), mask(0, "fc7", 5), mask(0, "fc6", 6)]
    assert len({other.tobytes() for other in others}) == 4


def test_softmax_cross_entropy_and_its_gradient():
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((4, 5)), np.array([0, 3, 3, 1])
    loss = SoftmaxCrossEntropy()
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    value = loss.forward(x, labels, train=True)
    assert value == pytest.approx(-np.log(p[range(4), labels]).mean())
    np.testing.assert_allclose(loss.backward(), numeric(lambda: loss.forward(x, labels), x),
                               rtol=1e-6, atol=1e-9)
    assert np.isfinite(loss.forward(x * 1e4, labels))


def test_what_does_not_fit_is_said_with_the_sizes():
    with pytest.raises(UserError, match=r"conv1 reads maps of shape \(height, width, 3\)"):
        Conv2D(3, 4, 3, name="conv1", rng=0).forward(np.zeros((1, 8, 8, 4), np.float32))
    with pytest.raises(UserError, match="a window of 9×9 does not fit into maps of 8×8"):
        Conv2D(3, 4, 9, rng=0).forward(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(UserError, match="fc6 reads 10 numbers a picture and was given"):
        Linear(10, 4, name="fc6", rng=0).forward(np.zeros((1, 11), np.float32))
    with pytest.raises(UserError, match="make n odd"):
        LocalResponseNorm(n=4)
    with pytest.raises(RuntimeError, match="has no weights yet"):
        Linear(10, 4).forward(np.zeros((1, 10), np.float32))
