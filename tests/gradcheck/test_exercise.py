"""Exercise mode: a learner's class gets an explanation, whatever it does.

What learners hand in is not a layer with one subtle mistake. It raises, returns None, has the wrong
shape, divides by zero, forgets a dictionary, never ends. None of it may crash the check, and each
answer has to say what is wrong in the learner's terms.
"""

import threading
import time

import numpy as np
import pytest
from handed_in import (
    MyConv,
    MyDropout,
    MyExchange,
    MyLinear,
    MyLoss,
    MyLRN,
    MySGD,
    MySpatialNorm,
    variant,
)

from tinyalex.exchange import Exchange
from tinyalex.gradcheck import check
from tinyalex.support.errors import UserError


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


def leave(self, x):
    raise SystemExit(3)


GARBAGE = [
    ("forward", raising, "raises ZeroDivisionError: no"),
    ("forward", None, "no forward"),
    ("forward", lambda s, x: None, "is the return missing"),
    ("forward", lambda s, x: [1], "gives list"),
    ("forward", lambda s, x: x, "wrong shape"),
    ("forward", lambda s, x: MyLinear.forward(s, x) * np.nan, "not finite"),
    ("forward", lambda s, x: np.full((3, 4), "a"), "not finite"),
    ("forward", leave, "raises SystemExit"),
    ("forward", lambda s, x: MyLinear.forward(s, x) + np.random.default_rng().random(),
     "not repeatable"),
    ("forward", shrinking, "changes its parameters"),
    ("forward", lambda s, x: x @ s.params["W"], "the bias is not added"),
    ("backward", raising, "raises ZeroDivisionError"),
    ("backward", lambda s, dy: None, "backward gives None"),
    ("backward", lambda s, dy: 1.0, "gives float"),
    ("backward", lambda s, dy: MyLinear.backward(s, dy) * np.nan, "not finite"),
    ("backward", lambda s, dy: dy, "backward gives (3, 4) and should give (3, 6)"),
    ("backward", lost_bias, 'puts none into grads["b"]. It returns dx, and fills grads'),
    ("backward", lambda s, dy: setattr(s, "grads", [dy, dy]) or dy @ s.params["W"].T,
     "fills grads"),
    ("__init__", lambda s: None, "raises TypeError"),
    ("__init__", lambda s: None, "look at what your methods take"),
    ("__init__", lambda s, i, o: None, "no parameters"),
    ("__init__", lambda s, i, o: setattr(s, "params", {"W": np.ones((o, i))}), "wrong shape: W"),
]


@pytest.mark.parametrize(("method", "wrong", "explanation"), GARBAGE)
def test_garbage_gets_an_explanation(method, wrong, explanation):
    report = check(variant(MyLinear, **{method: wrong}), like="Linear")
    assert not report.ok
    assert explanation in str(report), report


@pytest.mark.parametrize("thing", [3, None])
def test_what_is_no_class_is_told_so(thing):
    assert "not a class" in str(check(thing, like="Linear"))


def test_an_exception_is_told_with_the_line_it_came_from():
    report = check(variant(MyLinear, backward=raising), like="Linear")
    assert "in raising, line" in str(report)
    assert 'raise ZeroDivisionError("no")' in str(report)


def joining(self, x):
    return np.stack([x, self.params["W"]])


def test_an_exception_inside_numpy_is_told_with_the_learners_line():
    """np.stack is written in Python, and the line that raises is its own."""
    report = str(check(variant(MyLinear, forward=joining), like="Linear"))
    assert 'in joining, line' in report
    assert 'return np.stack([x, self.params["W"]])' in report


def replacing(self):
    for p in self.parameters:
        p.value = p.value - self.lr * p.grad


def test_who_replaces_a_parameter_is_told_to_change_its_numbers():
    report = str(check(variant(MySGD, step=replacing), like="SGD"))
    assert "p.value = p.value - self.lr * p.grad" in report
    assert "HINT: p.value is the layer's own array" in report


