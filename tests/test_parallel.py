"""Workers who train together do what one does: the same pictures, masks, gradients, weights."""

import time

import numpy as np
import pytest

from tinyalex import metrics, parallel
from tinyalex.architectures import alexnet
from tinyalex.data.loader import Loader
from tinyalex.devices import Batch, CpuDevice, Devices
from tinyalex.layers import Dropout
from tinyalex.metrics import score
from tinyalex.optim import SGD
from tinyalex.parallel import BLOCKS, Parallel, Tree
from tinyalex.sums import HostSums
from tinyalex.support.errors import UserError
from tinyalex.training import train_step
from tinyalex.world import World
from tinyalex.world.threads import together


def network(towers=2, cores=1):
    devices = [CpuDevice(f"cpu{i}", cores, own_thread=towers > 1) for i in range(towers)]
    return alexnet.cifar(devices=devices, towers=towers, seed=3)


def batches(*sizes):
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((n, 28, 28, 3), np.float32), rng.integers(10, size=n))
            for n in sizes]


def trained(world, sizes, exact=False, bucket=parallel.BUCKET, towers=2):
    """The state after a step for each batch, of which this worker has its part."""
    net = network(towers)
    optimiser, this = SGD(net, lr=0.1), Parallel(net, world, exact, bucket)
    for step, (x, labels) in enumerate(batches(*sizes)):
        rows = this.rows(len(labels))
        this.step(optimiser, Batch(x[rows]), labels[rows], step, len(labels))
    this.close()
    return {name: value.copy() for name, value in net.state().items()}


def difference(ours, theirs):
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in theirs)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("bucket", [1, 100_000, 1 << 30])
def test_any_number_of_workers_trains_as_one_does(size, bucket):
    """With dropout, which each draws its rows of; the last batch leaves the fourth without."""
    sizes = (8, 5, 3)
    alone = network()
    optimiser = SGD(alone, lr=0.1)
    for x, labels in batches(*sizes):
        train_step(alone, optimiser, x, labels)
    before = difference(network().state(), alone.state())
    states = together(size, lambda world: trained(world, sizes, bucket=bucket))
    for state in states:
        assert difference(state, alone.state()) < 1e-5 * before
        assert difference(state, states[0]) == 0, "the workers' weights drift apart"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_exact_sums_have_the_same_bits_with_any_number_of_workers(size):
    """Also of batches with fewer pictures than blocks."""
    alone = trained(World(), (16, 11, 3), exact=True)
    for state in together(size, lambda world: trained(world, (16, 11, 3), exact=True)):
        assert difference(state, alone) == 0


def test_more_workers_than_blocks_are_refused():
    class Crowd(World):
        size = BLOCKS + 1

    with pytest.raises(UserError, match=f"there are {BLOCKS + 1} workers"):
        Parallel(network(), Crowd(), exact=True)


@pytest.mark.parametrize("size", range(1, BLOCKS + 1))
def test_the_tree_adds_as_it_says(size):
    numbers = np.random.default_rng(0).standard_normal((BLOCKS, 1000)).astype(np.float32)
    a, b, c, d, e, f, g, h = numbers
    expected = ((a + b) + (c + d)) + ((e + f) + (g + h))
    assert (expected != numbers.sum(axis=0)).any(), "an order that makes no difference shows none"

    def total(world):
        tree = Tree(world)
        for block in range(BLOCKS):
            if tree.owner[block] == world.rank:
                tree.add(block, numbers[block].copy())
        assert len(tree.sums) <= 3, "a worker keeps no more than the tree needs"
        return tree.total()

    for result in together(size, total):
        np.testing.assert_array_equal(result, expected)


def test_sums_begin_before_backward_ends_from_fc8_down():
    """What is overlapped: the first bucket is on its way while the last gradient is missing."""
    net, begun = network(), []

    class Watching(World):
        def start_sum(self, array):
            begun.append((array.size, "conv1a" in done))
            return lambda: True

    done, sums = [], HostSums(net, Watching(), bucket=200_000)
    order = [p.layer.name for one in sums.buckets for p in one.parameters]
    assert order[:4] == ["fc8a", "fc8a", "fc8b", "fc8b"]
    assert order[-2:] == ["conv1b", "conv1b"]
    assert all(b.buffer.nbytes >= 200_000 for b in sums.buckets[:-1]) and len(sums.buckets) > 3
    (x, labels), = batches(4)
    loss, dscores = net.loss_and_gradient(net.forward(x, remember=True), labels)

    def slow(layer):
        if layer.name.startswith("conv1"):
            until(lambda: len(begun) >= len(sums.buckets) - 1)
            done.append(layer.name)
        sums.add(layer)

    with sums:
        net.backward(dscores, watch=slow)
    sums.close()
    assert [size for size, _ in begun] == [one.buffer.size for one in sums.buckets]
    assert not any(late for _, late in begun[:-1])


def until(true):
    end = time.perf_counter() + 10
    while not true():
        assert time.perf_counter() < end
        time.sleep(0.001)


