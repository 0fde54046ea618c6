"""Gradients that GPUs add up among themselves.

What is summed too early, or used before it is summed, is wrong now and then, on some machines. So
the workers are threads with simulated GPUs (simulated_cupy.py, simulated_nccl.py), which raise
`Race` where nobody has waited, and, where there are real ones (pytest -m gpu), with those.
"""

import pytest
import simulated_cupy
from gpus import machines, on
from test_parallel import batches, difference

from tinyalex import freezing
from tinyalex.architectures import alexnet
from tinyalex.devices import Batch, Devices
from tinyalex.hybrid import Hybrid
from tinyalex.optim import SGD
from tinyalex.parallel import Parallel
from tinyalex.sums import GpuSums, HostSums
from tinyalex.support.errors import UserError
from tinyalex.training import train_step
from tinyalex.world import nccl
from tinyalex.world.threads import together

SIZES = 8, 5, 1  # of batches; all workers but one have nothing of the last


def network(devices, seed=3):
    return alexnet.cifar(devices=list(devices), towers=2, seed=seed)


def alone(placement):
    """The weights that one worker has in the end."""
    with Devices(placement) as devices:
        net = network(devices)
        optimiser = SGD(net, lr=0.1)
        for x, labels in batches(*SIZES):
            train_step(net, optimiser, x, labels)
        return {name: value.copy() for name, value in net.state().items()}


def trained(world, placement, bucket=200_000):
    """The same of one of several workers, and its `Parallel`."""
    with Devices(placement) as devices:
        net = network(devices)
        optimiser, this = SGD(net, lr=0.1), Parallel(net, world, bucket=bucket)
        for step, (x, labels) in enumerate(batches(*SIZES)):
            rows = this.rows(len(labels))
            this.step(optimiser, Batch(x[rows]), labels[rows], step, len(labels))
        state = {name: value.copy() for name, value in net.state().items()}
        this.close()
        return state, this


def assert_trained_as_one(states, placement):
    one = alone(placement)
    with Devices(placement) as devices:
        moved = difference(network(devices).state(), one)
    for state in states:
        assert difference(state, one) < 1e-5 * moved
        assert difference(state, states[0]) == 0, "the workers' weights drift apart"


@pytest.fixture(params=machines(
    "cuda:0 cuda:1", "cuda:0 cuda:1 cuda:2", "cuda:0,cuda:0 cuda:1,cuda:1",
    "cuda:0,cuda:1 cuda:2,cuda:3"))
def placements(request):
    """Of each worker, on GPUs of its own."""
    with on(*request.param):
        yield request.param[1].split()


@pytest.mark.parametrize("bucket", [1, 200_000, 1 << 30])
def test_workers_whose_gpus_add_up_train_as_one_does(placements, bucket):
    workers = together(len(placements), lambda world: trained(
        world, placements[world.rank], bucket))
    for _, this in workers:
        assert isinstance(this.sums, GpuSums)
        assert len(this.sums.buckets) > 1 or bucket > 200_000
    assert_trained_as_one([state for state, _ in workers], placements[0])


@pytest.fixture(params=machines("cuda:0"))
def one_gpu(request):
    with on(*request.param):
        yield request.param[1]


def test_two_workers_on_one_gpu_add_up_on_the_host(one_gpu):
    """NCCL refuses that."""
    workers = together(2, lambda world: trained(world, one_gpu))
    for _, this in workers:
        assert isinstance(this.sums, HostSums)
        assert this.sums.about == "MPI (NCCL wants a GPU for each worker, and some share one)"
    assert_trained_as_one([state for state, _ in workers], one_gpu)


@pytest.fixture
def four_gpus():
    with on("simulated", "cuda:3"):
        yield simulated_cupy.now


def test_sums_are_begun_below_backward_and_in_one_order(four_gpus):
    """fc8 first; each GPU in a stream that is not the one it computes in; those of the first GPUs
    among themselves, and those of the second."""
    workers = together(2, lambda world: trained(world, ("cuda:0,cuda:1", "cuda:2,cuda:3")[
        world.rank]))
    first, second = four_gpus.rings.values()
    assert (first.gpus, second.gpus) == ([0, 2], [1, 3])
    buckets = workers[0][1].sums.buckets
    assert [p.name for p in buckets[0].parameters][:2] == ["fc8a.W", "fc8a.b"]
    for tower, ring in enumerate((first, second)):
        mine = [b.buffer.size for b in buckets if b.parameters[0].name.split(".")[0][-1]
                == "ab"[tower]]
        assert len(mine) > 2
        for rank, sums in enumerate(ring.sums):
            assert [size for _, size in sums] == mine * len(SIZES)
            (stream,) = {stream for stream, _ in sums}
            assert stream is workers[rank][1].sums.links[ring.gpus[rank]].stream
            assert stream.device == ring.gpus[rank]


def test_a_sum_is_on_its_way_while_backward_goes_on(four_gpus):
    """What the GPU has been given when a layer's backward is over: the sums of all above it."""
    begun = []

    def watched(world):
        with Devices(f"cuda:{world.rank}") as devices:
            net = network(devices)
            this = Parallel(net, world, bucket=1)
            add = this.sums.add

            def watch(layer):
                add(layer)
                if world.rank == 0:
                    begun.append((layer.name, len(this.sums.waiting)))

            this.sums.add = watch
            (x, labels), *_ = batches(*SIZES)
            this.step(SGD(net), Batch(x[:2]), labels[:2], 0, 4)
            return len(this.sums.buckets)

    count, _ = together(2, watched)
    waiting = dict(begun)
    assert waiting["fc8b"] == count - 4 and waiting["fc7a"] < count - 4
    assert waiting["conv2b"] == 2 and waiting["conv1b"] == 0


