"""Differences between runs that share a seed, how sure they are, and the verdict on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

# Of Student's t, for 1, 2, 3 … degrees of freedom: 95 % lie between minus and plus that.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)
ENOUGH = 3  # seeds, before anything is said


@dataclass(frozen=True)
class Interval:
    """mean: of so many differences. half: the mean, give or take that, has the true one in 95 of
    100 cases, if the differences are normally distributed; None of a single one."""

    mean: float
    half: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """The interval of these differences, one or more."""
        count = len(values)
        if count == 1:
            return cls(values[0], None, 1)
        t = T95[min(count - 1, len(T95)) - 1]  # with more degrees of freedom: a little too wide
        return cls(fmean(values), t * stdev(values) / sqrt(count), count)

    @property
    def excludes_zero(self) -> bool:
        return self.half is not None and abs(self.mean) > self.half

    def verdict(self, expected: int) -> str:
        """What a claim comes to that expects a difference of this sign, 1 or -1.

        reproduced: of that sign, and the interval excludes zero. sign only: of that sign, and zero
        is possible. not seen: of the other sign, and zero is possible. opposite: of the other sign,
        and zero is excluded. Before there are enough seeds: too few.
        """
        if self.count < ENOUGH:
            return "too few"
        if self.mean * expected > 0:
            return "reproduced" if self.excludes_zero else "sign only"
        return "opposite" if self.excludes_zero else "not seen"
