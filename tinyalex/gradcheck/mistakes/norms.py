"""Mistakes in the two normalisations.

They have the same forward and backward, but for what a window is: maps around a map, or pixels
around a pixel. So most mistakes can be made in both.
"""

from collections.abc import Callable

import numpy as np

from tinyalex.gradcheck.scene import Mistake, Scene, backward, forward
from tinyalex.layers import LocalResponseNorm


def _along(a: np.ndarray, axis: int, before: int, after: int) -> np.ndarray:
    """Each place with the `before` ahead of it and the `after` behind it, as far as there are any,
    added up."""
    a = np.moveaxis(a, axis, 0)
    sums = [a[max(0, i - before):max(0, i + after + 1)].sum(axis=0) for i in range(len(a))]
    return np.moveaxis(np.stack(sums), 0, axis)


Window = Callable[..., np.ndarray]  # (scene, array, before, after)


def _over(*axes: int) -> Window:
    """A window sum along these axes; before, after: how much farther it reaches to either side."""
    def window(s: Scene, a: np.ndarray, before: int = 0, after: int = 0) -> np.ndarray:
        half = _half(s)
        for axis in axes:
            a = _along(a, axis, half + before, half + after)
        return a

    return window


def _half(s: Scene) -> int:
    return s.layer.n // 2


def _window(s: Scene, a: np.ndarray, before: int = 0, after: int = 0) -> np.ndarray:
    """The layer's own window sum."""
    axes = (-1,) if isinstance(s.layer, LocalResponseNorm) else (1, 2)
    return _over(*axes)(s, a, before, after)


def _alone(s: Scene, a: np.ndarray, before: int = 0, after: int = 0) -> np.ndarray:
    return a


def _mean_there(s: Scene, a: np.ndarray, before: int = 0, after: int = 0) -> np.ndarray:
    """The mean over the pixels that are there, times size²."""
    return _window(s, a) * _hangs_over(s)


def _hangs_over(s: Scene) -> np.ndarray:
    """size² / the pixels of the window that are there: more than 1 where it hangs over an edge."""
    return s.layer.n**2 / _window(s, np.ones(s.x.shape))


def _alpha(s: Scene) -> float:
    """What each square counts."""
    layer = s.layer
    return layer.alpha if isinstance(layer, LocalResponseNorm) else layer.alpha / layer.n**2


def _scale(s: Scene) -> np.ndarray:
    return s.layer.k + _alpha(s) * _window(s, s.x * s.x)


def _y(s: Scene, window: Window = _window, reach: tuple[int, int] = (0, 0), k: float | None = None,
       alpha: float = 1.0, power: float | None = None) -> np.ndarray:
    """The output with another window, reaching farther or less far, another k, alpha times a
    factor, another power than −beta."""
    layer = s.layer
    scale = (layer.k if k is None else k) + alpha * _alpha(s) * window(s, s.x * s.x, *reach)
    return s.x * scale ** (-layer.beta if power is None else power)


def _inside(s: Scene, power: float | None = None) -> np.ndarray:
    """What the window sum of the backward pass adds up: dy x s**(−beta − 1)."""
    return s.dy * s.x * _scale(s) ** (-s.layer.beta - 1 if power is None else power)


def _direct(s: Scene) -> np.ndarray:
    return s.dy * _scale(s) ** -s.layer.beta


def _cross(s: Scene, inside: np.ndarray | None = None, window: Window = _window,
           reach: tuple[int, int] = (0, 0)) -> np.ndarray:
    """What x_i does by way of its neighbours' sums."""
    inside = _inside(s) if inside is None else inside
    return -2 * _alpha(s) * s.layer.beta * s.x * window(s, inside, *reach)


def _x_inside(s: Scene) -> np.ndarray:
    factor = -2 * _alpha(s) * s.layer.beta
    return _direct(s) + factor * _window(s, s.x * _inside(s))


def _x_outside(s: Scene) -> np.ndarray:
    return _direct(s) + s.x * _cross(s, s.dy * _scale(s) ** (-s.layer.beta - 1))


# Of a window that is wrong, how much farther it reaches before and behind.
REACH = (0, -1), (-1, 0), (0, 1), (1, 0), (1, 1)
# Of s in the sum, where −beta − 1 is due.
POWERS = (lambda beta: -beta, lambda beta: -beta - 2, lambda beta: 1 - beta, lambda beta: -1,
          lambda beta: -2 * beta, lambda beta: beta - 1)


def _of_both_forward(kind: str, reach: str, wide: str, short: str) -> list[Mistake]:
    """For the hints: how far a window reaches, how much it is too wide with one more to either
    side, and too short with one less at its end."""
    y = forward(kind)
    return [
        y("s is multiplied where it should divide.", lambda s: _y(s, power=s.layer.beta)),
        y("the power beta is missing.", lambda s: _y(s, power=-1)),
        y("k is not added, or always the same number is.",
          *(lambda s, k=k: _y(s, k=k) for k in (0.0, 1.0, 2.0))),
        y(f"the window is {wide} too wide.", lambda s: _y(s, reach=(1, 1))),
        y(f"the window is too narrow: {reach}.", lambda s: _y(s, reach=(-1, -1))),
        y(f"the window is {short} short: range() ends before its end.",
          lambda s: _y(s, reach=(0, -1)), lambda s: _y(s, reach=(-1, 0))),
    ]


