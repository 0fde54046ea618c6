"""A page in sections, of pictures and bars in two halves: as a PNG here, as HTML in html.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from tinyalex.drawing import page
from tinyalex.drawing.page import LINE, MARGIN, QUIET
from tinyalex.drawing.sheets import GUESS, bar
from tinyalex.inside.fields import Lattice
from tinyalex.inside.guesses import Guess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, NARROW = 1200, 600  # pixels of a page, at most and at least
GAP = 6
SMALL = 13  # from one line of a tile's caption to the next


class Tile(NamedTuple):
    """A picture (H, W, 3) uint8, of any size, and a line below it. crisp: its pixels become squares
    where it is enlarged. For the HTML, alt: what there is to see, if the caption does not say it;
    unit: LAYER:MAP:ROW:COLUMN, where that is a map (its strongest unit), or what a unit sees."""

    image: np.ndarray
    caption: str = ""
    crisp: bool = True
    alt: str = ""
    unit: str = ""


class Maps(NamedTuple):
    """What a layer of one tower gives, with which the HTML answers whoever points at it. name: of
    the layer, as in the units of its tiles. y: (H, W, F). scale: how `heat` is to colour it.
    lattice: where in the picture its units look. full: how many units a full layer has, whose rows
    are the one map of y; else 0. kernels: (F, K, K, 3) uint8, if they can be seen. exciting: by the
    number of a map what excites it most among `searched` pictures."""

    name: str
    y: np.ndarray
    scale: dict
    lattice: Lattice
    full: int = 0
    kernels: np.ndarray | None = None
    searched: int = 0
    exciting: Mapping[int, Sequence[Tile]] = MappingProxyType({})


class Half(NamedTuple):
    """One part of a section, a half where there are two: a tower's, mostly. rows: of tiles, all
    drawn equally wide, those of one column about the same. bars: shares of 1, below the tiles.
    all: one more picture, which only the HTML shows, folded away. maps: what its tiles show a part
    of."""

    title: str = ""
    rows: Sequence[Sequence[Tile]] = ()
    bars: Sequence[Guess] = ()
    all: Tile | None = None
    maps: Maps | None = None


class Section(NamedTuple):
    """title, note: lines above. halves: one, as wide as the page, or two and more side by side.
    tile: how wide a tile is drawn, in pixels. layered: the HTML can lay its tiles over the picture,
    which is the first tile of the first such section."""

    title: str
    note: str
    halves: Sequence[Half]
    tile: int
    layered: bool = False


@page.our_style()
def write_png(title: str, sections: Sequence[Section], path: str | Path) -> None:
    """Write the page as a PNG, 1200 pixels wide, or less where its tiles take less."""
    heights = [_height(section) for section in sections]
    figure = page.figure(_width(sections), 3 * MARGIN + LINE + sum(heights))
    _line(figure, title, MARGIN, fontsize=12)
    y = 2 * MARGIN + LINE
    for section, height in zip(sections, heights, strict=True):
        _draw(figure, section, y)
        y += height
    page.save(figure, path)


def _width(sections: Sequence[Section]) -> int:
    if any(len(section.halves) > 1 for section in sections):
        return WIDE
    rows = [len(row) * (section.tile + GAP) - GAP
            for section in sections for half in section.halves for row in half.rows]
    return min(WIDE, max(NARROW, 2 * MARGIN + max(rows)))


def _height(section: Section) -> int:
    lines = 1 + bool(section.note) + _titled(section)
    return LINE * lines + MARGIN + max(
        sum(_row_height(row, section.tile) for row in half.rows) + GUESS * len(half.bars)
        for half in section.halves)


def _titled(section: Section) -> bool:
    return any(half.title for half in section.halves)


def _row_height(row: Sequence[Tile], width: int) -> int:
    tall = max(_size(tile, width)[1] for tile in row)
    return tall + GAP + SMALL * any(tile.caption for tile in row)


def _size(tile: Tile, width: int) -> tuple[int, int]:
    """Width and height of the tile's picture, drawn so wide."""
    return width, round(len(tile.image) * width / tile.image.shape[1])


def _line(figure: Figure, text: str, y: int, **kwargs) -> None:
    page.shorten(page.write(figure, text, MARGIN, y, **kwargs), figure.bbox.width - 2 * MARGIN)


def _draw(figure: Figure, section: Section, y: int) -> None:
    _line(figure, section.title, y, fontsize=10)
    y += LINE
    if section.note:
        _line(figure, section.note, y, fontsize=8, color=QUIET)
        y += LINE
    wide = (round(figure.bbox.width) - MARGIN * (len(section.halves) + 1)) // len(section.halves)
    for h, half in enumerate(section.halves):
        x = MARGIN + h * (wide + MARGIN)
        page.shorten(page.write(figure, half.title, x, y, fontsize=8, color=QUIET), wide)
        _draw_half(figure, half, section.tile, x, y + LINE * _titled(section), wide)


def _draw_half(figure: Figure, half: Half, tile_width: int, x: int, y: int, wide: int) -> None:
    for row in half.rows:
        for i, tile in enumerate(row):
            left = x + i * (tile_width + GAP)
            image = _enlarged(tile, tile_width)
            page.paste(figure, image, left, y)
            page.caption(figure, tile.caption, left + tile_width / 2, y + len(image) + 2,
                         tile_width + GAP - 2, fontsize=5.5 if tile_width < 100 else 7,
                         color=QUIET)
        y += _row_height(row, tile_width)
    for n, guess in enumerate(half.bars):
        bar(figure, guess, x, y + GUESS * n, min(wide, 300))


def _enlarged(tile: Tile, width: int) -> np.ndarray:
    how = Image.Resampling.NEAREST if tile.crisp else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(tile.image).resize(_size(tile, width), how))
