"""Which mistake gives exactly these wrong numbers?

An array that is wrong is compared with what every formula of the mistakes gives there; a mistake is
named only where the numbers agree to six digits. So a hint is a finding, not a guess: where none
fits, none is given.
"""

import numpy as np

from tinyalex.gradcheck.mistakes import ANY, MISTAKES
from tinyalex.gradcheck.scene import Formula, Mistake, Scene

AGREE = 1e-6


def explain(kind: str, scene: Scene) -> dict[str, str]:
    """Hints by name: of the mistakes of this kind of layer that give what the scene's array is."""
    if not isinstance(scene.said, np.ndarray | np.floating) or scene.said.dtype.kind != "f":
        return {}
    array = scene.name.partition("_")[0]
    special = [m for m in MISTAKES if m.kind == kind and m.array == array]
    # What is special to the kind says more than what can happen to any.
    return _that_give(special, scene) or (_that_give(ANY, scene) if scene.true.size else {})


def _that_give(mistakes: list[Mistake], scene: Scene) -> dict[str, str]:
    def made(formula: Formula) -> bool:
        gives = formula(scene)
        return gives.shape != (0,) and agrees(scene.said, gives)

    return {mistake.name: mistake.hint for mistake in mistakes if any(map(made, mistake.ways))}


def agrees(wrong: np.ndarray | None, gives: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers to six digits, in the same shape; what is not finite
    in one of them must not be in the other either."""
    if wrong is None or gives.shape != wrong.shape:
        return False
    finite = np.isfinite(wrong)
    if not np.array_equal(finite, np.isfinite(gives)):
        return False
    wrong, gives = np.asarray(wrong)[finite], np.asarray(gives)[finite]
    largest = max(abs(wrong).max(initial=0), abs(gives).max(initial=0))
    return bool(abs(wrong - gives).max(initial=0) <= AGREE * largest)
