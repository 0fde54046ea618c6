"""What a function to be written is, for functions.py and looking.py."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Function = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Task:
    """One function to write. call: how, and what comes out. right: what it should give. cases: a
    title and arguments, each. mistakes: hints, each with a function that makes the mistake."""

    call: str
    right: Function
    cases: tuple[tuple[str, tuple], ...]
    mistakes: tuple[tuple[str, Function], ...]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)
