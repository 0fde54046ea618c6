"""What the built-in pictures show: shapes and bits cut out of coloured paper.

A shape is drawn in coordinates of its own, -1 <= x, y <= 1, y downwards; `Pen.place` says where on
the picture that square lies. Everything is drawn at FINER times the size, and shrunk later, which
smooths the edges.
"""

import colorsys
import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

FINER = 4  # how much larger things are drawn before they are shrunk
HUES = {"warm": (-0.05, 0.13), "cool": (0.40, 0.73)}  # turns of the colour wheel; 0 is red
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


def rgb(hue: float, saturation: float, value: float) -> RGB:
    """A colour by its hue in turns of the colour wheel; the others 0 to 1."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def any_rgb(rng: np.random.Generator) -> RGB:
    """A colour that says nothing about the class."""
    return rgb(rng.random(), rng.uniform(0.25, 0.9), rng.uniform(0.4, 1))


def palette(family: str, rng: np.random.Generator) -> Palette:
    """Colours of a family of HUES."""
    low, high = HUES[family]
    hue, other = rng.uniform(low, high, 2)
    strong, bright = rng.uniform(0.6, 0.95), rng.uniform(0.7, 1)
    return Palette(
        main=rgb(hue, strong, bright),
        second=rgb(other, strong, 0.85 * bright),
        light=rgb(other, 0.4 * strong, min(1, 1.15 * bright)),
        dark=rgb(hue, strong, 0.5 * bright),
        accent=any_rgb(rng),
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
    """Fills outlines on a transparent sheet."""

    def __init__(self, size: int):
        self.pixels = FINER * size
        # Premultiplied alpha: what is only ever opaque or empty may be averaged as it is.
        self.sheet = Image.new("RGBa", (self.pixels, self.pixels))
        self.drawing = ImageDraw.Draw(self.sheet)

    def place(self, x: float, y: float, half: float, angle: float, mirror: bool = False) -> None:
        """Put the shape's origin at (x, y) and make its 1 `half` long, on a picture that itself
        fills -1..1; turn it by `angle` radians, after a flip if `mirror`."""
        across, up = half * math.cos(angle), half * math.sin(angle)
        flip = -1 if mirror else 1
        self.turn = np.array([[flip * across, flip * up], [-up, across]]) * (self.pixels / 2)
        self.shift = np.array([x + 1, y + 1]) * (self.pixels / 2)

    def polygon(self, points: ArrayLike, colour: RGB) -> None:
        """An outline with straight edges. points: (count, 2)."""
        places = np.asarray(points) @ self.turn + self.shift
        self.drawing.polygon(places.ravel().tolist(), fill=(*colour, 255))

    def curve(self, points: ArrayLike, colour: RGB) -> None:
        """A smooth outline through the points."""
        points = np.asarray(points)
        self.polygon(_spline(len(points)) @ points, colour)

    def disc(self, x: float, y: float, radius: float, colour: RGB, tall: float = 1) -> None:
        """A disc, or an ellipse `tall` times as high as it is wide."""
        self.polygon(CIRCLE * (radius, radius * tall) + (x, y), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: RGB) -> None:
        """A rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)


def _fish(pen: Pen, look: Palette, rng: np.random.Generator) -> None:
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


def _butterfly(pen: Pen, look: Palette, rng: np.random.Generator) -> None:
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


def _house(pen: Pen, look: Palette, rng: np.random.Generator) -> None:
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


def _boat(pen: Pen, look: Palette, rng: np.random.Generator) -> None:
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


def _mushroom(pen: Pen, look: Palette, rng: np.random.Generator) -> None:
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


def clutter(pen: Pen, rng: np.random.Generator, count: int) -> None:
    """Small bits of other things, in any colour; never as large as a thing."""
    for _ in range(count):
        x, y = rng.uniform(-1, 1, 2)
        pen.place(x, y, rng.uniform(0.05, 0.14), rng.uniform(0, 2 * math.pi))
        kind, colour = BITS[rng.integers(len(BITS))], any_rgb(rng)
        if kind == "ball":
            pen.disc(0, 0, 0.8, colour)
        elif kind == "ring":
            pen.disc(0, 0, 1, colour)
            pen.disc(0.2, 0, 0.5, any_rgb(rng))
        elif kind == "scrap":
            pen.polygon(CIRCLE[::6] * rng.uniform(0.4, 1.2, (4, 1)), colour)
        elif kind == "leaf":
            pen.curve([(-1.3, 0), (0, -0.5), (1.3, 0), (0, 0.5)], colour)
        else:
            pen.box(-2.5, -0.2, 2.5, 0.2, colour)
