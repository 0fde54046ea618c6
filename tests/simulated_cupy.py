"""What tinyalex uses of CuPy, on the CPU: arrays that know their GPU, streams, events, and kernels.

The kernels are the CUDA ones, compiled as C++ (cuda_as_cpp.py). They run at once, but the simulator
keeps account of what a real GPU would be free to do in another order, and raises `Race` when

- a stream reads what another one wrote, or writes what another one wrote or reads, and no event
  says that it has waited;
- memory that died is used again before the stream that still read it was waited for;
- the host changes pinned memory before the copy from it is known to be done, or reads what has not
  arrived: it then finds nothing but NaN.

Workers can be threads, each with GPUs of its own: what is current is current in a thread. They meet
in NCCL's sums (simulated_nccl.py), which wait for each other.

Arrays of the host, or of two GPUs, that meet in one operation are a TypeError or a ValueError, as
in CuPy; so is work on an array of a GPU that is not current. Fresh memory is full of NaN.

    with simulated_cupy.installed(gpus=2):
        device = CudaDevice(0)
"""

import contextlib
import itertools
import sys
import threading
import time
import types
from collections import defaultdict
from dataclasses import dataclass, field
from functools import wraps
from weakref import WeakValueDictionary

import numpy as np
from cuda_as_cpp import launch

__version__ = "simulated"


class Race(AssertionError):
    """On a GPU this could have gone wrong."""


@dataclass(eq=False)
class Clock:
    """What is known to be done: the number of the last operation, by stream."""

    seen: dict = field(default_factory=dict)

    def knows(self, moment) -> bool:
        stream, number = moment
        return self.seen.get(stream, 0) >= number

    def learn(self, other: dict):
        for stream, moment in [*other.items()]:  # threads write to it
            self.seen[stream] = max(self.seen.get(stream, 0), moment)


@dataclass(eq=False)
class Block:
    """Memory: of a GPU, or pinned memory of the host (gpu None). written, read: when, by whom."""

    memory: np.ndarray
    gpu: int | None
    written: tuple = (None, 0)
    read: dict = field(default_factory=dict)
    awaited: tuple | None = None  # bytes that a copy to the host will have brought


class Current(threading.local):
    """What is current in a thread: the GPU, and the streams of each besides its default one."""

    def __init__(self):
        self.device, self.streams = [0], defaultdict(list)


def one_at_a_time(method):
    """Other threads wait meanwhile."""
    @wraps(method)
    def locked(self, *args, **kwargs):
        with self.lock:
            return method(self, *args, **kwargs)

    return locked


class Simulator:
    """The state of the machine: its GPUs, what is current, and where memory lies."""

    def __init__(self, gpus: int, broken_peers: bool = False):
        self.gpus, self.broken_peers = gpus, broken_peers
        self.host, self.numbers, self.lock = Clock(), itertools.count(1), threading.RLock()
        self.current, self.defaults, self.blocking = Current(), {}, {}
        self.free, self.blocks, self.by_ptr = {}, {}, WeakValueDictionary()
        self.copied_from_host = []  # (moment, memory, its bytes)
        self.rings = {}  # of NCCL, by their names

    @property
    def device(self):
        return self.current.device

    @property
    def stream(self):
        gpu = self.device[-1]
        return [self.defaults[gpu], *self.current.streams[gpu]][-1]

    @one_at_a_time
    def work(self, reads=(), writes=(), stream=None):
        """An operation: check that all it touches is here, and that nobody else is at it."""
        stream = stream or self.stream
        clock = stream.clock
        clock.learn(self.host.seen)
        others = self.blocking.get(stream.device, [])
        default = stream is self.defaults[stream.device]
        for other in others if default else []:
            clock.learn(other.clock.seen)
        for block in {*reads, *writes}:
            if not clock.knows(block.written):
                raise Race("reads or writes what another stream has perhaps not written yet")
        for block in writes:
            if not all(clock.knows(moment) for moment in block.read.items()):
                raise Race("writes what another stream perhaps still reads")
        stream.time += 1
        clock.seen[stream] = stream.time
        for other in others if default else []:
            other.clock.learn(clock.seen)
        for block in reads:
            block.read[stream] = stream.time
        for block in writes:
            block.written, block.read = (stream, stream.time), {}

    @one_at_a_time
    def host_waits(self, seen: dict):
        self.host.learn(seen)
        for _, memory, was in [c for c in self.copied_from_host if self.host.knows(c[0])]:
            if memory.tobytes() != was:
                raise Race("the host changed pinned memory while it was copied")
        self.copied_from_host = [c for c in self.copied_from_host if not self.host.knows(c[0])]
        for block in [*self.blocks.values()]:  # the thread that sums waits beside the others
            if block.awaited and self.host.knows(block.written):
                self.deliver(block)

    @staticmethod
    def deliver(block):
        if block.awaited:
            size, data = block.awaited
            block.memory[:size] = data
            block.awaited = None

    @one_at_a_time
    def allocate(self, size: int, gpu, key) -> "Lease":
        """Memory: the last freed of this size and stream, as from CuPy's pool, or new."""
        waiting = self.free.setdefault((key, size), [])
        block = waiting.pop() if waiting else Block(np.empty(max(size, 1), np.uint8), gpu)
        self.blocks[block.memory.ctypes.data] = block
        block.memory[:] = 0xFF
        return Lease(self, block, (key, size))

    @one_at_a_time
    def at(self, ptr: int) -> tuple[Block, int]:
        start = max(address for address in [*self.blocks] if address <= ptr)
        return self.blocks[start], ptr - start


