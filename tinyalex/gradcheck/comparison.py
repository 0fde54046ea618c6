"""One array: what backward says of it, against its slopes."""

from collections.abc import Iterable

import numpy as np

from tinyalex.gradcheck.numeric import (
    Slope,
    Slopes,
    random_direction,
    relative_error,
    tie_keeping_direction,
)
from tinyalex.gradcheck.report import KINK, OK, TOLERANCE, WRONG, Finding, pattern

DIRECTIONS = 3
RETRIES = 8  # directions drawn for each that may cross no kink


class Comparison:
    """Compares `analytic`, what backward says of the array `name`, number by number, or along
    random directions. The result is `finding`, and `numeric`: the slopes, where all were taken."""

    def __init__(self, slopes: Slopes, name: str, analytic: np.ndarray | None,
                 rng: np.random.Generator):
        self.slopes, self.name, self.rng = slopes, name, rng
        self.array = slopes.subject.arrays[name]
        self.finding = Finding(name)
        self.numeric: np.ndarray | None = None
        self.complaint = _no_gradient(analytic, self.array.shape)
        self.analytic = np.zeros(0) if analytic is None else analytic
        if self.complaint:
            self.finding.verdict, self.finding.error = WRONG, float("inf")
            self.finding.pattern = self.complaint

    def by_number(self):
        """The slope of every number; they are taken even where there is nothing to compare with,
        for whoever wants to know what would have been right."""
        slopes = [self.slopes.at(self.name, index) for index in np.ndindex(self.array.shape)]
        self.numeric = np.array([slope.value for slope in slopes]).reshape(self.array.shape)
        if self.complaint:
            return
        noise = np.array([slope.noise for slope in slopes]).reshape(self.array.shape)
        error = relative_error(self.analytic, self.numeric, noise)
        for index, slope in zip(np.ndindex(error.shape), slopes, strict=True):
            if slope.kink:
                error[index] = not _between(slope, self.analytic[index])
        self._worst_number(np.where(np.isfinite(error), error, np.inf), self.numeric)
        self.finding.kinks = sum(slope.kink for slope in slopes)
        if self.finding.kinks and self.finding.verdict == OK:
            self._at_ties()

    def by_direction(self):
        """The slope along random directions that cross no kink."""
        if self.complaint:
            return
        # Drawn one at a time: fc6 of the paper has 19 million numbers in each tower.
        self._along(random_direction(self.array.shape, self.rng)
                    for _ in range(DIRECTIONS * RETRIES))
        if not self.finding.checked:
            self.finding.verdict = KINK
            self.finding.checked = "every direction crosses a kink: try another seed"

    def _worst_number(self, error: np.ndarray, numeric: np.ndarray):
        finding, worst = self.finding, np.unravel_index(error.argmax(), error.shape)
        finding.error, finding.checked = float(error[worst]), f"{error.size} numbers"
        finding.worst = f"{self.name}[{', '.join(map(str, map(int, worst)))}]"
        finding.says, finding.slope = float(self.analytic[worst]), float(numeric[worst])
        if finding.error > TOLERANCE:
            finding.verdict = WRONG
            finding.pattern = pattern(self.analytic, numeric, error > TOLERANCE)

    def _at_ties(self):
        """Single numbers have no slope at a tie; all equal numbers moved together may have one."""
        finding, error = self.finding, self.finding.error
        self._along(tie_keeping_direction(self.array, self.rng) for _ in range(DIRECTIONS))
        finding.error = max(error, finding.error)
        finding.checked = f"{self.array.size} numbers"
        if finding.kinks == self.array.size and finding.verdict == OK and not finding.worst:
            finding.verdict = KINK

    def _along(self, directions: Iterable[np.ndarray]):
        finding, done = self.finding, 0
        finding.worst, finding.error = "", 0.0
        # A direction may happen to run along the level: compare with what it typically gives.
        typical = float(np.sqrt((self.analytic * self.analytic).sum()))
        for v in directions:
            slope = self.slopes.along(self.name, v)
            if slope.kink:
                continue
            says = float((self.analytic * v).sum())
            error = float(relative_error(says, slope.value, max(slope.noise, 1e-8 * typical)))
            if not finding.worst or not error <= finding.error:
                finding.error = error if np.isfinite(error) else float("inf")
                finding.worst, finding.says, finding.slope = "a random direction", says, slope.value
            done += 1
            if done == DIRECTIONS:
                break
        finding.checked = f"{done} directions" * bool(done)
        if finding.error > TOLERANCE:
            finding.verdict = WRONG
            finding.pattern = f"wrong along {done} random directions of {self.array.size} numbers"


def _no_gradient(analytic: object, shape: tuple[int, ...]) -> str:
    """What stands in the way of a comparison."""
    if analytic is None:
        return "backward gives no gradient (None, or nothing in grads)"
    if not isinstance(analytic, np.ndarray):
        return f"the gradient is a {type(analytic).__name__}, no array"
    if analytic.shape != shape:
        return f"the gradient has shape {analytic.shape}, the array {shape}"
    return "" if analytic.dtype.kind == "f" else f"the gradient holds {analytic.dtype} numbers"


def _between(slope: Slope, value: float) -> bool:
    """Whether backward may say this at a kink."""
    room = 1e-6 * max(abs(slope.low), abs(slope.high))
    return bool(slope.low - room <= value <= slope.high + room)
