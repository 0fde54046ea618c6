"""Looking inside: each of these pictures would look plausible if it were of something else.

The activity of a convolution after the ReLU in place has written over it; a receptive field one
stride off; a gradient through a dropout that dropped; an occlusion map upside down, or of another
class; shares of towers the wrong way round. So a small two-tower network is probed with numbers:
pixels are changed one by one, and what changes is compared with what was said.
"""

import numpy as np
import pytest
from peer import layer

from tinyalex.inside.activities import activities, crossings
from tinyalex.inside.fields import Field, Unit, lattice, peaks, receptive_field, strongest
from tinyalex.inside.saliency import occlusion, pixel_gradient
from tinyalex.layers import (
    Conv2D,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2D,
    ReLU,
    SpatialResponseNorm,
)
from tinyalex.network import Network


def network(seed=0):
    """Two towers; their conv3 reads both. All kinds of windows: strides, pads, poolings, norms."""
    def tower():
        return [
            [Conv2D(3, 4, 4, 2, pad=(0, 3), std=0.3, input_gradient=False, name="conv1"),
             ReLU("relu1", inplace=True), LocalResponseNorm(3, alpha=0.2, name="lrn1"),
             MaxPool2D(3, 2, name="pool1"),
             Conv2D(4, 3, 3, pad=1, std=0.3, bias=0.1, name="conv2"), ReLU("relu2", inplace=True),
             SpatialResponseNorm(3, alpha=0.2, name="norm2")],
            [Conv2D(6, 5, 3, std=0.3, name="conv3"), ReLU("relu3", inplace=True),
             Flatten("flatten")],
            [Linear(2 * 125, 6, std=0.3, name="fc4"), ReLU("relu4", inplace=True),
             Dropout(0.5, "dropout4")],
            [Linear(12, 2, std=0.3, name="fc5")],
        ]

    return Network([list(stage) for stage in zip(tower(), tower(), strict=True)], (30, 30, 3),
                   seed=seed, dtype=np.float64)


@pytest.fixture
def net():
    return network()


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_normal((1, 30, 30, 3))


# What each layer gives

def test_what_a_layer_gave_is_kept_although_a_relu_writes_over_it(net, x):
    seen = activities(net, x)
    assert [*seen] == [*net.shapes]
    for name in ("conv1b", "conv2a"):
        before, after = seen[layer(net, name)], seen[layer(net, name.replace("conv", "relu"))]
        assert before.min() < 0
        np.testing.assert_array_equal(np.maximum(before, 0), after)
    np.testing.assert_allclose(seen[layer(net, "conv1a")],
                               layer(net, "conv1a").forward(x)[0])


def test_watching_changes_nothing(net, x):
    scores = net.forward(x)
    seen = activities(net, x)
    last = np.concatenate([seen[layer(net, name)] for name in ("fc5a", "fc5b")])
    np.testing.assert_array_equal(last, scores[0])


# Receptive fields

def positive(net):
    """A network in which every path counts: with weights and pixels above 0, and next to no LRN, a
    brighter pixel is the largest of its pooling window."""
    for parameter in net.parameters:
        parameter.value[...] = np.abs(parameter.value) + 0.01
    for norm in net.shapes:
        if isinstance(norm, LocalResponseNorm):
            norm.alpha = 1e-9
    return net


