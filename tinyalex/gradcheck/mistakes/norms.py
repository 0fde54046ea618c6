"""Mistakes in the two normalisations.

They have the same forward and backward, but for what a window is: maps around a map, or pixels
around a pixel. So most mistakes can be made in both.
"""

import numpy as np

from tinyalex.gradcheck.scene import Mistake, Scene
from tinyalex.layers import LocalResponseNorm


def _along(a: np.ndarray, axis: int, before: int, after: int) -> np.ndarray:
    """Each place with the `before` ahead of it and the `after` behind it, as far as there are any,
    added up."""
    a = np.moveaxis(a, axis, 0)
    sums = [a[max(0, i - before):max(0, i + after + 1)].sum(axis=0) for i in range(len(a))]
    return np.moveaxis(np.stack(sums), 0, axis)


def _over(*axes: int):
    """A window sum along these axes; before, after: how much farther it reaches to either side."""
    def window(s: Scene, a: np.ndarray, before: int = 0, after: int = 0) -> np.ndarray:
        half = _half(s)
        for axis in axes:
            a = _along(a, axis, half + before, half + after)
        return a

    return window


def _half(s: Scene) -> int:
    return (s.layer.n if isinstance(s.layer, LocalResponseNorm) else s.layer.size) // 2


def _window(s: Scene, a: np.ndarray, before: int = 0, after: int = 0) -> np.ndarray:
    """The layer's own window sum."""
    axes = (3,) if isinstance(s.layer, LocalResponseNorm) else (1, 2)
    return _over(*(axis - 4 for axis in axes))(s, a, before, after)


def _alone(s: Scene, a: np.ndarray) -> np.ndarray:
    return a


def _mean_there(s: Scene, a: np.ndarray) -> np.ndarray:
    """The mean over the pixels that are there, times size²: where a window hangs over the edge that
    is more than the sum."""
    return _window(s, a) / _window(s, np.ones(a.shape)) * s.layer.size**2


def _alpha(s: Scene) -> float:
    """What each square counts."""
    return s.layer.alpha / s.layer.divisor


def _scale(s: Scene) -> np.ndarray:
    return s.layer.k + _alpha(s) * _window(s, s.x * s.x)


def _y(s: Scene, window=_window, reach=(0, 0), k=None, alpha=1.0, power=None) -> np.ndarray:
    """The output with another window, reaching farther or less far, another k, alpha times a
    factor, another power than −beta."""
    layer = s.layer
    squares = window(s, s.x * s.x, *reach) if any(reach) else window(s, s.x * s.x)
    scale = (layer.k if k is None else k) + alpha * _alpha(s) * squares
    return s.x * scale ** (-layer.beta if power is None else power)


def _inside(s: Scene, power: float | None = None) -> np.ndarray:
    """What the window sum of the backward pass adds up: dy x s**(−beta − 1)."""
    return s.dy * s.x * _scale(s) ** (-s.layer.beta - 1 if power is None else power)


def _direct(s: Scene) -> np.ndarray:
    return s.dy * _scale(s) ** -s.layer.beta


def _cross(s: Scene, inside: np.ndarray | None = None, window=_window, reach=(0, 0)) -> np.ndarray:
    """What x_i does by way of its neighbours' sums."""
    inside = _inside(s) if inside is None else inside
    summed = window(s, inside, *reach) if any(reach) else window(s, inside)
    return -2 * _alpha(s) * s.layer.beta * s.x * summed


def _x_inside(s: Scene) -> np.ndarray:
    factor = -2 * _alpha(s) * s.layer.beta
    return _direct(s) + factor * _window(s, s.x * _inside(s))


def _x_outside(s: Scene) -> np.ndarray:
    return _direct(s) + s.x * _cross(s, s.dy * _scale(s) ** (-s.layer.beta - 1))


REACH = {  # of a window that is wrong: in words, and how much farther before and behind
    "one too far to either side": (1, 1), "one short at either side": (-1, -1),
    "one short at its end": (0, -1), "one short at its beginning": (-1, 0),
    "one too far at its end": (0, 1), "one too far at its beginning": (1, 0)}
