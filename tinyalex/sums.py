"""Sums of all workers' gradients, made while backward goes on:

    with sums:
        ...                                    # forward
        network.backward(dscores, watch=sums.add)

Behind the block the gradients of the network are the sums.

fc6 to fc8 have 96 % of the paper's parameters and are done first, so they are on their way while
the layers below compute theirs. Gradients travel in buckets of some megabytes, which are filled in
backward's order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import Any

import numpy as np

from tinyalex.devices.base import Array, Result
from tinyalex.devices.cuda import CudaDevice
from tinyalex.layers import Layer
from tinyalex.network import Network, Parameter
from tinyalex.world import World
from tinyalex.world.nccl import Link, hindrance

BUCKET = 16 << 20  # bytes that are sent at a time
PAUSE = 0.0005  # seconds between two looks at what is on its way


def choose(network: Network, world: World, bucket: int = BUCKET) -> "Sums":
    """The sums for this network: from GPU to GPU where that works, else on the host. All workers
    call it. bucket: bytes."""
    gpus = [device.gpu for device in network.devices if isinstance(device, CudaDevice)]
    why = hindrance(world, gpus)
    return HostSums(network, world, bucket, why) if why else GpuSums(network, world, bucket)


class Bucket:
    """Parameters whose gradients are summed as one array. missing: how many of these are still to
    come."""

    def __init__(self, parameters: list[Parameter], buffer: Array):
        self.parameters, self.buffer, self.missing = parameters, buffer, len(parameters)

    def views(self) -> Iterator[tuple[Parameter, Array]]:
        """Each parameter, and the part of the buffer that is its gradient."""
        rest = self.buffer
        for p in self.parameters:
            yield p, rest[: p.value.size].reshape(p.value.shape)
            rest = rest[p.value.size :]

    def hand_out(self):
        """Write the buffer, on the host, over the gradients."""
        for p, total in self.views():
            p.layer.device.put_into(p.grad, total)


class Sums:
    """See above. The order of the buckets is the same for all workers, whichever device was faster.

    about: by which way, for the user. waited: the seconds that this worker waited for the others,
    as far as they have become known since the block before.
    """

    def __init__(self, buckets: list[Bucket], about: str):
        self.buckets, self.about, self.waited = buckets, about, 0.0
        self.of: dict[Layer, list[tuple[Parameter, Bucket]]] = {}
        for bucket in buckets:
            for p in bucket.parameters:
                self.of.setdefault(p.layer, []).append((p, bucket))

    def __enter__(self) -> "Sums":
        for bucket in self.buckets:
            bucket.missing = len(bucket.parameters)
        return self

    def add(self, layer: Layer) -> None:
        """Backward is done with this layer. Called on the thread of its device."""
        raise NotImplementedError

    def __exit__(self, kind, *_) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """End what works in the background."""


class HostSums(Sums):
    """On the host, over MPI.

    A thread of its own begins the sums, and asks MPI to go on with them: left alone, MPI would only
    do so when they are waited for. Between two looks the thread sleeps, so that backward has the
    core.
    """

    def __init__(self, network: Network, world: World, bucket: int = BUCKET, why: str = ""):
        groups = grouped(as_backward(network), bucket)
        super().__init__([Bucket(group, np.empty(_size(group), group[0].value.dtype))
                          for group in groups],
                         "MPI" + f" ({why})" * (network.devices[0].xp is not np))
        self.world, self.failed = world, False  # whether the step has
        self.complete = {bucket: threading.Event() for bucket in self.buckets}
        self.coming: dict[str, Result] = {}  # gradients on their way to the host
        self.lock = threading.Lock()
        self.thread = ThreadPoolExecutor(1, "sums")

    def __enter__(self) -> "Sums":
        self.failed = False
        self.coming.clear()
        for event in self.complete.values():
            event.clear()
        self.summing = self.thread.submit(self._sum)
        return super().__enter__()

    def add(self, layer: Layer):
        for p, bucket in self.of.get(layer, ()):
            self.coming[p.name] = layer.device.fetch(p.grad)
            with self.lock:  # of two towers' devices
                bucket.missing -= 1
            if not bucket.missing:
                self.complete[bucket].set()

    def __exit__(self, kind, *_):
        self.failed = kind is not None
        for event in self.complete.values():  # also where this worker had no pictures
            event.set()
        start = time.perf_counter()
        self.summing.result()
        self.waited = time.perf_counter() - start
        for bucket in self.buckets if not self.failed else ():
            bucket.hand_out()

    def _sum(self):
        running: list[Callable[[], bool]] = []  # of each sum, what says whether it is there
        for bucket in self.buckets:
            while not self.complete[bucket].wait(PAUSE if running else None):
                running = [is_there for is_there in running if not is_there()]
            if self.failed:
                return
            self._fill(bucket)
            running.append(self.world.start_sum(bucket.buffer))
        while running := [is_there for is_there in running if not is_there()]:
            time.sleep(PAUSE)

    def _fill(self, bucket: Bucket):
        np.concatenate([self.coming.pop(p.name).result().reshape(-1) if p.name in self.coming
                        else _flat(p) for p in bucket.parameters], out=bucket.buffer)

    def close(self):
        self.thread.shutdown()


class GpuSums(Sums):
    """From GPU to GPU, through NCCL. Buckets stay where the gradients are made.

    Everything is handed to the GPU as soon as backward's work on the bucket is, and the host waits
    for nothing. Events keep the order: • is one, and ◦ waits for it.

        the device's stream    fc7 backward | into the bucket •| fc6 backward | … ◦| update
        the link's stream                                    ◦| sum … •|

    Each GPU has a link to those in its place, so that towers are summed side by side.
    """

    def __init__(self, network: Network, world: World, bucket: int = BUCKET):
        self.cuda: Any = network.devices[0].xp.cuda
        self.links: dict[int, Link] = {}
        buckets, place = [], {p.name: i for i, p in enumerate(as_backward(network))}
        for device in dict.fromkeys(network.devices):
            assert isinstance(device, CudaDevice)
            if device.index not in self.links:
                self.links[device.index] = Link(world, device.xp, device.gpu)
            mine = (p for p in as_backward(network) if p.layer.device is device)
            buckets += [Bucket(group, device.empty((_size(group),), np.float32))
                        for group in grouped(mine, bucket)]
        buckets.sort(key=lambda bucket: place[bucket.parameters[-1].name])
        super().__init__(buckets, "NCCL")
        self.waiting: deque[Bucket] = deque()  # those whose sums have not begun
        self.summed: dict[CudaDevice, Any] = {}  # the event after which all of its sums are there
        self.waits: deque[list[tuple]] = deque()  # of each step, from which event until which

    def __enter__(self) -> "Sums":
        self.waiting = deque(self.buckets)
        return super().__enter__()

    def add(self, layer: Layer):
        for _, bucket in self.of.get(layer, ()):
            bucket.missing -= 1
        while self.waiting and not self.waiting[0].missing:
            self._start(self.waiting.popleft())

    def _start(self, bucket: Bucket):
        device: Any = bucket.parameters[0].layer.device
        with device.here():
            for p, total in bucket.views():
                total[...] = p.grad
                p.layer.grads[p.key] = total  # the other is memory for the layers below
            ready = device.stream.record()
        self.summed[device] = self.links[device.index].start_sum(bucket.buffer, ready)

    def __exit__(self, kind, *_):
        if kind:
            return
        for bucket in self.waiting:  # of a worker that had no pictures
            self._start(bucket)
        waits = []
        for device, summed in self.summed.items():
            with device.here():
                waits.append((device.stream.record(), summed))
                device.stream.wait_event(summed)
        self.waits.append(waits)
        self._count()

    def _count(self):
        """Add up how long GPUs waited, in the steps that they have done: the host is ahead."""
        self.waited = 0.0
        while self.waits and all(event.done for pair in self.waits[0] for event in pair):
            waits = (self.cuda.get_elapsed_time(*pair) / 1000 for pair in self.waits.popleft())
            self.waited += max([0.0, *waits])


def as_backward(network: Network) -> Iterator[Parameter]:
    """The parameters that learn, in the order in which backward is done with them, the towers'
    layers side by side."""
    learning = {(p.layer, p.key): p for p in network.learning}
    for stage in reversed(network.stages):
        for layers in zip_longest(*map(reversed, stage)):
            for layer in filter(None, layers):
                for key in layer.params:
                    if (layer, key) in learning:
                        yield learning[layer, key]


def grouped(parameters: Iterator[Parameter], most: int) -> Iterator[list[Parameter]]:
    """Neighbours, together until they have so many bytes."""
    group: list[Parameter] = []
    for p in parameters:
        group.append(p)
        if sum(each.value.nbytes for each in group) >= most:
            yield group
            group = []
    if group:
        yield group


def _size(parameters: list[Parameter]) -> int:
    return sum(p.value.size for p in parameters)


def flat(network: Network) -> np.ndarray:
    """All gradients in a row, on the host."""
    return np.concatenate([np.empty(0, np.float32), *map(_flat, network.learning)])


def _flat(p: Parameter) -> np.ndarray:
    return p.layer.device.get(p.grad).reshape(-1)