class Lease:
    """The owner of an array's memory, which goes back to the pool when no view is left."""

    def __init__(self, simulator, block, key):
        self.simulator, self.block, self.key = simulator, block, key
        self.__array_interface__ = block.memory.__array_interface__

    def __del__(self):
        self.simulator.free[self.key].append(self.block)


now: Simulator | None = None


class ndarray(np.ndarray):
    """An array on a GPU."""

    block = None

    def __new__(cls, shape, dtype=np.float64):
        dtype, shape = np.dtype(dtype), tuple(np.atleast_1d(np.asarray(shape, int)))
        shape = tuple(int(n) for n in shape) if shape else ()
        return _new(shape, dtype)

    def __array_finalize__(self, source):
        self.block = getattr(source, "block", None)

    @property
    def data(self):
        return MemoryPointer(self)

    def get(self):
        now.work(reads=[self.block])
        now.host_waits(now.stream.clock.seen)
        return np.array(_plain(self))

    def item(self):
        return self.get()[()]

    def __float__(self):
        return float(self.get())

    __int__ = __bool__ = __index__ = None  # would wait unseen

    def copy(self, order="C"):
        return _do(np.copy, (self,), {})

    def astype(self, dtype, copy=True):
        return _do(lambda a: a.astype(dtype), (self,), {})

    def fill(self, value):
        self[...] = value

    def reshape(self, *shape):
        view = _plain(self).reshape(*shape)
        if np.may_share_memory(view, _plain(self)) or not self.size:
            return super().reshape(*shape)
        return _do(lambda a: a.reshape(*shape), (self,), {})

    def __getitem__(self, key):
        view = _plain(self)[_plain(key)]
        if isinstance(view, np.ndarray) and np.may_share_memory(view, _plain(self)):
            return _of(view, self.block)
        _device_of((self, key))
        return _do(lambda a, k: a[k], (self, key), {})

    def __setitem__(self, key, value):
        blocks = _device_of((self, key, value))
        now.work(reads=[b for b in blocks if b is not self.block], writes=[self.block])
        _plain(self)[_plain(key)] = _plain(value)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if ufunc is np.matmul and any(a.ndim != 2 for a in inputs):
            raise AssertionError("products are 2-D: only those take TF32 and copy nothing")
        return _do(getattr(ufunc, method), inputs, kwargs, out and out[0])

    def __array_function__(self, function, types_, args, kwargs):
        kwargs = dict(kwargs)
        return _do(function, args, kwargs, kwargs.pop("out", None))


def _new(shape, dtype) -> ndarray:
    size = int(np.prod(shape)) * dtype.itemsize
    lease = now.allocate(size, now.device[-1], now.stream)
    array = np.asarray(lease)[:size].view(dtype).reshape(shape)
    return _of(array, lease.block)


def _of(array, block) -> ndarray:
    array = array.view(ndarray)
    array.block = block
    return array


