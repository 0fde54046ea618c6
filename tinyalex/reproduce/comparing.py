"""From results to findings: what each comparison comes to, seed by seed."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp

from tinyalex.reproduce.experiments import ARMS, EXPERIMENTS
from tinyalex.reproduce.kinds import Comparison, Experiment
from tinyalex.reproduce.results import OUTCOMES, Result
from tinyalex.reproduce.statistics import Interval

Results = Mapping[str, Result]  # by the names of the runs


@dataclass(frozen=True)
class Finding:
    """interval: of the differences; None where no two runs can be compared yet. pictures: behind
    each number. hours: that all of the runs took."""

    experiment: Experiment
    comparison: Comparison
    interval: Interval | None
    pictures: str
    hours: float

    @property
    def verdict(self) -> str:
        return self.interval.verdict(self.comparison.expected) if self.interval else "missing"

    def ends(self) -> tuple[float, float, float] | None:
        """The mean, and the ends of the interval, if there is one."""
        if self.interval is None or self.interval.half is None:
            return None
        mean, half = self.interval.mean, self.interval.half
        if self.comparison.is_factor:
            return exp(mean), exp(mean - half), exp(mean + half)
        return mean, mean - half, mean + half


def runs(results: Results, arm: str) -> dict[int, Result]:
    """The results of an arm by seed."""
    return {seed: results[name] for seed in range(ARMS[arm].seeds)
            if (name := f"{arm}-{seed}") in results}


def findings(results: Results) -> Iterator[Finding]:
    """What every comparison of every experiment comes to."""
    for experiment in EXPERIMENTS.values():
        for comparison in experiment.comparisons:
            yield _compared(experiment, comparison, results)


def _compared(experiment: Experiment, c: Comparison, results: Results) -> Finding:
    ours, others = runs(results, c.arm), runs(results, c.other)
    first, second = OUTCOMES[c.outcome], OUTCOMES[c.other_outcome or c.outcome]
    seeds, differences = [], []
    for seed in sorted(ours.keys() & others.keys()):
        with contextlib.suppress(KeyError):  # not measured of this run
            difference = first(ours[seed]) - second(others[seed])
            if difference or not c.is_factor:  # as many epochs: neither reached the level
                differences.append(difference)
                seeds.append(seed)
    taken = {result.about["run"]: result for by in (ours, others) for result in by.values()}
    return Finding(experiment, c, Interval.of(differences) if differences else None,
                   ours[seeds[0]].about["validated on"].split()[0] if seeds else "",
                   sum(result.hours for result in taken.values()))
