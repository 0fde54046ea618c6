"""The rows of a step, and how much there is to do in each: arithmetic and bytes."""

from collections import Counter
from math import prod

from tinyalex.inside import costs
from tinyalex.layers import Layer
from tinyalex.network import Network

FORWARD, BACKWARD = PASSES = ("forward", "backward")
EXCHANGES, LOSS, UPDATE = "exchanges", "loss", "update (SGD)"
REST, STEP = "waiting, handing over", "step"
Part = tuple[str, str]  # (row, pass)


def row(network: Network, name: str) -> str:
    """ "conv1" of "conv1a" and "conv1b"."""
    return name[:-1] if network.towers > 1 else name


def rows(network: Network) -> list[str]:
    """The layers of one tower in order, what a step does besides, and the step as a whole."""
    layers = [row(network, layer.name) for stage in network.stages for layer in stage[0]]
    return [*layers, EXCHANGES, LOSS, UPDATE, REST, STEP]


def operations(network: Network, batch_size: int) -> Counter[Part]:
    """Floating point operations by row and pass, of all towers: 2 for each multiplication with a
    weight and the addition after it. Backward makes the products for dW and for dx, as large as
    that of forward each; a layer that hands back no dx, as the first, only the one."""
    counts: Counter[Part] = Counter()
    for layer, (shape, _) in network.shapes.items():
        forward = 2 * layer.multiply_adds(shape) * batch_size
        for name in (row(network, layer.name), STEP):
            counts[name, FORWARD] += forward
            counts[name, BACKWARD] += forward * (1 + _hands_back(layer))
    return +counts


def least_bytes(network: Network, batch_size: int) -> Counter[Part]:
    """Bytes by row and pass that must be moved at least: every array that a layer reads or writes,
    once. Columns are not among them: they are how we compute, not what."""
    counts: Counter[Part] = Counter()
    for layer, (shape, out) in network.shapes.items():
        x, y = (4 * prod(maps) * batch_size for maps in (shape, out))
        weights, kept = 4 * costs.parameters(layer), layer.extra_bytes(shape, 4) * batch_size
        if x == y and not layer.params and not layer.keeps and not kept:
            continue  # a Flatten moves nothing
        read_again = x * ("x" in layer.keeps) + y * ("y" in layer.keeps) + kept
        for name in (row(network, layer.name), STEP):
            counts[name, FORWARD] += x + y + weights + kept
            counts[name, BACKWARD] += y + x * _hands_back(layer) + read_again + 2 * weights
    update = 5 * 4 * costs.totals(network)["parameters"]  # reads w, v and g, writes w and v
    counts[UPDATE, BACKWARD] += update
    counts[STEP, BACKWARD] += update
    return counts


def _hands_back(layer: Layer) -> bool:
    """Whether the layer makes a dx."""
    return getattr(layer, "input_gradient", True)
