"""The page of `tinyalex.look`: from what was seen inside a network to sections to be drawn."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyalex.drawing.filters import kernel_pictures
from tinyalex.drawing.page import enlarged, heat, magnified, tamed, tiled
from tinyalex.drawing.sections import Half, Maps, Section, Tile
from tinyalex.inside.activities import Crossing, blocks, named_blocks
from tinyalex.inside.colour import first_kernels
from tinyalex.inside.fields import (
    Field,
    Unit,
    cut,
    lattice,
    receptive_field,
    shown_field,
    strongest,
)
from tinyalex.inside.guesses import Guess
from tinyalex.inside.inspection import Inspection
from tinyalex.inside.patches import Excited
from tinyalex.layers import Layer
from tinyalex.network import Network

SHOWN = 8  # maps in a row of a sheet, and of each tower where there are two
SMALL, MIDDLE, LARGE, WHOLE = 66, 182, 274, 570  # pixels of a tile
FRAME = (255, 60, 60)
UNITS = 64  # of a full layer, in a row


class Exciting(NamedTuple):
    """What excites maps most among `searched` pictures. tiles: a map's, by its layer and number,
    the strongest first."""

    searched: int
    tiles: dict[tuple[Layer, int], list[Tile]]


def look_page(seen: Inspection, guesses: list[Guess], name: str,
              exciting: Exciting | None = None) -> list[Section]:
    """The page. guesses: the best ones. name: what to call the class `seen.label`. exciting: of the
    maps of `shown_maps`, for the HTML."""
    sections = [_pixels(seen, name), _rules(seen, name), _unit(seen, guesses)]
    crossings = {crossing.layer: crossing for crossing in seen.crossings}
    for block, layers in blocks(seen.network).items():
        if block in crossings:
            sections.append(_crossed(seen, crossings.pop(block)))
        maps = seen.activities[layers[0]].ndim == 3
        sections.append(_maps(seen, block, layers, exciting) if maps else
                        _units(seen, block, layers))
    return sections + [_crossed(seen, crossing) for crossing in crossings.values()]


def shown_maps(seen: Inspection) -> list[Unit]:
    """The maps that have tiles of their own on the page, each as its unit at row 0, column 0."""
    units = [Unit(layer, f, 0, 0) for layer in named_blocks(seen.network).values()
             if seen.activities[layer].ndim == 3 for f in _strongest_maps(seen, layer)]
    return [*dict.fromkeys([*units, seen.unit._replace(row=0, column=0)])]


def excited_tile(network: Network, unit: Unit, place: Excited, crop: np.ndarray, name: str) -> Tile:
    """What the unit's map sees of a picture (H, W, 3) uint8, there where it is strongest. Of the
    picture's name the page has the end: nobody need know whose folder it is in."""
    field = shown_field(network, unit._replace(row=place.row, column=place.column))
    value, end = f"{place.value:.2g}", "/".join(Path(name).parts[-3:])
    return Tile(patch(crop, field), value, field.width < SMALL,
                f"{end}: {value} at row {place.row}, column {place.column}")


def _pixels(seen: Inspection, name: str) -> Section:
    low, high = seen.covered.min(), seen.covered.max()
    size = f"{seen.crop.shape[1]}×{seen.crop.shape[0]}"
    tiles = [
        Tile(seen.crop, f"the centre of the picture, {size}"),
        Tile(_signed(seen.x), "minus the mean picture; 0 is grey"),
        Tile(_over(seen.crop, seen.covered), f"occlusion: {low:.1%} (dark) to {high:.1%}", False,
             f"how probable “{name}” stays with a place covered: {low:.1%} to {high:.1%}"),
        Tile(heat(_loudness(seen.gradient)), "size of the gradient",
             alt=f"how much each pixel moves the score of “{name}”: the lighter, the more"),
    ]
    return Section("What the network reads, and which pixels matter",
                   f"Occlusion: how probable “{name}” stays with {seen.square}×{seen.square} "
                   "pixels covered in grey. Gradient: how much its score moves with a pixel.",
                   [Half(rows=[tiles])], LARGE, layered=True)


def _rules(seen: Inspection, name: str) -> Section:
    tiles = [Tile(_signed(tamed(pixels)), rule, alt=f"what speaks for “{name}”: {rule}")
             for rule, pixels in seen.reconstructed.items()]
    cam = enlarged(seen.cam, *seen.crop.shape[:2])
    tiles.append(Tile(_over(seen.crop, cam), "Grad-CAM", False,
                      f"where the last maps see what speaks for “{name}”: the lighter, the more"))
    return Section("The same question by three rules of one backward, and by Grad-CAM",
                   f"What speaks for “{name}”. The three differ in what a ReLU hands back; 0 is "
                   "grey. Grad-CAM weighs the last maps by their mean slopes.",
                   [Half(rows=[tiles])], LARGE, layered=True)


