"""What no lesson has: the exercises end with it, and the package has nothing to compare it with.

Here is what each should give, written as plainly as can be. There is no backward: a learner's
outputs are compared with these, and what a learner's backward says with slopes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyalex.gradcheck.cases import SHIPPED, Case, spaced
from tinyalex.gradcheck.numeric import random_direction
from tinyalex.kernels import output_size
from tinyalex.layers import Dropout


def partly_zero(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """No number is small, where a norm bends sharply; but the last picture is 0, windows and
    all."""
    x = random_direction(shape, rng)
    x[-1] = 0
    return x


class DilatedConv2D:
    """A window sees every D-th pixel, in rows and in columns:

        y[n, oh, ow] = b + sum(x[n, oh + i·D, ow + j·D] @ W[i, j] for i, j in K×K)
    """

    def __init__(self, channels: int, filters: int, kernel: int, dilation: int):
        self.K, self.D, rng = kernel, dilation, np.random.default_rng(0)
        self.params = {"W": rng.standard_normal((kernel, kernel, channels, filters)),
                       "b": rng.standard_normal(filters)}

    def forward(self, x: np.ndarray) -> np.ndarray:
        D, W = self.D, self.params["W"]
        OH, OW = (side - (self.K - 1) * D for side in x.shape[1:3])
        return self.params["b"] + sum(x[:, i * D:i * D + OH, j * D:j * D + OW] @ W[i, j]
                                      for i, j in np.ndindex(self.K, self.K))


class LearnedLeak:
    """y = x where x > 0, else a·x, with a learned slope a for each channel."""

    def __init__(self, channels: int):
        self.params = {"a": np.random.default_rng(0).uniform(0.1, 0.9, channels)}

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, self.params["a"] * x)


class NormPool2D:
    """y = (sum of |x|**p over the window)**(1/p)."""

    def __init__(self, kernel: int, stride: int, p: float):
        self.K, self.S, self.p = kernel, stride, p

    def forward(self, x: np.ndarray) -> np.ndarray:
        N, H, W, C = x.shape
        y = np.empty((N, output_size(H, self.K, self.S), output_size(W, self.K, self.S), C))
        for oh, ow in np.ndindex(y.shape[1:3]):
            top, left = oh * self.S, ow * self.S
            window = x[:, top:top + self.K, left:left + self.K]
            y[:, oh, ow] = (abs(window)**self.p).sum(axis=(1, 2))**(1 / self.p)
        return y


class OneSidedNorm:
    """LocalResponseNorm with a window that ends at the map itself: W(i) = {i - n + 1, …, i}."""

    def __init__(self, n: int, k: float, alpha: float, beta: float):
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def forward(self, x: np.ndarray) -> np.ndarray:
        sums = [(x[..., max(0, i + 1 - self.n):i + 1]**2).sum(axis=-1) for i in range(x.shape[-1])]
        return x * (self.k + self.alpha * np.stack(sums, axis=-1))**-self.beta


class RingExchange:
    """Tower t reads its own maps and, after them, those of tower t + 1; the last, those of the
    first."""

    def __init__(self, *widths: int):
        self.widths = widths

    def forward(self, xs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.concatenate([x, after], axis=-1)
                for x, after in zip(xs, [*xs[1:], xs[0]], strict=True)]


class SmoothedCrossEntropy:
    """The mean over the pictures of -sum(t·log p), where the label's t is 1 - smoothing, and
    `smoothing` is shared out over all K classes besides, the label's too."""

    def __init__(self, smoothing: float):
        self.smoothing = smoothing

    def forward(self, x: np.ndarray, labels: np.ndarray) -> float:
        shifted = x - x.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        true = log_p[np.arange(len(x)), labels]
        return -((1 - self.smoothing) * true + self.smoothing * log_p.mean(axis=1)).mean()


class MapDropout(Dropout):
    """Whole maps of a picture go, the others are divided by keep, and a test does nothing. The
    check takes the masks from the learner's outputs, so this one draws none of its own."""

    @property
    def gain(self) -> float:
        return 1 / self.keep


# What outputs are compared with. Of an update there is only the rule, in update.py.
REFERENCES: dict[str, Callable[..., Any]] = SHIPPED | {cls.__name__: cls for cls in (
    DilatedConv2D, LearnedLeak, NormPool2D, OneSidedNorm, RingExchange, SmoothedCrossEntropy,
    MapDropout)}

CASES = [
    Case("DilatedConv2D", "every second pixel", (2, 3, 3, 2), (3, 6, 7, 2)),
    Case("DilatedConv2D", "every third pixel", (3, 2, 2, 3), (2, 6, 4, 3)),
    Case("DilatedConv2D", "every pixel", (2, 2, 3, 1), (2, 4, 5, 2)),
    Case("LearnedLeak", "maps", (4,), (3, 3, 2, 4), spaced),
    Case("LearnedLeak", "no maps, as after a full connection", (5,), (3, 5), spaced),
    Case("NormPool2D", "overlapping, p = 3", (3, 2, 3.0), (3, 7, 5, 2), random_direction),
    Case("NormPool2D", "side by side, p = 2", (2, 2, 2.0), (3, 4, 5, 2), random_direction),
    Case("NormPool2D", "gaps, p = 4.5", (2, 3, 4.5), (2, 5, 6, 3), random_direction),
    Case("NormPool2D", "windows of zeros", (2, 2, 3.0), (2, 4, 4, 2), partly_zero),
    Case("OneSidedNorm", "more maps than the window", (3, 2.0, 0.3, 0.75), (3, 2, 2, 7)),
    Case("OneSidedNorm", "an even window", (4, 1.0, 0.4, 0.6), (2, 2, 3, 6)),
    Case("OneSidedNorm", "fewer maps than the window", (5, 1.0, 0.2, 0.6), (3, 2, 2, 3)),
    Case("RingExchange", "three towers of unequal width", (3, 2, 4), (2, 3, 3)),
    Case("RingExchange", "four towers of equal width", (3, 3, 3, 3), (2,)),
    Case("SmoothedCrossEntropy", "four pictures, three classes", (0.1,), (4, 3)),
    Case("SmoothedCrossEntropy", "two pictures, five classes", (0.4,), (2, 5)),
    Case("MapDropout", "keep 0.7", (0.7,), (4, 3, 2, 10)),
    Case("MapDropout", "keep 0.4", (0.4,), (4, 2, 3, 10)),
    Case("NesterovSGD", "five steps, the rate drops", (), ()),
]
