"""The built-in dataset: ten classes of small pictures, drawn here, so that nothing is downloaded.

Five forms (fish, butterfly, house, boat, mushroom), each in warm and in cool colours. The class is
the pair, so a network has to see both. Everything else is chance and says nothing about the class:
where the thing is and how large, the light, the background and the bits that lie about, in any
colour. A classifier that only weighs pixels gets about 40 % right; a small convolutional network
nearly all.

A picture is made like a paper collage: the bits and the thing are cut out at four times the size
(Pillow), shrunk, which smooths their edges, lit, and laid on the background (NumPy).
"""

import colorsys
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from tqdm import tqdm

from tinyalex.data.dataset import Dataset
from tinyalex.support import files
from tinyalex.support.errors import UserError

SIZE = 64  # pixels, of a side
FINER = 4  # how much larger things are drawn before they are shrunk
VERSION = 2  # part of the cache file's name: count it up whenever a picture would look different
SPLITS = {"train": (8000, 1), "val": (1000, 2)}  # pictures, seed
HUES = {"warm": (-0.05, 0.13), "cool": (0.40, 0.73)}  # turns of the colour wheel; 0 is red

TEXTURES = ("stripes", "waves", "spots", "rings", "hills", "clouds")
BITS = ("ball", "ring", "scrap", "leaf", "straw")

RGB = tuple[int, int, int]
CREAM, INK = (250, 243, 226), (38, 34, 48)


class Palette(NamedTuple):
    """The colours of one thing: four of its family, and one of any hue for a small detail."""

    main: RGB
    second: RGB
    light: RGB
    dark: RGB
    accent: RGB


def _colour(hue: float, saturation: float, value: float) -> RGB:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _any_colour(rng: np.random.Generator) -> RGB:
    return _colour(rng.random(), rng.uniform(0.25, 0.9), rng.uniform(0.4, 1))


def _palette(family: str, rng: np.random.Generator) -> Palette:
    low, high = HUES[family]
    hue, other = rng.uniform(low, high, 2)
    strong, bright = rng.uniform(0.6, 0.95), rng.uniform(0.7, 1)
    return Palette(
        main=_colour(hue, strong, bright),
        second=_colour(other, strong, 0.85 * bright),
        light=_colour(other, 0.4 * strong, min(1, 1.15 * bright)),
        dark=_colour(hue, strong, 0.5 * bright),
        accent=_any_colour(rng),
    )


@lru_cache
def _spline(count: int) -> np.ndarray:
    """The matrix that makes a smooth closed outline of `count` points: (6 * count, count).

    A Catmull-Rom spline: it passes through every point, in the direction from the one before to
    the one after, so each stretch is a weighted sum of four neighbours.
    """
    t = np.linspace(0, 1, 6, endpoint=False)[:, None]
    weights = np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3,
                         t + 4 * t**2 - 3 * t**3, t**3 - t**2]) / 2
    neighbours = np.stack([np.roll(np.eye(count), k, axis=1) for k in (-1, 0, 1, 2)], axis=1)
    return (weights @ neighbours).reshape(-1, count)


_turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
CIRCLE = np.stack([np.cos(_turns), np.sin(_turns)], axis=1)


