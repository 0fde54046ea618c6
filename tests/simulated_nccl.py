"""What tinyalex uses of cupy.cuda.nccl, between threads that each have simulated GPUs.

A sum is an operation of its stream that reads and writes its array, so whoever has not waited meets
a `Race`. It comes about at once, when the last worker has begun it: until then the others wait.
What NCCL refuses, or does not notice and would do wrong, is an error.
"""

import random
import threading

import numpy as np
import simulated_cupy

available = True
NCCL_FLOAT32, NCCL_SUM = 7, 0
PATIENCE = 60  # seconds: other programs may have the cores


class NcclError(RuntimeError):
    pass


def get_unique_id() -> tuple[int, ...]:
    return tuple(random.choices(range(-128, 128), k=128))


class Ring:
    """The communicators of one name. sums: of each rank its sums, by their stream and size."""

    def __init__(self, size: int):
        self.barrier = threading.Barrier(size, timeout=PATIENCE)
        self.gpus, self.parts = [None] * size, [None] * size
        self.sums = [[] for _ in range(size)]


class NcclCommunicator:
    def __init__(self, size: int, name: tuple, rank: int):
        assert len(name) == 128 and isinstance(name, tuple)
        machine = simulated_cupy.now
        with machine.lock:
            self.ring = machine.rings.setdefault(name, Ring(size))
        self.rank, self.gpu = rank, machine.device[-1]
        self.ring.gpus[rank] = self.gpu
        self.ring.barrier.wait()
        if len({*self.ring.gpus}) < size:
            raise NcclError("NCCL_ERROR_INVALID_USAGE: invalid usage")

    def allReduce(self, sent, received, count, kind, operation, ptr):
        machine, ring = simulated_cupy.now, self.ring
        stream, (block, start) = machine.by_ptr[ptr], machine.at(received)
        assert (sent, kind, operation) == (received, NCCL_FLOAT32, NCCL_SUM)
        assert self.gpu == stream.device == block.gpu == machine.device[-1]
        machine.work(writes=[block], stream=stream)
        array = block.memory[start : start + 4 * count].view(np.float32)
        ring.sums[self.rank].append((stream, count))
        ring.parts[self.rank] = array.copy()
        ring.barrier.wait()
        assert len({part.size for part in ring.parts}) == 1, "the workers sum in different orders"
        total = np.sum(ring.parts, axis=0)
        ring.barrier.wait()
        array[:] = total
