"""Which mistake gives exactly these wrong numbers?

An array that is wrong is compared with what every formula of the mistakes gives there; a mistake is
named only where the numbers agree to six digits. So a hint is a finding and no guess: where none
fits, none is given.
"""

import numpy as np

from tinyalex.gradcheck.mistakes import ANY, MISTAKES
from tinyalex.gradcheck.scene import Mistake, Scene

AGREE = 1e-6


def explain(kind: str, scene: Scene) -> dict[str, str]:
    """Hints by name: of the mistakes of this kind of layer that give what the scene's array is."""
    if not isinstance(scene.said, np.ndarray) or scene.said.dtype.kind != "f":
        return {}
    special = [m for m in MISTAKES if m.kind == kind and m.array in (scene.name, "")]
    # What is special to the kind says more than what can happen to any.
    return _that_give(special, scene) or (_that_give(ANY, scene) if scene.true.size else {})


def _that_give(mistakes: list[Mistake], scene: Scene) -> dict[str, str]:
    return {mistake.name: mistake.hint for mistake in mistakes
            if any(agrees(scene.said, formula(scene)) for formula in mistake.ways)}


def agrees(wrong: np.ndarray | None, gives: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers to six digits, in the same shape."""
    if wrong is None or gives.shape != wrong.shape:
        return False
    if not np.isfinite(wrong).all() or not np.isfinite(gives).all():
        return False
    largest = max(abs(wrong).max(initial=0), abs(gives).max(initial=0))
    return bool(abs(wrong - gives).max(initial=0) <= AGREE * largest)
