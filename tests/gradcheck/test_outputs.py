"""What a gradient check lets pass: forward computes something else, and backward matches it.

A loss that is 0 has the gradient 0, and an exchange that exchanges nothing hands back what it was
given. So with `like=` outputs are compared too, and everything here passed before they were.
"""

import numpy as np
import pytest
from handed_in import (
    RIGHT,
    MyDropout,
    MyExchange,
    MyLoss,
    MyLRN,
    MySGD,
    MyTanh,
    rolled,
    slices,
    variant,
)

from tinyalex.gradcheck import check
from tinyalex.gradcheck.cases import CASES, SHIPPED
from tinyalex.gradcheck.exercise import try_case
from tinyalex.gradcheck.mistakes import MASKS


def times(factor):
    """The loss, and with it its gradient, times a factor that may depend on the scores."""
    def forward(self, x, labels):
        self.factor = factor(x)
        return MyLoss.forward(self, x, labels) * self.factor

    return variant(MyLoss, forward=forward,
                   backward=lambda self: MyLoss.backward(self) * self.factor)


def softmax(shift, axis):
    """The loss with another softmax; its backward is that of the right one."""
    def forward(self, x, labels):
        e = np.exp(x - shift(x))
        self.p, self.labels = e / e.sum(axis=axis, keepdims=True), labels
        return -np.log(self.p[np.arange(len(x)), labels]).mean()

    return variant(MyLoss, forward=forward)


class Squares:
    def forward(self, x, labels):
        self.x = x
        return (x * x).sum()

    def backward(self):
        return 2 * self.x


def overflowing_backward(self):
    p = np.exp(self.x) / np.exp(self.x).sum(axis=1, keepdims=True)
    return (p - np.eye(p.shape[1])[self.labels]) / len(p)


def keeping_x(self, x, labels):
    self.x = x
    return MyLoss.forward(self, x, labels)


class Turned(MyExchange):
    """b before a, and back the same way."""

    def forward(self, xs):
        return MyExchange.forward(self, xs[::-1])

    def backward(self, dys):
        return MyExchange.backward(self, dys)[::-1]


class OwnFirst(MyExchange):
    def forward(self, xs):
        self.width = xs[0].shape[-1]
        return [np.concatenate(pair, axis=-1) for pair in (xs, xs[::-1])]

    def backward(self, dys):
        a, other = self.width, dys[1].shape[-1] - self.width
        return [dys[0][..., :a] + dys[1][..., other:], dys[0][..., a:] + dys[1][..., :other]]


def masked(draw):
    """Dropout with masks of draw(self, x)."""
    def forward(self, x, drop=True):
        self.mask = draw(self, x)
        return x * self.mask if drop else self.keep * x

    return variant(MyDropout, forward=forward)


FALSE_PASSES = [
    ("SoftmaxCrossEntropy", times(lambda x: 0), "it is 0 whatever the scores"),
    ("SoftmaxCrossEntropy", Squares, "computed from the squares"),
    ("SoftmaxCrossEntropy", times(lambda x: -1), "the sign is wrong"),
    ("SoftmaxCrossEntropy", times(len), "the sum over the pictures"),
    ("SoftmaxCrossEntropy", times(lambda x: 1 / x.shape[1]), "not over all N·K numbers"),
    ("SoftmaxCrossEntropy", softmax(lambda x: 0, 1), "exp(1000) overflows"),
    ("SoftmaxCrossEntropy", softmax(np.max, 1), "not the largest of all"),
    ("SoftmaxCrossEntropy", variant(MyLoss, forward=keeping_x, backward=overflowing_backward),
     "no shift by the maximum"),
    ("Exchange", variant(MyExchange, forward=lambda s, xs: xs, backward=lambda s, dys: dys),
     "nothing is exchanged"),
    ("Exchange", Turned, "tower a's maps come first"),
    ("Exchange", OwnFirst, "tower a's maps come first"),
    ("Exchange", variant(MyExchange, forward=lambda s, xs: MyExchange.forward(s, xs)[:1]),
     "an array for each of 2 towers"),
    ("Dropout", masked(lambda s, x: s.rng.random(x.shape) > s.keep), "1 − keep are swapped"),
    ("Dropout", masked(lambda s, x: s.rng.random(x.shape) < 0.5), "with probability keep"),
    ("Dropout", masked(lambda s, x: s.rng.random(x.shape[1:]) < s.keep), "the same mask: draw"),
    ("Dropout", masked(lambda s, x: s.rng.random((len(x), 1)) < s.keep), "units of a picture go"),
    ("Dropout", masked(lambda s, x: np.random.default_rng(0).random(x.shape) < s.keep),
     "every step has the same mask"),
    ("Dropout", variant(MyDropout, forward=lambda s, x: MyDropout.forward(s, x)), "no test mode"),
    ("Dropout", variant(MyDropout, at_test_time=lambda s, x: (1 - s.keep) * x), "not by 1 − keep"),
    ("Tanh", variant(MyTanh, forward=lambda s, x: MyTanh.forward(s, x) * np.exp(x) / np.exp(x)),
     "not finite: forward, with x 1000 times as large"),
]


