"""What a run begins with, where it is not drawn: weights of a network that is already trained."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyalex.run import checkpoint
from tinyalex.run.recipe import Recipe


@dataclass(frozen=True)
class Start:
    """What a run begins with.

    about: where it is from, for messages. recipe: builds its network, and reads pictures for it.
    mean: (S, S, 3), to be subtracted. classes: their names, if they are known. values: parameters
    by name; those of the last layers may be missing.
    """

    about: str
    recipe: Recipe
    mean: np.ndarray
    classes: tuple[str, ...] | None
    values: dict[str, np.ndarray]


def from_checkpoint(path: Path) -> Start:
    """Of a checkpoint of tinyalex. UserError as in `checkpoint.load`."""
    saved = checkpoint.load(path)
    recipe = Recipe.of(saved.about["settings"], path)
    return Start(str(path), recipe, saved.mean, tuple(saved.about["classes"]), saved.values)
