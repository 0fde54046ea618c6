"""Worlds whose workers are threads of one process: what MPI does between them, in a few lines."""

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, Queue

import numpy as np

from tinyalex.world import World


class Shared:
    """What the workers of one world have in common."""

    def __init__(self, size: int):
        self.size, self.barrier = size, threading.Barrier(size, timeout=60)
        self.seen: list = [None] * size
        self.mail: dict = defaultdict(Queue)
        self.sums: dict = defaultdict(dict)
        self.order: list[list[int]] = [[] for _ in range(size)]  # sizes, as sums were begun
        self.lock = threading.Lock()


class ThreadWorld(World):
    """One of them, by rank."""

    def __init__(self, shared: Shared, rank: int):
        self.shared, self.rank, self.size = shared, rank, shared.size
        self.local_rank, self.local_size = rank, shared.size

    def barrier(self):
        self.shared.barrier.wait()

    def gather(self, array):
        self.shared.seen[self.rank] = array.copy()
        self.barrier()
        everything = [array.copy() for array in self.shared.seen]
        self.barrier()
        return everything

    def broadcast(self, array):
        array[...] = self.gather(array)[0]

    def send(self, array, to):
        self.shared.mail[self.rank, to].put(array.copy())

    def receive(self, array, sender):
        array[...] = self.shared.mail[sender, self.rank].get(timeout=60)

    def swap(self, give, take):
        assert all(array.flags.c_contiguous for array in (*give, *take)), "as MPI wants them"
        for rank, array in enumerate(give):
            self.send(array, rank)
        for rank, array in enumerate(take):
            self.receive(array, rank)

    def start_sum(self, array):
        order = self.shared.order[self.rank]
        with self.shared.lock:
            parts = self.shared.sums[len(order)]
            parts[self.rank] = array.copy()
        order.append(array.size)

        def is_there():
            """True once the last worker has given its part; one that has failed never will."""
            if len(parts) < self.size:
                if self.shared.barrier.broken:
                    raise threading.BrokenBarrierError
                return False
            assert len({part.size for part in parts.values()}) == 1, "summed in another order"
            array[...] = np.sum([parts[rank] for rank in range(self.size)], axis=0)
            return True

        return is_there


def together(size: int, work) -> list:
    """What work(world) returns for each of so many workers, who run at the same time; if one
    fails, its error."""
    shared = Shared(size)

    def start(rank):
        try:
            return work(ThreadWorld(shared, rank))
        except BaseException:
            shared.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        running = [pool.submit(start, rank) for rank in range(size)]
    errors = [error for each in running if (error := each.exception())]
    left_alone = threading.BrokenBarrierError, Empty
    for error in sorted(errors, key=lambda error: isinstance(error, left_alone)):
        raise error
    return [each.result() for each in running]
