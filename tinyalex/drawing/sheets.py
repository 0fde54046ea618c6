"""Sheets of pictures with something written or drawn below each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinyalex.drawing import page
from tinyalex.drawing.page import CAPTION, LINE, MARGIN, QUIET
from tinyalex.inside.guesses import Guess
from tinyalex.support.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUE, OTHER, EMPTY = (225, 95, 80), (90, 145, 205), (235, 235, 235)  # bars, and where they end
NAME, BAR = 14, 4  # pixels of a name and of the bar below it
GUESS = NAME + BAR + 4  # from one to the next


def samples(images: np.ndarray, captions: Sequence[str], path: str | Path,
            columns: int = 10) -> None:
    """Draw a contact sheet: pictures row by row, each with its caption below.

    images: (N, H, W, 3) uint8. captions: N texts, of one line or more; a line too long for its
    column is cut short with an ellipsis.
    path: the PNG to write, 1200 pixels wide where all `columns` are filled. Small pictures are
    magnified a whole number of times, their pixels kept crisp; large ones are made smaller.

    Raises UserError if there is nothing to draw or not a caption for each picture.
    """
    if not len(images) or len(images) != len(captions):
        raise UserError(f"{len(images)} pictures, {len(captions)} captions",
                        "pass at least one picture, and a caption for each.")
    cells = [Cell(*parts) for parts in zip(images, captions, strict=True)]
    _sheet(_rows(cells, columns), 1200 // columns, path, margin=MARGIN // 2)


class Near(NamedTuple):
    """A picture (H, W, 3) uint8 with what is written below it, and whether that is of the class of
    the picture that was asked for; None where one of the two is not known."""

    image: np.ndarray
    caption: str
    same: bool | None = None


def neighbours(rows: Sequence[Sequence[Near]], path: str | Path, title: str = "") -> None:
    """Draw pictures and what is similar to them: figure 4 (right) of the paper.

    rows: of each picture that was asked for itself, then its neighbours, the nearest first; all
    pictures of one size. Captions of another class than the first one's are red.
    path: the PNG to write, about 1200 pixels wide.

    Raises UserError if there is nothing to draw.
    """
    if not rows or not all(rows):
        raise UserError("there are no pictures to draw", "ask for at least one.")
    cells = [[Cell(near.image, near.caption, "#C00000" if near.same is False else "black")
              for near in row] for row in rows]
    width = (1200 - MARGIN) // max(map(len, rows))
    _sheet(cells, width, path, title, margin=10, fontsize=7.5, apart=MARGIN)


def predictions(images: Sequence[np.ndarray], captions: Sequence[str],
                guesses: Sequence[Sequence[Guess]], path: str | Path, title: str = "",
                columns: int = 4) -> None:
    """Draw what a network says about pictures: figure 4 (left) of the paper.

    images: N pictures (H, W, 3) uint8, all of one size. captions: N texts, to stand below them.
    guesses: for each picture some classes, of each a bar as long as its probability (1 is as wide
    as the picture), red for the true class and blue for others, below its name.
    path: the PNG to write, 300 pixels wide for each of at most `columns` columns.

    Raises UserError if there is nothing to draw, or not a caption and guesses for each picture.
    """
    if not len(images) or not len(images) == len(captions) == len(guesses):
        raise UserError(f"{len(images)} pictures, {len(captions)} captions, guesses for "
                        f"{len(guesses)}", "pass at least one picture, and both for each.")
    cells = [Cell(image, caption, bars=bars)
             for image, caption, bars in zip(images, captions, guesses, strict=True)]
    _sheet(_rows(cells, columns), 300, path, title, margin=2 * MARGIN, fontsize=9)


class Cell(NamedTuple):
    """A picture on a sheet, what is written below it and in which colour, and bars below that."""

    image: np.ndarray
    caption: str
    colour: str = "black"
    bars: Sequence[Guess] = ()


def _rows(cells: list[Cell], columns: int) -> list[list[Cell]]:
    return [cells[i : i + columns] for i in range(0, len(cells), columns)]


@page.our_style()
def _sheet(rows: list[list[Cell]], width: int, path: str | Path, title: str = "", *, margin: int,
           fontsize: float = 8, apart: int = 0) -> None:
    """Write a sheet of cells so many pixels wide, `margin` of which their pictures leave free. The
    first column stands `apart` from the others."""
    cells = [cell for row in rows for cell in row]
    high, wide = page.fitted(cells[0].image, width - margin).shape[:2]
    bars = max(len(cell.bars) for cell in cells)
    text = CAPTION * max(cell.caption.count("\n") + 1 for cell in cells) + 6 * bool(bars)
    step, top = high + text + GUESS * bars + MARGIN, MARGIN + LINE * bool(title)
    figure = page.figure(width * max(map(len, rows)) + apart, top + step * len(rows))
    if title:
        page.write(figure, title, MARGIN, MARGIN // 2, fontsize=9, color=QUIET)
    for r, row in enumerate(rows):
        for column, cell in enumerate(row):
            x, y = width * column + (width - wide) // 2 + apart * (column > 0), top + step * r
            page.paste(figure, page.fitted(cell.image, width - margin), x, y)
            page.caption(figure, cell.caption, x + wide / 2, y + high + 4, width - 6,
                         fontsize=fontsize, color=cell.colour)
            for n, guess in enumerate(cell.bars):
                bar(figure, guess, x, y + high + text + GUESS * n, wide)
    page.save(figure, path)


def bar(figure: Figure, guess: Guess, x: int, y: int, wide: int) -> None:
    """Draw a name and a share, and below them a bar, whose whole is `wide` pixels; their upper left
    corner is at x, y."""
    share = page.write(figure, f"{guess.probability:.1%}", x + wide, y, ha="right", fontsize=6.5,
                       color=QUIET)
    name = page.write(figure, guess.name, x, y, fontsize=6.5)
    page.shorten(name, wide - share.get_window_extent().width - 9)
    coloured = np.full((BAR, wide, 3), EMPTY, np.uint8)
    length = round(wide * float(np.nan_to_num(guess.probability)))
    coloured[:, :length] = TRUE if guess.true else OTHER
    page.paste(figure, coloured, x, y + NAME)
