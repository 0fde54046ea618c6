"""Exercise mode: a learner's class gets an explanation, whatever it does.

What learners hand in is not a layer with one subtle mistake. It raises, returns None, has the wrong
shape, divides by zero, forgets a dictionary, never ends. None of it may crash the check, and each
answer has to say what is wrong in the learner's terms.
"""

import time

import numpy as np
import pytest

from tinyalex.gradcheck import check
from tinyalex.support.errors import UserError


class MyLinear:
    """Right, and written without a look at the package: no base class, no `remember`."""

    def __init__(self, inputs, outputs):
        self.params = {"W": np.zeros((inputs, outputs)), "b": np.zeros(outputs)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dy):
        self.grads["W"] = self.x.T @ dy
        self.grads["b"] = dy.sum(axis=0)
        return dy @ self.params["W"].T


class MyConv:
    """Right: loops over kernel elements, other names for the settings."""

    def __init__(self, channels, filters, kernel, stride=1, pad=0):
        self.size, self.step = kernel, stride
        self.border = pad if isinstance(pad, tuple) else (pad, pad)
        self.params, self.grads = {}, {}

    def _padded(self, x):
        return np.pad(x, ((0, 0), self.border, self.border, (0, 0)))

    def _seen(self, x, i, j, OH, OW):
        return x[:, i:i + OH * self.step:self.step, j:j + OW * self.step:self.step]

    def forward(self, x):
        self.x = x
        x, W, k = self._padded(x), self.params["W"], self.size
        OH, OW = ((n - k) // self.step + 1 for n in x.shape[1:3])
        y = np.zeros((len(x), OH, OW, W.shape[3]), x.dtype) + self.params["b"]
        for i, j in np.ndindex(k, k):
            y += self._seen(x, i, j, OH, OW) @ W[i, j]
        return y

    def backward(self, dy):
        x, W, k = self._padded(self.x), self.params["W"], self.size
        OH, OW = dy.shape[1:3]
        dx, dW = np.zeros_like(x), np.zeros_like(W)
        for i, j in np.ndindex(k, k):
            dW[i, j] = np.tensordot(self._seen(x, i, j, OH, OW), dy, ((0, 1, 2), (0, 1, 2)))
            self._seen(dx, i, j, OH, OW)[...] += dy @ W[i, j].T
        self.grads["W"], self.grads["b"] = dW, dy.sum(axis=(0, 1, 2))
        P, (_, H, Wide, _) = self.border[0], self.x.shape
        return dx[:, P:P + H, P:P + Wide]


class MyDropout:
    def __init__(self, keep):
        self.keep, self.rng = keep, np.random.default_rng(0)

    def forward(self, x, drop=True):
        if not drop:
            return self.keep * x
        self.mask = self.rng.random(x.shape) < self.keep
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


class MySpatialNorm:
    def __init__(self, size, k, alpha, beta):
        self.size, self.k, self.alpha, self.beta = size, k, alpha, beta

    def mean(self, a):
        p, (_, H, W, _) = self.size // 2, a.shape
        a = np.pad(a, ((0, 0), (p, p), (p, p), (0, 0)))
        return sum(a[:, i:i + H, j:j + W] for i, j in np.ndindex(self.size, self.size)
                   ) / self.size**2

    def forward(self, x):
        self.x, self.s = x, self.k + self.alpha * self.mean(x * x)
        return x / self.s**self.beta

    def backward(self, dy):
        inside = dy * self.x / self.s ** (self.beta + 1)
        return dy / self.s**self.beta - 2 * self.alpha * self.beta * self.x * self.mean(inside)


@pytest.mark.parametrize(("cls", "like"), [
    (MyLinear, "Linear"), (MyConv, "Conv2D"), (MyDropout, "Dropout"),
    (MySpatialNorm, "SpatialResponseNorm")])
def test_a_right_class_passes_though_it_knows_nothing_of_the_package(cls, like):
    report = check(cls, like=like)
    assert report.ok, report
    assert report.error < 1e-7


def variant(cls, **methods):
    return type("Mine", (cls,), methods)


def raising(self, *args):
    raise ZeroDivisionError("no")


def turned(self, x):
    W = self.params["W"]
    self.params["W"] = W[::-1, ::-1]
    y = MyConv.forward(self, x)
    self.params["W"] = W
    return y


def shrinking(self, x):
    self.params["W"] *= 0.9
    return MyLinear.forward(self, x)


def lost_bias(self, dy):
    dx = MyLinear.backward(self, dy)
    del self.grads["b"]
    return dx


def nan_gradient(self, dy):
    return MyLinear.backward(self, dy) * np.nan


def leave(self, x):
    raise SystemExit(3)


GARBAGE = {
    "forward raises": (variant(MyLinear, forward=raising), "raises ZeroDivisionError: no"),
    "forward is not there": (variant(MyLinear, forward=None), "no forward"),
    "forward returns None": (variant(MyLinear, forward=lambda s, x: None), "is the return missing"),
    "forward returns a list": (variant(MyLinear, forward=lambda s, x: [1]), "gives list"),
    "forward returns its input": (variant(MyLinear, forward=lambda s, x: x), "wrong shape"),
    "forward returns NaN": (
        variant(MyLinear, forward=lambda s, x: MyLinear.forward(s, x) * np.nan), "not finite"),
    "forward returns text": (
        variant(MyLinear, forward=lambda s, x: np.full((3, 4), "a")), "not finite"),
    "forward ends Python": (variant(MyLinear, forward=leave), "raises SystemExit"),
    "forward is random": (
        variant(MyLinear, forward=lambda s, x: MyLinear.forward(s, x)
                + np.random.default_rng().random()), "not repeatable"),
    "forward changes W": (variant(MyLinear, forward=shrinking), "changes its parameters"),
    "the bias is forgotten": (
        variant(MyLinear, forward=lambda s, x: x @ s.params["W"]), "the bias is not added"),
    "backward raises": (variant(MyLinear, backward=raising), "raises ZeroDivisionError"),
    "backward returns None": (variant(MyLinear, backward=lambda s, dy: None), "no gradient"),
    "backward returns a number": (variant(MyLinear, backward=lambda s, dy: 1.0), "is a float"),
    "backward returns NaN": (variant(MyLinear, backward=nan_gradient), "not finite"),
    "backward has a wrong shape": (variant(MyLinear, backward=lambda s, dy: dy), "has shape"),
    "a gradient is missing": (variant(MyLinear, backward=lost_bias), "no gradient"),
    "the constructor takes something else": (type("Mine", (), {}), "raises TypeError"),
    "there are no parameters": (
        variant(MyLinear, __init__=lambda s, i, o: None), "no parameters"),
    "parameters have another shape": (
        variant(MyLinear, __init__=lambda s, i, o: setattr(s, "params", {"W": np.ones((o, i))})),
        "wrong shape: W"),
    "it is not a class": (3, "no class"),
    "it is None": (None, "no class"),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_gets_an_explanation(name):
    cls, told = GARBAGE[name]
    report = check(cls, like="Linear")
    assert not report.ok
    assert told in str(report), report


def test_an_exception_is_told_with_the_line_it_came_from():
    report = check(GARBAGE["backward raises"][0], like="Linear")
    assert 'in raising, line' in str(report)
    assert 'raise ZeroDivisionError("no")' in str(report)


def test_a_class_that_never_ends_is_left():
    over = []

    def forever(self, x):
        while not over:
            time.sleep(0.01)

    report = check(variant(MyLinear, forward=forever), like="Linear", seconds=0.3)
    over.append(True)
    assert "does not end" in str(report)


def test_a_mistake_in_forward_is_named_though_backward_fits_it():
    """A gradient check alone would pass: backward is the derivative of the wrong function."""
    report = check(variant(MyConv, forward=turned), like="Conv2D")
    assert "the kernel is turned round" in str(report)


def over_maps(self, a):
    p, C = self.size // 2, a.shape[3]
    a = np.pad(a, ((0, 0), (0, 0), (0, 0), (p, p)))
    return sum(a[..., j:j + C] for j in range(self.size)) / self.size**2


def over_a_row(self, a):
    p, W = self.size // 2, a.shape[2]
    a = np.pad(a, ((0, 0), (0, 0), (p, p), (0, 0)))
    return sum(a[:, :, j:j + W] for j in range(self.size)) / self.size**2


def over_what_is_there(self, a):
    return MySpatialNorm.mean(self, a) / MySpatialNorm.mean(self, np.ones_like(a))


def short(self, a):
    p, (_, H, W, _) = self.size // 2, a.shape
    a = np.pad(a, ((0, 0), (p, p), (p, p), (0, 0)))
    return sum(a[:, i:i + H, j:j + W] for i, j in np.ndindex(self.size - 1, self.size - 1)
               ) / self.size**2


@pytest.mark.parametrize(("mean", "told"), [
    (lambda s, a: MySpatialNorm.mean(s, a) * s.size**2, "alpha is not divided by size²"),
    (lambda s, a: MySpatialNorm.mean(s, a) * s.size, "divided by size, not by size²"),
    (over_what_is_there, "divided by the pixels that are there"),
    (over_maps, "the window runs over maps"),
    (over_a_row, "the window has rows as well"),
    (short, "one row and one column short"),
])
def test_a_normalisation_with_another_window_is_told_which(mean, told):
    """forward and backward agree with each other, so their gradients are right."""
    assert told in str(check(variant(MySpatialNorm, mean=mean), like="SpatialResponseNorm"))


def test_a_classic_mistake_in_a_learners_own_words_is_named():
    def backward(self, dy):
        dx = MyConv.backward(self, dy)
        self.grads["b"] = dy.mean(axis=(0, 1, 2))
        return dx

    report = check(variant(MyConv, backward=backward), like="Conv2D")
    assert report.mistakes == ["bias gradient averaged"]
    assert "HINT: bias gradient averaged" in str(report)


def test_overlaps_overwritten_are_named_where_the_loop_runs_over_kernel_elements():
    """There the window that comes last is another one than where the loop runs over windows."""
    def backward(self, dy):
        MyConv.backward(self, dy)
        dx, (OH, OW), P = np.zeros_like(self._padded(self.x)), dy.shape[1:3], self.border[0]
        for i, j in np.ndindex(self.size, self.size):
            self._seen(dx, i, j, OH, OW)[...] = dy @ self.params["W"][i, j].T
        return dx[:, P:P + self.x.shape[1], P:P + self.x.shape[2]]

    report = check(variant(MyConv, backward=backward), like="Conv2D")
    assert report.mistakes == ["overlaps overwritten"]


def test_the_modern_dropout_is_told_from_the_papers():
    def forward(self, x, drop=True):
        return MyDropout.forward(self, x) / self.keep

    report = check(variant(MyDropout, forward=forward), like="Dropout")
    assert "the modern way" in str(report)


def test_a_layer_that_is_not_known_is_refused():
    with pytest.raises(UserError, match="there is no such layer"):
        check(MyLinear, like="Linaer")
