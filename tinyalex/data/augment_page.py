"""One page that shows what training and testing do to pictures: python -m tinyalex.data augment.

Every crop and every colour on it comes out of the loader, with the mean added again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tinyalex.data import sources
from tinyalex.data.augment import ColourNoise, crop_places, ten_crops
from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.data.pictures import centre
from tinyalex.data.statistics import Statistics
from tinyalex.drawing import page
from tinyalex.drawing.page import CAPTION, LINE, MARGIN, QUIET
from tinyalex.support.cli import number, output
from tinyalex.support.text import say

WHOLE = 192  # pixels of the page that a picture is wide; its crops in proportion
GAP = 8
COLOURS = ((213, 94, 0), (0, 114, 178), (240, 228, 66), (0, 158, 115), (204, 121, 167),
           (86, 180, 233))  # of frames; told apart by colour-blind readers too


def add(commands: argparse._SubParsersAction) -> None:
    """The command behind `augment`."""
    parser = commands.add_parser(
        "augment", help="draw what training and testing do to some pictures")
    parser.add_argument("--data", default="shapes", metavar="WHAT", help=sources.KINDS)
    parser.add_argument("--limit", type=number(int, 1), help="read only the first LIMIT pictures")
    parser.add_argument("--seed", type=number(int, 0, 2**63), default=0,
                        help="for the choice of pictures, crops and colours")
    parser.add_argument("--pictures", type=number(int, 1, 20), default=1, help="how many")
    parser.add_argument("--out", type=output(".png"), default="augment.png",
                        help="the PNG to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw the page, and say where it is."""
    dataset = sources.load(args.data, "train", limit=args.limit)
    draw(dataset, args.out, args.seed, args.pictures)
    say(f"what happens to a picture of {dataset.name}: {args.out}")
    return 0


class Tile(NamedTuple):
    """One picture on the page: (H, W, 3) uint8 as large as in the data, what is written below it,
    and frames: (top, left, side, colour), in pixels of the data."""

    image: np.ndarray
    caption: str = ""
    frames: Sequence[tuple] = ()


def draw(dataset: Dataset, path: str | Path, seed: int = 0, pictures: int = 1) -> None:
    """Write the page for some pictures of the dataset, chosen at random, as a PNG.

    Crops have 7/8 of the picture's side, as in the paper (224 of 256).
    """
    whole, measured = min(dataset.images.shape[1:3]), dataset.measure()
    side, statistics = whole * 7 // 8, Statistics(centre(measured.mean, whole),
                                                  measured.covariance)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(dataset))[:pictures]
    sample = Dataset(centre(np.stack([dataset.images[i] for i in chosen.tolist()]), whole),
                     dataset.labels[chosen], dataset.classes, dataset.name)
    sections = {
        f"Training: crops of {side}×{side} pixels at random places, half of them mirrored":
            _random_crops(sample, side, rng),
        "Training: colour noise, as the paper prints it (three draws) and as its authors ran it "
        "(three); below each what is added to red, green and blue":
            _colours(sample, statistics, seed),
        "The mean picture is subtracted": [_means(sample, statistics)],
        "Testing: ten crops": _ten(sample, side),
    }
    _page(sections, WHOLE / whole, path)


