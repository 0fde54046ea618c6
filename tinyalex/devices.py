"""Where arrays live and where work runs.

A placement is a string: "cpu" is one device that owns all cores; "cpu,cpu" is two devices that
own half of them each; "cuda:0" is a GPU (see cuda.py), "cuda:0,cuda:1" two, as in the paper, and
"cuda:0,cuda:0" one that is treated as two; "auto" takes what is best here. A network
asks its devices for memory, hands them work, and copies between them with `copy`, the only way
for an array to cross. Layers see of all this only `device.empty`, `device.over` and
`device.kernels`.
"""

import os
import re
import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from tinyalex.errors import UserError
from tinyalex.kernels import numpy as numpy_kernels


class MemoryPool:
    """Hands out arrays and takes their memory back, by itself, when the last view of one dies.

    Fresh memory from the operating system arrives page by page, each filled with zeros, which
    costs about as much as the work done on it. A training step asks for the same sizes again and
    again; here it gets the same memory again. (CuPy has such a pool of its own.)
    """

    SMALL = 1 << 16  # below 64 KiB the C library's own pool is as good

    def __init__(self):
        self.free = []  # (bytes, id, memory), sorted
        self.returned = deque()  # what came back since `free` was last sorted
        self.lock = threading.Lock()
        self.held = self.peak = 0  # bytes that the pool has from the operating system; its peak

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An array with whatever the memory holds: the smallest free piece that is large enough
        and at most twice as large as needed, or new memory."""
        dtype = np.dtype(dtype)
        size = dtype.itemsize
        for length in shape:
            size *= int(length)
        if size < self.SMALL:
            return np.empty(shape, dtype)
        block = _Block(self, self._take(size))
        return np.asarray(block)[:size].view(dtype).reshape(shape)

    def _take(self, size: int) -> np.ndarray:
        with self.lock:
            self._sort_in()
            at = bisect_left(self.free, (size,))
            if at < len(self.free) and self.free[at][0] <= 2 * size:
                return self.free.pop(at)[2]
            self.held += size
            self.peak = max(self.peak, self.held)
            return numpy_kernels.empty((size,), np.uint8)

    def _sort_in(self):
        """An array can die at any moment, even while this thread has the lock; so its memory is
        only noted down then, and sorted in here."""
        while self.returned:
            memory = self.returned.pop()
            insort(self.free, (memory.nbytes, id(memory), memory))

    def trim(self):
        """Give all free memory back to the operating system."""
        with self.lock:
            self._sort_in()
            self.held -= sum(size for size, _, _ in self.free)
            self.free.clear()


class _Block:
    """The owner of one array's memory: NumPy keeps it alive as long as any view of the array."""

    def __init__(self, pool: MemoryPool, memory: np.ndarray):
        self.pool, self.memory = pool, memory
        self.__array_interface__ = memory.__array_interface__

    def __del__(self):
        self.pool.returned.append(self.memory)


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


class Devices:
    """The devices of one placement: a list of them that is closed at the end of a `with` block.

    While it is open BLAS keeps to one thread a call: the devices' own threads fill the cores, and
    BLAS threads of many callers would fight over them.
    """

    def __init__(self, placement: str = "auto", towers: int = 2):
        self._limit = threadpool_limits(1, user_api="blas")
        names = parse_placement(placement, towers)
        if names[0] == "cpu":
            cores = max(1, available_cores() // len(names))
            self.all = [CpuDevice(f"cpu{i}", cores) for i, _ in enumerate(names)]
        else:
            self.all = _gpus(names)

    def __iter__(self):
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, i: int) -> CpuDevice:
        return self.all[i]

    def __enter__(self) -> "Devices":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for device in self.all:
            device.close()
        self._limit.restore_original_limits()


def _gpus(names: list[str]) -> list:
    from tinyalex import cuda  # here, since it builds on this module

    same = len(set(names)) < len(names)
    gpus = [cuda.CudaDevice(int(name.removeprefix("cuda:")), name + f" ({'ab'[i]})" * same)
            for i, name in enumerate(names)]
    cuda.connect(gpus)
    return gpus


def parse_placement(placement: str, towers: int = 2) -> list[str]:
    """ "cpu,cpu" -> ["cpu", "cpu"]. "auto" is a GPU for each tower, or one GPU, or, where there is
    none, a CPU device for each tower if there are as many cores, else "cpu".

    Raises UserError for a name that is not known, and for a device that is not there.
    """
    if placement == "auto":
        if gpus := _find_gpus().gpus:
            return [f"cuda:{gpu.index}" for gpu in gpus[:towers]]
        return ["cpu"] * min(towers, available_cores())
    names = [name.strip() for name in placement.split(",")]
    for name in names:
        if name != "cpu" and not re.fullmatch("cuda:[0-9]+", name):
            raise UserError(
                f"--devices {placement}: there is no device {name!r}",
                "name one device or two, joined by a comma: cpu or cuda:0, cpu,cpu or "
                "cuda:0,cuda:1; or auto.")
    if len(names) > 2:
        raise UserError(
            f"--devices {placement}: that is {len(names)} devices, and the network has two towers",
            "name one device or two.")
    if "cpu" in names and set(names) != {"cpu"}:
        raise UserError(f"--devices {placement}: a CPU and a GPU cannot share a network",
                        "name two of a kind.")
    if names[0] != "cpu":
        _expect_gpus(placement, names)
    return names


def _find_gpus():
    from tinyalex import cuda

    return cuda.find()


def _expect_gpus(placement: str, names: list[str]):
    found = _find_gpus()
    if found.problem:
        raise UserError(f"--devices {placement}: {found.problem}", found.hint)
    there = [f"cuda:{gpu.index}" for gpu in found.gpus]
    for name in names:
        if name not in there:
            raise UserError(f"--devices {placement}: there is no {name} here",
                            f"there is {', '.join(there)}.")


def available_cores() -> int:
    """The cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
