"""The architectures against the paper: sizes, counts, initialisation; and the ladder of sanity.

Each rung of the ladder is cheap, and catches what the next would only show as "it does not learn":
shapes, the loss before any training (ln K, if the network has no opinion yet), the gradients (see
test_network.py and the lessons of the layers), a handful of pictures learned by heart.
"""

import math

import numpy as np
import pytest
from listed import outputs

from tinyalex.architectures import alexnet
from tinyalex.data import shapes
from tinyalex.inside import costs
from tinyalex.layers import Dropout
from tinyalex.optim import SGD
from tinyalex.training import train_step


@pytest.fixture(scope="module")
def paper():
    return alexnet.paper()


def test_the_papers_network_has_the_papers_numbers(paper):
    assert costs.totals(paper) == {"parameters": 60_965_224, "multiply_adds": 724_406_816}
    counts, work = {}, {}
    for layer, (shape, _) in paper.shapes.items():
        name = layer.name[:-1]
        counts[name] = counts.get(name, 0) + costs.parameters(layer)
        work[name] = work.get(name, 0) + layer.multiply_adds(shape)
    assert {n: c for n, c in counts.items() if c} == {
        "conv1": 34_944, "conv2": 307_456, "conv3": 885_120, "conv4": 663_936, "conv5": 442_624,
        "fc6": 37_752_832, "fc7": 16_781_312, "fc8": 4_097_000}
    assert {n: c for n, c in work.items() if c} == {
        "conv1": 105_415_200, "conv2": 223_948_800, "conv3": 149_520_384, "conv4": 112_140_288,
        "conv5": 74_760_192, "fc6": 37_748_736, "fc7": 16_777_216, "fc8": 4_096_000}


def test_the_maps_shrink_as_in_figure_2(paper):
    out = outputs(paper)
    for tower in "ab":
        assert [out[f"{name}{tower}"] for name in (
            "conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5", "fc6", "fc7",
            "fc8")] == [
            (55, 55, 48), (27, 27, 48), (27, 27, 128), (13, 13, 128), (13, 13, 192), (13, 13, 192),
            (13, 13, 128), (6, 6, 128), (2048,), (2048,), (500,)]
    assert [exchange.name for exchange in paper.exchanges] == ["conv3", "fc6", "fc7", "fc8"]


def test_the_initialisation_is_the_printed_one(paper):
    ones = {"conv2", "conv4", "conv5", "fc6", "fc7"}
    for name, value in paper.state().items():
        layer, kind = name[:-3], name[-1]
        if kind == "b":
            assert (value == (layer in ones)).all(), name
        else:
            assert value.std() == pytest.approx(0.01, rel=0.05), name
            assert abs(value.mean()) < 0.001, name


