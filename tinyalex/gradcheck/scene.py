"""A mistake, and the scene of a check: what its formulas are computed from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Scene:
    """Everything that went into a check and came out of it, seen from one of the arrays.

    name: that array, "x", "W" or "b"; "y" for the output of a forward pass, "test" at test time;
    "x_a", "y_b" and so on where there are towers. layer: what knows the settings (kernel, stride,
    …) of its kind. arrays: x and the parameters, by name. dys: upstream. ys: the outputs. true: its
    right gradient, empty if that is not known in full. said: what was handed in for it. labels:
    those of a loss. ones: gives what would be right if every dy were 1.
    """

    name: str
    layer: Any
    arrays: Mapping[str, np.ndarray]
    dys: Sequence[np.ndarray] = ()
    ys: Sequence[np.ndarray] = ()
    true: np.ndarray = field(default_factory=lambda: np.empty(0))
    said: np.ndarray | None = None
    labels: np.ndarray | None = None
    ones: Callable[[], np.ndarray] = lambda: np.empty(0)

    @property
    def x(self) -> np.ndarray:
        return self.arrays["x"]

    @property
    def dy(self) -> np.ndarray:
        return self.dys[0]

    @property
    def y(self) -> np.ndarray:
        return self.ys[0]


Formula = Callable[[Scene], np.ndarray]


@dataclass(frozen=True)
class Mistake:
    """A mistake that people make, stated once: a learner is told of it when the numbers are what
    one of its formulas gives, and a layer that makes it is planted from the same formula.

    kind: the class in which it is made, "" for any layer. array: what comes out wrong, as in
    `Scene.name`, of whichever tower; "" for any. name, hint: for the learner. ways: formulas for
    the wrong array, one for each way to make the mistake; where it cannot be made, a formula gives
    an empty array.
    """

    kind: str
    array: str
    name: str
    hint: str
    ways: tuple[Formula, ...]


def forward(kind: str, array: str = "y") -> Callable[..., Mistake]:
    """Builds mistakes in the output of `kind` from (hint, *ways): the hint says it all."""
    return lambda hint, *ways: Mistake(kind, array, hint, hint, ways)


def backward(kind: str, array: str) -> Callable[..., Mistake]:
    """Builds mistakes in one gradient of `kind` from (name, hint, *ways)."""
    return lambda name, hint, *ways: Mistake(kind, array, name, hint, ways)
