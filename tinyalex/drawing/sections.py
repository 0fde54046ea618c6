"""From what was seen inside a network to the sections of a page about it."""

from dataclasses import dataclass

import numpy as np

from tinyalex.drawing import Guess, Half, Section, Tile, heat
from tinyalex.drawing.page import magnified
from tinyalex.inside.looking import Crossing, Field, Unit, receptive_field, strongest, tower_of
from tinyalex.layers import Layer, ReLU, Tanh
from tinyalex.layers.base import Weighted
from tinyalex.network import Network

SHOWN = 8  # maps of a tower; twice as many where there is one tower only
SMALL, MIDDLE, LARGE, WHOLE = 66, 182, 274, 570  # pixels of a tile
FRAME = (255, 60, 60)
UNITS = 64  # of a full layer, in a row


@dataclass(frozen=True)
class Walk:
    """crop: (H, W, 3) uint8, what the network reads of the picture; x: the same as it reads it.
    given: see looking.activities. label: the best guess. unit, field: a unit and what it sees.
    covered, gradient: see looking.occlusion (with squares of `patch` pixels) and pixel_gradient."""

    network: Network
    crop: np.ndarray
    x: np.ndarray
    given: dict[Layer, np.ndarray]
    label: int
    crossings: list[Crossing]
    unit: Unit
    field: Field
    covered: np.ndarray
    patch: int
    gradient: np.ndarray


def blocks(network: Network) -> list[tuple[str, list[Layer]]]:
    """The layers with weights but the last, by the names they have without their towers' letters:
    of each tower the layer that gives their activities, the ReLU or tanh behind them."""
    found = []
    for stage in network.stages:
        for i, layer in enumerate(stage[0]):
            if isinstance(layer, Weighted):
                at = _unit_behind(stage[0], i)
                found.append((layer.name.removesuffix(network.letter(0)),
                              [tower[at] for tower in stage]))
    return found[:-1]


def named_blocks(network: Network) -> dict[str, Layer]:
    """The same by their full names, "conv1a", "conv1b", …: of each the layer with the activities.
    """
    return {name + network.letter(t): layer
            for name, layers in blocks(network) for t, layer in enumerate(layers)}


def _unit_behind(tower: list[Layer], i: int) -> int:
    for j in range(i + 1, len(tower)):
        if isinstance(tower[j], Weighted):
            break
        if isinstance(tower[j], ReLU | Tanh):
            return j
    return i


def sections(walk: Walk, guesses: list[Guess], classes: list[str]) -> list[Section]:
    """The page. guesses: the best ones. classes: what to call the classes."""
    page = [_pixels(walk, classes[walk.label]), _says(walk, guesses)]
    crossing = {}
    for one in walk.crossings:
        crossing.setdefault(_bare(walk, one.reader), []).append(one)
    for name, layers in blocks(walk.network):
        if name in crossing:
            page.append(_crossed(walk, name, crossing.pop(name)))
        maps = walk.given[layers[0]].ndim == 3
        page.append((_maps if maps else _units)(walk, name, layers))
    return page + [_crossed(walk, name, some) for name, some in crossing.items()]


def _bare(walk: Walk, layer: Layer) -> str:
    return layer.name.removesuffix(walk.network.letter(tower_of(walk.network, layer)))


def _pixels(walk: Walk, guess: str) -> Section:
    low, high = walk.covered.min(), walk.covered.max()
    side = f"{walk.crop.shape[1]}×{walk.crop.shape[0]}"
    tiles = [
        Tile(walk.crop, f"the centre of the picture, {side}"),
        Tile(_signed(walk.x), "minus the mean picture; 0 is grey"),
        Tile(_over(walk.crop, walk.covered), f"covered there: {low:.1%} (dark) to {high:.1%}",
             False),
        Tile(heat(_loudness(walk.gradient)), "how much each pixel moves the score"),
    ]
    return Section("What the network reads, and which pixels matter",
                   f"Third: how probable “{guess}” stays when a grey square of {walk.patch}×"
                   f"{walk.patch} pixels covers a place. Fourth: the gradient of its score, the "
                   "largest of the three colours.", [Half(rows=[tiles])], LARGE)


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
    """|gradient|, of the colour where it is largest; a few extreme pixels shall not leave all
    others dark."""
    loud = np.abs(gradient).max(axis=2)
    return np.minimum(loud, np.quantile(loud, 0.995))