def _of_both_backward(kind: str, unit: str, reach: str) -> list[Mistake]:
    """unit: what a window is made of. reach: how far it goes, for the hint."""
    dx = backward(kind, "x")
    return [
        dx(f"without the cross-{unit} term", "x_i also acts through the sums of its neighbours.",
           "the denominator is taken for a constant: dx = dy s^−β", _direct),
        dx(f"own {unit} only",
           "all that is in the window hands something back, not only i itself.",
           f"every {unit} is treated as if it were alone in its window",
           lambda s: _direct(s) + _cross(s, window=_alone)),
        dx(f"sign of the cross-{unit} term", "a larger x_i makes its neighbours smaller: minus.",
           f"the cross-{unit} term is added where it should be subtracted",
           lambda s: _direct(s) - _cross(s)),
        dx("wrong power", "the sum runs over dy_j x_j s_j**(−beta − 1).",
           "the sum has s^−β where the derivative makes it s^(−β − 1)",
           *(lambda s, power=power: _direct(s) + _cross(s, _inside(s, power(s.layer.beta)))
             for power in POWERS)),
        dx("wrong power", "dy_i is multiplied by s_i**−beta.",
           "the direct term is dy s^β", lambda s: s.dy * _scale(s) ** s.layer.beta + _cross(s)),
        dx("window off by one", f"W(i) is {reach}, i itself in the middle.",
           "the window of the backward ends one early: range(i − n//2, i + n//2)",
           *(lambda s, farther=farther: _direct(s) + _cross(s, reach=farther) for farther in REACH),
           lambda s: _direct(s) + _cross(s, reach=(-1, -1)) if _half(s) > 1 else np.empty(0)),
        dx("factor 2 missing", "the derivative of x² is 2x.",
           "the derivative of x² is taken for x", lambda s: _direct(s) + _cross(s) / 2),
        dx("beta missing", "the power's derivative brings down beta.",
           "the power goes down by one and leaves no β before it",
           lambda s: _direct(s) + _cross(s) / s.layer.beta),
        dx("alpha missing", "the squares come into s times alpha.",
           "the derivative of s lacks alpha", lambda s: _direct(s) + _cross(s) / s.layer.alpha),
        dx("x outside instead of inside the sum", "the sum holds dy_j y_j, x_i stands before it.",
           "x_i² before the sum, and no x_j in it", _x_outside),
        dx("x inside instead of outside the sum", "x_i stands before the sum, not in it.",
           "x_j in the sum's place of x_i before it", _x_inside),
        dx(f"cross-{unit} term only", "dy_i s_i**−beta is missing.",
           "dx is the derivative of the denominator alone", _cross),
    ]


lrn_y, lrn_dx = forward("LocalResponseNorm"), backward("LocalResponseNorm", "x")

LRN = [
    *_of_both_forward("LocalResponseNorm", "n // 2 maps to either side", "two maps", "one map"),
    *_of_both_backward("LocalResponseNorm", "channel", "n // 2 maps to either side"),
    lrn_y("alpha is divided by n: the paper's sum is not.", lambda s: _y(s, alpha=1 / s.layer.n)),
    lrn_dx("alpha divided by n", "the paper's sum is not divided by n.",
           "backward divides alpha by n, as later libraries do; forward does not",
           lambda s: _direct(s) + _cross(s) / s.layer.n),
]

spatial_y, spatial_dx = forward("SpatialResponseNorm"), backward("SpatialResponseNorm", "x")

SPATIAL = [
    *_of_both_forward("SpatialResponseNorm", "size // 2 pixels to every side", "two pixels",
                      "one row and one column"),
    *_of_both_backward("SpatialResponseNorm", "pixel", "size // 2 pixels to every side"),
    spatial_y("alpha is not divided by size².", lambda s: _y(s, alpha=s.layer.n**2)),
    spatial_y("alpha is divided by size, not by size².", lambda s: _y(s, alpha=s.layer.n)),
    spatial_y("alpha is divided by the pixels that are there; it is size² that divides, also where "
              "a window hangs over.", lambda s: _y(s, window=_mean_there)),
    spatial_y("the window runs over maps, not pixels.", lambda s: _y(s, window=_over(3))),
    spatial_y("the window has columns as well.", lambda s: _y(s, window=_over(1))),
    spatial_y("the window has rows as well.", lambda s: _y(s, window=_over(2))),
    spatial_dx("sums over channels instead of pixels", "the window lies within one map.",
               "backward is copied from LRN: its window runs over the maps",
               lambda s: _direct(s) + _cross(s, window=_over(3))),
    spatial_dx("sums along one side only", "the window has rows and columns.",
               "the window is a row of pixels, not a square",
               lambda s: _direct(s) + _cross(s, window=_over(2)),
               lambda s: _direct(s) + _cross(s, window=_over(1))),
    spatial_dx("alpha not divided by the window", "each square counts alpha / size².",
               "forward divides alpha by size², backward does not",
               lambda s: _direct(s) + _cross(s) * s.layer.n**2,
               lambda s: _direct(s) + _cross(s) * s.layer.n),
    spatial_dx("alpha divided twice", "once by size² is enough.",
               "backward divides alpha by size² twice",
               lambda s: _direct(s) + _cross(s) / s.layer.n**2),
    spatial_dx("alpha divided by the clipped window", "size², also where a window hangs over.",
               "backward takes a mean over the pixels that are there, fewer than size² at an edge",
               lambda s: _direct(s) + _cross(s, window=_mean_there),
               lambda s: _direct(s) + _cross(s, _inside(s) * _hangs_over(s))),
]

NORMS = [*LRN, *SPATIAL]
