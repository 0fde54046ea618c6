"""Which classic mistake gives exactly these wrong numbers?

For every kind of layer there is a list of mistakes that people make in its backward, each with the
gradient that it would give, computed here from the definitions (the plain loops of the kernels, and
einsum). A gradient that is wrong is compared with all of them; a mistake is named only where the
numbers agree to six digits. So a hint is a finding and no guess: where none fits, none is given.
"""

from collections.abc import Iterator

import numpy as np

from tinyalex.gradcheck.mistakes import MISTAKES
from tinyalex.gradcheck.scene import Candidate, Scene

AGREE = 1e-6


def explain(scene: Scene, name: str) -> list[tuple[str, str]]:
    """The mistakes, name and hint each, that give what backward said about this array."""
    wrong = scene.gradients[name]
    if not isinstance(wrong, np.ndarray) or wrong.dtype.kind != "f":
        return []
    for candidates in (MISTAKES.get(scene.kind, _none), _of_any_layer):
        found = {mistake: hint for mistake, hint, gives in candidates(scene, name)
                 if agrees(wrong, gives)}
        if found:  # what is special to the kind says more than what can happen to any
            return [*found.items()]
    return []


def _none(scene: Scene, name: str) -> Iterator[Candidate]:
    return iter(())


def agrees(wrong: np.ndarray, gives: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers to six digits, in the same shape."""
    if gives.shape != wrong.shape or not np.isfinite(wrong).all() or not np.isfinite(gives).all():
        return False
    largest = max(abs(wrong).max(initial=0), abs(gives).max(initial=0))
    return bool(abs(wrong - gives).max(initial=0) <= AGREE * largest)


def _of_any_layer(scene: Scene, name: str) -> Iterator[Candidate]:
    """The true gradient with something done to it that can be done to any."""
    true = scene.numeric[name]
    if true is None:
        return
    N, places = _counts(scene)
    averaged = ("bias gradient averaged" if name == "b" else "averaged over the batch")
    yield "gradient is zero", "nothing flows back: is the result assigned, or returned?", 0 * true
    yield "wrong sign", "every number is the negative of the right one.", -true
    for factor, mistake in {1 / N: averaged, 1 / places: averaged, 1 / (N * places): averaged,
                            2.0: "double counting", 0.5: "half is missing",
                            float(N): "summed where a mean was due"}.items():
        if factor != 1:
            yield mistake, f"every number is {factor:.4g} times the right one.", factor * true
    for axes, what in (((0,), "first axis"), ((1,), "second axis"), ((0, 1), "first two axes")):
        if true.ndim > max(axes):
            yield "flipped", f"the right numbers, backwards along the {what}.", np.flip(true, axes)
    if true.ndim >= 2 and true.shape[0] == true.shape[1]:
        yield ("transposed gradient", "the right numbers with the first two axes exchanged.",
               true.swapaxes(0, 1))


def _counts(scene: Scene) -> tuple[int, int]:
    """N, and the places (OH·OW) of one output map; 1 where the output has none."""
    dy = scene.dy
    if not dy.ndim:
        return len(scene.x), 1
    return len(dy), int(np.prod(dy.shape[1:-1]))