def _says(walk: Walk, guesses: list[Guess]) -> Section:
    unit, field, y = walk.unit, walk.field, walk.given[walk.unit.layer]
    tall, wide = field.bottom - field.top, field.right - field.left
    tiles = [
        Tile(_framed(walk.crop, field), f"it sees {tall}×{wide} pixels", False),
        Tile(patch(walk.crop, field), "these; grey is outside", False),
        Tile(heat(y[..., unit.map], signed=(y < 0).any()), f"all of map {unit.map}"),
    ]
    name = next(name for name, layer in named_blocks(walk.network).items() if layer is unit.layer)
    return Section(
        "What it says, and what one unit sees",
        f"The unit at row {unit.row}, column {unit.column} of map {unit.map} of {name} gives "
        f"{y[unit.row, unit.column, unit.map]:.3g} and sees rows {field.top} to "
        f"{field.bottom - 1}, columns {field.left} to {field.right - 1} of the picture.",
        [Half("the best guesses", bars=guesses), Half("the unit", [tiles])], MIDDLE)


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
    H, W = crop.shape[:2]
    cut = np.full((field.bottom - field.top, field.right - field.left, 3), 128, np.uint8)
    top, left, bottom, right = (max(0, field.top), max(0, field.left), min(H, field.bottom),
                                min(W, field.right))
    cut[top - field.top : bottom - field.top, left - field.left : right - field.left] = \
        crop[top:bottom, left:right]
    return cut


def _crossed(walk: Walk, name: str, some: list[Crossing]) -> Section:
    network = walk.network
    halves = []
    for reader, one in enumerate(some):
        bars = [Guess(f"from tower {network.letter(t)}", share, t != reader)
                for t, share in enumerate(one.shares)]
        halves.append(Half(f"what {one.reader.name} adds up", bars=bars))
    return Section(f"Between the towers, before {name}",
                   f"Each tower hands {some[0].numbers:,} numbers to the other. Red: what comes "
                   "from the other tower.", halves, SMALL)


def _maps(walk: Walk, name: str, layers: list[Layer]) -> Section:
    H, W, F = walk.given[layers[0]].shape
    towers = " in each tower" if len(layers) > 1 else ""
    scale = _scale(walk, layers)
    field = receptive_field(walk.network, Unit(layers[0], 0, H // 2, W // 2))
    return Section(f"{name}: {F} maps of {H}×{W}{towers}",
                   "The strongest maps, and below each what its strongest unit sees: "
                   f"{field.bottom - field.top}×{field.right - field.left} pixels.",
                   [_half_of_maps(walk, layer, t, scale) for t, layer in enumerate(layers)], SMALL)


def _scale(walk: Walk, layers: list[Layer]) -> dict:
    """How `heat` is to colour all that these layers give, so that towers can be compared."""
    low = min(walk.given[layer].min() for layer in layers)
    return {"peak": max(-low, *(walk.given[layer].max() for layer in layers)), "signed": low < 0}


def _half_of_maps(walk: Walk, layer: Layer, tower: int, scale: dict) -> Half:
    y = walk.given[layer]
    strength = y.max(axis=(0, 1))
    count = SHOWN if walk.network.towers > 1 else 2 * SHOWN
    best = np.argsort(-strength, kind="stable")[:count].tolist()
    maps = [Tile(heat(y[..., f], **scale), f"{f}: {strength[f]:.2g}") for f in best]
    seen = [Tile(patch(walk.crop, receptive_field(walk.network, strongest(layer, y, f))), "", False)
            for f in best]
    every = Tile(sheet(y, scale), f"all {y.shape[-1]} maps")
    return Half(_half_title(walk, tower, y, "maps"), [maps, seen], all=every)


def _half_title(walk: Walk, tower: int, y: np.ndarray, what: str) -> str:
    """Which tower, and how many of its maps or units are not 0 everywhere."""
    active = np.count_nonzero(y.reshape(-1, y.shape[-1]).any(axis=0))
    counted = f"{active} of {y.shape[-1]} {what} are active"
    letter = walk.network.letter(tower)
    return f"tower {letter}: {counted}" if letter else counted


def sheet(y: np.ndarray, scale: dict, columns: int = SHOWN) -> np.ndarray:
    """All maps of y (H, W, F) as colours, beside and below each other, with white lines between."""
    H, W, F = y.shape
    rows = -(-F // columns)
    page = np.full((rows * (H + 1) - 1, min(columns, F) * (W + 1) - 1, 3), 255, np.uint8)
    for f in range(F):
        top, left = f // columns * (H + 1), f % columns * (W + 1)
        page[top : top + H, left : left + W] = heat(y[..., f], **scale)
    return page


def _units(walk: Walk, name: str, layers: list[Layer]) -> Section:
    scale, halves = _scale(walk, layers), []
    for t, layer in enumerate(layers):
        y = walk.given[layer]
        rows = np.zeros((-(-len(y) // UNITS), min(UNITS, len(y))))
        rows.reshape(-1)[: len(y)] = y
        strong = int(y.argmax())
        halves.append(Half(_half_title(walk, t, y, "units"), [[Tile(
            heat(rows, **scale), f"strongest: unit {strong}, {y[strong]:.2g}")]]))
    each = " in each tower" if len(layers) > 1 else ""
    return Section(f"{name}: {len(walk.given[layers[0]])} units{each}", "", halves, WHOLE)
