"""GPUs compute what the CPU computes, and nothing overtakes anything.

On a GPU work is queued: a copy that does not wait for what it copies, memory that is used again
while another stream still reads it, a batch that arrives too late give wrong numbers now and then,
on some machines. So everything runs on simulated GPUs (simulated_cupy.py), which keep account of
who has waited for whom and raise `Race`, and, where there are real ones (pytest -m gpu), on those.
"""

import time
from types import SimpleNamespace

import cuda_as_cpp
import numpy as np
import pytest
import simulated_cupy
from runs import assert_close, assert_same_bits

from tinyalex.architectures import alexnet
from tinyalex.data.augment import ColourNoise
from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.devices import HOST, CpuDevice, Devices, copy, cuda, parse_placement
from tinyalex.devices.cuda import CudaDevice
from tinyalex.gradcheck.cases import CASES, SHIPPED, Case
from tinyalex.kernels import cupy as cupy_kernels
from tinyalex.layers import Dropout, Linear
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.support.errors import UserError

LAYERS = [case for case in CASES
          if case.shape and case.kind not in ("Exchange", "SoftmaxCrossEntropy")]
MORE = [
    Case("Conv2D", "channels by fours, which im2col copies 16 bytes at a time", (4, 8, 3, 1, 1),
         (3, 5, 5, 4)),
    Case("LocalResponseNorm", "the paper's, on many maps", (), (2, 5, 5, 48)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", LAYERS + MORE, ids=lambda case: f"{case.kind} {case.title}")
def test_a_layer_gives_on_a_gpu_what_it_gives_on_the_cpu(case, dtype, gpu):
    layers = []
    for device in (CpuDevice(), CudaDevice(0)):
        layer, rng = case.make(SHIPPED[case.kind]), np.random.default_rng(5)
        layer.device = device
        layer.params = {key: device.put(value.astype(dtype)) for key, value in layer.params.items()}
        x = case.x().astype(dtype)
        infer = device.run(layer.forward, device.put(x)).result()
        y = device.run(layer.forward, device.put(x), True).result()
        dy = rng.standard_normal(y.shape).astype(dtype)
        dx = device.run(layer.backward, device.put(dy)).result()
        layers.append([device.get(a) for a in (infer, y, dx, *layer.grads.values())])
    tolerance = 1e-10 if dtype == np.float64 else 2e-5
    for on_cpu, on_gpu in zip(*layers, strict=True):
        assert on_gpu.dtype == dtype
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=tolerance, atol=tolerance)


def train(devices, steps=4, build=alexnet.mini, size=8, scale=1.0):
    """Losses of some steps and the weights afterwards. Nothing is looked at before the end, so that
    the host is as far ahead as it can be."""
    network = build(devices=list(devices), seed=3)
    optimiser, rng, losses = SGD(network, 0.01), np.random.default_rng(0), []
    for _ in range(steps):
        x = rng.standard_normal((size, *network.input_shape), np.float32) * scale
        scores = network.forward(x, remember=True, drop=True)
        if devices[0].steps_ahead:
            x[...] = np.nan  # it is on the GPU, and the host's memory is the host's again
        loss, dscores = network.loss_and_gradient(scores, rng.integers(0, network.classes, size))
        network.backward(dscores)
        optimiser.step()
        losses.append(devices[0].fetch(loss))
    return [float(loss.result()) for loss in losses], network.state(), optimiser.state()


def test_a_network_trains_on_gpus_as_on_the_cpu(gpus):
    losses, weights, velocities = train([CpuDevice()])
    with Devices(gpus) as devices:
        on_gpu, theirs, their_velocities = train(devices)
    np.testing.assert_allclose(on_gpu, losses, rtol=1e-5)
    assert_close(theirs, weights, rtol=1e-3, atol=1e-5)
    assert_close(their_velocities, velocities, atol=1e-5)


@pytest.mark.slow
def test_two_runs_give_the_same_bits_and_so_do_one_device_and_two(gpus):
    results = []
    for placement in (gpus, gpus, "cuda:0"):
        with Devices(placement) as devices:
            results.append(train(devices, steps=3))
    for losses, weights, velocities in results[1:]:
        assert losses == results[0][0]
        assert_same_bits(weights, results[0][1])
        assert_same_bits(velocities, results[0][2])


@pytest.mark.gpu
def test_one_step_of_the_papers_network_is_that_of_the_cpu():
    """The large maps and products, which the simulator would take minutes for."""
    if problem := cuda.find().problem:
        pytest.skip(problem)

    def few_classes(**options):
        return alexnet.paper(10, **options)

    losses, weights, _ = train([CpuDevice(cores=4)], 1, few_classes, 16, scale=64)
    with Devices("cuda:0") as devices:
        on_gpu, theirs, _ = train(devices, 1, few_classes, 16, scale=64)
    np.testing.assert_allclose(on_gpu, losses, rtol=1e-4)
    for name, value in weights.items():
        change = np.abs(value).max() + 1e-9
        np.testing.assert_allclose(theirs[name], value, atol=1e-4 * change, err_msg=name)


def test_what_crosses_is_counted_and_arrives(gpus):
    with Devices(gpus) as devices:
        source, target = devices[0], devices[len(devices) - 1]
        sent = np.arange(24, dtype=np.float32).reshape(4, 6)
        x = source.put(sent)
        part = source.run(lambda: x[:, 1:4]).result()
        got, crossed = target.run(copy, part, source, target).result()
        assert crossed == (48 if len(devices) == 2 else 0)
        if crossed:
            source.run(x.fill, 0)  # which waits until the copy is made
        np.testing.assert_array_equal(target.get(got), sent[:, 1:4])


@pytest.mark.parametrize("sizes", [[3, 3, 3, 3, 3], [1, 2, 5, 1, 9, 9]])
def test_batches_that_come_up_while_the_gpu_computes_arrive_whole(gpu, sizes):
    device, rng = CudaDevice(0), np.random.default_rng(0)
    batches = [rng.standard_normal((n, 50, 3)).astype(np.float32) for n in sizes]
    memory, sums = np.empty((max(sizes), 50, 3), np.float32), []
    for batch in batches:
        mine = memory[: len(batch)]
        mine[...] = batch
        sums.append(device.upload(mine))
        mine[...] = np.nan
    for batch, there in zip(batches, sums, strict=True):
        np.testing.assert_array_equal(device.get(there), batch)


def test_numbers_are_fetched_without_a_look_at_them_in_between(gpu):
    device = CudaDevice(0)
    fetched = []
    for i in range(6):
        x = device.put(np.full((3, 2), i, np.float32))
        fetched.append(device.fetch(x))
        device.run(x.__imul__, 0)  # afterwards: what is on its way does not change
    for i, one in enumerate(fetched):
        np.testing.assert_array_equal(one.result(), np.full((3, 2), i))


@pytest.mark.parametrize("mean_crop", ["same", "centre"])
@pytest.mark.parametrize("options", [
    {"augment": True}, {"augment": True, "colour": ColourNoise(np.eye(3) * 9, divisor=1.1)},
    {"ten_crops": True, "scale": 1 / 64}, {}], ids=["crops", "colour", "ten", "centre"])
def test_crops_finished_on_the_gpu_are_those_of_the_host(gpu, options, mean_crop):
    rng = np.random.default_rng(0)
    pictures = Dataset(rng.integers(0, 256, (25, 12, 12, 3), np.uint8), np.arange(25) % 3,
                       ("a", "b", "c"), "noise")
    mean = rng.random((12, 12, 3), np.float32) * 255
    options = {"batch_size": 20, "shuffle": True, "mean_crop": mean_crop, "workers": 2} | options
    ours, theirs = (Loader(pictures, 8, mean, raw=raw, **options) for raw in (False, True))
    device = CudaDevice(0)
    for (x, labels), (crops, same) in zip(ours.epoch(), theirs.epoch(), strict=True):
        np.testing.assert_array_equal(labels, same)
        assert crops.pixels.dtype == np.uint8 and x.pixels.dtype == np.float32
        for place in (device, HOST):
            np.testing.assert_allclose(place.get(crops.on(place)), x.pixels, rtol=1e-6,
                                       atol=1e-5)


def test_masks_drawn_ahead_are_those_of_the_step(gpu):
    """Also when a run goes on at another step, or the last batch of an epoch is smaller."""
    device, drop = CudaDevice(0), Dropout(0.5, seed=4)
    drop.device = device
    for step, n in ((0, 4), (1, 4), (2, 2), (9, 4), (10, 4)):
        drop.step = step
        x = device.put(np.ones((n, 30), np.float32))
        y = device.run(drop.forward, x, False, True).result()
        np.testing.assert_array_equal(device.get(y), Dropout(0.5, seed=4).mask((n, 30), step))


def test_an_array_is_updated_at_once(gpu, monkeypatch):
    """In pieces as on the CPU the paper's network would take a thousand launches a step, for which
    the host needs longer than the GPU for all of the rest."""
    calls, update = [], cupy_kernels.sgd_update
    monkeypatch.setattr(cupy_kernels, "sgd_update",
                        lambda w, *rest: calls.append(w.size) or update(w, *rest))
    device = CudaDevice(0)
    network = Network([[[Linear(300, 300)]]], (300,), [device])
    (layer,) = network.stages[0][0]
    layer.grads = {key: device.put(np.ones(value.shape, np.float32))
                   for key, value in layer.params.items()}
    SGD(network).step()
    assert calls == [90_000, 300]


def test_over_divides_evenly(gpu):
    device, seen = CudaDevice(0), []
    device.over(10, lambda piece: seen.append((piece.start, piece.stop)), device.chunk_bytes // 4)
    device.over(5, lambda piece: seen.append((piece.start, piece.stop)))
    assert seen == [(0, 3), (3, 6), (6, 10), (0, 5)]


@pytest.mark.gpu
def test_training_does_not_wait_for_the_gpu():
    """Handing over steps takes the host less time than the GPU needs for them."""
    if problem := cuda.find().problem:
        pytest.skip(problem)
    with Devices("cuda:0") as devices:
        network = alexnet.paper(10, list(devices))
        optimiser, x = SGD(network, 1e-6), np.zeros((256, 224, 224, 3), np.float32)
        labels = np.zeros(256, int)

        def step():
            scores = network.forward(x, remember=True, drop=True)
            _, dscores = network.loss_and_gradient(scores, labels)
            network.backward(dscores)
            optimiser.step()

        for _ in range(3):
            step()
        devices[0].synchronize()
        start = time.perf_counter()
        step()
        handed_over = time.perf_counter() - start
        devices[0].synchronize()
        assert handed_over < 0.9 * (time.perf_counter() - start)


# What follows is about machines that are not as they should be: simulated ones only.

simulated = pytest.mark.skipif(cuda_as_cpp.COMPILER is None,
                               reason="no C++ compiler (c++, g++ or clang++) was found")


@simulated
def test_where_copies_from_gpu_to_gpu_arrive_damaged_they_go_through_the_host():
    with simulated_cupy.installed(gpus=2):
        sound = train(Devices("cuda:0,cuda:1"))
    with simulated_cupy.installed(gpus=2, broken_peers=True), Devices("cuda:0,cuda:1") as devices:
        assert devices[0].through_host == {devices[1]}
        assert devices[1].through_host == {devices[0]}
        losses, weights, _ = train(devices)
    assert losses == sound[0]
    assert_same_bits(weights, sound[1])


@simulated
@pytest.mark.parametrize(("method", "broken"), [
    ("wait_event", lambda self, event: None), ("record", lambda self, event=None: event)])
def test_the_simulator_notices_when_nobody_waits(monkeypatch, method, broken):
    """A check that cannot fail proves nothing."""
    with pytest.raises((simulated_cupy.Race, AttributeError)), simulated_cupy.installed(gpus=2):
        record = simulated_cupy.Stream.record
        monkeypatch.setattr(simulated_cupy.Stream, method, broken if method == "wait_event" else (
            lambda self, event=None: event or record(self)))
        train(Devices("cuda:0,cuda:1"))


@simulated
def test_arrays_of_two_gpus_do_not_meet_unseen():
    with simulated_cupy.installed(gpus=2):
        one, two = CudaDevice(0), CudaDevice(1)
        x, y = one.put(np.ones(3)), two.put(np.ones(3))
        with pytest.raises(ValueError):
            one.run(lambda: x + y)
        with pytest.raises(ValueError):
            two.run(lambda: x * 2)
        with pytest.raises(TypeError):
            one.run(lambda: x + np.ones(3))


@simulated
def test_a_full_gpu_is_said_in_one_line():
    with simulated_cupy.installed():
        device = CudaDevice(0)

        def too_much():
            raise simulated_cupy.OutOfMemoryError("Out of memory allocating 9 bytes")

        with pytest.raises(UserError, match="memory is full") as caught:
            device.run(too_much)
        assert "smaller batches" in caught.value.hint


@simulated
@pytest.mark.parametrize(("there", "towers", "placement"), [
    (2, 2, ["cuda:0", "cuda:1"]), (3, 2, ["cuda:0", "cuda:1"]), (1, 2, ["cuda:0"]),
    (2, 1, ["cuda:0"])])
def test_auto_takes_a_gpu_for_each_tower_or_one(there, towers, placement):
    with simulated_cupy.installed(gpus=there):
        assert parse_placement("auto", towers) == placement


@simulated
@pytest.mark.parametrize(("there", "size", "placements"), [
    (4, 2, ["cuda:0,cuda:1", "cuda:2,cuda:3"]), (4, 4, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
    (3, 2, ["cuda:0", "cuda:1"]), (1, 2, ["cuda:0", "cuda:0"])])
def test_auto_gives_each_worker_of_a_machine_its_own_gpus(there, size, placements):
    with simulated_cupy.installed(gpus=there):
        assert [",".join(parse_placement("auto", 2, (rank, size)))
                for rank in range(size)] == placements



@simulated
def test_a_gpu_that_is_not_there_is_named():
    with simulated_cupy.installed(gpus=1):
        with pytest.raises(UserError, match="no cuda:1 here") as caught:
            parse_placement("cuda:0,cuda:1")
        assert "cuda:0" in caught.value.hint


def _raise(error):
    def function(*args):
        raise error

    return function


def test_without_cupy_or_a_driver_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(cuda, "load", _raise(ModuleNotFoundError("no", name="cupy")))
    with pytest.raises(UserError, match="CuPy is not installed") as caught:
        parse_placement("cuda:0")
    assert "cuda12" in caught.value.hint
    assert set(parse_placement("auto")) == {"cpu"}

    monkeypatch.setattr(cuda, "load", _raise(ImportError("libcublas.so.12: not found\nmore")))
    assert "libcublas" in cuda.find().problem and "more" not in cuda.find().problem

    # Without a driver CuPy can be imported, and the first question raises.
    error = simulated_cupy.CUDARuntimeError
    runtime = SimpleNamespace(
        CUDARuntimeError=error, getDeviceCount=_raise(error("cudaErrorInsufficientDriver")))
    installed = SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(cuda, "load", lambda: installed)
    with pytest.raises(UserError, match="InsufficientDriver") as caught:
        parse_placement("cuda:0")
    assert "nvidia-smi" in caught.value.hint