@pytest.mark.parametrize("name", ["conv1a", "lrn1b", "pool1a", "conv2b", "norm2a", "conv3a"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_unit_sees_exactly_the_pixels_that_can_change_it(name, place):
    net = positive(network())
    probed = layer(net, name)
    H, W, _ = net.shapes[probed][1]
    row, column = {"first": (0, 0), "middle": (H // 2, W // 2 - 1), "last": (H - 1, W - 1)}[place]
    still = np.ones((1, 30, 30, 3))
    before = activities(net, still)[probed][row, column, 1]
    rows, columns = set(), set()
    for k in range(30):
        for seen, spot in ((rows, np.s_[0, k]), (columns, np.s_[0, :, k])):
            bright = still.copy()
            bright[spot] += 10
            if abs(activities(net, bright)[probed][row, column, 1] / before - 1) > 1e-12:
                seen.add(k)
    field = receptive_field(net, Unit(probed, 1, row, column))
    assert rows == set(range(30)) & set(range(field.top, field.bottom))
    assert columns == set(range(30)) & set(range(field.left, field.right))


def test_fields_hang_over_the_edge_where_zeros_are_added(net):
    assert receptive_field(net, Unit(layer(net, "conv1a"), 0, 0, 0)) == Field(0, 0, 4, 4)
    last = net.shapes[layer(net, "conv1a")][1][0] - 1
    field = receptive_field(net, Unit(layer(net, "conv1b"), 0, last, last))
    assert field == Field(2 * last, 2 * last, 2 * last + 4, 2 * last + 4) and field.bottom > 30
    assert receptive_field(net, Unit(layer(net, "conv2a"), 0, 0, 0)).top < 0


def test_behind_a_flatten_a_unit_sees_the_whole_picture(net):
    assert receptive_field(net, Unit(layer(net, "fc4b"), 0, 0, 0)) == Field(0, 0, 30, 30)


def test_the_strongest_unit_is_where_the_largest_number_is(net):
    y = np.zeros((4, 5, 3))
    y[2, 4, 1], y[3, 0, 2] = 7, 5
    assert strongest(None, y)[1:] == (1, 2, 4)
    assert strongest(None, y, map=2)[1:] == (2, 3, 0)


@pytest.mark.parametrize("name", ["conv1a", "pool1b", "conv2a", "conv3b", "fc4a"])
def test_fields_lie_on_a_lattice(net, name):
    probed = layer(net, name)
    first, step, size = lattice(net, probed)
    for row, column in ((0, 0), (1, 3), (4, 2)):
        field = receptive_field(net, Unit(probed, 0, row, column))
        top = first + row * step
        assert (field.top, field.left) == (top, first + column * step)
        assert (field.height, field.width) == (size, size)


def test_peaks_are_the_places_that_no_neighbour_exceeds_the_strongest_first():
    y = np.array([[0.0, 3, 1, 0, -1], [2, 1, 0, 0, 0], [0, 0, 0, 4, 4], [5, 0, 0, 0, 4]])
    assert peaks(y, 9) == [(3, 0), (2, 3), (2, 4), (3, 4), (0, 1)]
    assert peaks(y, 2) == [(3, 0), (2, 3)]
    assert peaks(-1 - y, 9) == [(0, 4)], "where nothing is above 0, the strongest"
    assert peaks(np.zeros((2, 2)), 3) == [(0, 0)]


# Gradient

def test_the_gradient_of_the_pixels_is_that_of_the_score_at_test_time(net, x):
    gradient, h = pixel_gradient(net, x, label=2), 1e-6
    assert gradient.shape == (30, 30, 3)
    for place in np.random.default_rng(2).integers(0, (30, 30, 3), (40, 3)).tolist():
        above, below = x.copy(), x.copy()
        above[0][tuple(place)] += h
        below[0][tuple(place)] -= h
        slope = (net.forward(above)[0, 2] - net.forward(below)[0, 2]) / (2 * h)
        assert gradient[tuple(place)] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_after_the_gradient_the_network_is_as_before(net, x):
    pixel_gradient(net, x, label=0)
    assert not any(tower[0].input_gradient for tower in net.stages[0])
    dropout = layer(net, "dropout4a")
    assert dropout.step == 0
    mask = dropout.mask((1, 1000), 0)
    assert mask.dtype == bool and 400 < mask.sum() < 600, "it drops again"


# Occlusion

def hand_made():
    """Two classes; the first one's score is the sum over rows 2 to 5, columns 8 to 11."""
    net = Network([[[Flatten("flatten"), Linear(16 * 16 * 3, 2, name="fc")]]], (16, 16, 3),
                  dtype=np.float64)
    W = layer(net, "fc").params["W"]
    W[...] = 0
    W.reshape(16, 16, 3, 2)[2:6, 8:12, :, 0] = 1 / 48
    return net


def test_covering_matters_where_the_class_is_and_nowhere_else():
    net, x = hand_made(), np.full((1, 16, 16, 3), 2.0)
    p = occlusion(net, x, label=0, side=2, stride=1)
    whole = 1 / (1 + np.exp(-2))
    near = np.zeros((16, 16), bool)
    near[1:7, 7:13] = True  # a square of 2×2 on a pixel reaches one pixel further
    np.testing.assert_allclose(p[~near], whole)
    assert (p[near] < whole).all()
    missing = 1 / (1 + np.exp(-2 * (1 - 4 / 16)))  # 4 of the 16 pixels covered
    np.testing.assert_allclose(p[3:5, 9:11], missing)
    np.testing.assert_allclose(p, 1 - occlusion(net, x, label=1, side=2, stride=1))


@pytest.mark.parametrize(("side", "stride"), [(2, 1), (5, 1), (5, 3), (6, 3), (16, 8)])
def test_every_pixel_is_covered(side, stride):
    assert np.isfinite(occlusion(hand_made(), np.ones((1, 16, 16, 3)), 0, side, stride, 10)).all()


def test_steps_that_leave_pixels_out_are_refused():
    with pytest.raises(ValueError, match="leave pixels out"):
        occlusion(hand_made(), np.ones((1, 16, 16, 3)), 0, side=4, stride=3)


# What crosses

def test_shares_say_from_which_tower_the_sums_come(net, x):
    for reader, own in (("conv3a", 0), ("conv3b", 1)):
        layer(net, reader).params["W"][:, :, 3 * (1 - own) : 3 * (2 - own)] = 0
    fc4a = layer(net, "fc4a").params["W"]
    fc4a[:125] = 0
    seen = activities(net, x)
    crossed = crossings(net, seen)
    assert [crossing.layer for crossing in crossed] == ["conv3", "fc4", "fc5"]
    assert [crossing.numbers for crossing in crossed] == [7 * 7 * 3, 125, 6]
    assert crossed[0].shares == [[1, 0], [0, 1]] and crossed[1].shares[0] == [0, 1]
    W = layer(net, "fc4b").params["W"]
    parts = [np.abs(seen[layer(net, f"flatten{t}")] @ rows).mean()
             for t, rows in (("a", W[:125]), ("b", W[125:]))]
    assert crossed[1].shares[1] == pytest.approx(parts / np.sum(parts))


def test_with_one_tower_nothing_crosses():
    net = hand_made()
    assert crossings(net, activities(net, np.ones((1, 16, 16, 3)))) == []
