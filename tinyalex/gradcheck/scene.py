"""A mistake, and the scene of a check: what its formulas are computed from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass
class Scene:
    """Everything that went into a check and came out of it, seen from one of the arrays.

    name: that array, "x", "W" or "b"; "y" for the output of a forward pass. layer: what knows the
    settings (kernel, stride, …). arrays: x and the parameters, by name. dys: upstream. ys: the
    outputs. true: the right gradients, in full, or None for an array too large for that. said: what
    backward says of this array. labels: those of a loss.
    """

    name: str
    layer: object
    arrays: dict[str, np.ndarray]
    dys: Sequence[np.ndarray] = ()
    ys: Sequence[np.ndarray] = ()
    true: dict[str, np.ndarray | None] = field(default_factory=dict)
    said: np.ndarray | None = None
    labels: np.ndarray | None = None

    @cached_property
    def x(self) -> np.ndarray:
        return self.arrays["x"]

    @cached_property
    def dy(self) -> np.ndarray:
        return self.dys[0]

    @cached_property
    def y(self) -> np.ndarray:
        return self.ys[0]


Formula = Callable[[Scene], np.ndarray]


@dataclass(frozen=True)
class Mistake:
    """A mistake that people make, stated once: a learner is told of it when the numbers are what
    one of its formulas gives, and a layer that makes it is planted from the same formula.

    kind: the class in which it is made, "" for any layer. array: what comes out wrong, as in
    `Scene.name`; "" for any. name, hint: for the learner. ways: sentences that say how it is made,
    each with a formula for the wrong array. A formula may give another shape than the right one's:
    then it is no such mistake there.
    """

    kind: str
    array: str
    name: str
    hint: str
    ways: dict[str, Formula]
