"""Devices: memory that comes back, work that is shared out, arrays that cross in one way only."""

import gc
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from runs import assert_same_bits
from threadpoolctl import threadpool_info, threadpool_limits

from tinyalex.architectures import alexnet
from tinyalex.devices import (
    CpuDevice,
    Devices,
    MemoryPool,
    copy,
    parse_placement,
    placement,
)
from tinyalex.optim import SGD
from tinyalex.support.errors import UserError
from tinyalex.training import train_step


def test_memory_comes_back_when_the_last_view_of_an_array_dies():
    pool = MemoryPool()
    x = pool.empty((100, 1000), np.float32)
    view, address = x[3:, ::2], x.ctypes.data
    del x
    other = pool.empty((100, 1000), np.float32)
    assert other.ctypes.data != address, "the view is still alive, and must not be overwritten"
    del view
    gc.collect()
    assert pool.empty((100, 1000), np.float32).ctypes.data == address


INTERRUPTED = """
import signal, sys
import numpy as np
from tinyalex.devices import MemoryPool

lost, pool = [], MemoryPool()
sys.unraisablehook = lost.append
signal.signal(signal.SIGALRM, signal.default_int_handler)

def take_and_give_back():  # Python 3.13 has no handler where a loop jumps back: not in one with try
    while not lost:
        pool.empty((MemoryPool.SMALL,), np.uint8)

for i in range(100):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001 + i / 1e5)
        take_and_give_back()
    except KeyboardInterrupt:
        pass
sys.exit(len(lost))
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no such clock")
def test_a_ctrl_c_while_memory_comes_back_is_not_lost():
    """What is raised in a __del__ is printed, and the cell of the notebook goes on. In a process of
    its own: an alarm that rings late, on a busy machine, would end the one that runs the tests."""
    subprocess.run([sys.executable, "-c", INTERRUPTED], check=True, timeout=60)


def test_the_pool_asks_for_no_new_memory_in_the_steady_state():
    pool = MemoryPool()
    for _ in range(5):
        arrays = [pool.empty((n, 100_000), np.float32) for n in (3, 1, 2)]
        del arrays
    assert pool.held == pool.peak == 6 * 100_000 * 4
    pool.trim()
    assert pool.held == 0


def test_memory_starts_at_a_cache_line():
    """A vector that lies across two lines takes twice as long to read, and nothing shows it."""
    pool = MemoryPool()
    arrays = [pool.empty((size,), np.float32) for size in range(20_000, 320_000, 30_001)]
    assert {x.ctypes.data % 64 for x in arrays} == {0}


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 12])
@pytest.mark.parametrize("chunk", [None, 1, 2, 5])
def test_over_covers_everything_once_with_no_more_than_a_chunk_at_a_time(cores, count, chunk):
    device, seen, lock = CpuDevice("cpu0", cores), np.zeros(count, int), threading.Lock()
    bytes_each = device.chunk_bytes // chunk if chunk else 0

    def body(piece):
        with lock:
            seen[piece] += 1
        assert chunk is None or piece.stop - piece.start <= chunk
        return np.array([piece.stop - piece.start]), np.arange(count)[piece].sum(keepdims=True)

    device.over(count, body, bytes_each)
    assert (seen == 1).all()
    device.sum_bytes = device.chunk_bytes
    assert device.sum_over(count, body, bytes_each) == (count, sum(range(count)))
    assert (seen == 2).all()
    device.close()


def test_sums_do_not_depend_on_who_is_faster():
    """Rounding depends on the order: the same whoever is done first, and without threads."""
    numbers, sums = np.random.default_rng(0).normal(0.1, 1, 1000).astype(np.float32), set()

    def body(piece):
        time.sleep((1000 - piece.start) / 2e6)  # the later, the faster
        return (numbers[piece].sum(keepdims=True),)

    for helpers in (7, 3, 1, 0):
        device = CpuDevice("cpu0", 8, helpers=helpers)
        device.sum_bytes = 64
        (total,) = device.sum_over(1000, body, 4)
        sums.add(float(total[0]))
        device.close()
    assert len(sums) == 1


def test_a_run_has_the_same_bits_wherever_its_devices_have_as_many_cores(monkeypatch):
    """What is promised of CPUs: on a machine of two cores `cpu,cpu` gives what it gives on one of
    three, or of one, where the towers take turns. `cpu` would have another share for each core."""
    states = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(placement, "available_cores", lambda cores=cores: cores)
        with Devices("cpu,cpu") as devices:
            network, rng = alexnet.tiny(devices=list(devices)), np.random.default_rng(0)
            optimiser = SGD(network)
            for _ in range(3):
                x = rng.random((5, *network.input_shape), np.float32)
                train_step(network, optimiser, x, np.arange(5))
            states.append(network.state())
    for other in states[1:]:
        assert_same_bits(states[0], other)


def test_over_uses_all_cores_at_the_same_time():
    device, meeting = CpuDevice("cpu0", 3), threading.Barrier(3, timeout=10)
    device.over(3, lambda piece: meeting.wait())  # hangs unless all three are there
    device.close()


def test_an_error_in_the_work_reaches_the_caller():
    device = CpuDevice("cpu0", 2)

    def fail(piece):
        raise ZeroDivisionError(piece)

    with pytest.raises(ZeroDivisionError):
        device.over(4, fail)
    with pytest.raises(ZeroDivisionError):
        device.run(fail, None).result()
    device.close()


def test_copy_counts_what_crosses_and_only_that():
    one, two = CpuDevice("cpu0"), CpuDevice("cpu1")
    x = np.arange(6, dtype=np.float32)
    same, crossed = copy(x, one, one)
    assert same is x and crossed == 0
    other, crossed = copy(x, one, two)
    assert crossed == 24 and not np.shares_memory(other, x)
    np.testing.assert_array_equal(other, x)


@pytest.fixture
def blas_threads():
    """How many threads BLAS may have, which are two to begin with."""
    def threads():
        return [library["num_threads"] for library in threadpool_info()
                if library["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        if 2 not in threads():
            pytest.skip("this BLAS has one thread")
        yield threads
        assert set(threads()) == {2}, "what others had set is gone"


def test_blas_keeps_to_one_thread_while_devices_are_open(blas_threads):
    with Devices("cpu,cpu") as devices:
        assert set(blas_threads()) == {1}
        assert len(devices) == 2
        devices.close()  # and once more, at the end of the block


def test_blas_keeps_to_one_thread_while_a_device_works_that_nobody_opened(blas_threads):
    """Network.forward in a script took several times as long as in `with Devices(…)`."""
    seen = []
    CpuDevice().run(lambda: seen.extend(blas_threads())).result()
    CpuDevice().over(3, lambda piece: seen.extend(blas_threads()))
    assert set(seen) == {1}


def test_blas_has_its_threads_again_after_a_placement_that_failed(blas_threads):
    with pytest.raises(UserError):
        Devices("gpu")


def test_blas_has_its_threads_again_when_others_are_still_at_work(blas_threads):
    """Work that began meanwhile saw one thread, and must not leave it at that."""
    device, began, go_on = CpuDevice(own_thread=True), threading.Event(), threading.Event()

    def start_longer_work():
        longer = device.run(lambda: began.set() or go_on.wait(10))
        assert began.wait(10)
        return longer

    longer = CpuDevice().run(start_longer_work).result()
    go_on.set()
    assert longer.result()
    device.close()


@pytest.mark.parametrize(("placement", "message"), [
    ("gpu", "there is no device 'gpu'"),
    ("", "there is no device ''"),
    ("cpu,", "there is no device ''"),
    ("cpu,cpu,cpu", "3 devices"),
    ("cuda", "there is no device 'cuda'"),
    ("cpu,cuda:0", "cannot share a network"),
])
def test_a_placement_that_cannot_be_had_is_refused_with_a_hint(placement, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_placement(placement)
    assert caught.value.hint


def test_auto_gives_a_device_to_each_tower_and_all_cores_to_a_single_one():
    assert parse_placement("auto", towers=1) == ["cpu"]
    assert set(parse_placement("auto")) == {"cpu"} and len(parse_placement("auto")) <= 2


@pytest.mark.parametrize(("helpers", "said"), [
    (None, "<cpu0: 4 cores>"), (1, "<cpu0: 2 cores, work in 4 parts>"),
    (0, "<cpu0: 1 core, work in 4 parts>")])
def test_a_device_names_the_cores_that_work_not_the_parts_of_their_work(helpers, said):
    device = CpuDevice(cores=4, helpers=helpers)
    assert repr(device) == said
    device.close()
