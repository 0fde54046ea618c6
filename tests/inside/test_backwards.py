"""Back to the pixels: a picture by a wrong rule, or of a wrong unit, looks as good as any other.

A deconvnet that still asks whether the unit was on is guided backpropagation; a Grad-CAM without
its mean has the same bright spot, mostly; one tower's part that is lost, or handed to the other,
leaves half a picture that nobody misses. So everything here is computed a second time, by PyTorch's
autograd, whose ReLU is given the rules in its own terms; and what has a slope is compared with it.
"""

import numpy as np
import pytest
from peer import Peer, assert_equal, layer, network

from tinyalex import freezing
from tinyalex.devices import Devices
from tinyalex.inside.backwards import RULES, back_to_pixels, other_backward
from tinyalex.inside.saliency import grad_cam, pixel_gradient
from tinyalex.layers import Conv2D, Flatten, Linear, ReLU
from tinyalex.network import Network

RNG = np.random.default_rng


@pytest.fixture(params=[1, 2], ids=["one tower", "two towers"])
def net(request):
    return network(request.param)


@pytest.fixture
def x():
    return RNG(1).standard_normal((2, 27, 27, 3))


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_agrees_with_autograd(net, x, rule):
    dy = RNG(2).standard_normal((2, net.classes))
    theirs = Peer(net, rule).back(x, dy)
    assert_equal(back_to_pixels(net, x, dy, rule), theirs)
    assert_equal(back_to_pixels(network(net.towers, np.float32), x.astype(np.float32),
                                dy.astype(np.float32), rule), theirs)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["conv1", "conv2", "pool1", "conv3", "relu3", "fc4"])
def test_the_way_back_may_begin_at_any_layer(net, x, name, rule):
    last = layer(net, name + net.letter(net.towers - 1))
    part = freezing.up_to(net, last)
    H_W, F = net.shapes[last][1][:-1], net.shapes[last][1][-1]
    dy = RNG(3).standard_normal((2, *H_W, net.towers * F))
    assert_equal(back_to_pixels(part, x, dy, rule), Peer(net, rule).back(x, dy, last.name))
    np.testing.assert_array_equal(
        part.forward(x)[..., -F:], layer_output(net, x, last), "what the layer itself gives")


def layer_output(net, x, wanted):
    outputs = {}
    net.forward(x, watch=lambda layer, y: outputs.setdefault(layer, y.copy()))
    return outputs[wanted]


def test_the_rules_are_three(x):
    """On one picture they differ, and guided lets through no more than either of the others."""
    net, dy = network(1), np.array([[1.0, 0, 0]])
    plain, deconvnet, guided = (back_to_pixels(net, x[:1], dy, rule) for rule in RULES)
    for a, b in ((plain, deconvnet), (plain, guided), (deconvnet, guided)):
        assert np.abs(a - b).max() > 0.1 * max(np.abs(a).max(), np.abs(b).max())
    relu = {rule: function(np.array([2.0, -2, 2, -2]), np.array([3.0, 3, 0, 0])).tolist()
            for rule, function in RULES.items()}
    assert relu == {"gradient": [2, -2, 0, 0], "deconvnet": [2, 0, 2, 0], "guided": [2, 0, 0, 0]}


def test_the_first_rule_is_the_backward_that_relu_has(net, x):
    """Bit for bit: the switch changes nothing but the rule."""
    dy = RNG(2).standard_normal((2, net.classes))
    ours = back_to_pixels(net, x, dy)
    for tower in net.stages[0]:
        tower[0].input_gradient = True
    net.forward(x, remember=True)
    np.testing.assert_array_equal(ours, sum(net.backward(dy)))


