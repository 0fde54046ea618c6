"""From a placement, such as "cpu,cpu", to devices."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import permutations

from tinyalex.devices import cuda
from tinyalex.devices.base import Device
from tinyalex.devices.blas import one_blas_thread
from tinyalex.devices.cpu import CpuDevice, available_cores
from tinyalex.support.errors import UserError
from tinyalex.support.text import plural


class Devices:
    """The devices of one placement: a list of them that is closed at the end of a `with` block.

    While it is open BLAS keeps to one thread a call, see `one_blas_thread`. With TINYALEX_STEP=1 in
    the environment CPU devices work in the calling thread alone, all towers one after the other, so
    that a debugger steps into each; the results are the same.

    pieces: of how many cores CPU devices share out work as if they had them, see `CpuDevice`: as
    many as they have, if not given. worker: which of how many processes of this machine that train
    together this one is.
    """

    def __init__(self, placement: str = "auto", towers: int = 2, pieces: int | None = None,
                 worker: tuple[int, int] = (0, 1)):
        names = parse_placement(placement, towers, worker)
        self.all: Sequence[Device] = (_cpus(len(names), pieces) if names[0] == "cpu"
                                      else _gpus(names))
        self._limit = ExitStack()
        self._limit.enter_context(one_blas_thread())

    def __iter__(self) -> Iterator[Device]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, i: int) -> Device:
        return self.all[i]

    def __enter__(self) -> "Devices":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for device in self.all:
            device.close()
        self._limit.close()


def _cpus(count: int, pieces: int | None) -> list[CpuDevice]:
    threads = os.environ.get("TINYALEX_STEP") != "1"
    cores = max(1, available_cores() // count)
    return [CpuDevice(f"cpu{i}", pieces or cores, own_thread=threads and count > 1,
                      helpers=cores - 1 if threads else 0)
            for i in range(count)]


def _gpus(names: list[str]) -> list[cuda.CudaDevice]:
    """Between GPUs whose copies do not arrive these go through the host: on some machines they are
    damaged, without an error."""
    same = len(set(names)) < len(names)
    gpus = [cuda.CudaDevice(int(name.removeprefix("cuda:")), name + f" ({'abcd'[i]})" * same)
            for i, name in enumerate(names)]
    for source, target in permutations(gpus, 2):
        if source.index != target.index and not cuda.copies_arrive(source, target):
            target.through_host.add(source)
    return gpus


def parse_placement(placement: str, towers: int = 2, worker: tuple[int, int] = (0, 1),
                    ) -> list[str]:
    """ "cpu,cpu" -> ["cpu", "cpu"]. "auto" is a GPU for each tower, or one GPU, or, where there is
    none, a CPU device for each tower if there are as many cores, else "cpu". worker: number 0, 1, …
    of so many on this machine, who take the next GPUs each.

    Raises UserError for a name that is not known, and for a device that is not there.
    """
    if placement == "auto":
        if gpus := cuda.find().gpus:
            rank, size = worker
            mine = min(towers, max(1, len(gpus) // size))
            return [f"cuda:{gpus[(rank * mine + i) % len(gpus)].index}" for i in range(mine)]
        return ["cpu"] * min(towers, available_cores())
    names = [name.strip() for name in placement.split(",")]
    for name in names:
        if name != "cpu" and not re.fullmatch("cuda:[0-9]{1,4}", name):
            raise UserError(
                f"--devices {placement}: there is no device {name!r}",
                "name one device or more, joined by commas: cpu or cuda:0, cpu,cpu or "
                "cuda:0,cuda:1; or auto.")
    if len(names) > max(2, towers):
        raise UserError(
            f"--devices {placement}: that is {len(names)} devices, but the network has "
            f"{plural(towers, 'tower')}",
            f"name {max(2, towers)} devices at most.")
    if "cpu" in names and set(names) != {"cpu"}:
        raise UserError(f"--devices {placement}: a CPU and a GPU cannot share a network",
                        "name devices of one kind.")
    if names[0] != "cpu":
        _expect_gpus(placement, names)
    return names


def _expect_gpus(placement: str, names: list[str]):
    machine = cuda.find()
    if machine.problem:
        raise UserError(f"--devices {placement}: {machine.problem}", machine.hint)
    there = [f"cuda:{gpu.index}" for gpu in machine.gpus]
    for name in names:
        if name not in there:
            raise UserError(f"--devices {placement}: there is no {name} here",
                            f"there is {', '.join(there)}.")
