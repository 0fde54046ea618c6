"""Where the time of a step goes, layer by layer, and how much work is done in it.

Towers on different devices run side by side, those on one device one after the other. So the time
of a layer, say conv1, is what its towers took together, divided by the number of devices: that is
the mean over the devices of the time each spent on it. It is not yet all of the step: where one
device is slower the other waits for it at the next exchange, and work has to be handed over. What
is left over when layers, exchanges, loss and update are taken away is the row `REST`, so that the
rows always add up to the step.
"""

from tinyalex.bench.floor import Floor
from tinyalex.bench.timing import Clock, Round
from tinyalex.bench.workload import Workload
from tinyalex.layers import Layer
from tinyalex.network import Network

FORWARD, BACKWARD = PASSES = ("forward", "backward")
EXCHANGES, LOSS, UPDATE = "exchanges", "loss", "update (SGD)"
REST = "waiting, handing over"
Part = tuple[str, str]  # (row, pass)


def watch(clock: Clock, workload: Workload, floor: Floor):
    """Note the times of all layers and of what stands between them, and those of the floor."""
    network = workload.network
    for one, what in ((network, "network"), (floor, "floor")):
        for stage in one.stages:
            for tower in stage:
                for layer in tower:
                    _both(clock, layer, what, layer.name)
    for exchange in network.exchanges:
        _both(clock, exchange, EXCHANGES, exchange.name)
    _both(clock, network.loss, LOSS)
    _both(clock, floor, "all")
    clock.watch(network, "forward", ("all", FORWARD))
    clock.watch(workload.optimiser, "step", (UPDATE, BACKWARD))


def _both(clock, thing, *key):
    for each in PASSES:
        clock.watch(thing, each, (*key, each))


def base(network: Network, name: str) -> str:
    """ "conv1" of "conv1a" and "conv1b"."""
    return name.removesuffix(name[-1]) if network.towers > 1 else name


def breakdown(network: Network, measured: Round, what: str) -> dict[Part, float]:
    """Seconds by row and pass of one round of `what` ("training" or "inference"), in the order of
    the network; they add up to the round's time. Update and the loss's own backward are counted as
    backward: forward is the way to the loss, backward the way from there to new weights."""
    inside = {key[1:]: spent for key, spent in measured.items() if key[0] == what and len(key) > 1}
    parts = dict.fromkeys(((row, each) for row in names(network) for each in PASSES), 0.0)
    for (kind, *rest), spent in inside.items():
        each = rest[-1]
        if kind == "network":
            parts[base(network, rest[0]), each] += spent / len(set(network.devices))
        elif kind in (EXCHANGES, LOSS, UPDATE):
            parts[kind, each] += spent
    forward = inside["all", FORWARD] + parts[LOSS, FORWARD]
    for each, whole in zip(PASSES, (forward, measured[what,] - forward), strict=True):
        parts[REST, each] = whole - sum(parts[row, of] for row, of in parts if of == each)
    return parts


def floors(network: Network, measured: Round) -> dict[Part, float]:
    """Seconds by layer and pass that the products alone took in this round."""
    parts: dict[Part, float] = {}
    for key, spent in measured.items():
        if key[:2] == ("floor", "floor"):
            part = base(network, key[2]), key[3]
            parts[part] = parts.get(part, 0.0) + spent / len(set(network.devices))
    return parts


def names(network: Network) -> list[str]:
    """The rows: the layers of one tower in order, and what a step does besides."""
    layers = [base(network, layer.name) for stage in network.stages for layer in stage[0]]
    return [*layers, EXCHANGES, LOSS, UPDATE, REST]


def operations(network: Network, batch_size: int) -> dict[Part, int]:
    """Floating point operations by layer and pass, of all towers: 2 for each multiplication with a
    weight and the addition after it. Backward makes the products for dW and for dx, as large as
    that of forward each; a layer that hands back no dx, as the first, only the one."""
    counts: dict[Part, int] = {}
    for layer, (shape, _) in network.shapes.items():
        forward = 2 * layer.multiply_adds(shape) * batch_size
        for each, times in zip(PASSES, (1, products_backward(layer)), strict=True):
            part = base(network, layer.name), each
            counts[part] = counts.get(part, 0) + times * forward
    return counts


def products_backward(layer: Layer) -> int:
    return 2 if getattr(layer, "input_gradient", True) else 1
