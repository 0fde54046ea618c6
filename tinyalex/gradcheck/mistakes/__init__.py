"""The mistakes that people make in a layer's forward or backward, each stated once.

Every one has a name, a hint, and formulas for the wrong array that it gives. They come from the
definitions (the plain loops of the kernels, einsum, sums), not from the layers' own backward, so
they stay true when the layer is what's broken. Two readers use them: diagnosis.py names the mistake
whose formula gives just what a learner's class gave, and mutants.py plants it in a shipped layer.

Mistakes in drawing dropout's masks, MASKS, show in many numbers together and not in each, so they
have another form; mistakes in the update have their own too, in update.py. What is wrong in
behaviour and not in numbers (an argument written to, gradients that pile up) has no formula and is
in mutants.py.
"""

from tinyalex.gradcheck.mistakes.around import ANY, EXCHANGE, LOSS
from tinyalex.gradcheck.mistakes.maps import MAPS, MASKS
from tinyalex.gradcheck.mistakes.norms import NORMS
from tinyalex.gradcheck.mistakes.weighted import WEIGHTED, overwritten
from tinyalex.gradcheck.scene import Mistake

__all__ = ["ANY", "MASKS", "MISTAKES", "overwritten"]

MISTAKES: list[Mistake] = [*WEIGHTED, *MAPS, *NORMS, *LOSS, *EXCHANGE]  # ANY: of any layer
