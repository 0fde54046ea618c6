"""When what was at work on which device: of one training step, on CPUs and on GPUs.

On a GPU the host is long gone when a layer is computed. So events are put into its stream, which
note when the GPU gets there, and are read when the step is over. Each device counts from its own
event at the start of the step, at which all devices stand idle: clocks of two GPUs cannot be
compared, but those events are only some microseconds apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from tinyalex.bench import layers
from tinyalex.bench.layers import BACKWARD, EXCHANGES, FORWARD, LOSS, UPDATE
from tinyalex.bench.workload import Workload
from tinyalex.network import Network

COPIES = "copies"


@dataclass(frozen=True)
class Span:
    """device: index in the network's devices. name: of the layer, as "conv1a", or what it was.
    part: "forward", "backward". start, end: milliseconds from the beginning of the step."""

    device: int
    name: str
    part: str
    start: float
    end: float


def mark(device):
    """This moment, in the order of what the device was given."""
    if not hasattr(device, "stream"):
        return perf_counter()
    with device.gpu:
        return device.stream.record(device.xp.cuda.Event())


def milliseconds(device, start, end) -> float:
    """From one mark of a device to another, both of which are over."""
    if not hasattr(device, "stream"):
        return 1000 * (end - start)
    return device.xp.cuda.get_elapsed_time(start, end)


class Watch:
    """Notes spans while a workload's step runs. Nothing in the network changes: the methods are
    wrapped from outside, and `stop` gives them back."""

    def __init__(self, workload: Workload):
        network = workload.network
        self.devices, self._found, self._watched = list(dict.fromkeys(network.devices)), [], []
        self._part = FORWARD
        for stage in network.stages:
            for tower in stage:
                for layer in tower:
                    self._both(layer, layer.name, layer.device)
        self._both(network.loss, LOSS, network.loss.device)
        self._wrap(workload.optimiser, "_update", UPDATE, lambda args: args[0], BACKWARD)
        for device in self.devices:
            self._wrap(device, "receive", COPIES, lambda args, device=device: device, None)
        for exchange in network.exchanges:
            self._wrap(exchange, "_join", EXCHANGES, lambda args: args[1], FORWARD)
            self._wrap(exchange, "_gather", EXCHANGES,
                       lambda args, exchange=exchange: exchange.devices[args[1]], BACKWARD)

    def _both(self, thing, name, device):
        for part in (FORWARD, BACKWARD):
            self._wrap(thing, part, name, lambda args: device, part)

    def _wrap(self, thing, method: str, name: str, on: Callable, part: str | None):
        inner = getattr(thing, method)

        def noted(*args, **kwargs):
            device = on(args)
            start = mark(device)
            result = inner(*args, **kwargs)
            self._found.append((device, name, part or "", start, mark(device)))
            return result

        setattr(thing, method, noted)
        self._watched.append((thing, method))

    def step(self, work: Callable) -> list[Span]:
        """The spans of work(), and one called "all" for each device."""
        for device in self.devices:
            device.synchronize()
        self._found.clear()
        zero = {device: device.run(mark, device).result() for device in self.devices}
        work()
        ends = {device: device.run(mark, device).result() for device in self.devices}
        for device in self.devices:
            device.synchronize()
        found = [*self._found, *((d, "all", "", zero[d], ends[d]) for d in self.devices)]
        return [Span(self.devices.index(device), name, part, milliseconds(device, zero[device], a),
                     milliseconds(device, zero[device], b)) for device, name, part, a, b in found]

    def stop(self):
        """Give the objects their own methods back."""
        for thing, method in self._watched:
            delattr(thing, method)


def watched_steps(workload: Workload, rounds: int) -> list[list[Span]]:
    """The spans of so many training steps, after two that warm up."""
    watch = Watch(workload)
    try:
        return [watch.step(workload.train) for _ in range(rounds + 2)][2:]
    finally:
        watch.stop()


def table(network: Network, steps: list[list[Span]]) -> dict[tuple[str, str], float]:
    """Milliseconds by row of `layers.names` and pass: the sum over the towers of a layer, divided
    by the number of devices; the median over the steps."""
    devices = len(set(network.devices))
    sums = []
    for spans in steps:
        sums.append({})
        for span in spans:
            named = span.name not in (LOSS, UPDATE, EXCHANGES, COPIES, "all")
            row = layers.base(network, span.name) if named else span.name
            spent = (span.end - span.start) / devices
            sums[-1][row, span.part] = sums[-1].get((row, span.part), 0.0) + spent
    return {key: median(one.get(key, 0.0) for one in sums) for key in sums[0]}