class Pen:
    """Fills outlines on a transparent sheet. A form is drawn in coordinates of its own:
    -1 <= x, y <= 1, y downwards; `place` says where on the picture that square lies."""

    def __init__(self, size: int):
        self.pixels = FINER * size
        # Premultiplied alpha: what is only ever opaque or empty may be averaged as it stands.
        self.sheet = Image.new("RGBa", (self.pixels, self.pixels))
        self.drawing = ImageDraw.Draw(self.sheet)

    def place(self, x: float, y: float, half: float, angle: float, mirror: bool = False):
        """Put the form's origin at (x, y) and make its 1 `half` long, on a picture that itself
        fills -1..1; turn it by `angle` radians, after a flip if `mirror`."""
        across, up = half * math.cos(angle), half * math.sin(angle)
        flip = -1 if mirror else 1
        self.turn = np.array([[flip * across, flip * up], [-up, across]]) * (self.pixels / 2)
        self.shift = np.array([x + 1, y + 1]) * (self.pixels / 2)

    def polygon(self, points, colour: RGB):
        """An outline with straight edges. points: (count, 2)."""
        places = np.asarray(points) @ self.turn + self.shift
        self.drawing.polygon(places.ravel().tolist(), fill=(*colour, 255))

    def curve(self, points, colour: RGB):
        """A smooth outline through the points."""
        self.polygon(_spline(len(points)) @ np.asarray(points), colour)

    def disc(self, x: float, y: float, radius: float, colour: RGB, tall: float = 1):
        """A disc, or an ellipse `tall` times as high as it is wide."""
        self.polygon(CIRCLE * (radius, radius * tall) + (x, y), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: RGB):
        """A rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)


def _fish(pen: Pen, look: Palette, rng: np.random.Generator):
    fat, tail = rng.uniform(0.42, 0.62), rng.uniform(0.4, 0.6)
    pen.curve([(-0.45, 0), (-0.95, -tail), (-0.8, 0), (-0.95, tail)], look.second)
    pen.curve([(-0.35, -0.6 * fat), (-0.2, -1.5 * fat), (0.25, -1.35 * fat), (0.4, -0.5 * fat)],
              look.second)
    pen.curve([(-0.1, 0.6 * fat), (-0.25, 1.4 * fat), (0.2, 0.8 * fat)], look.second)
    pen.curve([(-0.6, 0), (0, -fat), (0.6, -0.75 * fat), (1, 0), (0.6, 0.7 * fat), (0, fat)],
              look.main)
    for x in (-0.25, 0.02, 0.29)[:rng.integers(2, 4)]:
        pen.curve([(x - 0.06, -0.6 * fat), (x + 0.06, -0.6 * fat), (x + 0.12, 0),
                   (x + 0.06, 0.6 * fat), (x - 0.06, 0.6 * fat), (x, 0)], look.light)
    pen.curve([(0.05, 0.1), (-0.3, 0.05), (-0.2, 0.4 * fat)], look.dark)
    pen.disc(0.66, -0.2 * fat, 0.13, CREAM)
    pen.disc(0.69, -0.2 * fat, 0.07, INK)


def _butterfly(pen: Pen, look: Palette, rng: np.random.Generator):
    high, low = rng.uniform(0.75, 0.95), rng.uniform(0.65, 0.9)
    spot = rng.uniform(0.1, 0.17)
    for side in (-1, 1):
        pen.curve([(0, 0), (0.7 * side, 0.1), (0.75 * side, low), (0.3 * side, 0.8 * low)],
                  look.second)
        pen.curve([(0, 0.05), (0.3 * side, -0.75 * high), (side, -high), (0.85 * side, 0.1)],
                  look.dark)
        pen.curve([(0.05 * side, 0), (0.35 * side, -0.6 * high), (0.87 * side, -0.85 * high),
                   (0.76 * side, 0.02)], look.main)
        pen.curve([(0.1 * side, -0.08), (0.3 * side, -0.35 * high), (0.45 * side, -0.1)],
                  look.light)
        pen.disc(0.68 * side, -0.55 * high, spot, look.accent)
        pen.disc(0.5 * side, 0.55 * low, 0.9 * spot, look.light)
        pen.polygon([(-0.04, -0.45), (0.04, -0.45), (0.25 * side, -0.95)], INK)
        pen.disc(0.25 * side, -0.95, 0.06, INK)
    pen.disc(0, 0.05, 0.1, INK, tall=5)
    pen.disc(0, -0.45, 0.12, INK)


def _house(pen: Pen, look: Palette, rng: np.random.Generator):
    wide, eaves, door = rng.uniform(0.65, 0.85), rng.uniform(-0.25, 0.05), rng.uniform(-0.15, 0.15)
    pen.box(0.32, -0.95, 0.54, eaves, look.dark)
    pen.box(-wide, eaves, wide, 0.95, look.light)
    pen.polygon([(-wide - 0.15, eaves + 0.08), (0, -1), (wide + 0.15, eaves + 0.08)], look.main)
    pen.disc(0, eaves - 0.25, 0.13, CREAM)
    pen.disc(door, 0.35, 0.17, look.second)
    pen.box(door - 0.17, 0.35, door + 0.17, 0.95, look.second)
    pen.disc(door + 0.09, 0.65, 0.04, CREAM)
    for x in (-0.65 * wide, 0.65 * wide):
        pen.box(x - 0.16, 0.25, x + 0.16, 0.6, look.accent)
        pen.box(x - 0.025, 0.25, x + 0.025, 0.6, CREAM)
        pen.box(x - 0.16, 0.4, x + 0.16, 0.45, CREAM)


def _boat(pen: Pen, look: Palette, rng: np.random.Generator):
    mast, boom, bow = rng.uniform(-0.1, 0.15), rng.uniform(0.25, 0.4), rng.uniform(0.8, 0.95)
    pen.box(mast - 0.035, -0.98, mast + 0.035, 0.6, INK)
    pen.polygon([(mast, -1), (mast - 0.3, -0.9), (mast, -0.8)], look.accent)
    pen.curve([(mast + 0.06, -0.85), (mast + 0.5, -0.3), (bow, boom), (mast + 0.06, boom)],
              look.main)
    pen.curve([(mast - 0.08, -0.7), (mast - 0.08, boom), (-0.75, boom), (mast - 0.4, -0.1)],
              look.light)
    pen.curve([(-0.95, 0.48), (0, 0.55), (1, 0.45), (0.65, 0.93), (0, 0.98), (-0.65, 0.93)],
              look.second)
    pen.polygon([(-0.83, 0.65), (0.85, 0.65), (0.8, 0.73), (-0.79, 0.73)], CREAM)


def _mushroom(pen: Pen, look: Palette, rng: np.random.Generator):
    thick, high, brim = rng.uniform(0.18, 0.3), rng.uniform(0.85, 1), rng.uniform(0, 0.15)
    pen.curve([(-thick, -0.1), (thick, -0.1), (1.1 * thick, 0.5), (1.6 * thick, 0.95),
               (-1.6 * thick, 0.95), (-1.1 * thick, 0.5)], CREAM)
    pen.curve([(-0.9, brim), (0, brim - 0.12), (0.9, brim), (0, brim + 0.22)], look.dark)
    pen.curve([(-0.97, brim), (-0.75, -0.55 * high), (0, -high), (0.75, -0.55 * high),
               (0.97, brim), (0, brim + 0.06)], look.main)
    for x, y, radius in ((-0.55, -0.2, 0.15), (-0.1, -0.62, 0.14), (0.15, -0.15, 0.18),
                         (0.62, -0.22, 0.12), (0.42, -0.58, 0.09)):
        pen.disc(x, y * high, radius * rng.uniform(0.75, 1.1), look.light)


FORMS: dict[str, Callable[[Pen, Palette, np.random.Generator], None]] = {
    "fish": _fish, "butterfly": _butterfly, "house": _house, "boat": _boat, "mushroom": _mushroom,
}
CLASSES = tuple(f"{family} {form}" for form in FORMS for family in HUES)


def _clutter(pen: Pen, rng: np.random.Generator, count: int):
    """Small bits of other things, in any colour; never as large as a thing."""
    for _ in range(count):
        x, y = rng.uniform(-1, 1, 2)
        pen.place(x, y, rng.uniform(0.05, 0.14), rng.uniform(0, 2 * math.pi))
        kind, colour = BITS[rng.integers(len(BITS))], _any_colour(rng)
        if kind == "ball":
            pen.disc(0, 0, 0.8, colour)
        elif kind == "ring":
            pen.disc(0, 0, 1, colour)
            pen.disc(0.2, 0, 0.5, _any_colour(rng))
        elif kind == "scrap":
            pen.polygon(CIRCLE[::6] * rng.uniform(0.4, 1.2, (4, 1)), colour)
        elif kind == "leaf":
            pen.curve([(-1.3, 0), (0, -0.5), (1.3, 0), (0, 0.5)], colour)
        else:
            pen.box(-2.5, -0.2, 2.5, 0.2, colour)


def _texture(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of TEXTURES, at places (u, v): (size, size), around -1..1."""
    often, phase = rng.uniform(4, 13), rng.uniform(0, 2 * math.pi)
    kind = TEXTURES[rng.integers(len(TEXTURES))]
    if kind == "stripes":
        return np.sin(often * u + phase)
    if kind == "waves":
        return np.sin(often * u + phase + 1.5 * np.sin(0.5 * often * v))
    if kind == "spots":
        return 1.6 * np.sin(often * u + phase) * np.sin(often * v) - 0.6
    if kind == "rings":
        return np.sin(often * np.hypot(u - math.cos(phase), v - math.sin(phase)))
    if kind == "hills":
        return 4 * (v - 0.6 * math.sin(phase)) + np.sin(2 * u + phase) + 0.3 * np.sin(often * u)
    waves = rng.normal(0, 4, (6, 3)).tolist()
    return sum(np.sin(a * u + b * v + c) for a, b, c in waves) / 2