def test_an_update_is_told_in_words_of_its_own():
    report = str(check(variant(MySGD, step=lambda self: None), like="SGD"))
    assert "after step 1: it is" in report or "after step 5: it is" in report
    assert "and should be" in report and "backward" not in report


@pytest.mark.parametrize(("kind", "cls", "methods"), [
    ("SoftmaxCrossEntropy", MyLoss, ("forward", "backward")),
    ("Exchange", MyExchange, ("forward", "backward")), ("SGD", MySGD, ("step",))])
@pytest.mark.parametrize("given", [None, "a", 1.5, (), [None, None]])
def test_a_loss_or_an_exchange_that_gives_anything_is_explained(kind, cls, methods, given):
    """No bare TypeError of the check's own, without a line."""
    for method in methods:
        report = check(variant(cls, **{method: lambda self, *args: given}), like=kind)
        assert not report.ok
        assert "raises" not in str(report), report


def test_a_class_that_never_ends_is_left_at_its_line_and_ended():
    def forever(self, x):
        while True:
            time.sleep(0.01)

    threads = threading.active_count()
    report = str(check(variant(MyLinear, forward=forever), like="Linear", seconds=0.3))
    assert "does not end" in report
    assert "It is in forever, line" in report
    assert threading.active_count() == threads


def test_a_class_that_is_only_slow_is_told_so():
    def slow(self, x):
        time.sleep(0.02)
        return MyLinear.forward(self, x)

    report = str(check(variant(MyLinear, forward=slow), like="Linear", seconds=0.4))
    assert "too slow" in report and "endless" not in report
    assert "seconds=4" in report


def test_of_what_a_class_prints_the_beginning_is_shown_and_the_rest_counted(capsys):
    def chatty(self, x):
        print("x is", x)
        return MyLinear.forward(self, x)

    assert check(variant(MyLinear, forward=chatty), like="Linear").ok
    printed = capsys.readouterr().out
    assert printed.startswith("x is [[")
    assert len(printed) < 2200
    assert "more characters" in printed.splitlines()[-1]


def test_a_class_is_tried_where_no_thread_can_be_started(monkeypatch):
    """In the browser's Python nothing can watch the clock, but the answer is the same."""
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert check(MyLinear, like="Linear").ok
    assert check(Exchange, like="Exchange").ok


def test_a_mistake_in_forward_is_named_though_backward_fits_it():
    """A gradient check alone would pass: backward is the derivative of the wrong function."""
    report = check(variant(MyConv, forward=turned), like="Conv2D")
    assert "the kernel is flipped" in str(report)


def over_what_is_there(self, a):
    return MySpatialNorm.around(self, a) / MySpatialNorm.around(self, np.ones_like(a))


@pytest.mark.parametrize(("around", "hint"), [
    (lambda s, a: MySpatialNorm.around(s, a) * s.n**2, "alpha is not divided by size²"),
    (over_what_is_there, "divided by the number of pixels present"),
    (lambda s, a: MyLRN.around(s, a) / s.n**2, "the window runs over maps"),
])
def test_a_normalisation_with_another_window_is_told_which(around, hint):
    """forward and backward agree with each other, so their gradients are right."""
    assert hint in str(check(variant(MySpatialNorm, around=around), like="SpatialResponseNorm"))


@pytest.mark.parametrize(("method", "wrong", "hint"), [
    ("forward", lambda s, x, drop=True: MyDropout.forward(s, x) / s.keep, "the modern way"),
    ("at_test_time", lambda s, x: x, "counts by keep"),
    ("at_test_time", lambda s, x: x * s.mask, "all units are on"),
])
def test_dropout_is_tried_in_training_and_at_test_time(method, wrong, hint):
    assert hint in str(check(variant(MyDropout, **{method: wrong}), like="Dropout"))


def test_a_layer_that_is_not_known_is_refused():
    with pytest.raises(UserError, match="there is no such layer"):
        check(MyLinear, like="Linaer")
