"""A page in sections, of pictures and bars in two halves: as a PNG here, as HTML in html.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from tinyalex.drawing import page
from tinyalex.drawing.page import LINE, MARGIN, QUIET
from tinyalex.drawing.sheets import BAR, Guess, bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE = 1200  # pixels of the page
GAP = 6
SMALL = 13  # from one line of a tile's caption to the next


class Tile(NamedTuple):
    """A picture (H, W, 3) uint8, of any size, and a line below it. crisp: its pixels become squares
    where it is enlarged."""

    image: np.ndarray
    caption: str = ""
    crisp: bool = True


class Half(NamedTuple):
    """One half of a section: a tower's, mostly. rows: of tiles, all drawn equally wide. bars:
    shares of 1, below the tiles. all: one more picture, which only the HTML shows, folded away."""

    title: str = ""
    rows: Sequence[Sequence[Tile]] = ()
    bars: Sequence[Guess] = ()
    all: Tile | None = None


class Section(NamedTuple):
    """title, note: lines above. halves: one, as wide as the page, or two side by side. tile: how
    wide a tile is drawn, in pixels."""

    title: str
    note: str
    halves: Sequence[Half]
    tile: int


def draw_story(title: str, sections: Sequence[Section], path: str | Path) -> None:
    """Write the page as a PNG, 1200 pixels wide."""
    heights = [_height(section) for section in sections]
    figure = page.figure(WIDE, 3 * MARGIN + LINE + sum(heights))
    page.write(figure, title, MARGIN, MARGIN, fontsize=12)
    y = 2 * MARGIN + LINE
    for section, height in zip(sections, heights, strict=True):
        _section(figure, section, y)
        y += height
    page.save(figure, path)


def _height(section: Section) -> int:
    lines = 1 + bool(section.note) + any(half.title for half in section.halves)
    return LINE * lines + max(map(_half_height, section.halves, [section] * 2)) + MARGIN


def _half_height(half: Half, section: Section) -> int:
    return (sum(_row_height(row, section.tile) for row in half.rows)
            + (BAR + 2) * len(half.bars))


def _row_height(row: Sequence[Tile], width: int) -> int:
    tall = max(round(len(tile.image) * width / tile.image.shape[1]) for tile in row)
    return tall + GAP + SMALL * any(tile.caption for tile in row)


def _section(figure: Figure, section: Section, y: int) -> None:
    page.write(figure, section.title, MARGIN, y, fontsize=10)
    y += LINE
    if section.note:
        page.write(figure, section.note, MARGIN, y, fontsize=8, color=QUIET)
        y += LINE
    wide = (WIDE - MARGIN * (len(section.halves) + 1)) // len(section.halves)
    for h, half in enumerate(section.halves):
        _half(figure, half, section.tile, MARGIN + h * (wide + MARGIN), y, wide,
              any(one.title for one in section.halves))


def _half(figure: Figure, half: Half, tile: int, x: int, y: int, wide: int, titled: bool) -> None:
    if titled:
        page.shorten(page.write(figure, half.title, x, y, fontsize=8, color=QUIET), wide)
        y += LINE
    for row in half.rows:
        for i, one in enumerate(row):
            left = x + i * (tile + GAP)
            image = enlarged(one, tile)
            page.paste(figure, image, left, y)
            text = page.write(figure, one.caption, left + tile / 2, y + len(image) + 2,
                              ha="center", fontsize=5.5 if tile < 100 else 7, color=QUIET)
            page.shorten(text, tile + GAP - 2)
        y += _row_height(row, tile)
    for n, guess in enumerate(half.bars):
        bar(figure, guess, x, y + (BAR + 2) * n, min(wide, 300))


def enlarged(tile: Tile, width: int) -> np.ndarray:
    """Its picture so many pixels wide."""
    size = width, round(len(tile.image) * width / tile.image.shape[1])
    how = Image.Resampling.NEAREST if tile.crisp else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(tile.image).resize(size, how))