def _background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Two neighbouring hues melt into each other, under a soft texture and some patches.

    Returns (3, size, size) float32, 0..1: NumPy is quicker with the long axes last. No colour
    here knows the class.
    """
    hue = rng.random()
    hues = hue, hue + rng.uniform(-0.15, 0.15), hue + rng.uniform(-0.4, 0.4)
    first, second, third = (
        _planes(_colour(h, rng.uniform(0.15, 0.7), rng.uniform(0.4, 1))) for h in hues)
    angle = rng.uniform(0, 2 * math.pi)
    x, y = _axes(size)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    edge, cover = rng.uniform(0.8, 4), rng.uniform(0.15, 0.8)
    ground = first + (second - first) * (0.5 + 0.35 * u)
    ground += (third - ground) * (cover * (0.5 + 0.5 * np.tanh(edge * _texture(u, v, rng))))
    for _ in range(rng.integers(1, 5)):
        inside = _patch(u, v, rng)
        colour = _colour(rng.random(), rng.uniform(0.3, 0.95), rng.uniform(0.5, 1))
        ground += (_planes(colour) - ground) * inside
    return ground


def _patch(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A disc, an ellipse or a band, as large and as bright as the things are: without patches,
    the colour that sticks out would name the family. (size, size): 1 inside, 0 outside."""
    x, y = rng.uniform(-0.9, 0.9, 2)
    radius, squeeze = rng.uniform(0.15, 0.6), (1, 1, 0.5, 0)[rng.integers(4)]
    inside = radius - np.hypot(u - x, squeeze * (v - y))
    return (0.5 + inside * len(u) / 2).clip(0, 1)


