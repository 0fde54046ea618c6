"""The experiments, as data: which runs there are, and which of them are compared for which claim."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tinyalex.run import presets
from tinyalex.run.recipe import Recipe

PHOTOGRAPHS = "imagenette-64"  # what the folder of the ten classes is called in commands


@dataclass(frozen=True)
class Arm:
    """Runs that differ by their seeds alone.

    name: of the runs, with the seed behind it. preset, changes: the recipe, and what of it is
    changed. seeds: which there are to be. reach: the training error (a share) that ends a run.
    measures: by their names in measures.py.
    """

    name: str
    preset: str = "mini"
    changes: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 3
    reach: float | None = None
    measures: tuple[str, ...] = ("still_error",)

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

    claim: what the paper says of it, paper: the figures it gives. expected: the sign that the
    difference should have. other_outcome: of the other arm, where it is not the same.
    """

    claim: str
    paper: str
    arm: str
    other: str
    outcome: str
    expected: int = -1
    other_outcome: str | None = None


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


def _arms(*arms: Arm) -> dict[str, Arm]:
    return {arm.name: arm for arm in arms}


STILL, ALL = ("still_error",), ("still_error", "ten_crops", "colour", "neighbours", "start")
QUICK = {"data": "cifar10", "limit": 5000, "weight_decay": 0.0, "batch_size": 128,
         "schedule": "constant", "epochs": 40}


def _figure1(name: str, **changes) -> Arm:
    return Arm(name, "cifar10-quick", QUICK | changes, reach=0.25, measures=())


# In the order in which they are run.
ARMS = _arms(
    Arm("mini", measures=ALL, seeds=5),
    Arm("one-tower", changes={"towers": 1}, seeds=5),
    Arm("no-dropout", changes={"dropout": 0.0}),
    Arm("no-lrn", changes={"lrn": "none"}),
    Arm("no-crops", changes={"augment": False}),
    Arm("pool-2-2", changes={"pool": "2/2"}),
    Arm("no-decay", changes={"weight_decay": 0.0}),
    Arm("without-conv3", changes={"without": "conv3"}),
    Arm("without-conv4", changes={"without": "conv4"}),
    Arm("without-conv5", changes={"without": "conv5"}),
    Arm("colour-noise", changes={"colour": "paper"}),
    Arm("velocity-kept", changes={"velocity": "keep"}),
    Arm("lrn-before", changes={"lrn": "before"}),
    Arm("init-printed", changes={"init": "paper"}, measures=("still_error", "start")),
    Arm("init-original", changes={"init": "original"}, measures=("still_error", "start")),
    Arm("without-conv2", changes={"without": "conv2"}),
    Arm("no-momentum", changes={"momentum": 0.0}),
    Arm("constant-rate", changes={"schedule": "constant"}),
)

EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in (
    Experiment("all", "", "all", "", (), tuple(ARMS)),)}
