"""The checks themselves: who checks the checker?

A gradient check can be wrong in two ways. It lets a mistake pass: so it is tried on single wrong
numbers here, and on the mistakes that people make in test_mutants.py. Or it cries wolf, because of
a kink, of rounding, of a slope that happens to be small: so the right code is checked with many
seeds, and not one may fail.
"""

import campaign
import numpy as np
import pytest
from test_network import small_network

from tinyalex import gradcheck, layers
from tinyalex.gradcheck.__main__ import main
from tinyalex.gradcheck.cases import CASES, SHIPPED
from tinyalex.gradcheck.mutants import MUTANTS, Mutant
from tinyalex.gradcheck.numeric import Slopes, relative_error
from tinyalex.gradcheck.steps import error_by_step
from tinyalex.gradcheck.subjects import LayerSubject
from tinyalex.layers import Linear, MaxPool2D, ReLU
from tinyalex.support.errors import UserError


def mutant(mistake: str, kind: str = "") -> Mutant:
    return next(m for m in MUTANTS if mistake in m.about and kind in m.kind)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}, {case.title}")
def test_shipped_code_passes_with_errors_below_1e_7(case):
    report = case.check(SHIPPED[case.kind])
    assert report.ok, report
    assert report.error <= 1e-7


@pytest.mark.parametrize("seeds", [range(5), pytest.param(
    range(5, 200 if campaign.ASKED else 40), marks=pytest.mark.slow)], ids=str)
def test_no_false_alarm_whatever_the_seed(seeds):
    """With TINYALEX_CAMPAIGN=1 in 200, as docs/gradient-checking.md says."""
    checks = ((seed, case.check(SHIPPED[case.kind], seed, every=30))
              for seed in seeds for case in CASES)
    assert not "\n".join(f"seed {seed}: {report}" for seed, report in checks if not report.ok)


class OneWrongNumber(Linear):
    """dW is right but for one of its numbers."""

    factor = 1 + 1e-6

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["W"][2, 1] *= self.factor
        return dx


def test_a_single_number_that_is_wrong_by_a_millionth_is_found():
    report = gradcheck.check_layer(OneWrongNumber(5, 4, std=0.5, rng=0), np.eye(5) + 1)
    (wrong,) = [f for f in report.findings if f.verdict == "WRONG"]
    assert wrong.worst == "W[2, 1]"
    assert "1 of 20 numbers" in wrong.pattern


def test_one_wrong_number_among_thousands_is_found_along_random_directions():
    layer = OneWrongNumber(80, 60, std=0.1, rng=0)
    layer.factor = 1.001
    report = gradcheck.check_layer(layer, np.random.default_rng(0).standard_normal((3, 80)))
    assert [f.name for f in report.findings if f.verdict == "WRONG"] == ["W"]


def test_relu_at_zero_is_a_kink_and_neither_right_nor_wrong():
    (finding,) = gradcheck.check_layer(ReLU(), np.array([[-1.0, 0.0, 2.0]])).findings
    assert (finding.verdict, finding.kinks) == ("ok", 1)  # ok: of the other two
    (alone,) = gradcheck.check_layer(ReLU(), np.zeros((2, 2))).findings
    assert (alone.verdict, alone.kinks) == ("kink", 4)


class WildAtZero(ReLU):
    def backward(self, dy):
        (y,) = self._recall()
        return np.where(y > 0, dy, 0) + 7 * (y == 0) * (abs(dy) + 1)


def test_a_kink_excuses_what_lies_between_its_two_slopes_and_nothing_else():
    assert not gradcheck.check_layer(WildAtZero(), np.zeros((2, 2))).ok


def test_a_kink_near_by_is_walked_round():
    """At 3e-6 from the kink a step of 1e-5 crosses it; one of 1e-7 does not."""
    report = gradcheck.check_layer(ReLU(), np.array([[3e-6, -3e-6, 1.0, -1.0]]))
    assert report.ok, report
    assert report.findings[0].kinks == 0


def test_equal_numbers_are_moved_together_so_that_ties_have_a_slope():
    x = np.ones((1, 4, 4, 1))
    assert gradcheck.check_layer(MaxPool2D(2, 2), x).ok
    report = gradcheck.check_layer(mutant("gradient to all ties").cls(2, 2), x)
    assert not report.ok
    assert "gradient to all ties" in report.mistakes