def _planes(colour: RGB) -> np.ndarray:
    return np.array(colour, np.float32).reshape(3, 1, 1) / 255


def _axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels' places, -1..1: a row (1, size) of x and a column (size, 1) of y."""
    centres = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
    return centres[None, :], centres[:, None]


def _lay(sheet: Image.Image, ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay the cut-outs on the ground: thick paper, light from one side, a soft shadow.

    The blurred outline is the paper's height; moved away from the light it is the shadow, and
    where the height is above the shadow, the edge faces the light. Returns (3, size, size).
    """
    angle, far = rng.uniform(0, 2 * math.pi), 0.035 * sheet.width
    outline = sheet.getchannel("a").filter(ImageFilter.GaussianBlur(0.04 * sheet.width))
    moved = Image.new("L", sheet.size)
    moved.paste(outline, (round(far * math.cos(angle)), round(far * math.sin(angle))))
    height, shadow = (np.float32(image) / 255 for image in (outline, moved))
    cut = np.float32(np.asarray(sheet).transpose(2, 0, 1).copy()) / 255
    ground = ground * ((1 - rng.uniform(0.2, 0.6) * shadow) * (1 - cut[3]))
    return ground + cut[:3] * (1 + rng.uniform(0.3, 0.9) * (height - shadow))


def _photograph(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lamp, contrast and grain. scene: (3, size, size), 0..1; returns (size, size, 3) uint8."""
    size = scene.shape[1]
    x, y = _axes(size)
    lamp = np.float32(1 + rng.uniform(-0.2, 0.15) + rng.uniform(-0.06, 0.06, (3, 1, 1)))
    slope = 1 + rng.uniform(-0.2, 0.2) * x + rng.uniform(-0.2, 0.2) * y
    contrast, grain = rng.uniform(0.75, 1.1), rng.uniform(0, 0.02)
    noise = 0.5 - 0.5 * contrast + grain * rng.standard_normal((size, size), np.float32)
    picture = scene * (slope * lamp * contrast) + noise
    bright = (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(bright.transpose(1, 2, 0))


def draw(label: int, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """One picture of class `label`: (size, size, 3) uint8.

    The same state of `rng` gives the same picture at any size, only sharper. Raises UserError for
    a label outside 0..9.
    """
    if label not in range(len(CLASSES)):
        raise UserError(f"label {label}: there is no such class",
                        f"labels run from 0 to {len(CLASSES) - 1}; see CLASSES.")
    family, form = CLASSES[label].split()
    ground = _background(size, rng)
    pen = Pen(size)
    _clutter(pen, rng, rng.integers(2, 8))
    half = 0.36 + 0.42 * rng.random() ** 1.5  # small ones are commoner
    x, y = rng.uniform(half - 1, 1 - half, 2)
    pen.place(x, y, half, rng.uniform(-0.4, 0.4), mirror=rng.random() < 0.5)
    FORMS[form](pen, _palette(family, rng), rng)
    _clutter(pen, rng, rng.integers(0, 3))
    return _photograph(_lay(pen.sheet.reduce(FINER), ground, rng), rng)


def make(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` pictures (count, 64, 64, 3) uint8 and their labels (count,), the classes in turn.

    Picture i depends on (seed, i) alone.
    """
    labels = np.arange(count) % len(CLASSES)
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for i in tqdm(range(count), "drawing pictures", disable=None, delay=0.5):
        images[i] = draw(labels[i], np.random.default_rng([seed, i]))
    return images, labels


def load(split: str) -> Dataset:
    """The pictures to learn from ("train") or to be examined on ("val").

    They are drawn on first use, which takes some seconds, and kept in the cache folder. Raises
    UserError for another split, OSError where the folder can't be written.
    """
    if split not in SPLITS:
        raise UserError(f"the built-in shapes have no split {split!r}",
                        f"choose one of: {', '.join(SPLITS)}.")
    count, seed = SPLITS[split]
    path = files.cache_folder() / f"shapes-v{VERSION}-{split}.npz"
    images = _cached(path, (count, SIZE, SIZE, 3))
    if images is None:
        images, _ = make(count, seed)
        with files.replacing(path) as part, open(part, "wb") as file:
            np.savez(file, images=images)
    return Dataset(images, np.arange(count) % len(CLASSES), CLASSES, f"shapes ({split})")


def _cached(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The pictures of an earlier run; None where there are none, or not all of them whole."""
    try:
        # Opened here: given a path, np.load leaves a broken zip file open.
        with open(path, "rb") as file, np.load(file) as arrays:
            images = arrays["images"]
    except Exception:  # whatever is the matter with the file, drawing it again mends it
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None
