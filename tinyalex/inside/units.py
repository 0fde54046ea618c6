"""Units by their names, and how much they give."""

from collections.abc import Iterable, Sequence
from string import ascii_lowercase

import numpy as np

from tinyalex.freezing import up_to
from tinyalex.inside.fields import Unit
from tinyalex.layers import Layer
from tinyalex.network import Network
from tinyalex.support.errors import UserError

FORMS = "LAYER:MAP, LAYER:FIRST-LAST or class:NAME"


def units_called(network: Network, classes: Sequence[str], name: str) -> dict[str, Unit]:
    """The units that a name means, each by its own: conv3a:17 is the unit in the middle of that
    map, or a unit of a full layer; conv3a:0-8 are nine of them; class:fish is the score of a class.

    What a unit gives is what it adds up, before its ReLU. UserError for a name of nothing.
    """
    layers = {layer.name: layer for layer in network.shapes if layer.params}
    block, _, numbers = name.partition(":")
    if block == "class":
        return {name: class_unit(network, _index(classes, name, numbers))}
    if block not in layers:
        raise UserError(f"{name}: no layer with weights is called {block!r}",
                        alike(name, layers) or
                        f"name a unit as {FORMS}; the layers are {', '.join(layers)}.")
    *place, F = network.shapes[layers[block]][1]
    first, _, last = numbers.partition("-")
    try:
        begin, end = int(first), int(last or first)
        if not 0 <= begin <= end < F:
            raise ValueError
    except ValueError:
        raise UserError(f"{name}: {block} has the maps, or units, 0 to {F - 1}",
                        f"name one as {block}:0, or several as {block}:0-{min(8, F - 1)}."
                        ) from None
    row, column = (side // 2 for side in place or (0, 0))
    return {f"{block}:{f}": Unit(layers[block], f, row, column) for f in range(begin, end + 1)}


def alike(name: str, layers: Iterable[str]) -> str:
    """The hint where a unit's layer needs a tower's letter, or has one too many: the same unit of
    the layers that there are; "" where none is called nearly so."""
    block, _, numbers = name.partition(":")
    names = [f"{layer}:{numbers or 0}" for layer in layers
             if layer.rstrip(ascii_lowercase) == block.rstrip(ascii_lowercase)]
    return f"name it {' or '.join(names)}." if names else ""


def _index(classes: Sequence[str], name: str, wanted: str) -> int:
    if wanted in classes:
        return classes.index(wanted)
    if len(alike := [known for known in classes if known.startswith(f"{wanted} (")]) > 1:
        raise UserError(f"{name}: {len(alike)} classes are called that",
                        f"name one of them: {', '.join(f'class:{known}' for known in alike)}.")
    raise UserError(f"{name}: the network knows no such class",
                    f"name one of its {len(classes)}: {', '.join(classes[:12])}"
                    + (", …" if len(classes) > 12 else "."))


def class_unit(network: Network, label: int) -> Unit:
    """The unit that gives the score of a class, in the last layer of one of the towers."""
    for tower, shape in zip(network.stages[-1], network.output_shapes, strict=True):
        if label < shape[-1]:
            return Unit(tower[-1], label, 0, 0)
        label -= shape[-1]
    raise ValueError(f"{network.classes} classes are all there are")


def one_hot(network: Network, units: Sequence[Unit], dtype) -> np.ndarray:
    """dy for units of one layer: of picture n only the unit n counts. Shaped as what the network
    `up_to` their layer gives for so many pictures."""
    part = up_to(network, units[0].layer)
    dy = np.zeros((len(units), *part.output_shapes[0][:-1], part.classes), dtype)
    for n, unit in enumerate(units):
        dy[n][_place(part, unit)] = 1
    return dy


def values(network: Network, units: Sequence[Unit], x: np.ndarray) -> list[float]:
    """What units of one layer give, the unit n for the picture n of x (N, H, W, C)."""
    part = up_to(network, units[0].layer)
    y = network.devices[0].get(part.forward(x))
    return [float(y[n][_place(part, unit)]) for n, unit in enumerate(units)]


def _place(part: Network, unit: Unit) -> tuple[int, ...]:
    """Where a unit of the last layer is in what the network gives for a picture."""
    last: list[Layer] = [tower[-1] for tower in part.stages[-1]]
    before = sum(shape[-1] for shape in part.output_shapes[: last.index(unit.layer)])
    maps = len(part.output_shapes[0]) == 3
    return (*((unit.row, unit.column) if maps else ()), before + unit.map)
