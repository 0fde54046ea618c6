"""A lesson on dropout.

    training: y = x m, with m drawn anew in each step      dx = dy m, with the same m
    test:     y = keep x

How it usually goes wrong: backward draws a mask of its own; the factor keep is applied in
training as well, or divided by twice; two layers of the same size drop the same units; a run that
resumes begins with the masks of its first step.
"""

import numpy as np
import pytest
from slopes import assert_slopes

from tinyalex.gradcheck.cases import spaced
from tinyalex.layers import Dropout


def test_the_gradient_is_the_slope_for_the_mask_that_was_drawn():
    assert_slopes(Dropout(0.4), spaced((4, 10), np.random.default_rng(0)))


def test_dropout_lets_the_gradient_through_where_it_let_the_unit_through():
    layer = Dropout(0.5, seed=1)
    y = layer.forward(np.ones((20, 20)), remember=True, drop=True)
    np.testing.assert_array_equal(layer.backward(np.ones_like(y)), y)


def test_dropout_drops_in_training_and_halves_in_the_test():
    x = np.ones((100, 100), np.float32)
    drop = Dropout(0.5, seed=3)
    y = drop.forward(x, remember=True, drop=True)
    assert set(np.unique(y)) == {0, 1}
    assert y.mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(drop.forward(x), x / 2)


def test_dropout_draws_another_mask_for_each_step_name_and_seed_and_no_other():
    def mask(seed, name, step):
        return Dropout(0.5, name=name, seed=seed).mask((64,), step)

    np.testing.assert_array_equal(mask(0, "fc6", 5), mask(0, "fc6", 5))
    others = [mask(0, "fc6", 5), mask(1, "fc6", 5), mask(0, "fc7", 5), mask(0, "fc6", 6)]
    assert len({other.tobytes() for other in others}) == 4
