"""Who checks the checker? Mistakes are planted, and each has to be caught and called by its name.

A mutant made from a formula is named by the same formula, so that alone would prove little about
the naming. Therefore wrong layers in learners' own words are tried besides: they share no code with
the formulas. And a diagnosis that guesses is worse than none: for a mistake that it does not know
it has to be silent.
"""

import numpy as np
import pytest
from handed_in import (
    RIGHT,
    MyAverage,
    MyConv,
    MyDropout,
    MyExchange,
    MyLinear,
    MyLoss,
    MyLRN,
    MyPool,
    MyReLU,
    MySGD,
    MySpatialNorm,
    MyTanh,
    rolled,
    slices,
    variant,
)
from pages import ROOT

from tinyalex.gradcheck import check
from tinyalex.gradcheck.cases import SHIPPED, cases_of
from tinyalex.gradcheck.mutants import MUTANTS, try_mutant
from tinyalex.layers import Conv2D, Linear


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.kind}, {m.about}, {m.way}")
def test_a_planted_mistake_is_caught_and_named(mutant):
    report, named = try_mutant(mutant)
    assert report is not None
    assert named, report
    assert len(report.mistakes) == 1, "taken for another mistake as well"


def test_mistakes_are_planted_in_every_kind_of_layer():
    assert {mutant.kind for mutant in MUTANTS} == set(SHIPPED)
    assert len(MUTANTS) >= 200


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/gradient-checking.md"])
def test_pages_say_how_many_mistakes_are_shown(page):
    count, text = sum(mutant.way == 0 for mutant in MUTANTS), (ROOT / page).read_text("utf-8")
    assert f"{count} mistakes" in text or f"named | {count}, {count}, {count} |" in text


@pytest.mark.parametrize("kind", RIGHT)
def test_a_right_class_passes_though_it_knows_nothing_of_the_package(kind):
    """Else what follows might be caught for something that is not its mistake."""
    report = check(RIGHT[kind], like=kind)
    assert report.ok, report
    assert report.error < 1e-7


def last_picture(self, pixels, dy):
    return MyConv.element(self, pixels[-1:], dy[-1:])


def overwrite(self, place, part):
    """There the window that comes last is another one than where the loop runs over windows."""
    place[...] = part


def square_only(self, dy):
    dx, W = MyLinear.backward(self, dy), self.params["W"]
    return dy @ W if W.shape[0] == W.shape[1] else dx


def mean_weights(self, dy):
    dx = MyLinear.backward(self, dy)
    self.grads["W"] /= len(dy)
    return dx


def scaled_upstream(self, dy):
    dx = MyLinear.backward(self, dy)
    dy /= 2
    return dx


def winner_overwrites(self, dx, window, part):
    dx[window][part != 0] = part[part != 0]


def lower_power(self, dy):
    return dy / self.s**self.beta - 2 * self.alpha * self.beta * self.x * self.around(
        dy * self.x / self.s**self.beta)


