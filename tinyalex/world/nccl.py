"""Sums of arrays that lie on GPUs, made by NVIDIA's NCCL from GPU to GPU, past the host.

MPI has started the workers, and tells them the name by which NCCL's communicators find each other.
NCCL is imported where it is used: a machine without it, or without a GPU, goes on without.
"""

import os
import warnings
from typing import Any

from tinyalex.support.errors import UserError
from tinyalex.world import World


def hindrance(world: World, gpus: list[Any]) -> str:
    """Why NCCL cannot sum between these workers; "" where it can. All are told the same.

    gpus: this worker's, as CuPy's devices, one for each tower; none where it computes on CPUs.
    """
    workers = world.share([_problem(gpus), world.host, [gpu.pci_bus_id for gpu in gpus]])
    if problems := [problem for problem, _, _ in workers if problem]:
        return problems[0]
    if len({tuple(map(towers.index, towers)) for _, _, towers in workers}) > 1:
        return "the workers' towers do not lie on GPUs in the same way"
    taken = [(host, place) for _, host, towers in workers for place in {*towers}]
    if len({*taken}) < len(taken):
        return "NCCL wants a GPU for each worker, and some share one"
    return ""


def _problem(gpus: list[Any]) -> str:
    if not gpus:
        return "gradients of CPUs are on the host anyway"
    if os.environ.get("TINYALEX_NCCL") == "0":
        return "TINYALEX_NCCL is 0"
    return "" if _nccl() else "CuPy finds no NCCL"


def _nccl() -> Any:
    """CuPy's NCCL; None where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says how to install it, which `hindrance` says
            from cupy.cuda import nccl
    except ImportError:
        return None
    return nccl if nccl.available else None


class Link:
    """What joins a GPU of this worker with those that the others have in its place.

    world: the workers, who make their links in the same order. cupy, gpu: CuPy, and its device.
    `stream` is the link's own, so that the GPU computes while a sum is on its way. UserError where
    NCCL does not get it going.
    """

    def __init__(self, world: World, cupy: Any, gpu: Any):
        self.cupy, self.gpu, self.nccl = cupy, gpu, _nccl()
        try:
            name = world.tell([*self.nccl.get_unique_id()] if world.rank == 0 else None)
            with gpu:
                self.stream = cupy.cuda.Stream(non_blocking=True)
                self.workers = self.nccl.NcclCommunicator(world.size, tuple(name), world.rank)
        except self.nccl.NcclError as error:
            raise UserError(f"NCCL does not join the workers' GPUs ({error})", "NCCL_DEBUG=INFO "
                            "shows why; TINYALEX_NCCL=0 sums over MPI instead.") from error

    def start_sum(self, array: Any, ready: Any) -> Any:
        """Begin to make this array, float32, the sum of all workers', once the event `ready` has
        come; returns the event after which it is. Nothing waits here, and all workers begin their
        sums in the same order."""
        with self.gpu:
            self.stream.wait_event(ready)
            self.workers.allReduce(array.data.ptr, array.data.ptr, array.size,
                                   self.nccl.NCCL_FLOAT32, self.nccl.NCCL_SUM, self.stream.ptr)
            return self.stream.record()
