"""Agreement with values of independent origin: PyTorch's, in float64 (tests/golden/make.py).

A gradient check proves that backward is the derivative of forward. If forward is wrong, it proves
that backward is just as wrong: a window of LRN one map short, alpha divided by n, a mean where the
paper has a sum, a tower that reads its own maps twice. Only a comparison with someone else's
numbers finds these. The values are stored, so torch is not needed to run this; where it is
installed, the stored ones are computed anew as well.
"""

from pathlib import Path

import numpy as np
import pytest
from runs import assert_close

from tinyalex.devices import HOST, CpuDevice
from tinyalex.layers import (
    AveragePool2D,
    Conv2D,
    Dropout,
    Flatten,
    Linear,
    LocallyConnected2D,
    LocalResponseNorm,
    MaxPool2D,
    ReLU,
    SoftmaxCrossEntropy,
    SpatialResponseNorm,
    Tanh,
)
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.training import train_step

FOLDER = Path(__file__).with_name("golden")
TOLERANCE = 1e-9

LAYERS = {
    "conv": Conv2D(3, 4, 3, pad=1, rng=0),
    "conv_stride": Conv2D(2, 3, 3, stride=2, rng=0),
    "conv_one_side": Conv2D(2, 3, 4, stride=3, pad=(0, 3), rng=0),
    "local": LocallyConnected2D((4, 5, 3), 2, 3, pad=1, rng=0),
    "linear": Linear(7, 5, rng=0),
    "relu": ReLU(),
    "tanh": Tanh(),
    "lrn": LocalResponseNorm(5, 2.0, 0.3, 0.75),
    "lrn_few": LocalResponseNorm(5, 1.0, 0.2, 0.6),
    "lrn_paper": LocalResponseNorm(5, 2.0, 1e-4, 0.75),
    "spatial": SpatialResponseNorm(3, 2.0, 2.7, 0.75),
    "spatial_small": SpatialResponseNorm(5, 1.0, 5.0, 0.6),
    "spatial_original": SpatialResponseNorm(),
    "max_pool": MaxPool2D(3, 2),
    "max_pool_ceil": MaxPool2D(3, 2, ceil=True),
    "max_pool_apart": MaxPool2D(2, 2),
    "max_pool_ties": MaxPool2D(3, 2, ties="all"),
    "average_pool": AveragePool2D(3, 2),
    "average_pool_ceil": AveragePool2D(3, 2, ceil=True),
}


@pytest.fixture(scope="module")
def golden():
    with np.load(FOLDER / "golden.npz") as file:
        return dict(file)


def assert_agrees(ours, theirs, what):
    """Within 1e-9 of the largest number of the array."""
    assert ours.shape == theirs.shape, what
    assert ours.dtype == np.float64, what
    assert abs(ours - theirs).max() <= TOLERANCE * abs(theirs).max(), what


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_what_pytorch_gives(name, golden):
    layer = LAYERS[name]
    for key in layer.params:
        layer.params[key] = golden[f"{name}.{key}"]
    assert_agrees(layer.forward(golden[f"{name}.x"], remember=True), golden[f"{name}.y"], "y")
    assert_agrees(layer.backward(golden[f"{name}.dy"]), golden[f"{name}.dx"], "dx")
    for key, grad in layer.grads.items():
        assert_agrees(grad, golden[f"{name}.d{key}"], key)


def test_dropout_with_a_given_mask(golden):
    layer = Dropout(0.5)
    layer.mask = lambda shape, step, first: golden["dropout.m"]
    y = layer.forward(golden["dropout.x"], remember=True, drop=True)
    assert_agrees(y, golden["dropout.y"], "y")
    assert_agrees(layer.backward(golden["dropout.dy"]), golden["dropout.dx"], "dx")


def test_softmax_cross_entropy(golden):
    loss = SoftmaxCrossEntropy()
    value = loss.forward(golden["loss.x"], golden["loss.labels"], remember=True)
    assert value == pytest.approx(float(golden["loss.y"]), rel=TOLERANCE)
    assert_agrees(loss.backward(), golden["loss.dx"], "dx")


def two_towers(golden, devices):
    """The network of make.py, with its weights and its masks."""
    def tower():
        return [
            [Conv2D(3, 4, 3, stride=2, name="conv1"), ReLU("relu1", inplace=True),
             LocalResponseNorm(5, 2.0, 0.3, 0.75, name="lrn1"), MaxPool2D(3, 2, name="pool1"),
             Conv2D(4, 3, 5, pad=2, name="conv2"), ReLU("relu2", inplace=True)],
            [Conv2D(6, 4, 3, pad=1, name="conv3"), ReLU("relu3", inplace=True),
             MaxPool2D(3, 2, ceil=True, name="pool3"), Flatten("flatten")],
            [Linear(32, 5, name="fc4"), ReLU("relu4", inplace=True), Dropout(0.5, "dropout4")],
            [Linear(10, 3, name="fc5")],
        ]

    stages = [list(stage) for stage in zip(tower(), tower(), strict=True)]
    network = Network(stages, (19, 19, 3), devices, dtype=np.float64)
    prefix = "net.start."
    network.load_state({k.removeprefix(prefix): v for k, v in golden.items()
                        if k.startswith(prefix)})
    for t, tower_layers in enumerate(network.stages[2]):
        dropout, units = tower_layers[-1], slice(5 * t, 5 * t + 5)
        dropout.mask = lambda shape, step, first, u=units: golden["net.masks"][step][:, u]
    return network


@pytest.mark.parametrize("devices", [1, 2])
def test_a_two_tower_network_gives_pytorchs_scores_and_gradients(golden, devices):
    network = two_towers(golden, [CpuDevice(f"cpu{i}") for i in range(devices)])
    scores = network.forward(golden["net.x"], remember=True, drop=True)
    assert_agrees(scores, golden["net.scores"], "scores")
    network.backward(network.loss_and_gradient(scores, golden["net.labels"])[1])
    for p in network.parameters:
        assert_agrees(p.grad, golden[f"net.grad.{p.name}"], p.name)


def test_ten_steps_of_the_papers_update_follow_the_same_curve(golden):
    """The learning rate drops before the seventh: an optimiser that keeps it outside the velocity,
    as PyTorch's does, leaves the curve there."""
    network = two_towers(golden, [HOST])
    sgd, losses = SGD(network, lr=0.05, momentum=0.9, weight_decay=0.0005), []
    for step in range(10):
        sgd.lr = 0.05 if step < 6 else 0.005
        losses.append(train_step(network, sgd, golden["net.x"], golden["net.labels"])[0])
    np.testing.assert_allclose(losses, golden["net.losses"], rtol=TOLERANCE)
    assert losses[-1] < losses[0]
    for name, value in network.state().items():
        assert_agrees(value, golden[f"net.end.{name}"], name)


@pytest.mark.slow
def test_the_stored_values_are_what_pytorch_computes_today(golden, monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed; the stored values are used as is")
    monkeypatch.syspath_prepend(FOLDER)
    import make

    assert_close(make.compute(), golden, rtol=1e-11, atol=1e-13)
