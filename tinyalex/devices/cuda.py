"""GPUs as devices, through CuPy.

One Python thread drives all GPUs: whatever it starts returns at once, and each GPU works through
its own stream, the queue of what it has been given. So towers on two GPUs compute side by side.

    within a stream     everything happens in the order in which it was started
    between streams     nothing does, unless one waits for an event of the other
    the host            waits for a GPU only where it wants to see a number: `get`, `Fetched.result`

What CuPy leaves to its caller, and where it is taken care of here:

- New arrays are made on the device, and ordered by the stream, that are current in the calling
  thread, whatever the operands. So all work runs inside `CudaDevice.here`.
- Memory of an array that dies is reused by what its stream does next. So a reader in another stream
  has to be waited for: `receive`, and uploads.py.
- Copies between one's own streams are not ordered: `receive`.

CuPy is imported by `load`, so that this module, like all others, can be imported without it.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from tinyalex.devices.base import Device, Ready, total
from tinyalex.devices.uploads import Fetched, Uploads
from tinyalex.kernels import cupy as cupy_kernels
from tinyalex.support.errors import UserError

INSTALL = ('pip install "tinyalex[cuda12]", or [cuda13], whichever your driver has '
           "(nvidia-smi says which)")


@cache
def load():
    """CuPy; ImportError where it is not installed, or cannot be used."""
    # Without it cuBLAS may choose another algorithm, and round differently, when streams are busy.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import cupy

    return cupy


def use_tf32(on: bool):
    """Whether products of float32 round what they multiply to 10 bits, as tensor cores do, and add
    up in float32: several times as fast. The environment variable CUPY_TF32=1 does the same."""
    linalg = load()._core._routines_linalg
    linalg.set_compute_type(
        np.float32, linalg.COMPUTE_TYPE_TF32 if on else linalg.COMPUTE_TYPE_DEFAULT)


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine. memory: bytes. capability: (major, minor), of its instruction set."""

    index: int
    name: str
    memory: int
    capability: tuple[int, int]


@dataclass(frozen=True)
class Found:
    """What there is to compute with. cupy: its version. problem, hint: why there is no GPU, and
    what to do; else ""."""

    gpus: list[Gpu] = field(default_factory=list)
    cupy: str = "not installed"
    problem: str = ""
    hint: str = ""


def find() -> Found:
    """The GPUs of this machine, or what is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy warns where it finds no toolkit: `info` tests it
            cupy = load()
    except ImportError as error:
        if getattr(error, "name", None) == "cupy":
            return Found(problem="CuPy is not installed", hint=f"{INSTALL}.")
        return Found(cupy="broken", problem=f"CuPy cannot be imported ({first_line(error)})",
                     hint=f"install it again: {INSTALL}.")
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        return Found([], cupy.__version__, f"there is no GPU that CUDA can use ({error})",
                     "nvidia-smi should list one; if it does not, install NVIDIA's driver.")
    if not count:
        return Found([], cupy.__version__, "CUDA sees no GPU",
                     "is one hidden by CUDA_VISIBLE_DEVICES?")
    return Found([_gpu(runtime, index) for index in range(count)], cupy.__version__)


def _gpu(runtime, index: int) -> Gpu:
    about = runtime.getDeviceProperties(index)
    return Gpu(index, about["name"].decode(), about["totalGlobalMem"],
               (about["major"], about["minor"]))


def first_line(error: Exception) -> str:
    """What an error says, without the rest of a long story."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Memory:
    """CuPy's pool of memory on one GPU, as a `Pool`."""

    def __init__(self, device: "CudaDevice"):
        self.device, self._peak = device, 0

    @property
    def held(self) -> int:
        """Bytes that the pool has from the GPU; devices on the same GPU share it."""
        with self.device.gpu:
            return self.device.xp.get_default_memory_pool().total_bytes()

    @property
    def peak(self) -> int:
        """The most that it had: it gives nothing back except by `trim`."""
        self._peak = max(self._peak, self.held)
        return self._peak

    def forget_peak(self):
        """Let `peak` start again, from what is in use."""
        self.trim()
        self._peak = 0

    def trim(self):
        """Give what is free back to the GPU. `peak` remembers."""
        self._peak = self.peak
        with self.device.gpu:
            # Of all streams: the copying one has memory too, and earlier devices had some.
            self.device.xp.get_default_memory_pool().free_all_blocks()


