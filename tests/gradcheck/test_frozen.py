"""A learner's backward and update where some layers are frozen.

A backward that ends too early still trains, and a frozen layer that decays is worse only after
thousands of steps. So each such mistake has to be seen at once, and called by its name; and the
formulas that name them are held against slopes, or they would prove nothing.
"""

import numpy as np
import pytest

from tinyalex.gradcheck import check, frozen
from tinyalex.gradcheck.subjects import NetworkSubject
from tinyalex.network import Network


def right(layers, dy):
    grads = {}
    while layers and not layers[-1]["still"]:
        *layers, top = layers
        if not top["frozen"]:
            grads[top["name"]] = np.einsum("ni,nj->ij", top["x"], dy)
        dy = np.where(top["x"] > 0, np.einsum("nj,ij->ni", dy, top["W"]), 0)
    return grads


class Right:
    def __init__(self, network, lr, momentum, weight_decay, frozen):
        self.lr, self.m, self.decay = lr, momentum, weight_decay
        self.mine = [p for p in network.parameters if p.name not in frozen]
        self.v = [0] * len(self.mine)

    def step(self):
        for i, p in enumerate(self.mine):
            self.v[i] = self.m * self.v[i] - self.lr * (self.decay * p.value + self.gradient(p))
            p.value[...] += self.v[i]

    def gradient(self, p):
        return p.grad


class All(Right):
    def __init__(self, network, lr, momentum, weight_decay, frozen):
        super().__init__(network, lr, momentum, weight_decay, ())


class OnlyDecays(All):
    def __init__(self, *args):
        super().__init__(*args)
        self.frozen = args[-1]

    def gradient(self, p):
        return 0 if p.name in self.frozen else p.grad


def test_who_does_it_right_passes():
    for thing, like in ((right, "FrozenBackward"), (Right, "FrozenUpdate")):
        report = check(thing, like=like)
        assert report.ok, report


@pytest.mark.parametrize("text", frozen.FROZEN)
def test_the_right_gradients_are_slopes(text):
    network = frozen.small_network(Network, text, seed=1)
    x, dy = np.random.default_rng(0).standard_normal((2, 4, frozen.WIDTH))
    network.forward(x, remember=True)
    said = frozen.backward(frozen.describe(network), dy)
    slopes, h = NetworkSubject(network, x), 1e-6
    assert {f"{name}.W" for name in said} == {name for name in slopes.arrays if name[-1] == "W"}
    for name, dW in said.items():
        W = slopes.arrays[f"{name}.W"]
        for i in ((0, 1), (3, 2)):
            kept, ends = W[i], []
            for W[i] in (kept + h, kept - h):
                ends.append((slopes.outputs()[0] * dy).sum())
            W[i] = kept
            assert abs((ends[0] - ends[1]) / (2 * h) - dW[i]) < 1e-7


def lacks_the_lowest(layers, dy):
    grads = right(layers, dy)
    return {name: grads[name] for name in sorted(grads)[1:]}


def until_one_is_frozen(layers, dy):
    above = [i for i, layer in enumerate(layers) if layer["frozen"]]
    return right(layers[above[-1] + 1:] if above else layers, dy)


def all_that_keep(layers, dy):
    return right([{**layer, "frozen": False} for layer in layers], dy)


def unmasked(layers, dy):
    """What is off counts as on."""
    grads = {}
    for layer in layers[::-1]:
        if layer["still"]:
            return grads
        if not layer["frozen"]:
            grads |= {layer["name"]: layer["x"].T @ dy}
        dy = dy @ layer["W"].T
    return grads


def only_learning_ones(layers, dy):
    return right([layer for layer in layers if not layer["frozen"]], dy)


@pytest.mark.parametrize(("thing", "like", "mistake"), [
    (lacks_the_lowest, "FrozenBackward", "stops one layer too early"),
    (until_one_is_frozen, "FrozenBackward", "stops at a frozen layer"),
    (all_that_keep, "FrozenBackward", "gradients of frozen layers"),
    (unmasked, "FrozenBackward", "no mask"),
    (only_learning_ones, "FrozenBackward", "passes over frozen layers"),
    (All, "FrozenUpdate", "a frozen layer that moves"),
    (OnlyDecays, "FrozenUpdate", "a frozen layer that decays"),
])
def test_a_mistake_in_a_learners_own_words_is_named(thing, like, mistake):
    report = check(thing, like=like)
    assert not report.ok
    assert report.mistakes == [mistake], report


def writes_into_dy(layers, dy):
    grads = right(layers, dy)
    dy *= 2
    return grads


def twice(layers, dy):
    return {name: 2 * dW for name, dW in right(layers, dy).items()}


@pytest.mark.parametrize(("thing", "like", "said"), [
    (lambda layers, dy: None, "FrozenBackward", "backward gives NoneType"),
    (lambda layers, dy: {}, "FrozenBackward", "gradients of no layer are given, but fc3, fc4, fc5"),
    (lambda layers, dy: dict.fromkeys(right(layers, dy)), "FrozenBackward", "dW of fc5 gives None"),
    (lambda layers, dy: right([{**layers[0], "still": False}], dy), "FrozenBackward", "TypeError"),
    (writes_into_dy, "FrozenBackward", "changes its arguments"),
    (twice, "FrozenBackward", "wrong gradients"),
    (lambda *args: None, "FrozenUpdate", "no step"),
])
def test_the_rest_is_explained_too(thing, like, said):
    report = check(thing, like=like)
    assert not report.ok and said in str(report), report
