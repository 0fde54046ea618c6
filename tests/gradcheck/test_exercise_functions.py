"""Exercises that are functions.

A function of a learner is compared with the right one, so the comparison must see every mistake it
claims to know, must not call two different mistakes the same where they are not, and must not let
through what merely looks right in one case.
"""

import numpy as np
import pytest

from tinyalex.gradcheck import check
from tinyalex.gradcheck.functions import FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_right_function_passes(name):
    report = check(FUNCTIONS[name].right, like=name)
    assert report.ok, report


@pytest.mark.parametrize(("name", "hint", "wrong"), [
    (name, *mistake) for name, task in FUNCTIONS.items() for mistake in task.mistakes])
def test_every_known_mistake_is_caught_and_told(name, hint, wrong):
    report = check(wrong, like=name)
    assert not report.ok
    assert f"HINT: {hint}" in str(report)


def blank(shape):
    raise NotImplementedError("the root of 2 over the inputs")


@pytest.mark.parametrize(("function", "explanation"), [
    (blank, "still to be written, in blank: the root of 2 over the inputs"),
    (lambda shape: None, "is the return missing"),
    (lambda shape: "much", "gives str"),
    (lambda shape: np.ones(3), "wrong shape: the function gives (3,) and should give ()"),
    (lambda shape: np.nan, "not finite"),
    (lambda shape: 0.5, "wrong output: result is 0.5 and should be 0.070710678"),
    (lambda shape: 1 / 0, "raises ZeroDivisionError: division by zero"),
])
def test_other_mistakes_are_explained_too(function, explanation):
    assert explanation in str(check(function, like="initial_std"))


def test_a_function_that_writes_into_its_arguments_is_told_so():
    def greedy(covariance, alpha):
        shift = FUNCTIONS["colour_shift"].right(covariance, alpha)
        alpha *= 0
        return shift

    assert "changes its arguments" in str(check(greedy, like="colour_shift"))
