"""What every layer promises, whatever it computes: shapes, dtypes, and manners.

Gradients have lessons of their own, a file a layer (test_conv.py, test_linear.py, …). What is
checked here breaks without a wrong formula: a backward that writes into the caller's dy,
gradients that pile up from step to step, float64 that creeps into a float32 network, a view with
gaps in memory that is read as if it had none.
"""

import numpy as np
import pytest

from tinyalex.gradcheck.manners import manners
from tinyalex.gradcheck.subjects import LayerSubject
from tinyalex.layers import (
    AveragePool2D,
    Conv2D,
    Dropout,
    Flatten,
    Linear,
    LocallyConnected2D,
    LocalResponseNorm,
    MaxPool2D,
    OwnMaps,
    ReLU,
    SpatialResponseNorm,
    Tanh,
)
from tinyalex.support.errors import UserError

LAYERS = {
    "conv": (lambda: Conv2D(3, 4, 3, pad=1, std=0.5, rng=0), (2, 5, 6, 3)),
    "conv with stride": (
        lambda: Conv2D(2, 3, 3, stride=2, pad=(0, 1), std=0.5, rng=0), (2, 6, 7, 2)),
    "local": (lambda: LocallyConnected2D((5, 6, 3), 4, 3, pad=1, std=0.5, rng=0), (2, 5, 6, 3)),
    "linear": (lambda: Linear(6, 4, std=0.5, rng=0), (3, 6)),
    "relu": (lambda: ReLU(), (2, 3, 3, 2)),
    "tanh": (lambda: Tanh(), (2, 3, 3, 2)),
    "lrn": (lambda: LocalResponseNorm(5, k=2, alpha=0.3), (2, 3, 2, 7)),
    "lrn of few maps": (lambda: LocalResponseNorm(5, k=1, alpha=0.3, beta=0.6), (2, 2, 2, 3)),
    "spatial norm": (lambda: SpatialResponseNorm(3, k=2, alpha=2), (2, 5, 4, 2)),
    "spatial norm of small maps": (
        lambda: SpatialResponseNorm(5, k=1, alpha=2, beta=0.6), (2, 2, 3, 2)),
    "overlapping max pool": (lambda: MaxPool2D(3, 2), (2, 7, 7, 2)),
    "max pool over the edge": (lambda: MaxPool2D(3, 2, ceil=True), (2, 6, 6, 2)),
    "max pool to all ties": (lambda: MaxPool2D(3, 2, ties="all"), (2, 7, 7, 2)),
    "average pool": (lambda: AveragePool2D(3, 2, ceil=True), (2, 6, 7, 2)),
    "flatten": (lambda: Flatten(), (2, 3, 2, 2)),
    "dropout": (lambda: Dropout(0.5, seed=1), (4, 10)),
    "own maps": (lambda: OwnMaps(2), (2, 3, 2, 6)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


@every_layer
def test_output_has_the_promised_shape_and_the_dtype_of_the_input(name):
    make, shape = LAYERS[name]
    for dtype in (np.float32, np.float64):
        layer, x = make(), np.ones(shape, dtype)
        for key in layer.params:
            layer.params[key] = layer.params[key].astype(dtype)
        y = layer.forward(x, remember=True)
        assert y.shape[1:] == layer.output_shape(shape[1:])
        assert y.dtype == dtype
        assert layer.backward(np.ones_like(y)).dtype == dtype
        assert all(grad.dtype == dtype for grad in layer.grads.values())


@every_layer
def test_every_layer_has_manners(name):
    """Arguments stay what they are, gradients do not pile up from call to call, a view with gaps in
    memory gives what its copy gives, and of float32 nothing becomes float64."""
    make, shape = LAYERS[name]
    x = np.random.default_rng(0).standard_normal(shape)
    assert manners(LayerSubject(make(), x)) == []


@every_layer
def test_backward_uses_up_what_a_training_forward_kept(name):
    make, shape = LAYERS[name]
    layer, x = make(), np.ones(shape, np.float32)
    y = layer.forward(x, remember=True)
    layer.backward(np.ones_like(y))
    with pytest.raises(RuntimeError, match="backward without a forward"):
        layer.backward(np.ones_like(y))
    layer.forward(x)
    with pytest.raises(RuntimeError, match="backward without a forward"):
        layer.backward(np.ones_like(y))


def test_what_does_not_fit_is_said_with_the_sizes():
    with pytest.raises(UserError, match=r"conv1 reads maps of shape \(height, width, 3\)"):
        Conv2D(3, 4, 3, name="conv1", rng=0).forward(np.zeros((1, 8, 8, 4), np.float32))
    with pytest.raises(UserError, match="a window of 9×9 does not fit into maps of 8×8"):
        Conv2D(3, 4, 9, rng=0).forward(np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(UserError, match="fc6 reads 10 numbers a picture but was given"):
        Linear(10, 4, name="fc6", rng=0).forward(np.zeros((1, 11), np.float32))
    with pytest.raises(UserError, match="make n odd"):
        LocalResponseNorm(n=4)
    with pytest.raises(UserError, match="make size odd"):
        SpatialResponseNorm(size=4)
    with pytest.raises(UserError, match=r"rnorm2 reads maps of shape \(height, width, channels\)"):
        SpatialResponseNorm(name="rnorm2").output_shape((10,))
    with pytest.raises(UserError, match="ties='none' is not a rule"):
        MaxPool2D(3, 2, ties="none")
    with pytest.raises(RuntimeError, match="has no weights yet"):
        Linear(10, 4).forward(np.zeros((1, 10), np.float32))


@every_layer
@pytest.mark.parametrize("bad", [
    lambda x: x.astype(int), lambda x: x.astype(np.uint8), lambda x: x > 0, lambda x: x.tolist(),
    lambda x: x[:0], lambda x: np.float64(3)])
def test_what_is_no_batch_of_floats_is_refused_by_the_layer(name, bad):
    """Dropout at test time gave zeros for integers, ReLU integers again, others a UFuncTypeError;
    a batch of none went through some layers, and not through others."""
    make, shape = LAYERS[name]
    layer = make()
    with pytest.raises(UserError, match=f"^{layer.name}: x has "):
        layer.forward(bad(np.ones(shape)))


@every_layer
def test_a_dy_that_is_not_like_y_is_refused_by_the_layer_and_uses_nothing_up(name):
    """Convolution took one with the same number of places in silence."""
    make, shape = LAYERS[name]
    layer = make()
    y = layer.forward(np.ones(shape), remember=True)
    for dy in (np.ones((len(y) + 1, *y.shape[1:])), np.ones((*y.shape[:-1], y.shape[-1] + 1)),
               np.ones((1, *y.shape)), y.astype(int), y.tolist()):
        with pytest.raises(UserError, match=f"^{layer.name}: dy has "):
            layer.backward(dy)
    layer.backward(np.ones_like(y))


@pytest.mark.parametrize(("make", "named"), {
    "stride 0": (lambda: Conv2D(1, 2, 3, stride=0), "conv: stride=0"),
    "half a kernel": (lambda: Conv2D(1, 2, 3 / 2), "conv: kernel=1.5"),
    "a kernel of two": (lambda: Conv2D(1, 2, (3, 3)), r"conv: kernel=\(3, 3\)"),
    "no filters": (lambda: Conv2D(1, 0, 3), "conv: filters=0"),
    "pad below 0": (lambda: Conv2D(1, 2, 3, pad=-1, name="conv2"), "conv2: pad=-1"),
    "pad of floats": (lambda: Conv2D(1, 2, 3, pad=(3 - 1) / 2), "conv: pad=1.0"),
    "pad of four": (lambda: Conv2D(1, 2, 3, pad=(0, 1, 0, 1)), r"conv: pad=\(0, 1, 0, 1\)"),
    "pad as an array": (lambda: Conv2D(1, 2, 3, pad=np.array([0, 1])), r"conv: pad=array"),
    "inputs as text": (lambda: Linear("6", 2), "fc: inputs='6'"),
    "outputs below 0": (lambda: Linear(6, -1), "fc: outputs=-1"),
    "pooling in place": (lambda: MaxPool2D(2, 0), "pool: stride=0"),
    "pooling by floats": (lambda: AveragePool2D(2, 2.0), "pool: stride=2.0"),
    "more places than a byte counts": (lambda: MaxPool2D(17, 1), "pool: a window of 17×17"),
    "a window of floats": (lambda: LocalResponseNorm(5.0), "lrn: n=5.0"),
    "no window": (lambda: SpatialResponseNorm(-1), "rnorm: size=-1"),
    "no towers": (lambda: OwnMaps(0), "own: towers=0"),
}.values())
def test_sizes_that_cannot_be_are_refused_at_once(make, named):
    with pytest.raises(UserError, match=f"^{named}"):
        make()


def test_sizes_may_be_numpys_integers_and_come_out_as_pythons():
    """A pad of np.int64 was taken for a pair."""
    two, three = np.int64(2), np.uint8(3)
    conv = Conv2D(two, three, three, stride=two, pad=np.int64(1), rng=0)
    assert conv.forward(np.ones((1, 5, 5, 2))).shape == (1, 3, 3, 3)
    sizes = [*conv.K, conv.S, *conv.P, *conv.W_shape, *Linear(two, three).W_shape,
             MaxPool2D(three, two).S, LocalResponseNorm(three).n]
    assert {type(size) for size in sizes} == {int}
    assert Conv2D(1, 2, 3, pad=[0, 1]).P == (0, 1)


def test_a_layer_can_be_fitted_to_what_it_reads():
    """Without conv4 its reader conv5 sees conv3's maps; N(0, 1/n²) has to follow."""
    conv = Conv2D(3, 40, 3, pad=1, std=lambda layer: 1 / layer.inputs)
    conv.fit_to((6, 6, 50))
    conv.initialise(np.random.default_rng(0))
    assert conv.params["W"].shape == (3, 3, 50, 40)
    assert conv.params["W"].std() == pytest.approx(1 / 450, rel=0.03)
    assert conv.forward(np.ones((1, 6, 6, 50), np.float32)).shape == (1, 6, 6, 40)
    assert conv.multiply_adds((6, 6, 50)) == 36 * 450 * 40

    fc = Linear(7, 30, std=lambda layer: 1 / layer.inputs)
    fc.fit_to((400,))
    fc.initialise(np.random.default_rng(0))
    assert fc.params["W"].shape == (400, 30)
    assert fc.params["W"].std() == pytest.approx(1 / 400, rel=0.03)
    ReLU().fit_to((6, 6, 50))  # a layer without weights fits anything


def test_what_a_layer_cannot_be_fitted_to_is_refused():
    with pytest.raises(UserError, match="conv1 reads maps of shape"):
        Conv2D(3, 4, 3, name="conv1").fit_to((10,))
    with pytest.raises(UserError, match="fc6 reads numbers in a row but was given"):
        Linear(10, 4, name="fc6").fit_to((6, 6, 3))
    for layer, shape in ((Conv2D(3, 4, 3, rng=0), (5, 5, 8)), (Linear(10, 4, rng=0), (11,))):
        with pytest.raises(RuntimeError, match="has its weights already"):
            layer.fit_to(shape)
        assert layer.W_shape == layer.params["W"].shape
