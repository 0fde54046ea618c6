"""Sheets of pictures with something written or drawn below each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyalex.errors import UserError
from tinyalex.plots import page
from tinyalex.plots.page import CAPTION, MARGIN


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
    lines = [caption.split("\n") for caption in captions]
    high, wide = pictures[0].shape[:2]
    step = high + CAPTION * max(map(len, lines)) + MARGIN
    across, down = min(columns, len(images)), -(-len(images) // columns)
    figure = page.figure(cell * across, step * down + MARGIN // 2)
    for i, (picture, texts, colour) in enumerate(zip(pictures, lines, colours, strict=True)):
        x, y = cell * (i % columns), step * (i // columns) + MARGIN // 2
        page.paste(figure, picture, x + (cell - wide) // 2, y)
        for n, text in enumerate(texts):
            written = page.write(figure, text, x + cell / 2, y + high + 4 + CAPTION * n,
                             ha="center", fontsize=8, color=colour)
            page.shorten(written, cell - 6)
    page.save(figure, path)
