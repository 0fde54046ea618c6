"""Arrays between the host and a GPU, through pinned memory of the host: the GPU copies from and to
it by itself, while both go on."""

from typing import Any

import numpy as np


class Fetched:
    """An array on its way to the host. `result` waits for it."""

    def __init__(self, memory, arrived, shape: tuple[int, ...], dtype: np.dtype):
        self.memory, self.arrived, self.shape, self.dtype = memory, arrived, shape, dtype

    def result(self) -> np.ndarray:
        self.arrived.synchronize()
        count = int(np.prod(self.shape))
        return np.frombuffer(self.memory, self.dtype, count).reshape(self.shape).copy()


class Uploads:
    """Batches on their way up. Each is uploaded in a stream of its own, while the GPU still
    computes with the previous one, into one of two places; from there it is copied when its turn
    comes, and the place is free again.

    cupy: the module. stream: where batches are read. Everything is called with the GPU as CuPy's
    current device, and `stream` as its current stream.
    """

    def __init__(self, cupy: Any, stream: Any):
        self.cupy, self.stream = cupy, stream
        self.copying = cupy.cuda.Stream(non_blocking=True)
        self.slots = [Slot(cupy), Slot(cupy)]

    def upload(self, pixels: np.ndarray):
        """A batch on the GPU, from the host, whose memory is free as soon as this returns."""
        batch = np.ascontiguousarray(pixels)
        slot = self.slots[0]
        self.slots.reverse()
        slot.copied.synchronize()  # its pinned memory is free: this was two batches ago
        if slot.size < batch.nbytes:
            self._enlarge(slot, batch.nbytes)
        np.frombuffer(slot.pinned, np.uint8, batch.nbytes)[:] = batch.reshape(-1).view(np.uint8)
        staged = slot.staged[: batch.nbytes]
        self.copying.wait_event(slot.read)
        staged.data.copy_from_host_async(slot.pinned.ptr, batch.nbytes, self.copying)
        self.copying.record(slot.copied)
        self.stream.wait_event(slot.copied)
        mine = staged.copy().view(batch.dtype).reshape(batch.shape)
        self.stream.record(slot.read)
        return mine

    def _enlarge(self, slot: "Slot", size: int):
        self.copying.synchronize()
        self.stream.synchronize()  # nobody reads what is given up here
        slot.size = size
        slot.pinned = self.cupy.cuda.alloc_pinned_memory(size)
        with self.copying:
            slot.staged = self.cupy.empty(size, np.uint8)


class Slot:
    """A batch on its way to the GPU: pinned memory on the host, which the GPU can read by itself,
    and as much on the GPU. copied, read: events, after which the one and the other are free."""

    def __init__(self, cupy):
        self.size = 0
        self.pinned: Any = None
        self.staged: Any = None
        self.copied, self.read = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