class CudaDevice(Device):
    """A GPU, with a stream for what it computes and one for the batches that come up.

    Two devices on the same GPU have streams of their own, and hand each other copies, as if there
    were two.

    index: CUDA's number of the GPU. name: as printed. chunk_bytes: large enough that a product
    fills the GPU, and a small part of the memory that is free at the start.
    """

    pool: Memory
    kernels = cupy_kernels
    cores = 1
    steps_ahead = 4
    takes_bytes = True
    CHUNK = 1 << 29

    def __init__(self, index: int = 0, name: str | None = None):
        self.xp = cupy = load()
        self.index, self.name = index, name or f"cuda:{index}"
        self.gpu = cupy.cuda.Device(index)
        with self.gpu:
            # What somebody does outside `run`, in CuPy's own stream, waits for a stream that is
            # not called non-blocking, and the other way round.
            self.stream = cupy.cuda.Stream()
            self.uploads = Uploads(cupy, self.stream)
            free, _ = cupy.cuda.runtime.memGetInfo()
        self.chunk_bytes = self.sum_bytes = max(1 << 20, min(self.CHUNK, free // 16))
        self.pool = Memory(self)
        self._helpers = ThreadPoolExecutor(2, f"{self.name}-helper")
        self._masks: dict[tuple, Future] = {}  # bits drawn meanwhile, by what `mask` gets
        self._bridges: dict[Device, Any] = {}  # pinned memory by source: copies through the host
        self.through_host: set[Device] = set()  # whose memory this one cannot read

    def __repr__(self) -> str:
        return f"<{self.name}: {_gpu(self.xp.cuda.runtime, self.index).name}>"

    @contextmanager
    def here(self) -> Iterator[None]:
        """In this block CuPy works on this GPU, in this stream."""
        with self.gpu, self.stream:
            yield

    def empty(self, shape: tuple[int, ...], dtype):
        with self.gpu, self.stream:
            return self.xp.empty(shape, dtype)

    def put(self, array: np.ndarray):
        with self.gpu, self.stream:
            return self.xp.array(array)

    def put_into(self, mine, array: np.ndarray):
        with self.gpu, self.stream:
            mine[...] = self.xp.array(array, mine.dtype)

    def get(self, array) -> np.ndarray:
        with self.gpu, self.stream:
            return array.get()

    def fetch(self, array) -> Fetched:
        with self.gpu, self.stream:
            shape, array = array.shape, self.xp.ascontiguousarray(array)
            memory = self.xp.cuda.alloc_pinned_memory(array.nbytes)
            array.data.copy_to_host_async(memory.ptr, array.nbytes, self.stream)
            arrived = self.stream.record(self.xp.cuda.Event(disable_timing=True))
            return Fetched(memory, arrived, shape, array.dtype)

    def mask(self, draw, shape, step, first=0):
        """Eight units to a byte, since the mask has to cross. While the GPU is given this step, a
        thread of the host draws the mask of the next one."""
        ahead = self._masks.pop((draw, shape, step, first), None)
        bits = ahead.result() if ahead else _bits(draw, shape, step, first)
        self._masks = {key: bits for key, bits in self._masks.items() if key[0] != draw}
        then = draw, shape, step + 1, first
        self._masks[then] = self._helpers.submit(_bits, *then)
        return self.put(bits)

    def upload(self, pixels: np.ndarray):
        with self.gpu, self.stream:
            return self.uploads.upload(pixels)

    def receive(self, array, source: Device):
        assert isinstance(source, CudaDevice)
        with source.gpu, source.stream:
            array = self.xp.ascontiguousarray(array)
            ready = source.stream.record(self.xp.cuda.Event(disable_timing=True))
        with self.gpu, self.stream:
            mine = self.xp.empty(array.shape, array.dtype)
            if source in self.through_host:
                self._over_the_bridge(mine, array, source)
            else:
                self.stream.wait_event(ready)
                mine.data.copy_from_device_async(array.data, array.nbytes, self.stream)
            done = self.stream.record(self.xp.cuda.Event(disable_timing=True))
        source.stream.wait_event(done)  # it must not write to the array, or to its memory, before
        return mine

    def _over_the_bridge(self, mine, array, source):
        """Copy through pinned memory of the host. There is one array in it at a time: before the
        source continues it waits, in `receive`, until this copy is made."""
        memory = self._bridges.get(source)
        if memory is None or memory.size() < array.nbytes:
            self.synchronize()
            memory = self._bridges[source] = self.xp.cuda.alloc_pinned_memory(array.nbytes)
        with source.gpu, source.stream:
            array.data.copy_to_host_async(memory.ptr, array.nbytes, source.stream)
            ready = source.stream.record(self.xp.cuda.Event(disable_timing=True))
        self.stream.wait_event(ready)
        mine.data.copy_from_host_async(memory.ptr, array.nbytes, self.stream)

    def run(self, work: Callable, *args) -> Ready:
        """What work hands to the GPU waits there for what was started before. UserError where the
        GPU's memory is full."""
        try:
            with self.gpu, self.stream:
                return Ready(work(*args))
        except self.xp.cuda.memory.OutOfMemoryError as error:
            raise UserError(f"{self.name}: its memory is full ({first_line(error)})",
                            "use smaller batches, or two GPUs.") from None

    def over(self, count: int, body: Callable[[slice], object], bytes_each: int = 0):
        for piece in self._pieces(count, bytes_each):
            body(piece)

    def sum_over(self, count: int, body: Callable[[slice], tuple], bytes_each: int = 0) -> tuple:
        return total(map(body, self._pieces(count, bytes_each)))

    def _pieces(self, count: int, bytes_each: int) -> Iterator[slice]:
        """0..count in equal parts of about chunk_bytes."""
        parts = max(1, -(-count // max(1, self.chunk_bytes // bytes_each))) if bytes_each else 1
        return (slice(count * i // parts, count * (i + 1) // parts) for i in range(parts))

    def synchronize(self):
        self.uploads.copying.synchronize()
        self.stream.synchronize()

    def close(self):
        self.synchronize()
        self._helpers.shutdown()
        self.uploads.slots.clear()
        self._bridges.clear()
        self.pool.trim()


def _bits(draw, *args) -> np.ndarray:
    return np.packbits(draw(*args))


def copies_arrive(source: CudaDevice, target: CudaDevice) -> bool:
    """Whether an array that crosses from GPU to GPU is the same afterwards. (Where one cannot read
    the other's memory, the driver takes it through the host.)"""
    sent = np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8)
    return np.array_equal(target.get(target.receive(source.put(sent), source)), sent)
