"""What a network says about a picture: its best guesses, in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

TOP = 5


class Guess(NamedTuple):
    """A class that a network proposes: its name, its probability, whether it is the true one."""

    name: str
    probability: float
    true: bool = False


class Answer(NamedTuple):
    """name: of the picture. true: its class, None where it is not known. guesses: the best first.
    """

    name: str
    true: str | None
    guesses: list[Guess]

    @property
    def caption(self) -> str:
        """The true class; where that is not known, the file's name."""
        return self.true or Path(self.name).name

    def lines(self) -> list[str]:
        """The picture's name, and a line for each guess."""
        return [self.name + (f" ({self.true})" if self.true else "")] + [
            f"  {guess.probability:>7.2%}  {guess.name}{'  ← true' * guess.true}"
            for guess in self.guesses]


def answer(name: str, logp: np.ndarray, label: int | None, classes: Sequence[str]) -> Answer:
    """The answer for a picture. logp: (K,), the logarithms of the probabilities of the classes.
    label: the true one, None where it is not known."""
    best = np.argsort(-logp, kind="stable")[:TOP].tolist()
    guesses = [Guess(classes[k], float(np.exp(logp[k])), k == label) for k in best]
    return Answer(name, None if label is None else classes[label], guesses)
