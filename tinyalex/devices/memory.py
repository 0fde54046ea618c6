"""Memory that is reused: the CPU's counterpart of CuPy's pool."""

import threading
import weakref
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from math import prod

import numpy as np

from tinyalex.kernels import numpy as numpy_kernels


class MemoryPool:
    """Hands out arrays and takes their memory back, by itself, when the last view of one dies.

    Fresh memory from the operating system arrives page by page, each filled with zeros, which
    costs about as much as the work done on it. A training step asks for the same sizes again and
    again; here it gets the same memory again. (CuPy has such a pool of its own.)
    """

    SMALL = 1 << 16  # below 64 KiB the C library's own pool is as good

    def __init__(self):
        self.free: list[tuple[int, int, np.ndarray]] = []  # (bytes, id, memory), sorted
        self.lent: set[_Lent] = set()
        self.returned: deque[_Lent] = deque()  # what came back since `free` was last sorted
        self.lock = threading.Lock()
        self.held = self.peak = 0  # bytes that the pool has from the operating system; its peak

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An array with whatever the memory holds: the smallest free piece that is large enough
        and at most twice as large as needed, or new memory."""
        dtype = np.dtype(dtype)
        size = dtype.itemsize * prod(map(int, shape))
        if size < self.SMALL:
            return np.empty(shape, dtype)
        block = _Block(self._take(size))
        self.lent.add(_Lent(block, self.returned.append))
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
        """An array can die at any moment, even while this thread holds the lock; so its memory is
        only noted then, and sorted in here."""
        while self.returned:
            lent = self.returned.pop()
            self.lent.discard(lent)
            memory = lent.memory
            insort(self.free, (memory.nbytes, id(memory), memory))

    def trim(self):
        """Give all free memory back to the operating system."""
        with self.lock:
            self._sort_in()
            self.held -= sum(size for size, _, _ in self.free)
            self.free.clear()


class _Block:
    """The owner of one array's memory: NumPy keeps it alive as long as any view of the array."""

    def __init__(self, memory: np.ndarray):
        self.memory = memory
        self.__array_interface__ = memory.__array_interface__


class _Lent(weakref.ref[_Block]):
    """Calls back, with itself, when the block dies, and still has its memory then. (A Ctrl-C in a
    `__del__` of the block would be printed and forgotten; a deque's `append` is written in C, where
    none arrives.)"""

    def __init__(self, block: _Block, callback: Callable[["_Lent"], None]):
        super().__init__(block, callback)  # type: ignore[call-arg]
        self.memory = block.memory