POWERS = {  # of s in the sum, where −beta − 1 is due
    "−β": lambda beta: -beta, "−β − 2": lambda beta: -beta - 2, "1 − β": lambda beta: 1 - beta,
    "−1": lambda beta: -1, "−2β": lambda beta: -2 * beta, "β − 1": lambda beta: beta - 1}


def _of_both(kind: str, unit: str, reach: str, wide: str, short: str) -> list[Mistake]:
    """unit: what a window is made of. For the hints: how far it reaches, how much it is too wide
    with one more to either side, too short with one less at its end."""
    return [
        Mistake(kind, "y", "multiplied", "s is multiplied where it should divide.", {
            "forward gives x s^β": lambda s: _y(s, power=s.layer.beta)}),
        Mistake(kind, "y", "power missing", "the power beta is missing.", {
            "forward gives x / s": lambda s: _y(s, power=-1)}),
        Mistake(kind, "y", "k missing", "k is not added, or always the same number is.", {
            f"forward adds {k:g} in the place of k": lambda s, k=k: _y(s, k=k)
            for k in (0.0, 1.0, 2.0)}),
        Mistake(kind, "y", "window too wide", f"the window is {wide} too wide.", {
            "forward's window reaches one too far to either side":
            lambda s: _y(s, reach=(1, 1))}),
        Mistake(kind, "y", "window too narrow", f"the window is too narrow: {reach}.", {
            "forward's window is one short at either side": lambda s: _y(s, reach=(-1, -1))}),
        Mistake(kind, "y", "window short",
                f"the window is {short} short: range() ends before its end.", {
                    "forward's window ends one early": lambda s: _y(s, reach=(0, -1)),
                    "forward's window begins one late": lambda s: _y(s, reach=(-1, 0))}),
        Mistake(kind, "x", f"without the cross-{unit} term",
                "x_i also acts through the sums of its neighbours.", {
                    "the denominator is taken for a constant: dx = dy s^−β": _direct}),
        Mistake(kind, "x", f"own {unit} only",
                "all that is in the window hands something back, not only i itself.", {
                    f"every {unit} is treated as if it were alone in its window":
                    lambda s: _direct(s) + _cross(s, window=_alone)}),
        Mistake(kind, "x", f"sign of the cross-{unit} term",
                "a larger x_i makes its neighbours smaller: minus.", {
                    f"the cross-{unit} term is added where it should be subtracted":
                    lambda s: _direct(s) - _cross(s)}),
        Mistake(kind, "x", "wrong power", "the sum runs over dy_j x_j s_j**(−beta − 1).", {
            f"the sum has s^({power}) where the derivative makes it s^(−β − 1)":
            lambda s, of=of: _direct(s) + _cross(s, _inside(s, of(s.layer.beta)))
            for power, of in POWERS.items()}),
        Mistake(kind, "x", "wrong power", "dy_i is multiplied by s_i**−beta.", {
            "the direct term is dy s^β": lambda s: s.dy * _scale(s) ** s.layer.beta + _cross(s)}),
        Mistake(kind, "x", "window off by one", f"W(i) is {reach}, i itself in the middle.", {
            f"the window of the backward is {words}":
            lambda s, farther=farther: _direct(s) + _cross(s, reach=farther)
            for words, farther in REACH.items()}),
        Mistake(kind, "x", "factor 2 missing", "the derivative of x² is 2x.", {
            "the derivative of x² is taken for x": lambda s: _direct(s) + _cross(s) / 2}),
        Mistake(kind, "x", "beta missing", "the power's derivative brings down beta.", {
            "the power goes down by one and leaves no β before it":
            lambda s: _direct(s) + _cross(s) / s.layer.beta}),
        Mistake(kind, "x", "alpha missing", "the squares come into s times alpha.", {
            "the derivative of s lacks alpha": lambda s: _direct(s) + _cross(s) / s.layer.alpha}),
        Mistake(kind, "x", "x outside instead of inside the sum",
                "the sum holds dy_j y_j, x_i stands before it.", {
                    "x_i² before the sum, and no x_j in it": _x_outside}),
        Mistake(kind, "x", "x inside instead of outside the sum",
                "x_i stands before the sum, not in it.", {
                    "x_j in the sum's place of x_i before it": _x_inside}),
        Mistake(kind, "x", f"cross-{unit} term only", "dy_i s_i**−beta is missing.", {
            "dx is the derivative of the denominator alone": _cross}),
    ]