def test_a_step_that_fails_leaves_no_thread_waiting():
    net = network()
    this = Parallel(net, together_of_two(), bucket=1000)
    with pytest.raises(UserError):
        this.step(SGD(net), Batch(np.zeros((1, 5, 5, 3), np.float32)), np.zeros(1, int), 0, 2)
    this.close()


@pytest.mark.parametrize(("bucket", "where"), [(1000, "forward"), (1 << 30, "backward")])
def test_nothing_of_a_step_that_fails_is_left_in_the_next(bucket, where):
    """No gradient, not even for who has no pictures then, and not that it failed."""
    def go_on(world):
        net = network()
        lowest, this = net.stages[0][0][0], Parallel(net, world, bucket=bucket)
        (x, labels), (y, few) = batches(4, 1)

        def fails(*_):
            raise ZeroDivisionError

        setattr(lowest, where, fails)
        with pytest.raises(ZeroDivisionError):
            this.step(SGD(net), Batch(x[:2]), labels[:2], 0, 4)
        delattr(lowest, where)
        rows = this.rows(1)
        this.step(SGD(net, lr=0.1), Batch(y[rows]), few[rows], 1, 1)
        this.close()
        return net.state()

    (y, labels), right = batches(4, 1)[1], network()
    right.set_step(1)
    before = network().state()
    train_step(right, SGD(right, lr=0.1), y, labels)
    for state in together(2, go_on):
        assert difference(state, right.state()) < 1e-5 * difference(before, right.state())


def together_of_two():
    class Half(World):
        size = 2

    return Half()


@pytest.mark.parametrize("units", [1, 7, 8, 30, 128])
def test_the_masks_of_parts_are_the_rows_of_one_mask(units):
    dropout = Dropout(0.5, seed=4)
    whole = dropout.mask((20, units), 9)
    for first, count in ((0, 3), (3, 1), (4, 16)):
        np.testing.assert_array_equal(
            dropout.mask((count, units), 9, first), whole[first : first + count])
    maps = dropout.mask((20, 2, 3, 5), 9)
    np.testing.assert_array_equal(dropout.mask((5, 2, 3, 5), 9, 15), maps[15:])


def test_parts_of_a_batch_are_the_pictures_that_one_would_see(patches):
    from patches import load

    data = load("train")
    mean = data.measure().mean

    def pictures(rows=None, every=1, first=0):
        loader = Loader(data, 28, mean, batch_size=20, shuffle=True, augment=True, rows=rows)
        return [(x.pixels.copy(), labels) for x, labels in loader.epoch(3, first, every)]

    whole = pictures()
    halves = [pictures(lambda n: slice(0, n // 2)), pictures(lambda n: slice(n // 2, n))]
    for (x, labels), *parts in zip(whole, *halves, strict=True):
        np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), x)
        np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), labels)
    dealt = [pictures(every=3, first=first) for first in range(3)]
    assert [len(hand) for hand in dealt] == [2, 2, 1]
    for i, (x, _) in enumerate(whole):
        np.testing.assert_array_equal(dealt[i % 3][i // 3][0], x)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_every_picture_is_counted_once_whoever_saw_it(size):
    """Five batches, the last one shorter; with six workers one has none."""
    rng = np.random.default_rng(0)
    logp, labels = np.log(rng.dirichlet(np.ones(7), 43)), rng.integers(7, size=43)
    one = score(logp, labels)

    def counted(world):
        rows = [slice(10 * batch, 10 * batch + 10) for batch in range(world.rank, 5, world.size)]
        return metrics.count(((labels[mine], logp[mine]) for mine in rows), 7, world)

    for result in together(size, counted):
        assert (result.error, result.top5_error) == (one.error, one.top5_error)
        assert result.loss == pytest.approx(one.loss, rel=1e-12)
        for name in ("confusion", "guesses", "sure"):
            np.testing.assert_array_equal(getattr(result, name), getattr(one, name))


@pytest.mark.parametrize("exact", [False, True])
def test_gradients_of_gpus_are_summed_on_the_host_where_nccl_is_not_to_do_it(
        gpus, exact, monkeypatch):
    """Copied out as soon as a layer has them, summed, and put back. The other worker's half is the
    same here, so the sum of both is the gradient of one worker's pictures alone."""
    monkeypatch.setenv("TINYALEX_NCCL", "0")
    (x, labels), = batches(16)

    class Twice(World):
        size = 1 if exact else 2

        def start_sum(self, array):
            array *= 2
            return lambda: True

    states = []
    for world in (None, Twice()):
        with Devices(gpus) as devices:
            net = alexnet.cifar(devices=list(devices), seed=3, keep=1)
            optimiser, count = SGD(net, lr=0.1), len(labels) * getattr(world, "size", 1)
            if world:
                this = Parallel(net, world, exact, bucket=200_000)
                this.step(optimiser, Batch(x), labels, 0, count)
                this.close()
            else:
                train_step(net, optimiser, x, labels)
            states.append({name: value.copy() for name, value in net.state().items()})
    assert difference(*states) < 1e-6
