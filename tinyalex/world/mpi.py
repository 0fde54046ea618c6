"""Workers that MPI has started, and carries arrays between."""

import os
import time
from collections.abc import Callable
from math import prod

import numpy as np
from mpi4py import MPI

from tinyalex.world import World

MOST_AXES = 7  # of arrays that are gathered
LAST_WORDS = 0.3  # seconds for a launcher to pass on what was printed, which it forgets at the end
SPINS, PAUSE = 1000, 0.001  # how often to ask at once, and then after how many seconds each


class MpiWorld(World):
    """All processes of one `mpiexec`; imported only where there are several.

    Communication of its own for sums: they run in another thread than the rest, and messages of one
    channel must have one order.
    """

    def __init__(self):
        everybody = MPI.COMM_WORLD
        self.rank, self.size = everybody.rank, everybody.size
        self.host = MPI.Get_processor_name()
        here = everybody.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = here.rank, here.size
        self._rest, self._sums = everybody.Dup(), everybody.Dup()

    @staticmethod
    def workers() -> int:
        return MPI.COMM_WORLD.size

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        mine = np.zeros(MOST_AXES + 1, np.int64)
        shapes = np.zeros((self.size, len(mine)), np.int64)
        mine[: array.ndim + 1] = array.ndim, *array.shape
        _wait(self._rest.Iallgather(mine, shapes))
        dims = [tuple(shape[1 : 1 + shape[0]].tolist()) for shape in shapes]
        counts = [prod(shape) for shape in dims]
        everything = np.empty(sum(counts), array.dtype)
        self._rest.Allgatherv(np.ascontiguousarray(array), (everything, counts))
        parts = np.split(everything, np.cumsum(counts)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, dims, strict=True)]

    def broadcast(self, array: np.ndarray) -> None:
        self._rest.Bcast(array, 0)

    def send(self, array: np.ndarray, to: int) -> None:
        self._rest.Send(array, to)

    def receive(self, array: np.ndarray, sender: int) -> None:
        self._rest.Recv(array, sender)

    def swap(self, give: list[np.ndarray], take: list[np.ndarray]) -> None:
        others = [rank for rank in range(self.size) if rank != self.rank]
        running = [self._rest.Irecv(take[r], r) for r in others if take[r].size]
        running += [self._rest.Isend(give[r], r) for r in others if give[r].size]
        take[self.rank][...] = give[self.rank]
        for request in running:
            _wait(request)

    def start_sum(self, array: np.ndarray) -> Callable[[], bool]:
        return self._sums.Iallreduce(MPI.IN_PLACE, array).Test

    def barrier(self) -> None:
        _wait(self._rest.Ibarrier())

    def abort(self, status: int) -> None:
        time.sleep(LAST_WORDS)
        MPI.COMM_WORLD.Abort(status)
        os._exit(status)  # some launchers let it live on


def _wait(request: MPI.Request):
    """Wait without keeping a core busy for long, as MPI's own waiting does: others may compute on
    it, and worker 0 may be preparing the data for all."""
    asked = 0
    while not request.Test():
        asked += 1
        if asked > SPINS:
            time.sleep(PAUSE)
