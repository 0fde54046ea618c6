"""The processes that train one network together, its *workers*: one alone, or as many as MPI has
started, on one machine or on several.

Training, measuring and the commands that do so know of a world; layers, networks and data don't.
"""

import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinyalex.support import cli, launched
from tinyalex.support.errors import UserError


class World:
    """One worker, which is alone. The interface of all worlds.

    rank: the number of this worker, from 0; size: how many there are. local_rank, local_size: the
    same among those of this machine. host: the machine's name.

    All workers call the same functions in the same order: each waits for the others.
    """

    rank, size = 0, 1
    local_rank, local_size = 0, 1
    host = platform.node()

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        """The arrays of all workers, by rank; they may differ in length."""
        return [array]

    def broadcast(self, array: np.ndarray) -> None:
        """Write worker 0's array over everybody's, all of one shape and type."""

    def send(self, array: np.ndarray, to: int) -> None:
        """Send an array to another worker, which receives it."""
        raise NotImplementedError

    def receive(self, array: np.ndarray, sender: int) -> None:
        """Write what the other worker sends into an array."""
        raise NotImplementedError

    def swap(self, give: list[np.ndarray], take: list[np.ndarray]) -> None:
        """Send give[r] to worker r, and write into take[r] what it sends here, for all at once."""
        take[0][...] = give[0]

    def start_sum(self, array: np.ndarray) -> Callable[[], bool]:
        """Begin to make this array the sum of all workers'. Returns a function that says whether it
        is there, and moves it on. Sums have a channel of their own, so that a thread can wait for
        them meanwhile; they are begun in the same order everywhere."""
        raise NotImplementedError

    def barrier(self) -> None:
        """Wait until all have come here."""

    def abort(self, status: int) -> None:
        """End all workers at once."""
        raise SystemExit(status)

    def share(self, value: Any) -> list[Any]:
        """What the workers have to say, by rank: anything that JSON can hold."""
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        return [json.loads(one.tobytes()) for one in self.gather(text)]

    def tell(self, value: Any) -> Any:
        """What worker 0 has to say."""
        return self.share(value if self.rank == 0 else None)[0]

    def take_cores(self) -> None:
        """Keep to this worker's part of the machine's cores, unless the launcher has given each its
        own; where there are fewer cores than workers, some share one."""
        if self.size == 1 or not hasattr(os, "sched_setaffinity"):
            return
        cores = sorted(os.sched_getaffinity(0))
        told = self.share((self.host, cores))  # by all, also by who has a machine to itself
        if all(theirs == cores for host, theirs in told if host == self.host):
            ends = [len(cores) * i // self.local_size for i in range(self.local_size + 1)]
            mine = cores[ends[self.local_rank] : ends[self.local_rank + 1]]
            os.sched_setaffinity(0, mine or {cores[self.local_rank % len(cores)]})

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """A block that worker 0 enters first, then one worker of every machine, then the others:
        what the first has put on the disk, the others find there."""
        turn = 0 if self.rank == 0 else 1 if self.local_rank == 0 else 2
        for _ in range(turn):
            self.barrier()
        yield
        for _ in range(2 - turn):
            self.barrier()

    @contextlib.contextmanager
    def together(self) -> Iterator["World"]:
        """A block that ends for all where it fails for one, with what is wrong and with whom. Only
        worker 0 prints anything else. Gives this world."""
        if self.size == 1:
            yield self
            return
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            try:
                with contextlib.redirect_stdout(nowhere if self.rank else sys.stdout):
                    yield self
                self.barrier()  # where one ends with a status, launchers may end the others
            except SystemExit:  # of --help, which is all that there is to say
                raise
            except BaseException as error:
                self._give_up(error)

    def _give_up(self, error: BaseException):
        if self.rank:
            time.sleep(launched.GRACE)

        def again():
            raise error

        print(f"worker {self.rank} on {self.host}:", file=sys.stderr)
        self.abort(cli.run(again))


def timed_sum(world: World, size: int, repeats: int = 10) -> float:
    """The seconds that a sum of arrays of so many bytes takes: the least of some."""
    array, taken = np.zeros(max(1, size // 4), np.float32), []
    for _ in range(repeats):
        world.barrier()
        start = time.perf_counter()
        is_there = world.start_sum(array)
        while not is_there():
            pass
        taken.append(time.perf_counter() - start)
    return max(float(least[0]) for least in world.gather(np.array([min(taken)])))


def find() -> World:
    """The world that this process is in. UserError where it was launched as one of several, but
    cannot find the others."""
    processes = launched.processes()
    if processes == 1 and "mpi4py.MPI" not in sys.modules:
        return World()
    try:
        from tinyalex.world.mpi import MpiWorld  # MPI starts when it is imported
    except (ImportError, RuntimeError) as error:
        raise UserError(f"launched as one of {processes} processes, which find each other through "
                        f"mpi4py, and that does not work here ({str(error).splitlines()[0]})",
                        "pip install 'tinyalex[mpi]', or start a single process.") from None
    if MpiWorld.workers() > 1:
        return MpiWorld()
    if processes > 1:
        raise UserError(f"launched as one of {processes} processes, but mpi4py finds only this "
                        "one: it belongs to another MPI than the launcher", "use the mpiexec of "
                        "that MPI, or install mpi4py for this one.")
    return World()
