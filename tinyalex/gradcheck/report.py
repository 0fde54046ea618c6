"""What a check found, in words."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

OK, WRONG, KINK = "ok", "WRONG", "kink"
TOLERANCE = 1e-7


@dataclass
class Finding:
    """One gradient compared: the largest relative error, and what is known about it.

    worst: where, as "W[0, 2, 1, 3]" or "a random direction"; says, slope: both numbers there, with
    these words before them.
    checked: how many numbers or directions; kinks: how many of them have no slope.
    mistakes: hints, by the name of each mistake that gives exactly these wrong numbers.
    """

    name: str
    error: float = 0.0
    verdict: str = OK
    checked: str = ""
    kinks: int = 0
    worst: str = ""
    says: float = 0.0
    slope: float = 0.0
    pattern: str = ""
    mistakes: dict[str, str] = field(default_factory=dict)
    words: tuple[str, str] = ("backward says", "the slope is")

    def measure(self, error: float, worst: str, says: float, slope: float):
        """Set the error, where it is, and both numbers there; above the tolerance it is wrong."""
        self.error = float(error) if np.isfinite(error) else np.inf
        self.worst, self.says, self.slope = worst, float(says), float(slope)
        if self.error > TOLERANCE:
            self.verdict = WRONG

    @property
    def extent(self) -> str:
        """What was checked, in words."""
        return self.checked + f", {self.kinks} at a kink" * bool(self.kinks)

    def lines(self) -> list[str]:
        lines = [f"{self.name:<10} {self.error:>9.1e}  {self.verdict:<5}  {self.extent}"]
        if self.verdict == WRONG:
            if self.worst:
                says, slope = self.words
                lines.append(f"    worst at {self.worst}: {says} {self.says:.8g}, "
                             f"{slope} {self.slope:.8g}")
            lines += [f"    pattern: {self.pattern}"] if self.pattern else []
            lines += [f"    HINT: {name}: {hint}" for name, hint in self.mistakes.items()]
        return lines


@dataclass
class Report:
    """All findings about one subject; `problems`: what else is wrong, a sentence each."""

    title: str
    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems and all(f.verdict != WRONG for f in self.findings)

    @property
    def error(self) -> float:
        """The largest relative error of all gradients."""
        return max((f.error for f in self.findings), default=0.0)

    @property
    def mistakes(self) -> list[str]:
        """The classic mistakes that were recognised, each once."""
        named = [m for f in self.findings for m in f.mistakes]
        return list(dict.fromkeys(named + [p.split(":")[0] for p in self.problems]))

    def __str__(self) -> str:
        lines = [f"{self.title}: {OK if self.ok else WRONG}"]
        lines += [f"  {problem}" for problem in self.problems]
        lines += [f"  {line}" for finding in self.findings for line in finding.lines()]
        return "\n".join(lines)

    __repr__ = __str__  # a notebook shows it without print


def pattern(analytic: np.ndarray, numeric: np.ndarray, wrong: np.ndarray) -> str:
    """Where and how an array of gradients is wrong, in words. wrong: booleans, by number."""
    words = [f"{wrong.sum()} of {wrong.size} numbers are wrong"]
    if not analytic.any():
        words.append("backward says 0 everywhere")
    elif (factor := constant_factor(analytic, numeric)) is not None:
        words.append(f"all are {factor:.6g} times what they should be")
    for axis, places in enumerate(np.nonzero(wrong)):
        hit = np.unique(places)
        if 0 < hit.size < wrong.shape[axis]:
            where = ", ".join(map(str, hit[:6])) + ", …" * (hit.size > 6)
            words.append(f"only at {where} of axis {axis} (0 to {wrong.shape[axis] - 1})")
    return "; ".join(words)


def constant_factor(analytic: np.ndarray, numeric: np.ndarray) -> float | None:
    """The r for which analytic = r · numeric, where there is one other than 1."""
    if not numeric.any():
        return None
    r = float((analytic * numeric).sum() / (numeric * numeric).sum())
    off = abs(analytic - r * numeric).max()
    return r if off <= 1e-6 * abs(analytic).max() and abs(r - 1) > 1e-6 else None


def place(index: tuple[int | np.intp, ...]) -> str:
    """An index as one writes it: "[0, 2, 1]"; "" in an array that is a single number."""
    return f"[{', '.join(str(i) for i in index)}]" * bool(index)


def no_output(y: object, right: np.ndarray, giver: str, usage: str) -> str:
    """Why there is nothing in an output that could be compared with the right one."""
    if y is None:
        return f"no output: {giver} gives None: is the return missing? {usage}"
    if not isinstance(y, np.ndarray):
        return f"no output: {giver} gives {type(y).__name__}, where an array is expected. {usage}"
    if y.shape != right.shape:
        return f"wrong shape: {giver} gives {y.shape} and should give {right.shape}. {usage}"
    finite = y.dtype.kind in "fiu" and np.isfinite(y).all()
    return "" if finite else f"not finite: {giver} gives NaN or infinity"


def wrong_output(name: str, y: Any, right: np.ndarray, hint: str, problem: str) -> str:
    """Where an output is farthest from the right one, or the problem that keeps them from being
    compared; and the hint."""
    if not problem:
        worst = np.unravel_index(abs(y - right).argmax(), right.shape)
        problem = (f"wrong output: {name}{place(worst)} is {y[worst]:.8g} and should be "
                   f"{right[worst]:.8g}")
    return problem + f". HINT: {hint}" * bool(hint)
