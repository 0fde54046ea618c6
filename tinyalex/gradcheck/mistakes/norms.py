"""Mistakes in the two normalisations.

They have the same forward and backward, except for what a window is: maps around a map, or pixels
around a pixel. So most mistakes can be made in both.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinyalex.gradcheck.scene import Mistake, Scene, backward, forward
from tinyalex.layers import LocalResponseNorm

OFF_BY_ONE = (0, -1), (-1, 0), (0, 1), (1, 0)  # how much farther a window reaches before and after


# What is taken of `size` places by a window from start to stop, if negative numbers count from the
# end: in a slice, as indices, and modulo the size.
WRAPPED: list[Callable[[int, int, int], Iterable[int]]] = [
    lambda start, stop, size: range(size)[start:stop],
    lambda start, stop, size: range(start, min(size, stop)),
    lambda start, stop, size: (place % size for place in range(start, stop))]


def _window(s: Scene, a: np.ndarray, axes: tuple[int, ...] | None = None,
            reach: tuple[int, int] = (0, 0),
            places=lambda start, stop, size: range(max(0, start), min(size, stop))) -> np.ndarray:
    """The layer's own window sum; or along other axes, or one that reaches farther to either side,
    or one that takes other places. Where a window hangs over the edge it adds up what is there."""
    before, after = (s.layer.n // 2 + farther for farther in reach)
    own = (3,) if isinstance(s.layer, LocalResponseNorm) else (1, 2)
    for axis in own if axes is None else axes:
        a = np.moveaxis(a, axis, 0)
        a = np.stack([a[[*places(i - before, i + after + 1, len(a))]].sum(axis=0)
                      for i in range(len(a))])
        a = np.moveaxis(a, 0, axis)
    return a


def _hangs_over(s: Scene) -> np.ndarray:
    """size² / the pixels of the window that are there: more than 1 where it hangs over an edge."""
    return s.layer.n**2 / _window(s, np.ones(s.x.shape))


def _alpha(s: Scene) -> float:
    """What each square counts."""
    layer = s.layer
    return layer.alpha if isinstance(layer, LocalResponseNorm) else layer.alpha / layer.n**2


def _scale(s: Scene) -> np.ndarray:
    return s.layer.k + _alpha(s) * _window(s, s.x * s.x)


def _y(s: Scene, k: float | None = None, alpha: float | np.ndarray = 1, power: float | None = None,
       **window: Any) -> np.ndarray:
    """The output with another k, alpha times a factor, another power than −beta, another window."""
    scale = (s.layer.k if k is None else k) + alpha * _alpha(s) * _window(s, s.x * s.x, **window)
    return s.x * scale ** (-s.layer.beta if power is None else power)


def _direct(s: Scene) -> np.ndarray:
    """dx if the denominator were a constant."""
    return s.dy * _scale(s) ** -s.layer.beta


def _cross(s: Scene, higher: float = -1, dy: np.ndarray | float | None = None,
           **window: Any) -> np.ndarray:
    """What x_i does through its neighbours' sums. higher: how much higher than −beta the power
    in the sum is. dy: another."""
    inside = (s.dy if dy is None else dy) * s.x * _scale(s) ** (-s.layer.beta + higher)
    return -2 * _alpha(s) * s.layer.beta * s.x * _window(s, inside, **window)


def _not_transposed(s: Scene) -> np.ndarray:
    """J dy, where backward wants Jᵀ dy."""
    outside = s.x * _scale(s) ** (-s.layer.beta - 1)
    return _direct(s) - 2 * _alpha(s) * s.layer.beta * outside * _window(s, s.x * s.dy)


def _x_inside(s: Scene) -> np.ndarray:
    inside = s.dy * s.x * s.x * _scale(s) ** (-s.layer.beta - 1)
    return _direct(s) - 2 * _alpha(s) * s.layer.beta * _window(s, inside)


def _of_both(kind: str, unit: str, reach: str, short: str) -> list[Mistake]:
    """For the hints: what a window is made of, how far it reaches, how much shorter it is with one
    less at its end."""
    y, dx = forward(kind), backward(kind, "x")
    return [
        y("s is multiplied where it should divide.", lambda s: _y(s, power=s.layer.beta)),
        y("the power beta is missing.", lambda s: _y(s, power=-1)),
        y("k is not added.", lambda s: _y(s, k=0)),
        y(f"the window is {short} short: range() ends before its end.",
          lambda s: _y(s, reach=(0, -1)), lambda s: _y(s, reach=(-1, 0))),
        y("negative indices count from the end: a window begins at max(0, …).",
          *(lambda s, places=places: _y(s, places=places) for places in WRAPPED)),
        dx(f"without the cross-{unit} term", "x_i also acts through the sums of its neighbours.",
           _direct),
        dx(f"own {unit} only",
           "everything in the window hands something back, not only i itself.",
           lambda s: _direct(s) + _cross(s, axes=())),
        dx(f"sign of the cross-{unit} term", "a larger x_i makes its neighbours smaller: minus.",
           lambda s: _direct(s) - _cross(s)),
        dx("wrong power", "the sum runs over dy_j x_j s_j**(−beta − 1).",
           lambda s: _direct(s) + _cross(s, higher=0), lambda s: _direct(s) + _cross(s, higher=-2)),
        dx("window off by one", f"W(i) is {reach}, i itself in the middle.",
           *(lambda s, farther=farther: _direct(s) + _cross(s, reach=farther)
             for farther in OFF_BY_ONE)),
        dx("window wraps around", "negative indices count from the end: begin at max(0, …).",
           *(lambda s, places=places: _direct(s) + _cross(s, places=places)
             for places in WRAPPED)),
        dx("J in place of Jᵀ",
           "the sum runs over the y_j that x_i acts on, ∂y_j/∂x_i: it contains dy_j x_j "
           "s_j**(−beta − 1), with x_i in front. This is the sum of ∂y_i/∂x_j.",
           _not_transposed),
        dx("dy forgotten", "both parts have a dy: dy_i before the sum, dy_j in it.",
           lambda s: _direct(s) + _cross(s, dy=1), lambda s: _direct(s) / s.dy + _cross(s)),
        dx("factor 2 missing", "the derivative of x² is 2x.",
           lambda s: _direct(s) + _cross(s) / 2),
        dx("beta missing", "the power's derivative brings down beta.",
           lambda s: _direct(s) + _cross(s) / s.layer.beta),
        dx("x inside instead of outside the sum",
           "x_i comes before the sum, and in it x_j once.", _x_inside),
    ]


lrn_y, lrn_dx = forward("LocalResponseNorm"), backward("LocalResponseNorm", "x")
spatial_y, spatial_dx = forward("SpatialResponseNorm"), backward("SpatialResponseNorm", "x")

NORMS = [
    *_of_both("LocalResponseNorm", "channel", "n // 2 maps to either side", "one map"),
    lrn_y("alpha is divided by n: the paper's sum is not.", lambda s: _y(s, alpha=1 / s.layer.n)),
    lrn_dx("alpha divided by n", "later libraries divide the sum by n; the paper does not.",
           lambda s: _direct(s) + _cross(s) / s.layer.n),
    *_of_both("SpatialResponseNorm", "pixel", "size // 2 pixels to every side",
              "one row and one column"),
    spatial_y("alpha is not divided by size².", lambda s: _y(s, alpha=s.layer.n**2)),
    spatial_y("alpha is divided by size, not by size².", lambda s: _y(s, alpha=s.layer.n)),
    spatial_y("alpha is divided by the number of pixels present; divide by size², even where a "
              "window hangs over.", lambda s: _y(s, alpha=_hangs_over(s))),
    spatial_y("the window runs over maps, not pixels.", lambda s: _y(s, axes=(3,))),
    spatial_y("the window has rows and columns.",
              lambda s: _y(s, axes=(1,)), lambda s: _y(s, axes=(2,))),
    spatial_dx("sums over channels instead of pixels", "the window lies within one map.",
               lambda s: _direct(s) + _cross(s, axes=(3,))),
    spatial_dx("sums along one side only", "the window has rows and columns.",
               lambda s: _direct(s) + _cross(s, axes=(2,)),
               lambda s: _direct(s) + _cross(s, axes=(1,))),
    spatial_dx("alpha not divided by the window", "each square counts alpha / size².",
               lambda s: _direct(s) + _cross(s) * s.layer.n**2,
               lambda s: _direct(s) + _cross(s) * s.layer.n),
    spatial_dx("alpha divided by the clipped window", "size², even where a window hangs over.",
               lambda s: _direct(s) + _cross(s) * _hangs_over(s)),
]