def _signed(x: np.ndarray) -> np.ndarray:
    peak = np.abs(x).max() or 1
    return np.rint(127.5 + 127.5 * x / peak).astype(np.uint8)


def _over(crop: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values as colours, laid over the picture in grey."""
    spread = values.max() - values.min()
    coloured = heat((values - values.min()) / (spread or 1), 1.0)
    grey = crop.mean(axis=2, keepdims=True)
    return np.rint(0.4 * grey + 0.6 * coloured).astype(np.uint8)


def _loudness(gradient: np.ndarray) -> np.ndarray:
    """|gradient|, of the colour where it is largest; a few extreme pixels must not leave all the
    others dark."""
    loud = np.abs(gradient).max(axis=2)
    return np.minimum(loud, np.quantile(loud, 0.995))


def _unit(seen: Inspection, guesses: list[Guess]) -> Section:
    unit, field, y = seen.unit, seen.field, seen.activities[seen.unit.layer]
    name = next(name for name, layer in named_blocks(seen.network).items() if layer is unit.layer)
    known = _named(name, unit)
    tiles = [
        Tile(_framed(seen.crop, field), f"it sees {field.height}×{field.width} pixels", False,
             f"the picture with a frame around the pixels that {known} sees", known),
        Tile(patch(seen.crop, field), "these; grey is outside", False,
             f"the pixels that {known} sees", known),
        Tile(heat(y[..., unit.map], signed=bool((y < 0).any())), f"all of map {unit.map}",
             alt=f"map {unit.map} of {name}: the lighter, the stronger", unit=known),
    ]
    return Section(
        "What it says, and what one unit sees",
        f"The unit at row {unit.row}, column {unit.column} of map {unit.map} of {name} gives "
        f"{y[unit.row, unit.column, unit.map]:.3g} and sees rows {field.top} to "
        f"{field.bottom - 1}, columns {field.left} to {field.right - 1} of the picture.",
        [Half("the best guesses", bars=guesses), Half("the unit", [tiles])], MIDDLE)


def _named(layer: str, unit: Unit) -> str:
    """As --unit takes it."""
    return f"{layer}:{unit.map}:{unit.row}:{unit.column}"


def _framed(crop: np.ndarray, field: Field) -> np.ndarray:
    """The picture, enlarged, with a frame around the part of the field that is inside."""
    image = magnified(crop, 2 * max(crop.shape[1], MIDDLE)).copy()
    times = len(image) // len(crop)
    top, left, bottom, right = (times * max(0, edge) for edge in field)
    box = image[top:bottom, left:right]
    edge = max(1, len(image) // 60)
    inner = box[edge:-edge, edge:-edge].copy()
    box[...] = FRAME
    box[edge:-edge, edge:-edge] = inner
    return image


def patch(crop: np.ndarray, field: Field) -> np.ndarray:
    """The pixels of a field; what hangs over the edge of the picture is grey."""
    return cut(crop, field, 128)


def _crossed(seen: Inspection, crossing: Crossing) -> Section:
    letters = [seen.network.letter(t) for t in range(seen.network.towers)]
    halves = []
    for reader, shares in enumerate(crossing.shares):
        bars = [Guess(f"from tower {letters[t]}", share, t != reader)
                for t, share in enumerate(shares)]
        halves.append(Half(f"what {crossing.layer}{letters[reader]} adds up", bars=bars))
    to, other = (("the other", "the other tower") if len(letters) == 2 else
                 ("each of the others", "other towers"))
    return Section(f"Between the towers, before {crossing.layer}",
                   f"Each tower hands {crossing.numbers:,} numbers to {to}. Red: what comes "
                   f"from {other}.", halves, SMALL)


def _maps(seen: Inspection, name: str, layers: list[Layer], exciting: Exciting | None) -> Section:
    H, W, F = seen.activities[layers[0]].shape
    scale = _scale(seen, layers)
    field = receptive_field(seen.network, Unit(layers[0], 0, H // 2, W // 2))
    return Section(f"{name}: {F} maps of {H}×{W}{_each(layers)}",
                   "The strongest maps, and below each what its strongest unit sees: "
                   f"{field.height}×{field.width} pixels.",
                   [_half_of_maps(seen, name, layers, t, scale, exciting)
                    for t in range(len(layers))],
                   SMALL)


def _each(layers: list[Layer]) -> str:
    return " in each tower" if len(layers) > 1 else ""


def _scale(seen: Inspection, layers: list[Layer]) -> dict:
    """How `heat` is to colour all that these layers give, so that towers can be compared."""
    given = [np.nan_to_num(seen.activities[layer], posinf=0, neginf=0) for layer in layers]
    low, high = min(y.min() for y in given), max(y.max() for y in given)
    return {"peak": max(-low, high), "signed": low < 0}


def _half_of_maps(seen: Inspection, block: str, layers: list[Layer], tower: int,
                  scale: dict, exciting: Exciting | None) -> Half:
    network, layer = seen.network, layers[tower]
    y, name = seen.activities[layer], block + network.letter(tower)
    strength = y.max(axis=(0, 1))
    maps, patches = [], []
    for f in _strongest_maps(seen, layer):
        unit = strongest(layer, y, f)
        known = _named(name, unit)
        maps.append(Tile(
            heat(y[..., f], **scale), f"{f}: {strength[f]:.2g}", unit=known,
            alt=f"map {f} of {name}, {strength[f]:.2g} at row {unit.row}, column {unit.column}"))
        patches.append(Tile(patch(seen.crop, receptive_field(network, unit)), "", False,
                            f"the pixels that {known} sees", known))
    return Half(_half_title(seen, tower, y, "maps"), [maps, patches],
                all=Tile(sheet(y, scale), f"all {y.shape[-1]} maps",
                         alt=f"all {y.shape[-1]} maps of {name}, {SHOWN} to a row"),
                maps=Maps(name, y, scale, lattice(network, layer),
                          kernels=_kernels(network, block, tower),
                          searched=exciting.searched if exciting else 0,
                          exciting={f: tiles for (owner, f), tiles in exciting.tiles.items()
                                    if owner is layer and tiles} if exciting else {}))


def _strongest_maps(seen: Inspection, layer: Layer) -> list[int]:
    """Those of a layer that are shown, the strongest first."""
    strength = seen.activities[layer].max(axis=(0, 1))
    count = 2 * SHOWN // seen.network.towers
    return np.argsort(-strength, kind="stable")[:count].tolist()


def _kernels(network: Network, block: str, tower: int) -> np.ndarray | None:
    """Of the first layer, (F, K, K, 3) uint8; as in figure 3, faint ones stay faint."""
    kernels = [*first_kernels(network).values()]
    if block != next(iter(blocks(network))) or kernels[0].ndim != 4 or kernels[0].shape[2] != 3:
        return None
    loudest = max(np.abs(array[np.isfinite(array)]).max(initial=0) for array in kernels)
    return np.rint(255 * kernel_pictures(kernels[tower], loudest)).astype(np.uint8)


def _half_title(seen: Inspection, tower: int, y: np.ndarray, kind: str) -> str:
    """Which tower, and how many of its maps or units are not 0 everywhere."""
    active = np.count_nonzero(y.reshape(-1, y.shape[-1]).any(axis=0))
    letter = seen.network.letter(tower)
    return f"tower {letter}: " * bool(letter) + f"{active} of {y.shape[-1]} {kind} are active"


def sheet(y: np.ndarray, scale: dict, columns: int = SHOWN) -> np.ndarray:
    """All maps of y (H, W, F) as colours, beside and below each other, with white lines between."""
    maps = [heat(values, **scale) for values in np.moveaxis(y, -1, 0)]
    return tiled(maps, min(columns, len(maps)))[1:-1, 1:-1]


def _units(seen: Inspection, name: str, layers: list[Layer]) -> Section:
    scale, halves = _scale(seen, layers), []
    for t, layer in enumerate(layers):
        y = seen.activities[layer]
        rows = np.zeros((-(-len(y) // UNITS), min(UNITS, len(y))))
        rows.reshape(-1)[: len(y)] = y
        strong, full = int(y.argmax()), name + seen.network.letter(t)
        halves.append(Half(_half_title(seen, t, y, "units"), [[Tile(
            heat(rows, **scale), f"strongest: unit {strong}, {y[strong]:.2g}",
            alt=f"the {len(y)} units of {full}, {UNITS} to a row; the strongest is {strong}",
            unit=_named(full, Unit(layer, 0, *divmod(strong, rows.shape[1]))))]],
            maps=Maps(full, rows[..., None], scale, lattice(seen.network, layer), len(y))))
    units = len(seen.activities[layers[0]])
    return Section(f"{name}: {units} units{_each(layers)}", "", halves,
                   WHOLE if len(layers) <= 2 else LARGE)
