"""The classic mistakes of the two normalisations; see mistakes.py.

They have the same backward, but for what a window is: maps around a map, or pixels around a pixel.
"""

from collections.abc import Callable, Iterator

import numpy as np

from tinyalex.gradcheck.scene import Candidate, Scene

Window = Callable[..., np.ndarray]


def along(a, axis: int, before: int, after: int) -> np.ndarray:
    """Each place with the `before` ahead of it and the `after` behind it, as far as there are any,
    added up."""
    a = np.moveaxis(a, axis, 0)
    sums = [a[max(0, i - before):max(0, i + after + 1)].sum(axis=0) for i in range(len(a))]
    return np.moveaxis(np.stack(sums), 0, axis)


def lrn(s: Scene, name: str) -> Iterator[Candidate]:
    n = s.layer.n

    def window(a, before=n // 2, after=n // 2):
        return along(a, -1, before, after)

    _, direct, through, factor = _parts(s, window, s.layer.alpha)
    yield from _of_both(s, window, s.layer.alpha, n // 2, "channel", "n // 2 maps to either side")
    yield ("alpha divided by n", "the paper's sum is not divided by n.",
           direct - factor * s.x * window(through) / n)


def spatial(s: Scene, name: str) -> Iterator[Candidate]:
    size, alpha = s.layer.size, s.layer.alpha / s.layer.size**2
    half = size // 2

    def window(a, before=half, after=half):
        return along(along(a, 1, before, after), 2, before, after)

    _, direct, through, factor = _parts(s, window, alpha)
    outside = factor * s.x
    cross = outside * window(through)
    yield from _of_both(s, window, alpha, half, "pixel", "size // 2 pixels to every side")
    yield ("sums over channels instead of pixels", "the window lies within one map.",
           direct - outside * along(through, -1, half, half))
    for axis, other in ((1, "columns"), (2, "rows")):
        yield ("sums along one side only", f"the window has {other} as well.",
               direct - outside * along(through, axis, half, half))
    yield ("alpha not divided by the window", "each square counts alpha / size².",
           direct - cross * size**2)
    yield ("alpha not divided by the window", "alpha is divided by size², not by size.",
           direct - cross * size)
    yield "alpha divided twice", "once by size² is enough.", direct - cross / size**2
    there = window(np.ones(s.x.shape))  # pixels in each window
    for clipped in (cross / there, outside * window(through / there)):
        yield ("alpha divided by the clipped window", "size², also where a window hangs over.",
               direct - clipped * size**2)


def _parts(s: Scene, window: Window, alpha: float):
    """s, and the three parts of dx = direct − factor · x · window(through). alpha: what each square
    counts."""
    layer, x, dy = s.layer, s.x, s.dy
    scale = layer.k + alpha * window(x * x)
    through = dy * x * scale ** (-layer.beta - 1)
    return scale, dy * scale**-layer.beta, through, 2 * alpha * layer.beta


def _of_both(s: Scene, window: Window, alpha: float, half: int, what: str,
             reach: str) -> Iterator[Candidate]:
    """what: what a window is made of. reach: how far it goes, for the hint."""
    x, dy, beta = s.x, s.dy, s.layer.beta
    scale, direct, through, factor = _parts(s, window, alpha)
    outside = factor * x
    cross = outside * window(through)
    yield (f"without the cross-{what} term", "x_i also acts through the sums of its neighbours.",
           direct)
    yield (f"own {what} only", "all that is in the window hands something back, not only i itself.",
           direct - outside * through)
    yield (f"sign of the cross-{what} term", "a larger x_i makes its neighbours smaller: minus.",
           direct + cross)
    for power in (-beta, -beta - 2, 1 - beta, -1, -2 * beta, beta - 1):
        yield ("wrong power", "the sum runs over dy_j x_j s_j**(−beta − 1).",
               direct - outside * window(dy * x * scale**power))
    yield "wrong power", "dy_i is multiplied by s_i**−beta.", dy * scale**beta - cross
    for before, after in ((half + 1, half + 1), (half - 1, half - 1), (half, half - 1),
                          (half - 1, half), (half, half + 1), (half + 1, half)):
        yield ("window off by one", f"W(i) is {reach}, i itself in the middle.",
               direct - outside * window(through, before, after))
    yield "factor 2 missing", "the derivative of x² is 2x.", direct - cross / 2
    yield "beta missing", "the power's derivative brings down beta.", direct - cross / beta
    yield ("alpha missing", "the squares come into s times alpha.",
           direct - cross / s.layer.alpha)
    yield ("x outside instead of inside the sum", "the sum holds dy_j y_j, x_i stands before it.",
           direct - outside * x * window(dy * scale ** (-beta - 1)))
    yield ("x inside instead of outside the sum", "x_i stands before the sum, not in it.",
           direct - factor * window(x * through))
    yield f"cross-{what} term only", "dy_i s_i**−beta is missing.", -cross
