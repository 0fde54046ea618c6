"""How much kernels care for colour: a number that is easily defined wrongly, and believed.

The variance over the three channels, say, calls a kernel colourful that is only strong; a mean over
kernels lets those that never learned anything speak as loudly as the others; and the grey axis is
not the green channel. So hand-made kernels whose answer is known, and a run whose log must say what
its checkpoint holds.
"""

import numpy as np
import pytest

from tinyalex.inside.colour import NOISE, colour_specificity, tower_specificity
from tinyalex.run import checkpoint
from tinyalex.run.folder import Run


def kernel(red, green, blue):
    """A 3×3 kernel with these weights at the left, their opposites at the right."""
    one = np.zeros((3, 3, 3, 1))
    one[:, 0, :, 0] = red, green, blue
    one[:, 2] = -one[:, 0]
    return one


@pytest.mark.parametrize(("colour", "share"), [
    ((1, 1, 1), 0), ((-5, -5, -5), 0),  # an edge between light and dark
    ((1, -1, 0), 1), ((1, 1, -2), 1),  # opponents: red and green, yellow and blue
    ((1, 0, 0), 2 / 3), ((0, 0, 7), 2 / 3),  # one colour alone, which grey excites too
    ((2, 1, 0), 1 - 9 / 15),
])
def test_a_kernel_of_one_colour_has_the_share_that_is_off_the_grey_axis(colour, share):
    assert colour_specificity(kernel(*colour)) == pytest.approx([share], abs=1e-12)
    assert tower_specificity(kernel(*colour)) == pytest.approx(share, abs=1e-12)


def test_how_strong_a_kernel_is_does_not_matter_to_itself_but_to_its_tower():
    both = np.concatenate([10 * kernel(1, 1, 1), kernel(1, -1, 0)], axis=3)
    assert colour_specificity(both) == pytest.approx([0, 1])
    energies = 10**2 * 3 * 6, 2 * 6
    assert tower_specificity(both) == pytest.approx(energies[1] / sum(energies))


def test_noise_has_two_thirds():
    kernels = np.random.default_rng(0).standard_normal((11, 11, 3, 96)).astype(np.float32)
    assert colour_specificity(kernels) == pytest.approx(np.full(96, NOISE), abs=0.15)
    assert tower_specificity(kernels) == pytest.approx(NOISE, abs=0.01)


def test_kernels_of_zeros_have_no_specificity():
    kernels = np.concatenate([np.zeros((3, 3, 3, 1)), kernel(1, -1, 0)], axis=3)
    assert np.isnan(colour_specificity(kernels)[0]) and tower_specificity(kernels) == 1
    assert np.isnan(tower_specificity(np.zeros((3, 3, 3, 2))))


def test_the_log_says_of_each_tower_what_its_checkpoint_holds(in_blobs):
    rows = Run.open(in_blobs / "run").rows()
    values = checkpoint.load(in_blobs / "run" / "checkpoint.npz").values
    for letter in "ab":
        last = tower_specificity(values[f"conv1{letter}.W"])
        assert rows[-1][f"colour_{letter}"] == pytest.approx(last, abs=1e-6)
        assert all(row[f"colour_{letter}"] is not None for row in rows)
    assert rows[0]["colour_a"] != rows[-1]["colour_a"], "the first row is of the weights then"
