"""Layers that stay while others learn: what learns, learns exactly as before.

A backward that stops one layer too early still trains, a frozen layer that decays slowly forgets
what was taken over, and dropout between frozen layers makes other features of the same picture each
time. So whatever is frozen, the gradients of the rest are held against those of the whole network,
bit for bit, and against numeric slopes.
"""

import numpy as np
import pytest
from runs import assert_same_bits

from tinyalex import freezing
from tinyalex.devices import CpuDevice
from tinyalex.gradcheck import check_network
from tinyalex.inside import costs
from tinyalex.layers import (
    Conv2D,
    Dropout,
    Flatten,
    Linear,
    LocallyConnected2D,
    LocalResponseNorm,
    MaxPool2D,
    ReLU,
)
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.support.errors import UserError
from tinyalex.training import train_step

NAMES = ["conv1", "conv2", "local3", "fc4", "fc5"]


def network(towers=2, devices=None, dtype=np.float64, seed=0):
    def tower(classes):
        return [
            [Conv2D(3, 4, 3, std=0.3, input_gradient=False, name="conv1"),
             ReLU("relu1", inplace=True), LocalResponseNorm(3, alpha=0.2, name="lrn1"),
             MaxPool2D(3, 2, name="pool1"),
             Conv2D(4, 3, 3, pad=1, std=0.3, name="conv2"), ReLU("relu2", inplace=True)],
            [LocallyConnected2D((3, 3, 3 * towers), 3, 3, pad=1, std=0.3, name="local3"),
             ReLU("relu3", inplace=True), Flatten("flatten"), Dropout(0.6, "dropout3")],
            [Linear(27 * towers, 6, std=0.3, name="fc4"), ReLU("relu4", inplace=True),
             Dropout(0.5, "dropout4")],
            [Linear(6 * towers, classes, std=0.3, name="fc5")],
        ]

    built = [tower(3) for _ in range(towers)]
    return Network([list(stage) for stage in zip(*built, strict=True)], (9, 9, 3),
                   devices or [CpuDevice("test", 1)], seed, dtype)


def batch(n=4, dtype=np.float64):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, 9, 9, 3)).astype(dtype), rng.integers(0, 3, n)


def gradients(net, drop):
    x, labels = batch()
    net.set_step(0)
    net.backward(net.loss_and_gradient(net.forward(x, remember=True, drop=drop), labels)[1])
    return {p.name: p.grad.copy() for p in net.learning}


@pytest.mark.parametrize(("text", "meant"), {
    "": [], "none": [], "conv1": ["conv1"], "conv1-conv2": ["conv1", "conv2"],
    " conv2 - fc4 ": ["conv2", "local3", "fc4"], "conv1,fc4": ["conv1", "fc4"],
    "all-but fc5": ["conv1", "conv2", "local3", "fc4"], "all-but conv2-fc5": ["conv1"],
}.items())
def test_what_a_text_means(text, meant):
    for towers in (1, 2):
        assert freezing.chosen(network(towers), text) == meant


@pytest.mark.parametrize("text", ["conv9", "conv1-conv2-fc4", "conv", "pool1", "conv1a", ",", "-",
                                  "all-but fc9", "all-but", "fc4-conv1", "all-but fc5-fc4"])
def test_a_text_that_means_nothing_is_refused(text):
    with pytest.raises(UserError, match="--freeze"):
        freezing.chosen(network(), text)


@pytest.mark.parametrize("text", ["conv1-fc5", "all-but none"])
def test_something_has_to_learn(text):
    with pytest.raises(UserError, match="no layer would learn"):
        freezing.freeze(network(), text)


@pytest.mark.parametrize("towers", [1, 2])
@pytest.mark.parametrize("text", ["conv1", "conv1-conv2", "conv1-local3", "conv1-fc4", "conv2",
                                  "conv1,local3", "fc4-fc5", "all-but conv1", "all-but conv2"])
