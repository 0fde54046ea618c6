"""The paper's update, by hand; and the schedules.

v ← 0.9·v − 0.0005·ε·w − ε·g, w ← w + v. The usual slips: decay that is not multiplied by the
learning rate, or applied after the step; a learning rate that multiplies the whole velocity (the
same until the rate changes, and then not).
"""

import numpy as np
import pytest

from tinyalex.devices import CpuDevice
from tinyalex.layers import Linear
from tinyalex.network import Network
from tinyalex.optim import SGD, Plateau, Steps, falling, schedule
from tinyalex.support.errors import UserError


def one_weight(w: float):
    network = Network([[[Linear(1, 1, name="fc")]]], (1,), dtype=np.float64)
    (layer,) = network.stages[0][0]
    layer.params["W"][...] = w
    layer.grads = {"W": np.zeros((1, 1)), "b": np.zeros(1)}
    return network, layer


def test_three_steps_of_the_update_computed_by_hand():
    network, layer = one_weight(2.0)
    sgd = SGD(network, lr=0.1, momentum=0.9, weight_decay=0.5)
    # v = 0.9·0 − 0.5·0.1·2 − 0.1·3 = −0.4, w = 1.6
    layer.grads["W"][...] = 3
    sgd.step()
    assert layer.params["W"][0, 0] == pytest.approx(1.6)
    # v = 0.9·(−0.4) − 0.05·1.6 − 0.1·(−1) = −0.34, w = 1.26
    layer.grads["W"][...] = -1
    sgd.step()
    assert layer.params["W"][0, 0] == pytest.approx(1.26)
    # The rate drops to 0.01; the velocity does not: v = −0.306 − 0.005·1.26 − 0 = −0.3123
    sgd.lr = 0.01
    layer.grads["W"][...] = 0
    sgd.step()
    assert layer.params["W"][0, 0] == pytest.approx(0.9477)


def test_biases_decay_like_weights():
    network, layer = one_weight(0.0)
    layer.params["b"][...] = 1
    SGD(network, lr=0.1, momentum=0.9, weight_decay=0.5).step()
    assert layer.params["b"][0] == pytest.approx(0.95)


def test_biases_with_a_rate_of_their_own_keep_it_and_do_not_decay():
    network, layer = one_weight(1.0)
    layer.params["b"][...] = 1
    layer.grads = {"W": np.ones((1, 1)), "b": np.ones(1)}
    sgd = SGD(network, lr=0.1, weight_decay=0.5, bias_lr=0.2, bias_decay=False)
    sgd.lr = 0.01
    sgd.step()
    assert layer.params["W"][0, 0] == pytest.approx(1 - 0.01 * 1.5)
    assert layer.params["b"][0] == pytest.approx(1 - 0.2)


def test_a_layer_with_rate_0_is_frozen_whatever_its_velocity_and_others_are_not():
    network, layer = one_weight(1.0)
    layer.grads = {"W": np.ones((1, 1)), "b": np.ones(1)}
    sgd = SGD(network, lr=0.1, bias_lr=0.2)
    sgd.step()
    before = {key: value.copy() for key, value in layer.params.items()}
    sgd.layer_lr = {"fc": 0.0}
    sgd.step()
    for key, value in before.items():
        np.testing.assert_array_equal(layer.params[key], value)
    sgd.layer_lr = {"conv1": 0.0}
    sgd.step()
    assert layer.params["W"][0, 0] != before["W"][0, 0]


@pytest.mark.parametrize("layers", [("f", "fc"), ("fc", "f")])
def test_of_two_beginnings_that_fit_the_longer_decides(layers):
    network, _ = one_weight(1.0)
    sgd = SGD(network, lr=0.1)
    sgd.layer_lr = {layer: {"f": 0.01, "fc": 0.0}[layer] for layer in layers}
    assert {sgd.rate(p) for p in network.parameters} == {0.0}


def test_a_layers_own_rate_is_its_weights():
    network, layer = one_weight(1.0)
    layer.grads = {"W": np.ones((1, 1)), "b": np.ones(1)}
    sgd = SGD(network, lr=0.1, weight_decay=0, bias_lr=0.2)
    sgd.layer_lr = {"fc": 0.001}
    sgd.step()
    assert layer.params["W"][0, 0] == pytest.approx(1 - 0.001)
    assert layer.params["b"][0] == pytest.approx(-0.2)


@pytest.mark.parametrize(("scale", "velocity"), [(False, -0.5), (True, -0.05)])
def test_when_the_rate_drops_the_velocity_stays_or_drops_as_well(scale, velocity):
    network, layer = one_weight(1.0)
    layer.grads = {"W": np.full((1, 1), 5.0), "b": np.zeros(1)}
    sgd = SGD(network, lr=0.1, weight_decay=0, scale_velocity=scale)
    sgd.step()
    sgd.change_rates(0.01, {})
    assert sgd.lr == 0.01
    assert sgd.velocity["fc.W"][0, 0] == pytest.approx(velocity)
    sgd.change_rates(0.01, {})
    assert sgd.velocity["fc.W"][0, 0] == pytest.approx(velocity), "nothing changed this time"


