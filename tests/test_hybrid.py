"""Workers that share the units of the fully connected layers make the steps of one that has all.

What could go wrong without a crash: a unit's activity in another unit's place, a gradient counted
twice or not at all, masks of other rows or columns, towers mixed up. So steps are compared with
those of one worker, in float64, where rounding hides nothing; and bit by bit where they are exact.
"""

import numpy as np
import pytest

from tinyalex import freezing
from tinyalex.architectures import alexnet, others
from tinyalex.devices import Batch, CpuDevice
from tinyalex.hybrid import Hybrid
from tinyalex.optim import SGD
from tinyalex.parallel import Parallel
from tinyalex.training import train_step
from tinyalex.world import World
from tinyalex.world.threads import together

SIZES = (12, 7, 2)  # pictures of each batch: the last leaves workers without


def network(towers=2, dtype=np.float64, freeze="", build=alexnet.mini, **options):
    devices = [CpuDevice(f"cpu{i}", own_thread=towers > 1) for i in range(towers)]
    net = build(devices=devices, towers=towers, seed=3, **options)
    for p in net.parameters:
        p.layer.params[p.key] = p.value.astype(dtype)
    if freeze:
        freezing.freeze(net, freeze)
    return net


def batches(net, sizes=SIZES):
    rng = np.random.default_rng(1)
    dtype = net.parameters[0].value.dtype
    return [(rng.standard_normal((n, *net.input_shape)).astype(dtype), rng.integers(10, size=n))
            for n in sizes]


def trained(world, kind=Hybrid, net=None, sizes=SIZES, after=0, before=None, **options):
    """The state after a step for each batch, and velocities, as a checkpoint has them."""
    net = net or network()
    optimiser, this = SGD(net, lr=0.1, factors={"fc7": 0.5}), kind(net, world, **options)
    if before:
        net.load_state(before[0])
        optimiser.load_state(before[1])
    own = this.begin(optimiser)
    losses = []
    for step, (x, labels) in enumerate(batches(net, sizes), after):
        rows = this.rows(len(labels))
        parts = this.step(own, Batch(x[rows]), labels[rows], step, len(labels))
        losses.append(sum(float(loss) * len(theirs) for loss, _, theirs in parts))
        assert sum(len(theirs) for *_, theirs in parts) == len(labels[rows])
    this.gather_weights()
    velocities = this.gather_velocities(own)
    this.close()
    return ({name: value.copy() for name, value in net.state().items()},
            {name: v.copy() for name, v in velocities.items()}, losses)


def alone(net, sizes=SIZES):
    optimiser = SGD(net, lr=0.1, factors={"fc7": 0.5})
    losses = [float(train_step(net, optimiser, x, labels)[0]) * len(labels)
              for x, labels in batches(net, sizes)]
    return net.state(), optimiser.state(), losses


def assert_close(ours, theirs, tolerance):
    for mine, right in zip(ours[:2], theirs[:2], strict=True):
        assert mine.keys() == right.keys()
        for name, value in right.items():
            np.testing.assert_allclose(mine[name], value, rtol=tolerance, atol=tolerance * np.abs(
                value).max(), err_msg=name)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("at_once", [False, True], ids="bc")
@pytest.mark.parametrize("towers", [1, 2])
def test_any_number_of_workers_trains_as_one_does(size, at_once, towers):
    """With dropout, of which each has its columns; fc8 has 10 units in all."""
    right = alone(network(towers))
    for result in (results := together(
            size, lambda world: trained(world, net=network(towers), at_once=at_once))):
        assert_close(result, right, 1e-11)
        assert_close(result, results[0], 0)
    np.testing.assert_allclose(np.sum([losses for *_, losses in results], axis=0), right[2])


@pytest.mark.parametrize(("build", "freeze"), [
    (alexnet.mini, "conv1-conv4"), (alexnet.mini, "fc7"), (alexnet.mini, "fc6-fc8"),
    (alexnet.mini, "conv1-conv5"), (alexnet.mini, "conv1-fc6"), (others.local_13, "")])
def test_frozen_layers_and_other_nets(build, freeze):
    right = alone(network(1, freeze=freeze, build=build))
    for result in together(2, lambda world: trained(
            world, net=network(1, freeze=freeze, build=build))):
        assert_close(result, right, 1e-10)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("towers", [1, 2])
def test_exact_steps_have_the_bits_of_data_parallel_ones(size, towers):
    def result(world, kind):
        return trained(world, kind, network(towers, np.float32), exact=True)

    right = result(World(), Parallel)
    plain = alone(network(towers, np.float32))
    assert any((plain[0][name] != value).any() for name, value in right[0].items())
    for weights, velocities, _ in together(size, lambda world: result(world, Hybrid)):
        for mine, theirs in ((weights, right[0]), (velocities, right[1])):
            for name, value in theirs.items():
                np.testing.assert_array_equal(mine[name], value, err_msg=name)
