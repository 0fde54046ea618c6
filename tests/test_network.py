"""Towers and exchanges: who reads what, what crosses, and that nothing else depends on it.

The exchange is where two-tower networks go wrong unseen: a tower that reads its own maps twice
still trains, and so does one whose gradient lacks what the other tower's reader hands back. So a
small two-tower network is compared, number by number, with numeric derivatives. (That arrays of two
devices never meet is seen on simulated GPUs, see devices/test_cuda.py.)
"""

import numpy as np
import pytest
from runs import assert_close, assert_same_bits

from tinyalex.architectures import alexnet
from tinyalex.devices import HOST, CpuDevice
from tinyalex.exchange import Exchange
from tinyalex.inside import costs
from tinyalex.layers import Conv2D, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2D, ReLU
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.support.errors import UserError
from tinyalex.training import train_step


def small_network(devices=(HOST,), dtype=np.float64, seed=0):
    def tower(classes):
        return [
            [Conv2D(3, 4, 3, std=0.3, name="conv1"), ReLU("relu1", inplace=True),
             LocalResponseNorm(3, alpha=0.2, name="lrn1"), MaxPool2D(3, 2, name="pool1")],
            [Conv2D(8, 3, 3, pad=1, std=0.3, name="conv2"), ReLU("relu2", inplace=True),
             Flatten("flatten")],
            [Linear(2 * 27, 6, std=0.3, name="fc3"), ReLU("relu3", inplace=True),
             Dropout(0.5, "dropout3")],
            [Linear(12, classes, std=0.3, name="fc4")],
        ]

    towers = tower(3), tower(2)
    return Network([list(stage) for stage in zip(*towers, strict=True)], (9, 9, 3), devices, seed,
                   dtype)


def batch(n=3, side=9, classes=5, dtype=np.float64):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, side, side, 3)).astype(dtype), rng.integers(0, classes, n)


def test_the_gradient_of_every_parameter_of_a_two_tower_network_is_right():
    network, (x, labels) = small_network(), batch()

    def loss():
        network.set_step(0)
        return network.loss_and_gradient(network.forward(x, remember=True, drop=True), labels)

    network.backward(loss()[1])
    h, rng = 1e-6, np.random.default_rng(0)
    for p in network.parameters:
        analytic = p.grad.copy()
        for i in rng.permutation(p.value.size)[:12]:
            place = np.unravel_index(i, p.value.shape)
            kept = p.value[place]
            p.value[place] = kept + h
            above = loss()[0]
            p.value[place] = kept - h
            slope = (above - loss()[0]) / (2 * h)
            p.value[place] = kept
            assert analytic[place] == pytest.approx(slope, rel=1e-5, abs=1e-8), p.name


def test_an_exchange_joins_along_the_channels_and_adds_up_what_the_readers_hand_back():
    devices = [CpuDevice("cpu0"), CpuDevice("cpu1")]
    exchange, rng = Exchange("x", devices), np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 3, 4)), rng.standard_normal((2, 3, 3, 2))
    for joined in exchange.forward([a, b]):
        np.testing.assert_array_equal(joined, np.concatenate([a, b], axis=-1))
    da, db = rng.standard_normal((2, 2, 3, 3, 6))
    to_a, to_b = exchange.backward([da, db])
    np.testing.assert_allclose(to_a, da[..., :4] + db[..., :4])
    np.testing.assert_allclose(to_b, da[..., 4:] + db[..., 4:])
    assert exchange.crossed == {"forward": a.nbytes + b.nbytes, "backward": a.nbytes + b.nbytes}


def train_a_little(devices, steps=3):
    network = small_network(devices, np.float32)
    optimiser, (x, labels) = SGD(network), batch(8, dtype=np.float32)
    losses = [train_step(network, optimiser, x, labels)[0] for _ in range(steps)]
    return losses, network.state()


def test_the_placement_changes_nothing_beyond_rounding():
    losses, state = train_a_little([CpuDevice("cpu0")])
    for devices in ([CpuDevice("cpu0"), CpuDevice("cpu1")], [CpuDevice("cpu0", cores=3)]):
        other_losses, other = train_a_little(devices)
        np.testing.assert_allclose(other_losses, losses, rtol=1e-5)
        assert_close(other, state, rtol=1e-4, atol=1e-6)


def test_the_traffic_in_the_summary_is_what_crosses():
    network = small_network([CpuDevice("cpu0"), CpuDevice("cpu1")], np.float32)
    x, labels = batch(4, dtype=np.float32)
    _, dscores = network.loss_and_gradient(network.forward(x, remember=True, drop=True), labels)
    network.backward(dscores)
    crossed = {e.name: sum(e.crossed.values()) for e in network.exchanges}
    assert crossed == costs.traffic(network, 4)
    assert all(crossed.values())


def test_the_planned_memory_is_what_training_takes():
    """The plan against the pools' peak: activations and gradients; parameters and velocities live
    elsewhere. On top comes what layers work in, a few arrays of the size they work on at a time,
    however large the batch."""
    devices = [CpuDevice("cpu0"), CpuDevice("cpu1")]
    network, N = alexnet.tiny(devices=devices), 64
    x, labels = batch(N, 56, 10, np.float32)
    for _ in range(2):
        _, dscores = network.loss_and_gradient(network.forward(x, remember=True, drop=True), labels)
        network.backward(dscores)
    parameters = 2 * sum(p.value.nbytes for p in network.parameters)
    planned = costs.training_bytes(network, N) - parameters - 2 * x.nbytes  # x is the caller's
    taken = sum(device.pool.peak for device in devices)
    working = sum(3 * device.sum_bytes for device in devices)
    assert 0.8 * planned < taken < 1.05 * planned + working


def test_weights_depend_on_the_seed_and_the_name_only():
    one = small_network([CpuDevice("cpu0")]).state()
    two = small_network([CpuDevice("cpu0"), CpuDevice("cpu1")]).state()
    other = small_network(seed=1).state()
    assert_same_bits(one, two)
    assert not np.array_equal(one["conv1a.W"], other["conv1a.W"])
    assert not np.array_equal(one["conv1a.W"], one["conv1b.W"])


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    network = small_network()
    before = {name: value.copy() for name, value in network.state().items()}
    for change in ({"conv9a.W": np.ones(3)}, {"fc4b.W": np.ones((12, 7))}):
        with pytest.raises(UserError):
            network.load_state({name: value * 0 for name, value in before.items()} | change)
    with pytest.raises(UserError, match=r"conv1a\.W is missing"):
        network.load_state({n: v * 0 for n, v in before.items() if n != "conv1a.W"})
    assert_same_bits(network.state(), before)


def test_pictures_of_integers_are_refused():
    """Bytes would overflow in the first product, or end in a traceback of NumPy's."""
    network = alexnet.tiny()
    with pytest.raises(UserError, match="reads floats but was given uint8") as caught:
        network.forward(np.zeros((1, 56, 56, 3), np.uint8))
    assert "astype" in caught.value.hint


def test_the_gradient_of_other_scores_is_refused():
    """Columns too many were cut off in silence."""
    network = small_network()
    network.forward(batch()[0], remember=True)
    for classes in (4, 6):
        with pytest.raises(UserError, match=r"gives 5 scores a picture, but dscores has the shape"):
            network.backward(np.ones((3, classes)))
