"""What a network is made of and what it takes: parameters, work, memory, and the traffic
between its devices."""

from collections.abc import Iterator

import numpy as np

from tinyalex.layers import Layer
from tinyalex.network import Network
from tinyalex.support.text import align, megabytes


def table(network: Network, batch_size: int) -> str:
    """The network as text, a line a layer: device, output, parameters, multiply-adds, memory, and
    the bytes that cross between devices for one batch, forward and backward together.

    "kept" is what stays in memory between forward and backward. What two layers keep, one as its
    output, the other as its input, is listed at both and counts once in the total.
    """
    rows = [("layer", "device", "output", "parameters", "multiply-adds", "kept", "crosses")]
    numbers = record(network, batch_size)
    for row in (*numbers["layers"], {"name": "total", "device": "", "output": (), **numbers}):
        kept, crosses = row["kept_bytes"], row["crossing_bytes"]
        rows.append((
            row["name"], row["device"], "×".join(map(str, row["output"])),
            _count(row["parameters"]), _count(row["multiply_adds"]),
            megabytes(kept) if kept else "", "" if crosses is None else megabytes(crosses)))
    return align(rows, left=3)


def record(network: Network, batch_size: int) -> dict:
    """What the table says, in numbers: the totals, and under "layers" a dictionary for each layer,
    with the shape of its output for one picture. Where nothing can cross, that is None."""
    crossing = traffic(network, batch_size)
    layers = [{"name": layer.name, "device": network.devices[t].name,
               "output": network.shapes[layer][1], "parameters": parameters(layer),
               "multiply_adds": layer.multiply_adds(network.shapes[layer][0]),
               "kept_bytes": sum(size for _, size in _kept([layer], network)) * batch_size,
               "crossing_bytes": None if t or network.towers == 1 else
               crossing.get(layer.name.removesuffix(network.letter(t)))}
              for stage in network.stages for t, tower in enumerate(stage) for layer in tower]
    return {**totals(network), "kept_bytes": kept_bytes(network, batch_size),
            "crossing_bytes": sum(crossing.values()), "layers": layers}


def parameters(layer: Layer) -> int:
    """How many numbers training changes in this layer."""
    return sum(value.size for value in layer.params.values())


def totals(network: Network) -> dict[str, int]:
    """{"parameters": …, "multiply_adds": … for one picture, forward}."""
    return {
        "parameters": sum(p.value.size for p in network.parameters),
        "multiply_adds": sum(layer.multiply_adds(shape)
                             for layer, (shape, _) in network.shapes.items()),
    }


def traffic(network: Network, batch_size: int) -> dict[str, int]:
    """Bytes that cross between devices at each exchange for one batch, there and back.

    Forward, tower t's maps go to every other device; backward, t's part of the gradient comes back
    from every reader on another device.
    """
    crossed, itemsize = {}, network.parameters[0].value.itemsize
    for exchange, stage in zip(network.exchanges, network.stages, strict=False):
        sizes = [int(np.prod(network.shapes[tower[-1]][1])) * itemsize for tower in stage]
        forward = sum(size * len({d for d in network.devices if d is not home})
                      for size, home in zip(sizes, network.devices, strict=True))
        backward = sum(size * sum(d is not home for d in network.devices)
                       for size, home in zip(sizes, network.devices, strict=True))
        crossed[exchange.name] = (forward + backward) * batch_size
    return crossed


def kept_bytes(network: Network, batch_size: int) -> int:
    """Activations that a training step has in memory between forward and backward."""
    return batch_size * sum(sum(dict(_kept(tower, network)).values())
                            for stage in network.stages for tower in stage)


def _kept(tower: list[Layer], network: Network) -> Iterator[tuple[object, int]]:
    """(which array, its bytes) for all that the layers of a tower keep, for one picture."""
    itemsize = network.parameters[0].value.itemsize
    array: object = "input"
    for layer in tower:
        shape, out = network.shapes[layer]
        if "x" in layer.keeps and not layer.still:
            yield array, int(np.prod(shape)) * itemsize
        if not layer.inplace:
            array = layer
        if "y" in layer.keeps and not layer.still:
            yield array, int(np.prod(out)) * itemsize
        if (extra := layer.extra_bytes(shape, itemsize)) and not layer.still:
            yield (layer, "extra"), extra


def training_bytes(network: Network, batch_size: int) -> int:
    """What a training step needs at its peak, by plan: parameters, gradient and velocity of those
    that learn, what forward keeps, and the two largest maps that backward holds at the same
    time."""
    held = sum(p.value.nbytes for p in [*network.parameters, *2 * network.learning])
    itemsize = network.parameters[0].value.itemsize
    largest = sum(max(int(np.prod(network.shapes[layer][1])) for layer in tower) * itemsize
                  for tower in network.stages[0])
    return held + kept_bytes(network, batch_size) + 2 * largest * batch_size


def _count(number: int) -> str:
    return f"{number:,}" if number else ""