def test_the_network_is_afterwards_what_it_was(net, x):
    freezing.freeze(net, "conv1-conv2")
    before = {each: dict(vars(each)) for each in net.shapes}
    gradients = {each: dict(each.grads) for each in net.shapes}
    with pytest.raises(KeyError):
        back_to_pixels(net, x, np.ones((2, net.classes)), "no such rule")
    grad_cam(net, x[:1], 0)
    back_to_pixels(net, x, np.ones((2, net.classes)), "guided")
    for each, state in before.items():
        after = vars(each)
        assert all(after[key] is state[key] for key in state.keys() - {"kept", "y_shape"})
        assert "backward" not in after and each.grads == gradients[each]


def test_frozen_and_still_layers_hand_everything_down(net, x):
    dy = np.ones((2, net.classes))
    free = back_to_pixels(net, x, dy)
    freezing.freeze(net, "conv1-conv3")
    assert any(layer.still for layer in net.shapes)
    np.testing.assert_array_equal(back_to_pixels(net, x, dy), free)


# Grad-CAM

@pytest.mark.parametrize("name", ["conv1", "conv2", "conv3", None])
def test_grad_cam_agrees_with_autograd(net, x, name):
    label, peer = 1, Peer(net)
    scores = peer.forward(peer.picture(x[:1]))
    relus = [f"relu{(name or 'conv3')[-1]}{net.letter(t)}" for t in range(net.towers)]
    A = [peer.maps[relu] for relu in relus]
    slopes = peer.torch.autograd.grad(scores[0, label], A)
    total = sum((a * d.mean(dim=(2, 3), keepdim=True)).sum(dim=1) for a, d in
                zip(A, slopes, strict=True))
    theirs = total.clamp(min=0)[0].detach().numpy()
    assert_equal(grad_cam(net, x[:1], label, name), theirs)
    assert (theirs == 0).any() or name != "conv1", "what speaks against the class is left out"


def test_grad_cam_sees_where(x):
    """A score that adds up one map of conv1, wherever it is on: the map is that map."""
    net = Network([[[Conv2D(3, 2, 3, pad=1, std=0.5, name="conv1"), ReLU("relu1"),
                     Flatten("flatten"), Linear(27 * 27 * 2, 2, std=0, name="fc2")]]],
                  (27, 27, 3), dtype=np.float64)
    layer(net, "fc2").params["W"].reshape(27, 27, 2, 2)[:, :, 1, 0] = 3.0
    np.testing.assert_allclose(grad_cam(net, x[:1], 0),
                               3 * layer_output(net, x[:1], layer(net, "relu1"))[0, :, :, 1])


def test_there_is_no_grad_cam_of_a_layer_without_maps(net, x):
    with pytest.raises(KeyError, match="fc4"):
        grad_cam(net, x[:1], 0, "fc4")


def test_a_backward_is_exchanged_only_while_the_block_runs(net):
    relu = layer(net, f"relu1{net.letter(0)}")
    with pytest.raises(ZeroDivisionError), other_backward({relu: lambda dy: 1 / 0}):
        relu.backward(None)
    assert "backward" not in vars(relu)


def test_the_gradient_of_a_class_is_that_of_its_score(net, x):
    """With other rules as well: the switch is one argument."""
    dy = np.eye(net.classes)[[2]]
    for rule in RULES:
        np.testing.assert_array_equal(pixel_gradient(net, x[:1], 2, rule),
                                      back_to_pixels(net, x[:1], dy, rule)[0])


def test_on_gpus_it_is_the_same(x, gpus):
    dy, cpu = RNG(2).standard_normal((2, 6)), network()
    with Devices(gpus, 2) as devices:
        gpu = network(devices=[*devices])
        for rule in RULES:
            assert_equal(back_to_pixels(gpu, x, dy, rule), back_to_pixels(cpu, x, dy, rule))
        part = [freezing.up_to(net, layer(net, "conv3b")) for net in (gpu, cpu)]
        assert_equal(*(back_to_pixels(net, x, np.ones((2, 4, 4, 12)), "guided") for net in part))
        assert_equal(grad_cam(gpu, x[:1], 1), grad_cam(cpu, x[:1], 1))
