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

TRUE, OTHER = (240, 150, 140), (160, 195, 230)  # bars that leave the name on them readable
BAR = 14  # pixels


def samples(images: np.ndarray, captions: Sequence[str], path: str | Path, columns: int = 10,
            colours: Sequence[str] | None = None) -> None:
    """Draw a contact sheet: pictures row by row, each with its caption below.

    images: (N, H, W, 3) uint8. captions: N texts, of one line or more; a line too long for its
    column is cut short with an ellipsis. colours: of the captions, N colours that matplotlib knows.
    path: the PNG to write, 1200 pixels wide where all `columns` are filled. Small pictures are
    magnified a whole number of times, their pixels kept crisp; large ones are made smaller.

    Raises UserError if there is nothing to draw or not a caption and a colour a picture.
    """
    colours = ["black"] * len(images) if colours is None else colours
    if not len(images) or not len(images) == len(captions) == len(colours):
        raise UserError(f"{len(images)} pictures, {len(captions)} captions, {len(colours)} colours",
                        "pass at least one picture, and one caption and one colour for each.")
    cell = 1200 // columns
    pictures = [page.fitted(image, cell - MARGIN // 2) for image in images]
    high, wide = pictures[0].shape[:2]
    step = high + CAPTION * _lines(captions) + MARGIN
    across, down = min(columns, len(images)), -(-len(images) // columns)
    figure = page.figure(cell * across, step * down + MARGIN // 2)
    for i, (picture, caption, colour) in enumerate(zip(pictures, captions, colours, strict=True)):
        x, y = cell * (i % columns), step * (i // columns) + MARGIN // 2
        page.paste(figure, picture, x + (cell - wide) // 2, y)
        page.caption(figure, caption, x + cell / 2, y + high + 4, cell - 6, fontsize=8,
                     color=colour)
    page.save(figure, path)


def _lines(captions: Sequence[str]) -> int:
    return max(caption.count("\n") + 1 for caption in captions)


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
    columns = max(map(len, rows))
    cell = (1200 - 3 * MARGIN) // columns
    high, wide = page.fitted(rows[0][0].image, cell - 10).shape[:2]
    step = high + CAPTION * _lines([near.caption for row in rows for near in row]) + MARGIN
    figure, top = _titled(title, cell * columns + 3 * MARGIN, step * len(rows))
    for r, row in enumerate(rows):
        for column, near in enumerate(row):
            # The first column, what was asked for, stands apart.
            x, y = cell * column + MARGIN * (column > 0) + MARGIN, top + step * r
            page.paste(figure, page.fitted(near.image, cell - 10), x, y)
            page.caption(figure, near.caption, x + wide / 2, y + high + 3, cell - 6, fontsize=7.5,
                         color="#C00000" if near.same is False else "black")
    page.save(figure, path)


def predictions(images: Sequence[np.ndarray], captions: Sequence[str],
                guesses: Sequence[Sequence[Guess]], path: str | Path, title: str = "",
                columns: int = 4) -> None:
    """Draw what a network says of pictures: figure 4 (left) of the paper.

    images: N pictures (H, W, 3) uint8, all of one size. captions: N texts, to stand below them.
    guesses: for each picture some classes, of each a bar as long as its probability (1 is as wide
    as the picture), red for the true class and blue for others.
    path: the PNG to write, 300 pixels wide for each of at most `columns` columns.

    Raises UserError if there is nothing to draw, or not a caption and guesses for each picture.
    """
    if not len(images) or not len(images) == len(captions) == len(guesses):
        raise UserError(f"{len(images)} pictures, {len(captions)} captions, guesses for "
                        f"{len(guesses)}", "pass at least one picture, and both for each.")
    cell = 300
    pictures = [page.fitted(image, cell - 2 * MARGIN) for image in images]
    high, wide = pictures[0].shape[:2]
    step = high + LINE + (BAR + 2) * max(map(len, guesses)) + MARGIN
    across, down = min(columns, len(images)), -(-len(images) // columns)
    figure, top = _titled(title, cell * across, step * down)
    for i, (picture, caption, bars) in enumerate(zip(pictures, captions, guesses, strict=True)):
        x, y = cell * (i % columns) + (cell - wide) // 2, top + step * (i // columns)
        page.paste(figure, picture, x, y)
        page.caption(figure, caption, x + wide / 2, y + high + 4, cell - 6, fontsize=9)
        for n, guess in enumerate(bars):
            bar(figure, guess, x, y + high + LINE + (BAR + 2) * n, wide)
    page.save(figure, path)


def _titled(title: str, width: int, height: int) -> tuple[Figure, int]:
    """A page with room for so much below its title, and where that begins."""
    top = MARGIN + LINE * bool(title)
    figure = page.figure(width, top + height)
    page.write(figure, title, MARGIN, MARGIN // 2, fontsize=9, color=QUIET)
    return figure, top


def bar(figure: Figure, guess: Guess, x: int, y: int, wide: int) -> None:
    """Draw a bar with its name on it, its upper left corner at x, y; 1 is `wide` pixels."""
    length = round(wide * float(np.nan_to_num(guess.probability)))
    if length:
        coloured = np.full((BAR, length, 3), TRUE if guess.true else OTHER, np.uint8)
        page.paste(figure, coloured, x, y)
    share = page.write(figure, f"{guess.probability:.1%}", x + wide - 2, y + 1, ha="right",
                       fontsize=6.5, color=QUIET)
    name = page.write(figure, guess.name, x + 3, y + 1, fontsize=6.5)
    page.shorten(name, wide - share.get_window_extent().width - 9)
