"""Some of the machine's cores as a device."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinyalex.devices.base import Device, Ready, Result, total
from tinyalex.devices.blas import one_blas_thread
from tinyalex.devices.memory import MemoryPool
from tinyalex.devices.threads import Threads
from tinyalex.kernels import numpy as numpy_kernels
from tinyalex.support.text import plural


class CpuDevice(Device):
    """Some of the machine's cores.

    A single device works in the calling thread: a debugger walks from `network.forward` into every
    layer. `over` shares work on many pictures among the cores, one of them for the calling thread,
    the others for helper threads, since NumPy and BLAS release Python's lock while they work. Of
    several devices, each has a thread, so that they compute side by side.

    name: "cpu0", "cpu1", … as printed. cores: how many it shares out work to. own_thread: work in a
    thread of its own. helpers: threads for the cores beyond the first, one each if not given; fewer
    do the work of several cores, one after the other, with the same results.
    """

    xp = np
    kernels: Any = numpy_kernels
    # Larger arrays drop out of the cache; with smaller ones NumPy is called more often, and between
    # two calls a thread has to wait for Python's lock, which costs more.
    chunk_bytes = 1 << 21
    sum_bytes = 1 << 22

    def __init__(self, name: str = "cpu0", cores: int = 1, own_thread: bool = False,
                 helpers: int | None = None):
        self.name, self.cores = name, cores
        self.pool: MemoryPool = MemoryPool()
        self._driver = Threads(1, name) if own_thread else None
        helpers = cores - 1 if helpers is None else min(helpers, cores - 1)
        self._helpers = Threads(helpers, f"{name}-helper")
        self._threads = 1 + helpers

    def __repr__(self) -> str:
        parts = f", work in {self.cores} parts" if self.cores != self._threads else ""
        return f"<{self.name}: {plural(self._threads, 'core')}{parts}>"

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        return self.pool.empty(shape, dtype)

    def put(self, array: np.ndarray) -> np.ndarray:
        return array

    def put_into(self, mine: np.ndarray, array: np.ndarray):
        np.copyto(mine, array)

    def get(self, array: np.ndarray) -> np.ndarray:
        return array

    def fetch(self, array: np.ndarray) -> Ready:
        return Ready(self.get(array))

    def upload(self, pixels: np.ndarray) -> np.ndarray:
        return self.put(pixels)

    def receive(self, array: np.ndarray, source: Device) -> np.ndarray:
        mine = self.empty(array.shape, array.dtype)
        np.copyto(mine, array)
        return mine

    def run(self, work: Callable, *args) -> Result:
        if self._driver:
            return self._driver.submit(_quietly, work, *args)
        return Ready(_quietly(work, *args))

    def over(self, count: int, body: Callable[[slice], object], bytes_each: int = 0):
        self._share(count, bytes_each, self.chunk_bytes,
                    lambda pieces: [body(piece) for piece in pieces])

    def sum_over(self, count: int, body: Callable[[slice], tuple], bytes_each: int = 0) -> tuple:
        return total(iter(self._share(count, bytes_each, self.sum_bytes,
                                      lambda pieces: total(map(body, pieces)))))

    def _share(self, count: int, bytes_each: int, chunk: int,
               work: Callable[[Iterator[slice]], Any]) -> list:
        """What work(pieces) returns for each core: it gets an equal, consecutive share of 0..count,
        cut into pieces of about `chunk` bytes."""
        share = max(1, -(-count // self.cores))
        step = max(1, chunk // bytes_each) if bytes_each else share

        def pieces(first):
            last = min(first + share, count)
            starts = range(first, max(last, first + 1), step)  # of no pictures: one empty piece
            return (slice(start, min(start + step, last)) for start in starts)

        with one_blas_thread():
            others = [self._helpers.submit(_quietly, work, pieces(first))
                      for first in range(share, count, share)]
            return [work(pieces(0)), *(other.result() for other in others)]

    def synchronize(self):
        self.run(lambda: None).result()

    def close(self):
        if self._driver:
            self._driver.shutdown()
        self._helpers.shutdown()
        self.pool.trim()


def _quietly(work: Callable, *args):
    """work(*args) without NumPy's warnings of overflow: training looks at the loss after every step
    anyhow."""
    with one_blas_thread(), np.errstate(all="ignore"):
        return work(*args)


HOST = CpuDevice("host")  # where a layer computes that nobody has placed on a device


def available_cores() -> int:
    """The cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
