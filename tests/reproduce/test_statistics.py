"""Whether a difference is one: intervals by hand, and what is said of them."""

import math

import pytest

from tinyalex.reproduce.results import epochs_to
from tinyalex.reproduce.statistics import Interval


def test_an_interval_is_students():
    """Of 1, 2, 3: mean 2, standard deviation 1, so 2 ± 4.303 / √3."""
    interval = Interval.of([1.0, 2.0, 3.0])
    assert (interval.mean, interval.count) == (2, 3)
    assert interval.half == pytest.approx(4.303 / math.sqrt(3))
    assert Interval.of([1.5]) == Interval(1.5, None, 1)


@pytest.mark.parametrize(("differences", "verdict"), [
    ([-1.0, -1.1, -0.9], "reproduced"),
    ([-1.0, -2.0, 0.5], "sign only"),
    ([1.0, 2.0, -0.5], "not seen"),
    ([0.0, 0.0, 0.0], "not seen"),
    ([1.0, 1.1, 0.9], "opposite"),
    ([-1.0, -1.1], "too few")])
def test_nothing_is_reproduced_whose_interval_contains_zero(differences, verdict):
    assert Interval.of(differences).verdict(-1) == verdict
    assert Interval.of([-d for d in differences]).verdict(1) == verdict


def test_the_epoch_at_which_an_error_is_reached_lies_between_two():
    rows = [{"epoch": e, "train_error": error} for e, error in ((1.0, 0.8), (2.0, 0.6), (3.0, 0.2))]
    assert epochs_to(rows, 0.5) == pytest.approx(2.25)
    assert epochs_to(rows, 0.9) == 1
    assert epochs_to(rows, 0.1) == 3, "the last epoch where it is never reached"