def short(self, a):
    last = np.zeros_like(a)
    last[..., :-(self.n // 2)] = a[..., self.n // 2:]
    return self.around(a) - last


def own_pixel(self, dy):
    cross = 2 * self.alpha / self.n**2 * self.beta * self.x**2 / self.s ** (self.beta + 1)
    return dy * (1 / self.s**self.beta - cross)


def half_divided(self):
    onehot = np.arange(self.p.shape[1]) == self.labels[:, None]
    return self.p - onehot / len(self.p)


def own_reader(self, dys):
    ends = np.cumsum([0, *self.widths])
    return [dy[..., ends[t]:ends[t + 1]] for t, dy in enumerate(dys)]


def modern_step(self):
    for i, p in enumerate(self.parameters):
        self.v[i] = self.m * self.v[i] + p.grad + self.decay * p.value
        p.value[...] -= self.lr * self.v[i]


def jacobian_itself(self, dy):
    """Each row of J times dy, where backward adds up columns."""
    outside = 2 * self.alpha * self.beta * self.x / self.s ** (self.beta + 1)
    return dy / self.s**self.beta - outside * self.around(self.x * dy)


def no_dy_in_the_sum(self, dy):
    inside = self.x / self.s ** (self.beta + 1)
    return dy / self.s**self.beta - 2 * self.alpha * self.beta * self.x * self.around(inside)


def forgotten(cls):
    return variant(cls, backward=lambda self, dy: cls.backward(self, np.ones_like(dy)))


def with_db(cls, db):
    """The class with another db."""
    def backward(self, dy):
        dx = cls.backward(self, dy)
        self.grads["b"] = db(dy)
        return dx

    return variant(cls, backward=backward)


def from_behind(self, dx):
    P = self.border
    return dx[:, P[0]:-P[1], P[0]:-P[1]] if P[1] else dx[:, P[0]:-P[0], P[0]:-P[0]]


def stepping(rule):
    """An optimiser with another rule for (self, p, v): the new v; it moves p.value itself."""
    def step(self):
        for i, p in enumerate(self.parameters):
            self.v[i] = rule(self, p, self.v[i])

    return variant(MySGD, step=step)


def downhill(self, p, v):
    return self.m * v - self.lr * (p.grad + self.decay * p.value)


def subtracting(self, p, v):
    v = downhill(self, p, v)
    p.value[...] -= v
    return v


def elsewhere(self, p, v):
    v = downhill(self, p, v)
    w = p.value
    w = w + v
    return v


HANDED_IN = [
    ("Conv2D", variant(MyConv, element=last_picture), "missing sum over the batch"),
    ("Conv2D", variant(MyConv, put_back=overwrite), "overlaps overwritten"),
    ("Conv2D", variant(MyConv, cropped=lambda s, dx: dx[:, :s.x.shape[1], :s.x.shape[2]]),
     "padding not cropped"),
    ("Linear", variant(MyLinear, backward=square_only), "transposed weights"),
    ("Linear", variant(MyLinear, backward=mean_weights), "averaged over the batch"),
    ("Linear", variant(MyLinear, backward=scaled_upstream), "changes its arguments"),
    ("ReLU", variant(MyReLU, backward=lambda s, dy: np.maximum(dy, 0)), "mask of the gradient"),
    ("MaxPool2D", variant(MyPool, share=lambda s, a: a == a.max()), "gradient to all ties"),
    ("MaxPool2D", variant(MyPool, share=lambda s, a: 1 / a.size), "shared by all pixels"),
    ("MaxPool2D", variant(MyPool, share=lambda s, a: a == a.min()), "wrong winner"),
    ("MaxPool2D", variant(MyPool, put_back=winner_overwrites), "overlaps overwritten"),
    ("AveragePool2D", variant(MyAverage, share=lambda s, a: 1 / s.size**2),
     "divided by the whole window at the edge"),
    ("Dropout", variant(MyDropout, backward=lambda s, dy: dy * (
        s.rng.random(dy.shape) < s.keep)), "mask not reused"),
    ("Dropout", variant(MyDropout, backward=lambda s, dy: dy * s.mask / s.keep),
     "rescaled in backward"),
    ("LocalResponseNorm", variant(MyLRN, backward=lambda s, dy: dy / s.s**s.beta),
     "without the cross-channel term"),
    ("LocalResponseNorm", variant(MyLRN, backward=lower_power), "wrong power"),
    ("LocalResponseNorm", variant(MyLRN, spread=short), "window off by one"),
    ("SpatialResponseNorm", variant(MySpatialNorm, backward=own_pixel), "own pixel only"),
    ("SoftmaxCrossEntropy", variant(MyLoss, backward=half_divided), "÷N of one part only"),
    ("SoftmaxCrossEntropy", variant(MyLoss, backward=lambda s: -MyLoss.backward(s)), "wrong sign"),
    ("Exchange", variant(MyExchange, backward=own_reader), "forgets to add"),
    ("SGD", variant(MySGD, step=modern_step), "learning rate outside the velocity"),
    ("SGD", stepping(subtracting), "step of the wrong sign"),
    ("SGD", stepping(elsewhere), "weights that stay"),
    ("LocalResponseNorm", variant(MyLRN, backward=jacobian_itself), "J in place of Jᵀ"),
    ("SpatialResponseNorm", variant(MySpatialNorm, backward=jacobian_itself),
     "J in place of Jᵀ"),
    ("LocalResponseNorm", variant(MyLRN, spread=slices), "window wraps around"),
    ("LocalResponseNorm", variant(MyLRN, spread=rolled), "window wraps around"),
    ("LocalResponseNorm", variant(MyLRN, backward=no_dy_in_the_sum), "dy forgotten"),
    *((kind, forgotten(RIGHT[kind]), "dy forgotten")
      for kind in RIGHT if kind not in ("SoftmaxCrossEntropy", "Exchange", "SGD")),
    ("Tanh", variant(MyTanh, backward=lambda s, dy: dy * (1 - s.y)**2), "difference squared"),
    *(("Linear", with_db(MyLinear, lambda dy, axis=axis: dy.sum(axis=axis)),
       "sum over the wrong axis") for axis in (1, None)),
    *(("Conv2D", with_db(MyConv, lambda dy, axes=axes: dy.sum(axis=axes)),
       "sum over the wrong axes") for axes in ((1, 2, 3), (0, 2, 3), (0, 1), None)),
    ("Conv2D", variant(MyConv, cropped=from_behind), "crop that ends at −P"),
]


@pytest.mark.parametrize(("kind", "cls", "mistake"), HANDED_IN,
                         ids=[f"{kind}, {mistake}" for kind, _, mistake in HANDED_IN])
def test_a_mistake_in_a_learners_own_words_is_named(kind, cls, mistake):
    report = check(cls, like=kind)
    assert report.mistakes == [mistake], report


def scrambled(self, dy):
    """A mistake that nobody makes."""
    dx = Linear.backward(self, dy)
    return dx + np.sin(1e3 * dx)


def two_at_once(self, dy):
    """Kernel flipped, and half as much again: it must not be taken for one of them, either."""
    dx = Conv2D.backward(self, dy)
    self.grads["W"] = 1.5 * self.grads["W"][::-1, ::-1]
    return dx


@pytest.mark.parametrize(("cls", "backward"), [(Linear, scrambled), (Conv2D, two_at_once)])
def test_an_unknown_mistake_is_caught_and_given_no_name(cls, backward):
    report = cases_of(cls.__name__)[0].check(variant(cls, backward=backward))
    assert not report.ok
    assert report.mistakes == []