def test_the_224_picture_is_seen_as_227_with_zeros_right_and_below():
    """The last window of conv1 covers pixels 216 to 226; those beyond 223 are zeros."""
    conv1 = alexnet.paper_tower(alexnet.PAPER, 10, 2, 0.5, alexnet.printed)[0][0]
    conv1.initialise(np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((1, 224, 224, 3), np.float32)
    y = conv1.forward(x)
    corner = (x[0, 216:, 216:, :, None] * conv1.params["W"][:8, :8]).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(y[0, 54, 54], corner, rtol=1e-3, atol=1e-4)


def test_the_one_gpu_control_has_the_papers_numbers(undrawn_weights):
    network = alexnet.paper(towers=1)
    assert costs.totals(network) == {"parameters": 59_798_312, "multiply_adds": 391_514_384}
    assert network.parameters[0].name == "conv1.W"


@pytest.fixture
def original(undrawn_weights):
    return alexnet.original()


def test_the_original_has_the_papers_weights_in_the_order_in_which_it_was_run(original, paper):
    assert costs.totals(original) == costs.totals(paper)
    assert [layer.name for layer in original.stages[0][0]] == [
        "conv1a", "lrn1a", "pool1a", "relu1a", "conv2a", "relu2a", "lrn2a", "norm2a", "pool2a"]
    assert [layer.name for layer in original.stages[1][1]] == [
        "conv3b", "relu3b", "conv4b", "relu4b", "conv5b", "pool5b", "relu5b", "flattenb"]
    out = outputs(original)
    assert out["pool1a"] == (27, 27, 48) and out["pool5b"] == (6, 6, 128)


def test_the_original_divides_the_sums_of_its_normalisations_by_the_window(original):
    """(2 + 0.0001/5 · Σ)^0.75 over maps, and (1 + 0.001/25 · Σ)^0.75 over pixels: on a picture of
    ones, away from every edge, Σ is the window."""
    layers = {layer.name: layer for layer in original.shapes}
    ones = np.ones((1, 9, 9, 9))
    for name, expected in (("lrn1a", 2.0001), ("lrn2b", 2.0001), ("norm2a", 1.001)):
        y = layers[name].forward(ones)
        assert y[0, 4, 4, 4] == pytest.approx(expected**-0.75, rel=1e-9)


@pytest.mark.slow
def test_the_original_draws_larger_weights_for_its_middle_layers():
    for name, value in alexnet.original().state().items():
        if name.endswith("W"):
            wide = name.startswith(("conv3", "conv4", "conv5"))
            assert value.std() == pytest.approx(0.03 if wide else 0.01, rel=0.05), name


def test_half_the_pixels_give_the_papers_maps(undrawn_weights):
    half, paper = ({name: out[:2] for name, out in outputs(network).items() if len(out) == 3}
                   for network in (alexnet.half(), alexnet.paper(10)))
    assert half == paper


def test_the_paper_starts_with_a_loss_of_ln_1000(paper):
    """The mean over all classes that the picture could have: a single one has luck, ±0.4."""
    x = np.random.default_rng(0).standard_normal((1, 224, 224, 3), np.float32) * 60
    scores = np.repeat(paper.forward(x), 1000, axis=0)
    value, _ = paper.loss_and_gradient(scores, np.arange(1000))
    assert value == pytest.approx(math.log(1000), abs=0.1)


@pytest.mark.parametrize(("build", "side"), [(alexnet.tiny, 56), (alexnet.cifar, 28),
                                             (alexnet.half, 112)])
def test_the_small_networks_start_with_a_loss_of_ln_10(build, side):
    network = build()
    x = np.random.default_rng(0).standard_normal((20, side, side, 3), np.float32)
    labels = np.arange(20) % 10
    value, _ = network.loss_and_gradient(network.forward(x), labels)
    assert value == pytest.approx(math.log(10), abs=0.1)


def test_a_handful_of_pictures_can_be_learned_by_heart():
    """With random labels there is nothing to understand, so only steps that work get it right."""
    network = alexnet.cifar(keep=1.0)
    optimiser = SGD(network, lr=0.02, weight_decay=0)
    images, _ = shapes.make(6, seed=0)
    x = (images[:, :56:2, :56:2].astype(np.float32) - 128) / 64
    labels = np.random.default_rng(0).integers(0, 10, 6)
    for _ in range(60):
        value, _ = train_step(network, optimiser, x, labels)
    assert (network.forward(x).argmax(axis=1) == labels).all()
    assert value < 0.1


def test_classes_that_two_towers_cannot_share_equally_are_shared_all_the_same():
    network = alexnet.tiny(classes=7)
    assert network.classes == 7
    assert network.forward(np.zeros((1, 56, 56, 3), np.float32)).shape == (1, 7)


def test_dropout_masks_differ_between_layers_and_towers(paper):
    drops = [layer for layer in paper.shapes if isinstance(layer, Dropout)]
    assert len({layer.mask((256,), 0).tobytes() for layer in drops}) == len(drops) == 4


@pytest.mark.parametrize("towers", [1, 2])
def test_one_class_is_enough_even_for_two_towers(towers):
    """Of two, one gives no score."""
    network = alexnet.cifar(1, towers=towers)
    scores = network.forward(np.zeros((2, 28, 28, 3), np.float32), remember=True)
    assert scores.shape == (2, 1)
    network.backward(network.loss_and_gradient(scores, np.zeros(2, int))[1])