def _plain(value):
    if isinstance(value, ndarray):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(one) for one in value)
    return value


def _device_of(values) -> list[Block]:
    """The blocks of all arrays, which must lie on the current GPU."""
    blocks = []
    for value in values:
        if isinstance(value, (tuple, list)):
            blocks += _device_of(value)
        elif isinstance(value, ndarray):
            if value.block.gpu != now.device[-1]:
                raise ValueError(f"an array of GPU {value.block.gpu} met GPU {now.device[-1]}")
            blocks.append(value.block)
        elif isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("an array of the host met one of a GPU")
    return blocks


def _do(function, args, kwargs, out=None):
    reads = _device_of((*args, *kwargs.values()))
    result = function(*_plain(args), **{k: _plain(v) for k, v in kwargs.items()})
    if out is None:
        out = _new(np.shape(result), np.asarray(result).dtype)
    _device_of([out])
    now.work(reads=[b for b in reads if b is not out.block], writes=[out.block])
    _plain(out)[...] = result
    return out


class MemoryPointer:
    def __init__(self, array):
        self.array, self.ptr = array, array.ctypes.data

    def _bytes(self, size):
        assert self.array.flags.c_contiguous, "copies are of whole arrays"
        assert size == self.array.nbytes
        return _plain(self.array).reshape(-1).view(np.uint8)

    def copy_from_host_async(self, ptr, size, stream):
        pinned, start = now.at(ptr)
        assert pinned.gpu is None, "a copy that is not to block needs pinned memory"
        Simulator.deliver(pinned)
        now.work(reads=[pinned], writes=[self.array.block], stream=stream)
        memory = pinned.memory[start : start + size]
        self._bytes(size)[:] = memory
        with now.lock:
            now.copied_from_host.append(((stream, stream.time), memory, memory.tobytes()))

    def copy_to_host_async(self, ptr, size, stream):
        pinned, start = now.at(ptr)
        assert start == 0 and pinned.gpu is None
        now.work(reads=[self.array.block], writes=[pinned], stream=stream)
        # That copies from there are done is known now, and that it changes is no fault of the host.
        with now.lock:
            now.copied_from_host = [c for c in now.copied_from_host
                                    if not np.may_share_memory(c[1], pinned.memory)]
        pinned.memory[:size] = 0xFF
        pinned.awaited = size, self._bytes(size).copy()

    def copy_from_device_async(self, source, size, stream):
        now.work(reads=[source.array.block], writes=[self.array.block], stream=stream)
        crossing = source.array.block.gpu != self.array.block.gpu
        self._bytes(size)[:] = source._bytes(size)
        if crossing and now.broken_peers:
            self._bytes(size)[size // 2 :] = 0


class Device:
    def __init__(self, index):
        self.id, self.pci_bus_id = index, f"0000:{index:02}:00.0"

    def __enter__(self):
        now.device.append(self.id)

    def __exit__(self, *_):
        now.device.pop()


class Stream:
    def __init__(self, non_blocking=False):
        if not non_blocking:  # waits for the default stream, which waits for it
            now.blocking.setdefault(now.device[-1], []).append(self)
        self.ptr, self.clock, self.time = next(now.numbers), Clock(), 0
        self.device = now.device[-1]
        now.by_ptr[self.ptr] = self

    def __enter__(self):
        if self.device != now.device[-1]:
            raise RuntimeError("the stream is one of another GPU")
        now.current.streams[self.device].append(self)

    def __exit__(self, *_):
        now.current.streams[self.device].pop()

    def record(self, event=None):
        event = event or Event()
        assert event.device == self.device, "an event of another GPU"
        self.clock.learn(now.host.seen)
        event.seen, event.recorded = dict(self.clock.seen), time.perf_counter()
        return event

    def wait_event(self, event):
        self.clock.learn(event.seen)

    def synchronize(self):
        now.host_waits(self.clock.seen)


class Event:
    def __init__(self, block=False, disable_timing=False):
        self.seen, self.device, self.recorded = {}, now.device[-1], None

    @property
    def done(self):
        return all(now.host.knows(moment) for moment in self.seen.items())

    def synchronize(self):
        now.host_waits(self.seen)


class Pinned(np.ndarray):
    """Memory of the host that lies still, as bytes."""

    ptr = property(lambda self: self.ctypes.data)

    def size(self):
        return self.nbytes


class Pool:
    def total_bytes(self):
        with now.lock:
            return sum(b.memory.nbytes for b in now.blocks.values() if b.gpu == now.device[-1])

    def free_all_blocks(self, stream=None):
        with now.lock:
            for (key, _), waiting in now.free.items():
                if isinstance(key, Stream) and stream in (None, key):
                    for block in [b for b in waiting if b.gpu == now.device[-1]]:
                        waiting.remove(block)
                        del now.blocks[block.memory.ctypes.data]


class ElementwiseKernel:
    def __init__(self, reads, writes, code, name, preamble="", loop_prep=""):
        self.reads, self.writes, self.code = reads, writes, code
        self.index = preamble.removeprefix("typedef ").removesuffix(" Index;")
        pairs = (part.split() for part in loop_prep.split(";") if part.strip())
        self.constants = {name: int(value) for _, _, name, _, value in pairs}

    def __call__(self, *args, size):
        count = len(self.reads.split(","))
        _device_of(args)
        blocks = [[a.block for a in some if isinstance(a, ndarray)]
                  for some in (args[:count], args[count:])]
        now.work(reads=[b for b in blocks[0] if b not in blocks[1]], writes=blocks[1])
        launch(self, size, [_plain(a) for a in args])


def empty(shape, dtype=np.float64):
    return ndarray(shape, dtype)


def array(host, dtype=None):
    """As in CuPy: through pinned memory, in the current stream; the host need not wait."""
    host = np.asarray(host, dtype)
    mine = _new(host.shape, host.dtype)
    now.work(writes=[mine.block])
    _plain(mine)[...] = host
    return mine


def ascontiguousarray(a):
    return a if a.flags.c_contiguous else a.copy()


def arange(n):
    return array(np.arange(n))


def exp(x, out=None):
    return np.exp(x, out=out)


def log(x, out=None):
    return np.log(x, out=out)


class OutOfMemoryError(MemoryError):
    pass


class CUDARuntimeError(RuntimeError):
    pass


def get_default_memory_pool():
    return Pool()


def _alloc_pinned_memory(size):
    return np.asarray(now.allocate(size, None, "pinned"))[:size].view(Pinned)


def _properties(index):
    return {"name": b"simulated GPU", "totalGlobalMem": 8 << 30, "major": 9, "minor": 0}


_core = types.SimpleNamespace(_routines_linalg=types.SimpleNamespace(
    COMPUTE_TYPE_TF32=7, COMPUTE_TYPE_DEFAULT=1, set_compute_type=lambda dtype, kind: None))
cuda = types.SimpleNamespace(
    Device=Device, Stream=Stream, Event=Event, alloc_pinned_memory=_alloc_pinned_memory,
    memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    get_elapsed_time=lambda a, b: 1000 * (b.recorded - a.recorded),
    runtime=types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError, getDeviceCount=lambda: now.gpus,
        memGetInfo=lambda: (7 << 30, 8 << 30), getDeviceProperties=_properties,
        driverGetVersion=lambda: 0, runtimeGetVersion=lambda: 0,
        deviceCanAccessPeer=lambda a, b: 1))


@contextlib.contextmanager
def installed(gpus: int = 1, broken_peers: bool = False):
    """`import cupy` gives this module, on a machine with so many GPUs. broken_peers: copies between
    them arrive damaged."""
    global now
    import simulated_nccl

    from tinyalex.devices import cuda as ours
    from tinyalex.kernels import cuda as kernels

    cuda.nccl = simulated_nccl
    now, here = Simulator(gpus, broken_peers), {"cupy": sys.modules[__name__], "cupy.cuda": cuda}
    before = {name: sys.modules.get(name) for name in here}
    sys.modules.update(here)
    for gpu in range(gpus):
        with Device(gpu):
            now.defaults[gpu] = Stream(non_blocking=True)
    for cached in (ours.load, kernels._compiled):
        cached.cache_clear()
    try:
        yield now
        now.host_waits({stream: stream.time for stream in now.defaults.values()})
    finally:
        for cached in (ours.load, kernels._compiled):
            cached.cache_clear()
        for name, module in before.items():
            del sys.modules[name]
            if module:
                sys.modules[name] = module