def _pixels(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _frames(places: np.ndarray, side: int) -> list[tuple]:
    return [(top, left, side, colour)
            for (top, left, _), colour in zip(places.tolist(), COLOURS, strict=False)]


def _random_crops(sample: Dataset, side: int, rng: np.random.Generator) -> list[list[Tile]]:
    """A row for each picture: the picture with frames, and what is in them."""
    whole = sample.images.shape[1]
    loader = Loader(sample, side, np.zeros((whole, whole, 3), np.float32))
    rows, crop = [], np.empty((side, side, 3), np.float32)
    for picture in np.asarray(sample.images):
        places = crop_places(rng, len(COLOURS), whole, whole, side)
        rows.append([Tile(picture, "the picture", _frames(places, side))])
        for place, colour in zip(places.tolist(), COLOURS, strict=True):
            loader.view(picture, place, crop)
            rows[-1].append(Tile(_pixels(crop), "mirrored" if place[2] else "",
                                 [(0, 0, side, colour)]))
    return rows


def _colours(sample: Dataset, statistics: Statistics, seed: int) -> list[list[Tile]]:
    """A row for each picture: itself, three epochs of the paper's noise, three of the
    original's."""
    rows = [[Tile(picture, "the picture")] for picture in np.asarray(sample.images)]
    for noise in (ColourNoise.paper(statistics), ColourNoise.original(statistics)):
        loader = Loader(sample, len(statistics.mean), statistics.mean, colour=noise, seed=seed)
        for epoch in (1, 2, 3):
            batch, _ = next(loader.epoch(epoch))
            pictures = _pixels(batch.pixels + statistics.mean)
            shifts = noise.shifts(seed, epoch, len(sample)).tolist()
            for row, picture, shift in zip(rows, pictures, shifts, strict=True):
                row.append(Tile(picture, "  ".join(f"{round(part):+d}" for part in shift)))
    return rows


def _means(sample: Dataset, statistics: Statistics) -> list[Tile]:
    batch, _ = next(Loader(sample, len(statistics.mean), statistics.mean).epoch())
    return [Tile(_pixels(statistics.mean), "the mean"),
            *(Tile(_pixels(128 + picture / 2), "0 is grey") for picture in batch.pixels),
            Tile(_principal_colours(statistics), "the principal colours, ±2√λ")]


def _principal_colours(statistics: Statistics) -> np.ndarray:
    """A band for each: what -2√λ (left) to 2√λ (right) of it makes of the mean colour."""
    side = len(statistics.mean)
    values, vectors = statistics.principal_colours()
    band = (vectors * np.sqrt(values)).T[np.arange(side) * 3 // side]
    across = np.linspace(-2, 2, side)[:, None]
    return _pixels(statistics.mean.mean(axis=(0, 1)) + across * band[:, None])


def _ten(sample: Dataset, side: int) -> list[list[Tile]]:
    """The picture and its mirror image, each with five crops."""
    picture, whole = sample.images[0], sample.images.shape[1]
    batch, _ = next(Loader(sample.first(1), side, np.zeros((whole, whole, 3), np.float32),
                           ten_crops=True).epoch())
    crops = [Tile(crop, "", [(0, 0, side, COLOURS[k % 5])])
             for k, crop in enumerate(_pixels(batch.pixels))]
    frames = _frames(ten_crops(whole, whole, side)[:5], side)
    mirrored = [(top, whole - side - left, side, c) for top, left, side, c in frames]
    return [[Tile(picture, "corners and centre", frames), *crops[:5]],
            [Tile(picture[:, ::-1], "mirrored", mirrored), *crops[5:]]]


@page.our_style()
def _page(sections: dict[str, list[list[Tile]]], scale: float, path: str | Path) -> None:
    rows = [row for section in sections.values() for row in section]
    tall = len(sections) * (LINE + GAP) + sum(_height(row, scale) for row in rows)
    figure = page.figure(7 * (WHOLE + GAP) + 2 * MARGIN - GAP, tall + MARGIN)
    y = MARGIN
    for title, section in sections.items():
        page.write(figure, title, MARGIN, y, fontsize=10)
        y += LINE + GAP
        for row in section:
            for column, tile in enumerate(row):
                x, image = MARGIN + column * (WHOLE + GAP), _enlarged(tile, scale)
                page.paste(figure, image, x, y)
                page.write(figure, tile.caption, x + image.shape[1] / 2, y + len(image) + 3,
                           ha="center", fontsize=7, color=QUIET)
            y += _height(row, scale)
    page.save(figure, path)


def _height(row: list[Tile], scale: float) -> int:
    return round(scale * max(len(tile.image) for tile in row)) + CAPTION + GAP


def _enlarged(tile: Tile, scale: float) -> np.ndarray:
    """As large as it is drawn, and with its frames."""
    size = [round(scale * length) for length in tile.image.shape[1::-1]]
    how = Image.Resampling.NEAREST if scale.is_integer() else Image.Resampling.LANCZOS
    image = Image.fromarray(tile.image).resize(size, how)
    for top, left, side, colour in tile.frames:
        edges = np.rint(np.multiply(scale, (left, top, left + side, top + side)))
        ImageDraw.Draw(image).rectangle(list(edges - (0, 0, 1, 1)), outline=colour, width=2)
    return np.asarray(image)