def test_what_learns_has_the_gradients_that_it_has_in_the_whole_network(towers, text):
    whole, part = network(towers), network(towers)
    freezing.freeze(part, text)
    frozen = freezing.chosen(part, text)
    # Between frozen layers dropout is off, so it is compared where there is none there.
    drop = not {"local3", "fc4"} & {*frozen}
    theirs, ours = gradients(whole, drop), gradients(part, drop)
    assert ours.keys() == {name for name in theirs
                           if not name.startswith(tuple(frozen))} and len(ours) < len(theirs)
    assert_same_bits(ours, {name: theirs[name] for name in ours})
    assert check_network(part, batch()[0]).ok
    for name in frozen:
        for layer in freezing.layers_called(part, name):
            assert not layer.grads and (layer.kept is None or not layer.still)


def test_still_layers_keep_nothing_and_the_plan_of_memory_knows():
    net = network()
    before = costs.training_bytes(net, 8), costs.kept_bytes(net, 8)
    freezing.freeze(net, "conv1-local3")
    x, labels = batch()
    train_step(net, SGD(net), x, labels)
    still = [layer for layer in net.shapes if layer.still]
    assert {layer.name for layer in still} >= {"conv1a", "relu1b", "pool1a", "local3b", "flattena"}
    net.forward(x, remember=True, drop=True)
    assert not any(layer.kept for layer in still)
    assert costs.training_bytes(net, 8) < before[0] and costs.kept_bytes(net, 8) < before[1] / 4


@pytest.mark.parametrize("text", ["conv1-local3", "conv2", "fc5", "conv1,fc4"])
def test_a_frozen_layer_neither_moves_nor_decays_and_the_rest_moves(text):
    net, (x, labels) = network(dtype=np.float32), batch(dtype=np.float32)
    freezing.freeze(net, text)
    before = {name: value.copy() for name, value in net.state().items()}
    sgd = SGD(net, lr=0.1, weight_decay=0.5)
    for _ in range(2):
        train_step(net, sgd, x, labels)
    frozen = tuple(freezing.chosen(net, text))
    assert sgd.velocity.keys() == {name for name in before if not name.startswith(frozen)}
    for name, value in net.state().items():
        assert np.array_equal(value, before[name]) == name.startswith(frozen), name


def test_dropout_between_frozen_layers_is_as_at_test_time_and_above_them_as_ever():
    net, (x, _) = network(), batch()
    freezing.freeze(net, "conv1-fc4")
    seen = [{}, {}]
    for taken in seen:
        net.forward(x, drop=True, watch=lambda layer, y, taken=taken:
                    taken.update({layer.name: y.copy()}))
    for name, y in seen[0].items():
        same = np.array_equal(y, seen[1][name])
        assert same == (name[:-1] not in ("dropout4", "fc5")), name


@pytest.mark.parametrize("towers", [1, 2])
@pytest.mark.parametrize("text", ["conv1", "conv1-conv2", "conv1-local3", "conv1-fc4"])
def test_the_still_part_and_the_rest_are_the_network(towers, text):
    x, labels = batch()
    whole, cut = network(towers), network(towers)
    freezing.freeze(whole, text)
    freezing.freeze(cut, text)
    parts = freezing.parts(cut)
    if towers == 2 and text == "conv1":  # every tower would have to be handed its own maps
        assert parts is None
        return
    stem, head = parts
    for step in range(2):
        whole.set_step(step)
        head.set_step(step)
        np.testing.assert_array_equal(head.forward(stem.forward(x), drop=True),
                                      whole.forward(x, drop=True))
    one, other = SGD(whole, lr=0.1), SGD(cut, lr=0.1)
    loss, _ = train_step(whole, one, x, labels)
    their_loss, _ = train_step(head, other, np.asarray(stem.forward(x)), labels)
    assert loss == their_loss
    assert_same_bits(whole.state(), cut.state())


def test_nothing_is_still_where_the_first_layer_learns():
    net = network()
    freezing.freeze(net, "conv2-fc4")
    assert freezing.parts(net) is None
