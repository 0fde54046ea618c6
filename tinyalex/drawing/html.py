"""A page in sections as one HTML file: no script, nothing to load, so it opens offline."""

import base64
import io
from collections.abc import Sequence
from html import escape as escaped
from pathlib import Path

import numpy as np
from PIL import Image

from tinyalex.drawing.sections import Half, Section, Tile
from tinyalex.drawing.sheets import OTHER, TRUE
from tinyalex.inside.guesses import Guess
from tinyalex.support.files import replacing
from tinyalex.support.text import shown

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 1240px; margin: 24px auto; padding: 0 16px; }
h1 { font-size: 22px; font-weight: 600; }
h2 { font-size: 17px; font-weight: 600; margin: 28px 0 2px; }
p, h3, figcaption, summary { color: #666; }
p { margin: 0 0 8px; }
h3 { font-size: 13px; font-weight: 600; margin: 6px 0; }
.halves { display: flex; flex-wrap: wrap; gap: 16px; }
.half { flex: 1 1 420px; min-width: 0; }
.row { display: flex; flex-wrap: wrap; gap: 6px; margin-bottom: 6px; }
figure { margin: 0; }
figure img { display: block; width: 100%; }
img.crisp { image-rendering: pixelated; }
.row img { transition: transform .12s; }
.row figure.small img:hover { transform: scale(3); position: relative; z-index: 1;
                              outline: 1px solid #fff; }
figcaption { font-size: 11px; text-align: center; overflow: hidden; white-space: nowrap;
             text-overflow: ellipsis; }
.bar { position: relative; height: 20px; margin: 2px 0; max-width: 420px; background: #f4f4f4; }
.bar i { position: absolute; inset: 0 auto 0 0; }
.bar b { position: relative; padding-left: 6px; font-weight: 400; }
.bar span { position: absolute; right: 6px; color: #666; }
"""


def write_html(title: str, sections: Sequence[Section], path: str | Path) -> None:
    """Write the page, in one move."""
    parts = ["<!doctype html>", '<html lang="en">', '<meta charset="utf-8">',
             '<meta name="viewport" content="width=device-width, initial-scale=1">',
             f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
             f"<h1>{escape(title)}</h1>", *map(_section, sections), "</html>\n"]
    with replacing(path) as part:
        part.write_text("\n".join(parts), "utf-8", errors="replace")


def escape(text: str) -> str:
    return escaped(shown(text))


def _section(section: Section) -> str:
    halves = "".join(_half(half, section.tile) for half in section.halves)
    note = f"<p>{escape(section.note)}</p>" if section.note else ""
    return (f"<section><h2>{escape(section.title)}</h2>{note}"
            f'<div class="halves">{halves}</div></section>')


def _half(half: Half, width: int) -> str:
    title = f"<h3>{escape(half.title)}</h3>" if half.title else ""
    rows = "".join(f'<div class="row">{"".join(_tile(tile, width) for tile in row)}</div>'
                   for row in half.rows)
    folded = ""
    if half.all:
        folded = (f"<details><summary>{escape(half.all.caption)}</summary>"
                  f'{_image(half.all, "width: 100%")}</details>')
    return f'<div class="half">{title}{rows}{"".join(map(_bar, half.bars))}{folded}</div>'


def _tile(tile: Tile, width: int) -> str:
    small = ' class="small"' if width < 100 else ""
    return (f'<figure{small} style="width: {width}px">{_image(tile)}'
            f"<figcaption>{escape(tile.caption)}</figcaption></figure>")


def _image(tile: Tile, style: str = "") -> str:
    data = base64.b64encode(png(tile.image)).decode()
    caption = escape(tile.caption)
    return (f'<img class="{"crisp" if tile.crisp else "smooth"}" style="{style}" '
            f'alt="{caption}" title="{caption}" src="data:image/png;base64,{data}">')


def _bar(guess: Guess) -> str:
    colour = "rgb({}, {}, {})".format(*(TRUE if guess.true else OTHER))
    share = float(np.nan_to_num(guess.probability))
    return (f'<div class="bar"><i style="width: {share:.2%}; background: {colour}"></i>'
            f"<b>{escape(guess.name)}</b><span>{guess.probability:.1%}</span></div>")


def png(image: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as the content of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    return file.getvalue()