@pytest.mark.parametrize("broken", ["before the sum", "after it"])
def test_whoever_does_not_wait_is_noticed(four_gpus, monkeypatch, broken):
    """That the tests above would fail if a gradient were summed before it is there, or used before
    it is summed."""
    link, wait = nccl.Link, simulated_cupy.Stream.wait_event

    def careless(stream, event):
        ours = any(stream is one for one in links)
        theirs = any(event in those for those in summed)
        if not (ours if broken == "before the sum" else theirs):
            wait(stream, event)

    links, summed = [], []
    start_sum = link.start_sum

    def start(self, array, ready):
        links.append(self.stream)
        event = start_sum(self, array, ready)
        summed.append([event])
        return event

    monkeypatch.setattr(link, "start_sum", start)
    monkeypatch.setattr(simulated_cupy.Stream, "wait_event", careless)
    with pytest.raises(simulated_cupy.Race):
        together(2, lambda world: trained(world, f"cuda:{world.rank}"))


def about(world, placement):
    with Devices(placement) as devices:
        this = Parallel(network(devices), world)
        said = this.sums.about
        this.close()
        return said


@pytest.mark.parametrize(("placements", "said"), [
    (("cuda:0", "cuda:1"), "NCCL"),
    (("cuda:0,cuda:1", "cuda:2,cuda:3"), "NCCL"),
    (("cuda:0,cuda:1", "cuda:2"), "MPI (the workers' towers do not lie on GPUs in the same way)"),
    (("cuda:0,cuda:1", "cuda:1,cuda:2"), "MPI (NCCL wants a GPU for each worker, and some share "
                                         "one)"),
    (("cpu", "cpu"), "MPI"),
])
def test_the_way_is_the_same_for_all_and_is_said(four_gpus, placements, said):
    assert together(2, lambda world: about(world, placements[world.rank])) == [said, said]


def test_one_worker_without_nccl_is_enough_for_all_to_do_without(four_gpus, monkeypatch):
    problem = nccl._problem
    monkeypatch.setattr(nccl, "_problem", lambda gpus: problem(gpus) if gpus[0].id else (
        "CuPy finds no NCCL"))
    said = together(2, lambda world: about(world, f"cuda:{world.rank}"))
    assert said == ["MPI (CuPy finds no NCCL)"] * 2


@pytest.mark.parametrize("missing", ["the module", "the library"])
def test_nccl_that_is_not_there_is_no_error(four_gpus, monkeypatch, missing):
    if missing == "the module":
        monkeypatch.delattr(simulated_cupy.cuda, "nccl")
    else:
        monkeypatch.setattr(simulated_cupy.cuda.nccl, "available", False)
    said = together(2, lambda world: about(world, f"cuda:{world.rank}"))
    assert said == ["MPI (CuPy finds no NCCL)"] * 2


def test_nccl_that_fails_ends_with_a_way_out(four_gpus, monkeypatch):
    def fails(*_):
        raise simulated_cupy.cuda.nccl.NcclError("NCCL_ERROR_SYSTEM_ERROR: no route to host")

    monkeypatch.setattr(simulated_cupy.cuda.nccl, "NcclCommunicator", fails)
    with pytest.raises(UserError, match="no route to host") as caught:
        together(2, lambda world: about(world, f"cuda:{world.rank}"))
    assert "TINYALEX_NCCL=0" in caught.value.hint


def test_a_gpu_that_waits_for_others_says_how_long(four_gpus, monkeypatch):
    """From when it has come to the update to when the sums are there, in steps that are over; a
    sum that is there earlier is no wait."""
    monkeypatch.setattr(simulated_cupy.cuda, "get_elapsed_time",
                        lambda arrived, summed: -40.0 if summed.device else 250.0)

    def wait(world):
        with Devices(f"cuda:{world.rank}") as devices:
            net = network(devices)
            this, optimiser = Parallel(net, world), SGD(net)
            waited = []
            for step in range(3):
                (x, labels), *_ = batches(*SIZES)
                this.step(optimiser, Batch(x[:2]), labels[:2], step, 4)
                waited.append(this.waited)
                if step == 1:
                    devices[0].synchronize()
            return waited, len(this.sums.waits)

    assert together(2, wait) == [([0, 0.25, 0.5], 1), ([0, 0, 0], 1)]


def test_where_no_convolution_learns_there_is_nothing_to_sum(four_gpus):
    """With the units shared out, nothing is summed then, and nobody waits."""
    def frozen(world):
        with Devices(f"cuda:{world.rank}") as devices:
            net = network(devices)
            freezing.freeze(net, "conv1-conv5")
            this = Hybrid(net, world)
            (x, labels), *_ = batches(*SIZES)
            rows = this.rows(len(labels))
            this.step(this.begin(SGD(net)), Batch(x[rows]), labels[rows], 0, len(labels))
            return type(this.sums), this.sums.waited, this.sums.buckets

    assert together(2, frozen) == [(GpuSums, 0.0, [])] * 2
