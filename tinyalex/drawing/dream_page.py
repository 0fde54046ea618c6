"""The page of `tinyalex.dream`: what units want to see, and what excites them most in pictures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinyalex.drawing.filters import filter_grid
from tinyalex.drawing.page import tamed, tiled
from tinyalex.drawing.sections import Half, Section, Tile
from tinyalex.inside.fields import Field, cut

ACROSS = 4  # tiles in a row, at most
TILES = (568, 382, 382, 274)  # pixels of a tile, by how many stand in a row
CRISP = 64  # pictures with fewer pixels a side are enlarged as squares


class Dreamt(NamedTuple):
    """name: of the unit. picture: (H, W, 3) uint8, made for it; value: what it
    gives for that. field: what to show of it. And, if pictures were searched, those that excite it
    most: crops (H, W, 3) uint8, of each what counts there (H, W, 3), the place to show, and the
    value."""

    name: str
    picture: np.ndarray
    value: float
    field: Field
    crops: Sequence[np.ndarray] = ()
    counts: Sequence[np.ndarray] = ()
    fields: Sequence[Field] = ()
    values: Sequence[float] = ()


def dream_page(dreams: Sequence[Dreamt], rule: str) -> list[Section]:
    """The page: a section for each unit, where pictures were searched, else one for all, whose rows
    are about equally long. rule: by which the pixels were made to count."""
    if all(len(dreamt.crops) for dreamt in dreams):
        return [_searched(dreamt, rule) for dreamt in dreams]
    across = -(-len(dreams) // -(-len(dreams) // ACROSS))
    tiles = [_dream(dreamt) for dreamt in dreams]
    return [Section("Made for each: what it gives, and the pixels it sees", "", [
        Half(rows=[tiles[i : i + across] for i in range(0, len(tiles), across)])],
        TILES[across - 1])]


def _dream(dreamt: Dreamt) -> Tile:
    part = cut(dreamt.picture, dreamt.field, 128)
    height, width = part.shape[:2]
    return Tile(part, f"{dreamt.name}: {dreamt.value:.3g}, {height}×{width}", len(part) < CRISP)


def _searched(dreamt: Dreamt, rule: str) -> Section:
    patches = [cut(crop, field, 128) for crop, field in
               zip(dreamt.crops, dreamt.fields, strict=True)]
    counts = [cut(tamed(pixels), field, 0) for pixels, field in
              zip(dreamt.counts, dreamt.fields, strict=True)]
    crisp = len(patches[0]) < CRISP
    weakest, strongest = min(dreamt.values), max(dreamt.values)
    grid = np.rint(255 * filter_grid(np.stack(counts, axis=-1), 3)[1:-1, 1:-1]).astype(np.uint8)
    return Section(
        dreamt.name, f"It sees {len(patches[0])}×{len(patches[0])} pixels.", [Half(rows=[[
            _dream(dreamt)._replace(caption=f"made for it, which gives {dreamt.value:.3g}"),
            Tile(tiled(patches, 3)[1:-1, 1:-1], f"the most exciting: {strongest:.3g} to "
                 f"{weakest:.3g}", crisp),
            Tile(grid, f"what counts in them: {rule}", crisp)]])], TILES[2])