LRN = [
    *_of_both("LocalResponseNorm", "channel", "n // 2 maps to either side", "two maps",
              "one map"),
    Mistake("LocalResponseNorm", "y", "alpha divided by n",
            "alpha is divided by n: the paper's sum is not.", {
                "forward divides alpha by n, as later libraries do":
                lambda s: _y(s, alpha=1 / s.layer.n)}),
    Mistake("LocalResponseNorm", "x", "alpha divided by n", "the paper's sum is not divided by n.", {
        "backward divides alpha by n, as later libraries do; forward does not":
        lambda s: _direct(s) + _cross(s) / s.layer.n}),
]

SPATIAL = [
    *_of_both("SpatialResponseNorm", "pixel", "size // 2 pixels to every side",
              "two pixels", "one row and one column"),
    Mistake("SpatialResponseNorm", "y", "alpha not divided by the window",
            "alpha is not divided by size².", {
                "forward does not divide alpha": lambda s: _y(s, alpha=s.layer.size**2)}),
    Mistake("SpatialResponseNorm", "y", "alpha divided by the side",
            "alpha is divided by size, not by size².", {
                "forward divides alpha by size": lambda s: _y(s, alpha=s.layer.size)}),
    Mistake("SpatialResponseNorm", "y", "alpha divided by the clipped window",
            "alpha is divided by the pixels that are there; it is size² that divides, also where a "
            "window hangs over.", {
                "forward takes a mean over the pixels that are there":
                lambda s: _y(s, window=_mean_there)}),
    Mistake("SpatialResponseNorm", "y", "window over maps",
            "the window runs over maps, not pixels.", {
                "forward is that of LRN": lambda s: _y(s, window=_over(3))}),
    Mistake("SpatialResponseNorm", "y", "columns missing", "the window has columns as well.", {
        "forward's window is a column of pixels": lambda s: _y(s, window=_over(1))}),
    Mistake("SpatialResponseNorm", "y", "rows missing", "the window has rows as well.", {
        "forward's window is a row of pixels": lambda s: _y(s, window=_over(2))}),
    Mistake("SpatialResponseNorm", "x", "sums over channels instead of pixels",
            "the window lies within one map.", {
                "backward is copied from LRN: its window runs over the maps":
                lambda s: _direct(s) + _cross(s, window=_over(3))}),
    Mistake("SpatialResponseNorm", "x", "sums along one side only",
            "the window has rows and columns.", {
                "the window is a row of pixels, not a square":
                lambda s: _direct(s) + _cross(s, window=_over(2)),
                "the window is a column of pixels, not a square":
                lambda s: _direct(s) + _cross(s, window=_over(1))}),
    Mistake("SpatialResponseNorm", "x", "alpha not divided by the window",
            "each square counts alpha / size².", {
                "forward divides alpha by size², backward does not":
                lambda s: _direct(s) + _cross(s) * s.layer.size**2,
                "backward divides alpha by size, as LRNs across maps do in later libraries":
                lambda s: _direct(s) + _cross(s) * s.layer.size}),
    Mistake("SpatialResponseNorm", "x", "alpha divided twice", "once by size² is enough.", {
        "backward divides alpha by size² twice":
        lambda s: _direct(s) + _cross(s) / s.layer.size**2}),
    Mistake("SpatialResponseNorm", "x", "alpha divided by the clipped window",
            "size², also where a window hangs over.", {
                "backward takes a mean over the pixels that are there: at an edge fewer than size²":
                lambda s: _direct(s) + _cross(s, window=_mean_there),
                "backward divides each pixel's sum by the pixels around it":
                lambda s: _direct(s) + _cross(
                    s, _inside(s) / _window(s, np.ones(s.x.shape)) * s.layer.size**2)}),
]

NORMS = [*LRN, *SPATIAL]