@pytest.mark.parametrize(("kind", "cls", "hint"), FALSE_PASSES,
                         ids=[f"{kind}, {hint}" for kind, _, hint in FALSE_PASSES])
def test_what_has_a_right_gradient_and_is_wrong_all_the_same_is_named(kind, cls, hint):
    report = check(cls, like=kind)
    assert not report.ok
    assert hint in str(report), report


@pytest.mark.parametrize(("kind", "cls", "hint"), [
    ("SoftmaxCrossEntropy", softmax(lambda x: x.max(axis=0), 0), "over the wrong axis"),
    ("SoftmaxCrossEntropy", softmax(np.max, None), "over the wrong axis"),
    ("SoftmaxCrossEntropy", variant(MyLoss, forward=lambda s, x, labels: np.zeros(len(x)) +
                                    MyLoss.forward(s, x, labels)), "should give ()"),
    ("LocalResponseNorm", variant(MyLRN, around=rolled), "negative indices count"),
    ("LocalResponseNorm", variant(MyLRN, around=slices), "negative indices count"),
    ("Tanh", variant(MyTanh, forward=lambda s, x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
                     backward=lambda s, dy: dy), "exp overflows"),
])
def test_a_wrong_output_is_told_with_its_mistake(kind, cls, hint):
    assert hint in str(check(cls, like=kind))


def writes_into_dys(self, dys):
    dys[0] += dys[1]
    return np.split(dys[0], np.cumsum(self.widths)[:-1], axis=-1)


def shifts_in_place(self, x, labels):
    x -= x.max(axis=1, keepdims=True)
    return MyLoss.forward(self, x, labels)


@pytest.mark.parametrize(("kind", "cls", "line"), [
    ("Exchange", variant(MyExchange, backward=writes_into_dys), "dys[0] += dys[1]"),
    ("SoftmaxCrossEntropy", variant(MyLoss, forward=shifts_in_place), "x -= x.max("),
])
def test_who_writes_into_an_argument_is_shown_the_line(kind, cls, line):
    report = str(check(cls, like=kind))
    assert line in report and "HINT: what a layer is given it only reads" in report


def test_an_optimiser_that_writes_into_gradients_is_told_so():
    def step(self):
        for p in self.parameters:
            p.grad[...] += self.decay * p.value

    assert "p.grad is only read" in str(check(variant(MySGD, step=step), like="SGD"))


def test_an_optimiser_with_a_momentum_of_its_own_is_told_so():
    def init(self, network, lr, momentum, weight_decay):
        MySGD.__init__(self, network, lr, 0.9, weight_decay)

    assert check(variant(MySGD, __init__=init), like="SGD").mistakes == ["momentum of one's own"]


@pytest.mark.parametrize("keep", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_masks_drawn_unit_by_unit_raise_no_alarm_in_200_seeds(keep):
    for seed in range(200):
        masks = np.random.default_rng(seed).random((2, 200, 200), np.float32) < keep
        assert not [hint for hint, shows, _ in MASKS if shows(masks, keep)], seed


QUICK = [case for case in CASES if case.kind not in ("MaxPool2D", "AveragePool2D", "Conv2D")]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: f"{case.kind}, {case.title}")
def test_right_classes_raise_no_alarm_whatever_the_seed(case):
    for seed in range(1, 6):
        report = try_case(RIGHT.get(case.kind, SHIPPED[case.kind]), case, seed)
        assert report.ok, report
