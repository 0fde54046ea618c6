"""What was working when, on which device, in one step, and where the time of the step goes.

On a GPU the host has long moved on when a layer is computed. So events are put into its stream,
which note when the GPU gets there, and are read when the step is over. Each device counts from its
own event at the start of the step, at which all devices are idle: clocks of two GPUs cannot be
compared, but those events are only some microseconds apart.

Towers on different devices run side by side, those on one device one after the other. So the time
of a layer, say conv1, is what its towers took together, divided by the number of devices: that is
the mean over the devices of the time each spent on it. It is not yet all of the step: where one
device is slower the other waits for it at the next exchange, and work has to be handed over. What
is left over when layers, exchanges, loss and update are taken away is the row `REST`, so that the
rows always add up to the step.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from unittest.mock import patch

from tinyalex.bench import work
from tinyalex.bench.floor import Floor
from tinyalex.bench.timing import warm_up
from tinyalex.bench.work import BACKWARD, FORWARD, PASSES, STEP, Part, row, rows
from tinyalex.bench.workload import Workload
from tinyalex.devices import Device
from tinyalex.devices.cuda import CudaDevice
from tinyalex.network import Network
from tinyalex.support.progress import progress
from tinyalex.world import World

COPIES = "copies"  # they happen inside exchanges: no row
SUMS = "sums of workers"  # they go on beside the layers: no row


@dataclass(frozen=True)
class Span:
    """device: its index. name: of the layer, as "conv1a", or what else it was. part: "forward",
    "backward". start, end: seconds from the beginning of the step."""

    device: int
    name: str
    part: str
    start: float
    end: float


class Watch:
    """Notes spans while `call` runs. Nothing in the network changes: methods of its objects are
    wrapped from outside, until `stop`."""

    def __init__(self, call: Callable[[], object], devices: Sequence[Device]):
        self.call, self.devices = call, list(dict.fromkeys(devices))
        self._notes: list[tuple] = []
        self._wrapped = ExitStack()
        self.stop = self._wrapped.close

    def add(self, thing: object, method: str, name: str, part: str,
            devices: Sequence[Device] = ()):
        """From now on note each call of thing.method, which keeps these devices (or all) busy."""
        inner, busy = getattr(thing, method), devices or self.devices

        def noted(*args, **kwargs):
            starts = [_mark(device) for device in busy]
            result = inner(*args, **kwargs)
            self._notes.extend((device, name, part, start, _mark(device))
                               for device, start in zip(busy, starts, strict=True))
            return result

        self._wrapped.enter_context(patch.object(thing, method, noted))

    def add_layers(self, stages: list):
        """Both passes of each layer, or of what stands in its place."""
        for layer in (layer for stage in stages for tower in stage for layer in tower):
            for part in PASSES:
                self.add(layer, part, layer.name, part, [layer.device])

    def add_sums(self, world: World):
        """The sums that workers make, from their start until they are found to be there."""
        start_sum = world.start_sum

        def noted(array):
            start, is_there = perf_counter(), start_sum(array)

            def noted_when_there() -> bool:
                if there := is_there():
                    self._notes.append((self.devices[0], SUMS, "", start, perf_counter()))
                return there

            return noted_when_there

        self._wrapped.enter_context(patch.object(world, "start_sum", noted))

    def step(self) -> list[Span]:
        """Call it once. Returns its spans."""
        for device in self.devices:
            device.synchronize()
        self._notes.clear()
        zero = {device: _mark(device) for device in self.devices}
        self.call()
        for device in self.devices:
            device.synchronize()
        return [Span(self.devices.index(device), name, part,
                     _between(device, zero[device], start), _between(device, zero[device], end))
                for device, name, part, start, end in self._notes]


def _mark(device: Device):
    """This moment, in the order of what the device was given."""
    if not isinstance(device, CudaDevice):
        return perf_counter()
    with device.gpu:
        return device.stream.record(device.xp.cuda.Event())


def _between(device: Device, start, end) -> float:
    """Seconds from one mark of a device to another, both of which are over."""
    if not isinstance(device, CudaDevice):
        return end - start
    return device.xp.cuda.get_elapsed_time(start, end) / 1000


def watch_step(workload: Workload) -> Watch:
    """Of a training step: layers, exchanges and the copies in them, loss, update."""
    network = workload.network
    watch = Watch(workload.train, workload.devices)
    watch.add_layers(network.stages)
    for part in PASSES:
        watch.add(network.loss, part, work.LOSS, part, devices=[network.loss.device])
        for exchange in network.exchanges:
            watch.add(exchange, part, work.EXCHANGES, part)
    for device in workload.devices:
        watch.add(device, "receive", COPIES, "", devices=[device])
    watch.add(workload.optimiser, "step", work.UPDATE, BACKWARD)
    return watch


def watch_floor(floor: Floor) -> Watch:
    """Of the products of a training step: layers, and each pass as a whole."""
    watch = Watch(floor.train, floor.network.devices)
    watch.add_layers(floor.stages)
    for part in PASSES:
        watch.add(floor, part, STEP, part)
    return watch


def watched_steps(watches: dict[str, Watch], rounds: int) -> dict[str, list[list[Span]]]:
    """The spans of steps, some in each round, after two that warm up. Ends the watches."""
    steps: dict[str, list[list[Span]]] = {name: [] for name in watches}
    calls = {name: warm_up(watch.step) for name, watch in watches.items()}
    for _ in progress(range(rounds), "layer by layer", unit="round"):
        for name, watch in watches.items():
            steps[name] += [watch.step() for _ in range(calls[name])]
    for watch in watches.values():
        watch.stop()
    return steps


def seconds_by_row(network: Network, spans: list[Span]) -> dict[Part, float]:
    """The mean over the devices of the time that each spent on a row, by row and pass."""
    row_of = {layer.name: row(network, layer.name) for layer in network.shapes}
    devices = 1 + max(span.device for span in spans)
    spent: dict[Part, float] = defaultdict(float)
    for span in spans:
        if span.name != COPIES:
            spent[row_of.get(span.name, span.name), span.part] += (span.end - span.start) / devices
    return spent


def breakdown(network: Network, spans: list[Span]) -> dict[Part, float]:
    """Seconds of one training step by row and pass, in the order of the network; they add up to
    `STEP`. Update and the loss's own backward are counted as backward: forward is the way to the
    loss, backward the way from there to new weights."""
    spent = seconds_by_row(network, spans)
    parts = {(row, part): spent[row, part] for row in rows(network) for part in PASSES}
    turn = max(span.end for span in spans if (span.name, span.part) == (work.LOSS, FORWARD))
    for part, whole in zip(PASSES, (turn, length(spans) - turn), strict=True):
        parts[work.REST, part] = whole - sum(parts[row, part] for row in rows(network))
        parts[STEP, part] = whole
    return parts


def length(spans: list[Span]) -> float:
    """Seconds from the beginning of a step until the last device is done."""
    return max(span.end for span in spans)


def typical(steps: list[list[Span]]) -> list[Span]:
    """The step of median length: an average would blur who waits for whom."""
    return sorted(steps, key=length)[len(steps) // 2]
