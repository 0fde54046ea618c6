"""Everything to be seen of one picture inside a network, computed at once."""

from dataclasses import dataclass

import numpy as np

from tinyalex.inside.activities import Crossing, activities, crossings, named_blocks
from tinyalex.inside.backwards import RULES
from tinyalex.inside.fields import Field, Unit, receptive_field, strongest
from tinyalex.inside.saliency import grad_cam, occlusion, pixel_gradient
from tinyalex.inside.units import alike
from tinyalex.layers import Layer
from tinyalex.network import Network
from tinyalex.support.errors import UserError


@dataclass(frozen=True)
class Inspection:
    """crop: (H, W, 3) uint8, what the network reads of the picture; x: the same as it reads it.
    label: the best guess. activities, crossings: see the functions of these names. unit, field: a
    unit and what it sees. covered, gradient: see `occlusion` (with squares of `square` pixels) and
    `pixel_gradient`, which gives `reconstructed` too, by each of the RULES. cam: see `grad_cam`."""

    network: Network
    crop: np.ndarray
    x: np.ndarray
    label: int
    activities: dict[Layer, np.ndarray]
    crossings: list[Crossing]
    unit: Unit
    field: Field
    covered: np.ndarray
    square: int
    reconstructed: dict[str, np.ndarray]
    cam: np.ndarray

    @property
    def gradient(self) -> np.ndarray:
        return self.reconstructed["gradient"]


def inspect(network: Network, crop: np.ndarray, x: np.ndarray, label: int,
            unit_name: str | None = None, batch_size: int = 64) -> Inspection:
    """Look at a picture, which the network reads as x (1, H, W, C). unit_name: see `choose_unit`;
    batch_size: of the pictures with a part covered."""
    seen = activities(network, x)
    unit = choose_unit(network, seen, unit_name)
    square = max(2, len(crop) // 6)
    covered = occlusion(network, x, label, square, max(1, square // 4), batch_size)
    return Inspection(network, crop, x[0], label, seen, crossings(network, seen), unit,
                      receptive_field(network, unit), covered, square,
                      {rule: pixel_gradient(network, x, label, rule) for rule in RULES},
                      grad_cam(network, x, label))


def choose_unit(network: Network, seen: dict[Layer, np.ndarray], name: str | None) -> Unit:
    """The unit called LAYER:MAP (where it is strongest) or LAYER:MAP:ROW:COLUMN; UserError where
    there is none. Without a name: the strongest of the last layer whose units see at most half of
    the picture's width; of the first layer if all see more."""
    maps = {block: layer for block, layer in named_blocks(network).items() if seen[layer].ndim == 3}
    if name is None:
        return _strongest_narrow(network, seen, list(maps.values()))
    block, *numbers = name.split(":")
    if block not in maps:
        raise UserError(f"--unit {name}: no layer of maps is called {block!r}",
                        alike(name, maps) or f"choose one of {', '.join(maps)}.")
    layer = maps[block]
    H, W, F = seen[layer].shape
    try:
        f, *place = (int(number) for number in numbers)
        if not 0 <= f < F:
            raise ValueError
        row, column = place or strongest(layer, seen[layer], f)[2:]
        if not (0 <= row < H and 0 <= column < W):
            raise ValueError
    except ValueError:
        raise UserError(f"--unit {name}: {block} has the maps 0 to {F - 1}, with rows 0 to "
                        f"{H - 1} and columns 0 to {W - 1}",
                        f"name one as {block}:MAP or {block}:MAP:ROW:COLUMN.") from None
    return Unit(layer, f, row, column)


def _strongest_narrow(network: Network, seen: dict[Layer, np.ndarray], maps: list[Layer]) -> Unit:
    widths = {layer: receptive_field(network, Unit(layer, 0, 0, 0)).width for layer in maps}
    narrow = [w for w in widths.values() if w <= network.input_shape[1] / 2]
    width = narrow[-1] if narrow else widths[maps[0]]
    units = [strongest(layer, seen[layer]) for layer in maps if widths[layer] == width]
    return max(units, key=lambda unit: seen[unit.layer][unit.row, unit.column, unit.map])
