"""A page in sections as one HTML file with nothing to load, so it opens offline. What html.js adds
can be touched; without scripts the page is still complete."""

import base64
import io
import json
from collections.abc import Sequence
from hashlib import sha256
from html import escape as escaped
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image

from tinyalex.drawing.page import fitted, heat
from tinyalex.drawing.sections import Half, Maps, Section, Tile
from tinyalex.inside.fields import peaks
from tinyalex.inside.guesses import Guess
from tinyalex.support.files import replacing
from tinyalex.support.text import shown

HERE = Path(__file__)
PLACES = 8  # where a map is strongest, at most
EXCITING = 66  # pixels of what excites it in another picture, at most
POLICY = ("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {}; "
          "base-uri 'none'; form-action 'none'")


def write_html(title: str, sections: Sequence[Section], path: str | Path) -> None:
    """Write the page, in one move. Its own script, if it has maps to be pointed at, is the only one
    that a browser will run, and nothing can be fetched or sent."""
    maps = [half.maps for section in sections for half in section.halves if half.maps]
    script = HERE.with_suffix(".js").read_text("utf-8")
    allowed = f"'sha256-{_base64(sha256(script.encode()).digest())}'" if maps else "'none'"
    parts = ["<!doctype html>", '<html lang="en">', '<meta charset="utf-8">',
             f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(allowed)}">',
             '<meta name="viewport" content="width=device-width, initial-scale=1">',
             f"<title>{escape(title)}</title>",
             f"<style>{HERE.with_suffix('.css').read_text('utf-8')}</style>",
             f"<h1>{escape(title)}</h1>", "<main>", *map(_section, sections), "</main>"]
    if maps:
        parts += [f'<script type="application/json" id="maps">{_data(maps)}</script>',
                  f"<script>{script}</script>"]
    with replacing(path) as part:
        part.write_text("\n".join([*parts, "</html>\n"]), "utf-8", errors="replace")


def _data(maps: Sequence[Maps]) -> str:
    """What html.js reads. palettes: the colours of the levels, for layers that give nothing below 0
    and for others."""
    palettes = [heat(np.arange(256)[None] - zero, 255 - zero, signed=zero > 0) for zero in (0, 128)]
    pictures: dict[str, int] = {}  # each is written once, and may excite many maps
    layers = {m.name: _facts(m, pictures) for m in maps}
    data = {"palettes": [*map(_base64, palettes)], "pictures": [*pictures], "layers": layers}
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _facts(maps: Maps, pictures: dict[str, int]) -> dict:
    """values: activities in levels of one byte; `zero` is the level of 0, `scale` is worth one.
    pictures: the sources of those that excite maps, and their numbers; new ones are added."""
    y = np.nan_to_num(maps.y, posinf=0, neginf=0)
    zero = 128 if maps.scale["signed"] else 0
    scale = float(maps.scale["peak"] or 1) / (255 - zero)
    levels = np.rint(y / scale + zero).clip(0, 255).astype(np.uint8)
    if maps.full:
        places = [[divmod(i, y.shape[1]) for i in np.argsort(-y.ravel())[:PLACES].tolist()]]
    else:
        places = [peaks(y[..., f], PLACES) for f in range(y.shape[2])]
    kernels = np.zeros((0, 0), np.uint8) if maps.kernels is None else maps.kernels
    return {"shape": y.shape, "values": _base64(levels), "zero": zero, "scale": scale,
            "full": maps.full, "places": places, "kernels": _base64(kernels),
            "kernel_side": kernels.shape[1], "searched": maps.searched,
            "exciting": {f: [_exciting(tile, pictures) for tile in tiles]
                         for f, tiles in maps.exciting.items()}, **maps.lattice._asdict()}


def _exciting(tile: Tile, pictures: dict[str, int]) -> dict[str, str | int]:
    """What html.js makes an image and its caption of."""
    return {"picture": pictures.setdefault(_source(tile, EXCITING), len(pictures)),
            "alt": shown(tile.alt), "caption": tile.caption, "className": _kind(tile)}


def _base64(data: bytes | np.ndarray) -> str:
    return base64.b64encode(data if isinstance(data, bytes) else data.tobytes()).decode()


def escape(text: str) -> str:
    return escaped(shown(text))


def _section(section: Section) -> str:
    halves = "".join(_half(half, section) for half in section.halves)
    note = f"<p>{escape(section.note)}</p>" if section.note else ""
    return (f"<section{' class=layered' * section.layered}><h2>{escape(section.title)}</h2>{note}"
            f'<div class="halves">{halves}</div></section>')


def _half(half: Half, section: Section) -> str:
    title = f"<h3>{escape(half.title)}</h3>" if half.title else ""
    tiles = [_column(column, section.tile) for column in zip_longest(*half.rows)]
    row = (f'<div class="row{" small" * (section.tile < 100)}" style="--tiles: {len(tiles)}; '
           f'--tile: {section.tile}px">{"".join(tiles)}</div>') if tiles else ""
    return f'<div class="half">{title}{row}{"".join(map(_bar, half.bars))}{_folded(half)}</div>'


def _column(tiles: Sequence[Tile], width: int) -> str:
    """Tiles below each other, which stay so wherever a row is broken."""
    return f'<div>{"".join(_figure(tile, width) for tile in tiles if tile)}</div>'


def _figure(tile: Tile, width: int) -> str:
    return f"<figure>{_image(tile, width)}<figcaption>{escape(tile.caption)}</figcaption></figure>"


def _folded(half: Half) -> str:
    if half.all is None:
        return ""
    layer = f' data-layer="{escape(half.maps.name)}"' if half.maps else ""
    return (f"<details{layer}><summary>{escape(half.all.caption)}</summary>"
            f"{_image(half.all)}</details>")


def _image(tile: Tile, width: int = 0) -> str:
    """width: of the place for it on the page, if known."""
    unit = f' data-unit="{escape(tile.unit)}"' if tile.unit else ""
    return (f'<img class="{_kind(tile)}"{unit} alt="{escape(tile.alt or tile.caption)}" '
            f'src="{_source(tile, width)}">')


def _kind(tile: Tile) -> str:
    return ("crisp" if tile.crisp else "smooth") + " map" * bool(tile.crisp and tile.unit)


def _source(tile: Tile, width: int) -> str:
    """The picture, with no more pixels than there is place for, unless each of them counts."""
    shrunk = 0 < width < tile.image.shape[1] and not tile.crisp
    image = fitted(tile.image, width) if shrunk else tile.image
    return f"data:image/png;base64,{_base64(png(image))}"


def _bar(guess: Guess) -> str:
    share = float(np.nan_to_num(guess.probability))
    return (f'<div class="bar"><i{" class=true" * guess.true} style="width: {share:.2%}"></i>'
            f"<b>{escape(guess.name)}</b><span>{guess.probability:.1%}</span></div>")


def png(image: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as the content of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    return file.getvalue()
