"""The networks of others against what they published: counts, sizes, the order of the layers.

Two of them look alike and are not: Caffe's LRN crosses the border between the towers, where the
paper's stops, and torchvision's dropout stands before the layers where Caffe's stands after them.
The weights would load all the same, and the scores be slightly wrong.
"""

import listed
import numpy as np
import pytest
from listed import outputs

from tinyalex.architectures import ablations, others
from tinyalex.gradcheck import check_layer, check_network
from tinyalex.inside import costs
from tinyalex.layers import OwnMaps
from tinyalex.run import presets
from tinyalex.support.errors import UserError


def names(network):
    return [name for stage in listed.names(network) for name in stage]


@pytest.mark.slow
def test_caffes_alexnet_has_the_papers_parameters_and_227_pixels():
    network = presets.get("caffe").network()
    assert costs.totals(network) == {"parameters": 60_965_224, "multiply_adds": 724_406_816}
    assert network.input_shape == (227, 227, 3)
    out = outputs(network)
    assert [out[n] for n in ("conv1a", "pool1b", "conv2a", "pool2a", "pool5b")] == [
        (55, 55, 48), (27, 27, 48), (27, 27, 128), (13, 13, 256), (6, 6, 128)]
    state = network.state()
    assert state["conv2a.b"][0] == state["fc6b.b"][0] == np.float32(0.1)
    assert state["fc6a.W"].std() == pytest.approx(0.005, rel=0.01)


def test_caffes_normalisation_reads_the_maps_of_both_towers(undrawn_weights):
    """On ones the last map of tower a has a full window, 1 + 0.0001/5 · 5, in front of conv2."""
    network = others.caffe(classes=2)
    lrn, own = network.stages[1][0][:2]
    y = own.forward(lrn.forward(np.ones((1, 2, 2, 96))))
    assert y.shape == (1, 2, 2, 48)
    assert y[0, 0, 0, 47] == pytest.approx(1.0001**-0.75, rel=1e-12)
    assert y[0, 0, 0, 0] == pytest.approx(1.00006**-0.75, rel=1e-12)


def test_torchvisions_alexnet_has_its_parameters_and_drops_before_the_layers(undrawn_weights):
    network = presets.get("torchvision").network()
    assert costs.totals(network) == {"parameters": 61_100_840, "multiply_adds": 714_188_480}
    assert names(network)[-9:] == [
        "pool5", "flatten", "dropout5", "fc6", "relu6", "dropout6", "fc7", "relu7", "fc8"]
    assert outputs(network)["conv1"] == (55, 55, 64) and outputs(network)["pool5"] == (6, 6, 256)


def test_cifar10_quick_has_its_sizes_and_pools_before_its_first_relu():
    network = presets.get("cifar10-quick").network()
    assert costs.totals(network)["parameters"] == 145_578
    assert names(network)[:4] == ["conv1", "pool1", "relu1", "conv2"]
    out = outputs(network)
    assert [out[n][0] for n in ("conv1", "pool1", "pool2", "pool3")] == [32, 16, 8, 4]
    assert names(network)[-2:] == ["ip1", "ip2"], "no ReLU between them"
    assert network.state()["conv1.W"].std() == pytest.approx(1e-4, rel=0.05)


def test_cifar10_full_normalises_within_its_maps_behind_both_poolings():
    network = presets.get("cifar10-full").network()
    assert costs.totals(network)["parameters"] == 89_578
    assert names(network) == ["conv1", "pool1", "relu1", "norm1", "conv2", "relu2", "pool2",
                              "norm2", "conv3", "relu3", "pool3", "flatten", "ip1"]
    out = outputs(network)
    assert [out[n][0] for n in ("norm1", "norm2", "pool3")] == [16, 8, 4]
    assert network.state()["ip1.W"].std() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(("name", "parameters", "between"), [
    ("13pct", 1_116_490, ["pool1", "conv2", "relu2", "pool2"]),
    ("11pct", 2_112_970, ["pool1", "lrn1", "conv2", "relu2", "lrn2", "pool2"])])
def test_cuda_convnets_local_nets_have_their_sizes_and_parameters(name, parameters, between):
    network = presets.get(name).network()
    assert costs.totals(network)["parameters"] == parameters
    assert names(network)[2:][:len(between)] == between
    out = outputs(network)
    assert [out[n][0] for n in ("conv1", "pool1", "pool2", "local3", "local4")] == [24, 12, 6, 6, 6]
    state = network.state()
    assert [round(float(state[f"{n}.W"].std()), 5) for n in ("conv1", "conv2", "local4")] == [
        pytest.approx(std, rel=0.03) for std in (1e-4, 0.01, 0.04)]


@pytest.mark.parametrize("tower", [0, 1])
def test_own_maps_hand_their_gradient_to_no_other_tower(tower):
    layer = OwnMaps(2)
    layer.tower = tower
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 6))
    np.testing.assert_array_equal(layer.forward(x), x[..., 3 * tower : 3 * tower + 3])
    report = check_layer(layer, x)
    assert report.ok, report


def test_own_maps_of_one_tower_are_all_maps_and_uneven_shares_are_refused():
    x = np.ones((1, 2, 2, 5))
    assert OwnMaps(1).forward(x) is x
    with pytest.raises(UserError, match="5 maps cannot be shared by 2 towers"):
        OwnMaps(2).output_shape((2, 2, 5))


@pytest.mark.parametrize("build", [others.cifar10_quick, others.cifar10_full])
def test_the_gradients_of_caffes_nets_for_cifar10_are_those_of_the_numbers(build):
    network = build(init="he")
    report = check_network(network, np.random.default_rng(0).standard_normal((2, 32, 32, 3)))
    assert report.ok, report


def test_an_experiment_that_caffes_towers_cannot_do_is_named(undrawn_weights):
    with pytest.raises(UserError, match="lrn1 of this preset reads the maps of all towers"):
        others.caffe(classes=2, edit=ablations.edit(lrn="before"))
    without = others.caffe(classes=2, edit=ablations.edit(without="conv2", lrn="none"))
    assert "conv2" not in names(without)