def test_only_the_layer_whose_rate_drops_is_slowed_down():
    network, layer = one_weight(1.0)
    layer.grads = {"W": np.full((1, 1), 5.0), "b": np.full(1, 5.0)}
    sgd = SGD(network, lr=0.1, weight_decay=0, bias_lr=0.2, scale_velocity=True)
    sgd.step()
    sgd.change_rates(0.1, {"fc": 0.05})
    assert sgd.velocity["fc.W"][0, 0] == pytest.approx(-0.25)
    assert sgd.velocity["fc.b"][0] == pytest.approx(-1.0), "the biases' rate is their own"


def test_large_parameters_are_updated_everywhere():
    network = Network([[[Linear(300, 500, name="fc")]]], (300,), [CpuDevice("cpu0", 2)])
    (layer,) = network.stages[0][0]
    before = layer.params["W"].copy()
    layer.grads = {"W": np.ones((300, 500), np.float32), "b": np.ones(500, np.float32)}
    SGD(network, lr=0.5, weight_decay=0).step()
    np.testing.assert_allclose(layer.params["W"], before - 0.5, rtol=1e-6)


def test_plateau_drops_after_so_many_epochs_without_a_new_best_and_three_times_at_most():
    plateau = Plateau(1.0, patience=2)
    errors = [0.9, 0.8, 0.8, 0.81, 0.7, 0.7, 0.7] + [0.7] * 10
    rates = [plateau.after_epoch(i + 1, error) for i, error in enumerate(errors)]
    np.testing.assert_allclose(rates[:7], [1, 1, 1, 0.1, 0.1, 0.1, 0.01])
    assert rates[-1] == pytest.approx(0.001)


def test_a_plateau_goes_on_where_it_was():
    errors = np.random.default_rng(0).random(12)
    whole, first, second = Plateau(1.0), Plateau(1.0), Plateau(1.0)
    expected = [whole.after_epoch(i, e) for i, e in enumerate(errors)]
    got = [first.after_epoch(i, e) for i, e in enumerate(errors[:5])]
    second.load_state(first.state())
    got += [second.after_epoch(i, e) for i, e in enumerate(errors[5:])]
    assert got == expected


def test_steps_divide_by_ten_after_their_epochs():
    steps = Steps(0.5, [2, 3])
    rates = [steps.after_epoch(i, 0) for i in (1, 2, 3, 4)]
    assert rates == pytest.approx([0.5, 0.05, 0.005, 0.005])


ORIGINAL = "25:0.001,51:0.0001,67:conv1=0.00001,72:conv1=0,79:0.00001"


@pytest.mark.parametrize(("epoch", "lr", "conv1"), [
    (1, 0.01, None), (24, 0.01, None), (25, 1e-3, None), (50, 1e-3, None), (51, 1e-4, None),
    (66, 1e-4, None), (67, 1e-4, 1e-5), (71, 1e-4, 1e-5), (72, 1e-4, 0), (79, 1e-5, 0),
    (90, 1e-5, 0)])
def test_rates_by_epoch_as_the_authors_set_them(epoch, lr, conv1):
    timeline = schedule(ORIGINAL, 0.01)
    timeline.after_epoch(epoch - 1, 0.5)
    assert timeline.lr == lr and timeline.layer_lr.get("conv1") == conv1


def test_rates_of_epoch_1_hold_before_the_first_step():
    timeline = schedule("1:0.5,2:0.001,1:conv1=0", 0.01)
    assert (timeline.lr, timeline.layer_lr) == (0.5, {"conv1": 0})


def test_rates_by_epoch_go_on_where_they_were():
    first, second = schedule(ORIGINAL, 0.01), schedule(ORIGINAL, 0.01)
    first.after_epoch(70, 0.5)
    second.load_state(first.state())
    assert (second.lr, second.layer_lr) == (1e-4, {"conv1": 1e-5})


@pytest.mark.parametrize(
    "text", ["", "sometimes", "plateau:0", "plateau:x", "3,,4", "0", "-2", "1.5", "5:", "5:x",
             "x:0.1", "5:conv1=", "5:-1", "5:nan", "0:0.1", "5:0.1,6", "5:=0.1", "5:0.1,5:0.2"])
def test_a_schedule_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="is not a schedule"):
        schedule(text, 0.1)


def test_schedules_by_their_text():
    assert isinstance(schedule("plateau", 0.1), Plateau)
    assert schedule("plateau:7", 0.1).patience == 7
    assert schedule("5, 8", 0.1).epochs == (5, 8)
    assert schedule("constant", 0.1).after_epoch(100, 0) == 0.1
    assert schedule("linear", 0.1).after_epoch(100, 0) == 0.1


def test_a_rate_that_falls_begins_whole_and_has_something_left_for_the_last_step():
    assert [falling(step, 4) for step in range(4)] == [1, 0.75, 0.5, 0.25]
