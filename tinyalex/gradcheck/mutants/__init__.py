"""Wrong on purpose: the classic mistakes, each a small variant of a shipped class.

A check that has never failed proves nothing. These are there for the checks to fail on, and to
read: one mistake each, made the way people make it. Many go back to a textbook backward in plain
steps, of which a mutant gets one wrong; the textbook versions themselves pass every check, so what
is caught is the mistake and nothing else.
"""

from dataclasses import dataclass

from tinyalex.gradcheck.cases import SHIPPED, cases_of
from tinyalex.gradcheck.mutants import around, maps, norm, weighted
from tinyalex.gradcheck.mutants.plant import PLANTED, Mutant
from tinyalex.gradcheck.report import Report

__all__ = ["MUTANTS", "Mutant", "Outcome", "around", "maps", "norm", "try_mutant",
           "weighted"]

MUTANTS: list[Mutant] = sorted(PLANTED, key=lambda m: list(SHIPPED).index(m.kind))


@dataclass(frozen=True)
class Outcome:
    """What the checks made of a mutant: the first report in which it was caught, and whether its
    mistake was named."""

    caught: bool
    named: bool
    report: Report | None


def try_mutant(mutant: Mutant, seed: int = 0) -> Outcome:
    """Run the shipped checks of the mutant's kind on it."""
    failed = [r for r in (case.check(mutant.cls, seed) for case in cases_of(mutant.kind))
              if not r.ok]
    named = [r for r in failed if mutant.mistake in r.mistakes]
    return Outcome(bool(failed), bool(named), (named or failed or [None])[0])