def test_a_curve_is_not_taken_for_a_kink():
    """At the top of a hill the slopes to both sides are small and opposite: that is no kink."""
    class Square(ReLU):
        def forward(self, x, remember=False):
            self._keep(remember, x)
            return x * x

        def backward(self, dy):
            (x,) = self._recall()
            return 2 * x * dy

    report = gradcheck.check_layer(Square(), np.array([[0.0, 1e-7, 1.0, -3.0]]))
    assert report.ok, report
    assert report.findings[0].kinks == 0


def test_the_numeric_slope_of_a_known_function():
    slopes = Slopes(LayerSubject(layers.Tanh(), np.array([2.0, -1.0])), [np.ones(2)])
    at_2, at_1 = 1 - np.tanh(2) ** 2, 1 - np.tanh(1) ** 2
    assert slopes.at("x", (0,)).value == pytest.approx(at_2, rel=1e-8)
    assert slopes.along("x", np.array([1.0, 2.0])).value == pytest.approx(at_2 + 2 * at_1, rel=1e-8)


def test_relative_error_is_symmetric_and_measures_small_numbers_by_large_ones():
    assert relative_error([1.0], [1.0]) == 0
    assert relative_error([1.0], [-1.0]) == 2
    assert relative_error([2.0], [1.0]) == relative_error([1.0], [2.0]) == 0.5
    assert relative_error([0.0], [0.0]) == 0
    np.testing.assert_allclose(relative_error([100, 0.0], [100, 1e-6]), [0, 1e-6])


def test_a_two_tower_network_is_checked_parameter_by_parameter():
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 3))
    for seed in range(2):
        report = gradcheck.check_network(small_network(), x, seed=seed)
        assert report.ok, report
        assert [f.name for f in report.findings] == [p.name for p in small_network().parameters]


@pytest.mark.parametrize("mistake", ["forgets to add", "averaged over the readers",
                                     "one reader counted twice"])
def test_a_wrong_exchange_shows_below_it_and_not_above(mistake):
    x = np.random.default_rng(0).standard_normal((2, 9, 9, 3))
    network = small_network()
    network.exchanges[0] = mutant(mistake).cls("conv2", network.devices)
    report = gradcheck.check_network(network, x)
    wrong = {f.name for f in report.findings if f.verdict == "WRONG"}
    assert wrong == {"conv1a.W", "conv1a.b", "conv1b.W", "conv1b.b"}


def test_checks_leave_the_random_numbers_of_the_caller_alone():
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    gradcheck.check_layer(ReLU(), np.ones((1, 2)))
    gradcheck.check_loss(layers.SoftmaxCrossEntropy(), np.eye(2), np.array([0, 1]))
    assert np.random.random() == expected


def test_float64_has_digits_to_spare_and_float32_has_not():
    errors = {name: error.min() for name, (_, error) in error_by_step().items()}
    assert errors["float64"] < 1e-8
    assert errors["float32"] > 1e-7


def test_the_command_prints_a_table_and_succeeds(capsys):
    assert main(["--layer", "fc8"]) == 0
    printed = capsys.readouterr().out
    assert "fc8a.W" in printed and "conv1a.W" not in printed
    assert main(["--layer", "Tanh"]) == 0
    with pytest.raises(UserError, match="no layer has such a name"):
        main(["--layer", "fc9"])


def test_the_command_counts_what_fails_over_many_seeds(capsys, monkeypatch):
    assert main(["--seeds", "3", "--layer", "Linear"]) == 0
    assert "3 seeds, 6 checks, 0 failed" in capsys.readouterr().out
    monkeypatch.setitem(SHIPPED, "Linear", mutant("missing sum over the batch", "Linear").cls)
    assert main(["--seeds", "3", "--layer", "Linear"]) == 1
    assert "6 failed" in capsys.readouterr().out


def test_the_command_shows_mutants_being_caught(capsys):
    assert main(["--show-mutants", "--layer", "ReLU"]) == 0
    printed = capsys.readouterr().out
    assert "mask of the gradient" in printed
    assert "10 mistakes planted, 10 caught, 10 named" in printed


def test_the_command_fails_when_a_shipped_gradient_is_wrong(capsys, monkeypatch):
    monkeypatch.setitem(SHIPPED, "ReLU", mutant("no mask").cls)
    assert main(["--layer", "ReLU"]) == 1
    assert "HINT: no mask" in capsys.readouterr().out


def test_the_plot_is_drawn(tmp_path):
    assert main(["--plot", str(tmp_path / "steps.png")]) == 0
    assert (tmp_path / "steps.png").stat().st_size > 5000


def test_every_layer_has_cases():
    """A new layer that nobody tries would pass as checked."""
    assert {case.kind for case in CASES} == set(SHIPPED)
