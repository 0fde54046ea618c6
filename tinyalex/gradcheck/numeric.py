"""Numeric slopes: centred differences, and the places where there is no slope to compare with.

Move one number of an array by h, up and down, and see how far the outputs move:

    slope ≈ sum(dy · (y(x + h) − y(x − h))) / 2h

Two errors pull at h. The difference leaves out the third derivative, an error that grows as h²; and
y has 16 digits, of which the subtraction loses the leading ones, an error that grows as 1/h. In
between, near 1e-5, about 11 digits are left. (In float32, with 7 digits to begin with, about 5: too
few to tell a small mistake from rounding. So checks are done in float64.)

At a kink (ReLU at 0, two equal largest pixels) the slopes to the left and to the right differ, and
still differ however small h becomes. There backward may return anything between the two.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

H = 1e-5  # relative to the typical size of an array's numbers
CLOSER = 100  # a kink must still be there at a step this many times smaller
EPS = float(np.finfo(np.float64).eps)


class Subject:
    """What is checked: arrays, outputs that follow from them, and gradients said to be the slopes.

    arrays: float64 arrays by name; writing into one of them changes what `outputs` gives.
    settings: the layer, or one that has its settings under the names that ours have.
    labels: those of a loss.
    """

    arrays: dict[str, np.ndarray]
    settings: Any = None
    labels: np.ndarray | None = None

    def outputs(self) -> list[np.ndarray]:
        """The outputs for the arrays as they are, in float64; the same arrays, the same outputs."""
        raise NotImplementedError

    def gradients(self, dys: list[np.ndarray]) -> dict[str, np.ndarray | None]:
        """What backward says for the upstream gradients dys, one for each output, by array."""
        raise NotImplementedError

    def regime(self) -> bytes | None:
        """Which sides of its kinks the last `outputs` was on, where the subject can tell."""
        return None


@dataclass(frozen=True)
class Slope:
    """The slope at a place, between the least and the most that backward may say there.

    At a kink low < high: each output has two slopes there, and backward may take either of them or
    anything between. noise: how far off rounding can have carried it.
    """

    value: float
    low: float
    high: float
    noise: float
    kink: bool = False

    @classmethod
    def of_sides(cls, left: np.ndarray, right: np.ndarray, noise: float,
                 kink: bool = False) -> "Slope":
        """From the slopes of every output to the left and to the right, which add up."""
        return cls(float((left + right).sum() / 2), float(np.minimum(left, right).sum()),
                   float(np.maximum(left, right).sum()), noise, kink)


class Slopes:
    """Numeric slopes of sum(outputs · dys), at the place where the subject is now."""

    def __init__(self, subject: Subject, dys: list[np.ndarray], h: float = H):
        self.subject, self.dys, self.h = subject, dys, h
        self.base = [np.array(y, np.float64) for y in subject.outputs()]
        self.base_regime = subject.regime()
        weighed = [y * dy for y, dy in zip(self.base, dys, strict=True)]
        self.size = float(np.sqrt(sum((w * w).sum() for w in weighed)))

    def at(self, name: str, index: tuple[int, ...]) -> Slope:
        """With respect to one number."""
        return self._slope(name, index, 1.0)

    def along(self, name: str, direction: np.ndarray) -> Slope:
        """With respect to all numbers of an array at once, moved by the step times `direction`."""
        return self._slope(name, ..., direction)

    def _slope(self, name, where, v) -> Slope:
        array = self.subject.arrays[name]
        step = self.h * (float(np.sqrt(np.mean(array * array))) or 1.0)
        noise = EPS * self.size / step  # how far rounding alone can carry a slope
        left, right, crossed = self._sides(name, where, v, step)
        if crossed is not None:  # the subject knows its kinks: no need to guess
            if crossed:
                step, noise = step / 10, noise * 10
                left, right, crossed = self._sides(name, where, v, step)
            return Slope.of_sides(left, right, noise, bool(crossed))
        jump = abs(right - left).sum()
        if jump <= 100 * noise:  # smooth, as far as rounding lets one see
            return Slope.of_sides(left, right, noise)
        near_left, near_right, _ = self._sides(name, where, v, step / CLOSER)
        near = Slope.of_sides(near_left, near_right, CLOSER * noise)
        if abs(near_right - near_left).sum() > max(0.3 * jump, 100 * near.noise):
            return replace(near, kink=True)
        # Where the curve only bends, both steps give the same, the larger with less rounding.
        # Where they do not, there was a kink within the larger one.
        far = Slope.of_sides(left, right, noise)
        return far if abs(far.value - near.value) <= 100 * near.noise else near

    def _sides(self, name, where, v, step) -> tuple[np.ndarray, np.ndarray, bool | None]:
        """The slopes of every output to the left and to the right, times its dy; and whether a
        kink lies within the step, where the subject knows."""
        array = self.subject.arrays[name]
        kept = array[where].copy()
        sides, crossed = [], None
        try:
            for sign in (-1, 1):
                array[where] = kept + sign * step * v
                ys = self.subject.outputs()
                sides.append(np.concatenate([
                    ((y - base) * dy).ravel() * (sign / step)
                    for y, base, dy in zip(ys, self.base, self.dys, strict=True)]))
                if self.base_regime is not None:
                    crossed = bool(crossed) or self.subject.regime() != self.base_regime
        finally:
            array[where] = kept
        return sides[0], sides[1], crossed


def random_direction(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """No component is small, so none can hide its error: each is ±1 times 0.5 to 1.5."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape)


def tie_keeping_direction(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Numbers that are equal move together: ties stay ties, and along it a maximum has a slope."""
    values, which = np.unique(array, return_inverse=True)
    return random_direction(values.shape, rng)[which.reshape(array.shape)]


def relative_error(analytic, numeric, noise=0.0) -> np.ndarray:
    """|a − n| / max(|a|, |n|), number by number: 0 for equal ones, 2 for opposite ones.

    Numbers below a hundredth of the largest are compared with that hundredth: a slope comes out of
    the subtraction of two large numbers, and its error does not shrink with it. For the same reason
    nothing is compared with less than 1e8 times the rounding (`noise`).
    """
    a, n = np.asarray(analytic, np.float64), np.asarray(numeric, np.float64)
    larger = np.maximum(abs(a), abs(n))
    scale = np.maximum(np.maximum(larger, 0.01 * larger.max(initial=0)), 1e8 * np.asarray(noise))
    return abs(a - n) / np.where(scale > 0, scale, 1)
