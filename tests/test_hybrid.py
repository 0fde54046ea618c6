"""Workers that share the units of the fully connected layers make the steps of one that has all.

What could go wrong without a crash: a unit's activity in another unit's place, a gradient counted
twice or not at all, masks of other rows or columns, towers mixed up. So steps are compared with
those of one worker, in float64, where rounding hides nothing; and bit by bit where they are exact.
"""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from runs import assert_same_bits

from tinyalex import across, freezing, hybrid
from tinyalex.architectures import alexnet, others
from tinyalex.devices import Batch, CpuDevice, Devices
from tinyalex.hybrid import Hybrid
from tinyalex.inside import scaling
from tinyalex.layers import Flatten, Linear, MaxPool2D, ReLU
from tinyalex.layers.pieces import add_up
from tinyalex.optim import SGD
from tinyalex.parallel import BLOCKS, Parallel
from tinyalex.support.errors import UserError
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


def trained(world, kind=Hybrid, net=None, sizes=SIZES, skip=0, begun=None, **options):
    """The state after a step for each batch but the first ones, and velocities, as a checkpoint has
    them; and this worker's losses. begun: the state after those."""
    net = net or network()
    optimiser, this = SGD(net, lr=0.1, factors={"fc7": 0.5}), kind(net, world, **options)
    if begun:
        net.load_state(begun[0])
        optimiser.load_state(begun[1])
    own = this.begin(optimiser)
    losses = []
    for step, (x, labels) in [*enumerate(batches(net, sizes))][skip:]:
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


@pytest.mark.parametrize(("size", "at_once", "towers"), [
    (1, True, 1), (2, False, 2), (2, True, 1), (3, True, 2), (4, False, 1), (4, True, 2)])
def test_any_number_of_workers_trains_as_one_does(size, at_once, towers):
    """With dropout, of which each has its columns; fc8 has 10 units in all."""
    right = alone(network(towers))
    for result in (results := together(
            size, lambda world: trained(world, net=network(towers), at_once=at_once))):
        assert_close(result, right, 1e-11)
        assert_close(result, results[0], 0)
    np.testing.assert_allclose(np.sum([losses for *_, losses in results], axis=0), right[2])


@pytest.mark.parametrize(("build", "freeze"), [
    (alexnet.mini, "conv1-conv4"), (alexnet.mini, "fc6-fc8"), (alexnet.mini, "conv1-conv5"),
    (alexnet.mini, "conv1-fc6"), (others.cifar10_full, "")])
def test_frozen_layers_and_other_nets(build, freeze):
    right = alone(network(1, freeze=freeze, build=build))
    for result in together(2, lambda world: trained(
            world, net=network(1, freeze=freeze, build=build))):
        assert_close(result, right, 1e-10)


def test_what_learns_above_kept_features_is_shared_as_well():
    """There are no convolutions then, and nobody wants the gradient of the features."""
    def head():
        return freezing.parts(network(freeze="conv1-conv5"))[1]

    right = alone(head())
    for result in together(3, lambda world: trained(world, net=head())):
        assert_close(result, right, 1e-11)


@pytest.mark.parametrize(("size", "towers"), [(1, 2), (2, 1), (3, 2), (4, 2), (8, 1)])
def test_exact_steps_have_the_bits_of_data_parallel_ones(size, towers):
    """With eight workers, pieces of fc8 are single columns: BLAS multiplies these in another way
    where they stand alone than among others."""
    def result(world, kind):
        return trained(world, kind, network(towers, np.float32), exact=True)

    right = result(World(), Parallel)
    plain = alone(network(towers, np.float32))
    assert any((plain[0][name] != value).any() for name, value in right[0].items())
    for weights, velocities, _ in together(size, lambda world: result(world, Hybrid)):
        assert_same_bits(weights, right[0])
        assert_same_bits(velocities, right[1])


def test_a_run_goes_on_with_other_workers_who_share_in_another_way():
    """Two steps by three, one by two, one by one who has all, as checkpoints hand them on."""
    unbroken = alone(network(), (6, 5, 8, 4))
    state = together(3, lambda world: trained(world, sizes=(6, 5), at_once=True))[0]
    for size, kind, step in ((2, Hybrid, 2), (1, Parallel, 3)):
        begun, sizes = state, (6, 5, 8, 4)[:step + 1]
        state = together(size, lambda world, kind=kind, step=step, begun=begun, sizes=sizes:
                         trained(world, kind, sizes=sizes, skip=step, begun=begun))[1 % size]
    assert_close(state, unbroken, 1e-11)


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("at_once", [False, True], ids="bc")
def test_the_bytes_that_cross_are_those_of_the_formula(size, at_once):
    (x, labels), = batches(net := network(dtype=np.float32), (24,))

    def sent(world):
        this = Hybrid(net := network(dtype=np.float32), world, at_once=at_once)
        rows = this.rows(24)
        this.step(this.begin(SGD(net)), Batch(x[rows]), labels[rows], 0, 24)
        this.close()
        return this.messages.sent

    expected = scaling.crossing(scaling.parts(net), size, 24)
    assert expected["fc7"] == 24 * 128 * 4 * (size - 1)  # two towers of 64 units
    by_worker = together(size, sent)
    for way in ("forward", "backward"):
        assert sum((each[way] for each in by_worker), Counter()) == expected


@pytest.mark.parametrize("size", range(1, BLOCKS + 1))
def test_whoever_has_a_branch_the_tree_is_the_same(size):
    numbers = np.random.default_rng(0).standard_normal((BLOCKS, 1000)).astype(np.float32)
    a, b, c, d, e, f, g, h = numbers
    branches = [add_up(numbers[branch]) for branch in hybrid.branches(BLOCKS, size)]
    np.testing.assert_array_equal(add_up(branches), ((a + b) + (c + d)) + ((e + f) + (g + h)))


@pytest.mark.parametrize("stages", [
    [[Flatten(), Linear(12, 6, name="odd")], [Linear(6, 6)]],
    [[Flatten()], [Linear(12, 6), MaxPool2D(2, 2, name="odd")]],
    [[Flatten()], [Linear(12, 6), ReLU(), Linear(6, 6, name="odd")]],
    [[Flatten()], [Linear(12, 6)], [ReLU("odd")]], [[Flatten("odd")]]])
def test_a_network_of_another_build_is_refused(stages):
    with pytest.raises(UserError, match="and odd does not fit in"):
        across.trunk_and_head(SimpleNamespace(stages=[[tower] for tower in stages]))


@pytest.mark.parametrize("exact", [False, True])
def test_gpus_give_what_cpus_give(gpus, exact):
    """Their activities cross by way of the host."""
    (x, labels), = batches(network(dtype=np.float32), (8,))
    states = []
    for make in (lambda: Devices(gpus), lambda: Devices("cpu,cpu")):
        with make() as devices:
            net = alexnet.mini(devices=list(devices), seed=3, keep=1)
            this = Hybrid(net, World(), exact)
            own = this.begin(SGD(net, lr=0.1))
            this.step(own, Batch(x), labels, 0, 8)
            this.gather_weights()
            states.append({name: value.copy() for name, value in net.state().items()})
    for name, value in states[1].items():
        np.testing.assert_allclose(states[0][name], value, atol=1e-5 * np.abs(value).max())
