"""One array: what backward says about it, against its slopes."""

from collections.abc import Iterable

import numpy as np

from tinyalex.gradcheck.numeric import (
    Slope,
    Slopes,
    random_direction,
    relative_error,
    tie_keeping_direction,
)
from tinyalex.gradcheck.report import KINK, OK, TOLERANCE, WRONG, Finding, no_output, pattern, place
from tinyalex.support.text import plural

DIRECTIONS = 3
RETRIES = 8  # directions drawn for each that may cross no kink


def compare(slopes: Slopes, name: str, gradient: object, rng: np.random.Generator,
            every: int) -> tuple[Finding, np.ndarray]:
    """Compare the gradient of the array `name`: number by number up to a size of `every`, else
    along random directions. Returns the slopes too, none where not all were taken. They are taken
    even with nothing to compare, for callers who want to know what would have been right."""
    array = slopes.subject.arrays[name]
    usage = "It returns dx, and fills grads"
    complaint = no_output(gradient, array, "backward", usage)
    if gradient is None and not name.startswith("x"):
        complaint = f'no gradient: backward puts none into grads["{name}"]. {usage}'
    one_by_one = array.size <= every
    by_place = [slopes.at(name, i) for i in np.ndindex(array.shape)] if one_by_one else []
    numeric = np.reshape([slope.value for slope in by_place], array.shape if one_by_one else 0)
    if complaint or not isinstance(gradient, np.ndarray):
        return Finding(name, np.inf, WRONG, pattern=complaint), numeric
    finding = Finding(name)
    if one_by_one:
        _by_number(finding, by_place, numeric, gradient)
    else:
        _by_direction(finding, slopes, gradient, rng)
    if finding.kinks and finding.verdict == OK:
        _at_ties(finding, slopes, gradient, rng)
    return finding, numeric


def _by_number(finding: Finding, slopes: list[Slope], numeric: np.ndarray, gradient: np.ndarray):
    noise = np.array([slope.noise for slope in slopes]).reshape(numeric.shape)
    error = relative_error(gradient, numeric, noise)
    for index, slope in zip(np.ndindex(error.shape), slopes, strict=True):
        if slope.kink:
            error[index] = 0 if _between(slope, float(gradient[index])) else 1
    error = np.where(np.isfinite(error), error, np.inf)
    worst = np.unravel_index(error.argmax(), error.shape)
    finding.measure(error[worst], finding.name + place(worst), gradient[worst], numeric[worst])
    finding.checked = plural(error.size, "number")
    finding.kinks = sum(slope.kink for slope in slopes)
    if finding.verdict == WRONG:
        finding.pattern = pattern(gradient, numeric, error > TOLERANCE)


def _between(slope: Slope, value: float) -> bool:
    """Whether backward may say this at a kink."""
    room = 1e-6 * max(abs(slope.low), abs(slope.high))
    return slope.low - room <= value <= slope.high + room


def _by_direction(finding: Finding, slopes: Slopes, gradient: np.ndarray,
                  rng: np.random.Generator):
    """The slope along random directions that cross no kink."""
    # Drawn one at a time: fc6 of the paper has 19 million numbers in each tower.
    _along((random_direction(gradient.shape, rng) for _ in range(DIRECTIONS * RETRIES)),
           finding, slopes, gradient)
    if not finding.checked:
        finding.verdict = KINK
        finding.checked = "every direction crosses a kink: try another seed"


def _at_ties(finding: Finding, slopes: Slopes, gradient: np.ndarray, rng: np.random.Generator):
    """Single numbers have no slope at a tie; all equal numbers moved together may have one."""
    array, error = slopes.subject.arrays[finding.name], finding.error
    _along((tie_keeping_direction(array, rng) for _ in range(DIRECTIONS)),
           finding, slopes, gradient)
    finding.error, finding.checked = max(error, finding.error), plural(array.size, "number")
    if finding.kinks == array.size and finding.verdict == OK and not finding.worst:
        finding.verdict = KINK


def _along(directions: Iterable[np.ndarray], finding: Finding, slopes: Slopes,
           gradient: np.ndarray):
    finding.worst, finding.error, done = "", 0.0, 0
    # A direction may happen to run along the level: compare with what it typically gives.
    typical = float(np.sqrt((gradient * gradient).sum()))
    for v in directions:
        slope = slopes.along(finding.name, v)
        if slope.kink:
            continue
        says = float((gradient * v).sum())
        error = float(relative_error(says, slope.value, max(slope.noise, 1e-8 * typical)))
        if not finding.worst or not error <= finding.error:  # NaN is worse than anything
            finding.measure(error, "a random direction", says, slope.value)
        done += 1
        if done == DIRECTIONS:
            break
    finding.checked = plural(done, "direction") if done else ""
    if finding.verdict == WRONG:
        finding.pattern = (f"wrong along {plural(done, 'random direction')} of "
                           f"{plural(gradient.size, 'number')}")
