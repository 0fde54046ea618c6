"""Some of the machine's cores as a device."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from tinyalex.devices.memory import MemoryPool
from tinyalex.kernels import numpy as numpy_kernels


class Ready:
    """A result that is there already, where a Future stands on other devices."""

    def __init__(self, value):
        self.value = value

    def result(self):
        return self.value


class CpuDevice:
    """Some of the machine's cores, with a thread that works through what the device is given.

    `run` hands over work and returns at once, so two devices compute side by side: NumPy and BLAS
    let go of Python's lock while they work. `over` spreads work on many images over the device's
    own cores.

    name: "cpu0", "cpu1", … as printed; cores: how many threads it may use; chunk_bytes: how large
    the arrays should be that a layer works on at a time. Larger ones drop out of the cache; with
    smaller ones NumPy is called more often, and between two calls a thread has to wait for Python's
    lock, which costs more than a cache that is a little too small.
    """

    xp = np
    kernels = numpy_kernels
    chunk_bytes = 1 << 20
    lag = 0  # how many training steps the host may be ahead of the device

    def __init__(self, name: str = "cpu0", cores: int = 1):
        self.name, self.cores = name, cores
        self.pool = MemoryPool()
        self._driver = ThreadPoolExecutor(1, name, initializer=_begin_thread)
        self._helpers = ThreadPoolExecutor(max(1, cores - 1), f"{name}-helper",
                                           initializer=_begin_thread)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.cores} core{'s' * (self.cores > 1)}>"

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """A new array on this device; its values are whatever the memory holds."""
        return self.pool.empty(shape, dtype)

    def put(self, array: np.ndarray) -> np.ndarray:
        """The host's array on this device (on the CPU: itself)."""
        return array

    def put_into(self, mine: np.ndarray, array: np.ndarray):
        """Write the host's array over one of this device's."""
        np.copyto(mine, array)

    def get(self, array: np.ndarray) -> np.ndarray:
        """This device's array on the host (on the CPU: itself)."""
        return array

    def fetch(self, array: np.ndarray) -> Ready:
        """This device's array on its way to the host (on the CPU: there already)."""
        return Ready(self.get(array))

    def number(self, value) -> float:
        """A number that was computed here, for use on the host (on a GPU it stays there, and
        `float` waits for it)."""
        return float(value)

    def upload(self, batch: np.ndarray) -> np.ndarray:
        """A batch of the host's on this device; the host can prepare the next one meanwhile."""
        return self.put(batch)

    def receive(self, array: np.ndarray, source: "CpuDevice") -> np.ndarray:
        """A copy, on this device, of an array that lives on `source`; see `copy`."""
        mine = self.empty(array.shape, array.dtype)
        np.copyto(mine, array)
        return mine

    def run(self, work: Callable, *args) -> Future:
        """Start work(*args) on the device's thread, after what was started before."""
        return self._driver.submit(work, *args)

    def over(self, count: int, body: Callable[[slice, int], None], chunk: int | None = None):
        """Call body(slice, worker) until 0..count is covered, on all of the device's cores.

        Each worker takes an equal, fixed, consecutive share, `chunk` at a time (None: all of it at
        once), so what is computed from what does not depend on chance. Bodies of different workers
        run at the same time: each writes to places of its own.
        """
        share = -(-count // self.cores)

        def work(worker):
            last = min((worker + 1) * share, count)
            step = chunk or max(1, share)
            for start in range(worker * share, last, step):
                body(slice(start, min(start + step, last)), worker)

        others = [self._helpers.submit(work, i) for i in range(1, self.cores) if i * share < count]
        work(0)
        for other in others:
            other.result()

    def synchronize(self):
        """Wait until all is done that this device was given."""
        self.run(lambda: None).result()

    def close(self):
        """End the threads and free the memory."""
        self._driver.shutdown()
        self._helpers.shutdown()
        self.pool.trim()


def _begin_thread():
    """NumPy's settings for a thread that computes."""
    # Training looks at the loss after every step; warnings of overflow would only come on top.
    np.seterr(all="ignore")


HOST = CpuDevice("host")  # where a layer computes that nobody has placed on a device


def copy(array, source: CpuDevice, target: CpuDevice):
    """`array`, which lives on `source`, for use on `target`: the one way across.

    Returns (array on target, bytes that crossed). On the same device nothing is copied.
    """
    if source is target:
        return array, 0
    return target.receive(array, source), array.nbytes


def available_cores() -> int:
    """The cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
