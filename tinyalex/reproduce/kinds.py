"""What an experiment is: runs, and what is compared of them for which claim."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tinyalex.run import presets
from tinyalex.run.recipe import Recipe

PHOTOGRAPHS = "imagenette-64"  # what the folder of the ten classes is called in commands


@dataclass(frozen=True)
class Arm:
    """Runs that differ by their seeds alone.

    name: of the runs, with the seed after it. preset, changes: the recipe, and what of it is
    changed. seeds: how many there should be. reach: the training error (a share) that ends a run.
    measures: by their names in measures.py; each: those that are taken at the end of each epoch.
    """

    name: str
    preset: str = "mini"
    changes: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 3
    reach: float | None = None
    measures: tuple[str, ...] = ("still_error",)
    each: tuple[str, ...] = ()

    def recipe(self, seed: int) -> Recipe:
        return replace(presets.get(self.preset), **self.changes, seed=seed)

    def command(self, seed: int) -> str:
        """The flags of tinyalex.train for the same run."""
        flags = [f"--preset {self.preset}"]
        if not self.recipe(seed).data:
            flags.append(f"--data {PHOTOGRAPHS}")
        flags += ["--no-augment" if key == "augment" else f"--{key.replace('_', '-')} {value:g}"
                  if isinstance(value, float) else f"--{key.replace('_', '-')} {value}"
                  for key, value in self.changes.items()]
        return " ".join([*flags, f"--seed {seed}"])

    def reached(self, row: dict) -> bool:
        return self.reach is not None and row["train_error"] <= self.reach


@dataclass(frozen=True)
class Comparison:
    """`outcome` of the runs of one arm minus that of the runs of another, seed by seed.

    claim: what the paper says about it, paper: the numbers it gives. expected: the sign that the
    difference should have. other_outcome: of the other arm, where it is not the same.
    """

    claim: str
    paper: str
    arm: str
    other: str
    outcome: str
    expected: int = -1
    other_outcome: str | None = None

    @property
    def is_factor(self) -> bool:
        """Whether the outcomes are logarithms, so that their difference is a factor's."""
        return self.outcome.startswith("factor")


@dataclass(frozen=True)
class Experiment:
    """name: for the command line. section: of the paper. about: what is tried, and what to know of
    it. comparisons: see above. shown: arms that the page's table has besides the compared ones."""

    name: str
    section: str
    title: str
    about: str
    comparisons: tuple[Comparison, ...]
    shown: tuple[str, ...] = ()

    @property
    def arms(self) -> list[str]:
        """The names of the arms that it needs."""
        pairs = [name for c in self.comparisons for name in (c.arm, c.other)]
        return [*dict.fromkeys([*pairs, *self.shown])]
