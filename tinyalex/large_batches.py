"""What large batches need: other learning rates, a slow start, rates by layer (LARS).

More workers mean larger batches, or fewer pictures for each of them, and so fewer updates in an
epoch. Each of those has to go further.
"""

from math import sqrt

from tinyalex.devices.base import Array
from tinyalex.network import Network, Parameter
from tinyalex.optim import SGD


def scaled(lr: float, batch: int, usual: int, how: str) -> float:
    """The learning rate for batches of another size than the usual one.

    "linear": k times as large for k times the pictures (Krizhevsky, 2014; Goyal et al., 2017). One
    step with a batch of k·n goes -lr·k·g, g being the mean of k gradients; k steps of n pictures
    each go -lr·(g1 + … + gk), which is the same as long as the weights move so little that the gi
    are what they would have been at the first of them. At the start, where they change fast, that
    does not hold: hence the warm-up.

    "sqrt": √k times as large. The mean over k·n pictures has 1/k of the variance of that over n, so
    the noise in a step, lr·g, keeps its variance if lr² grows with k. It is what Krizhevsky (2014)
    derives first, and then reports that k itself worked better.
    """
    k = batch / usual
    return lr * (k if how == "linear" else sqrt(k))


def warm(step: int, steps: float) -> float:
    """What the learning rate of update number `step` is multiplied with where it grows evenly over
    the first `steps` of them: 1/steps, 2/steps, …, 1."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


class LARS(SGD):
    """SGD in which every layer's step is in proportion to its weights (You et al., 2017).

    How far a layer goes with one rate for all depends on the size of its gradients, and of two
    layers' gradients one may be a thousandth of its weights and the other a tenth: the rate that
    the second one stands is too small for the first. So for the weights W with gradient g, β being
    the weight decay,

        λ = trust·‖W‖ / (‖g‖ + β·‖W‖)
        v ← momentum·v − β·lr·λ·W − lr·λ·g
        W ← W + v

    where ‖·‖ is the root of the sum of squares. Without momentum, a step is of length
    lr·λ·‖g + β·W‖ ≤ lr·λ·(‖g‖ + β·‖W‖) = lr·trust·‖W‖: however large the gradient, no layer moves
    by more than the share lr·trust of its weights. Where ‖W‖ or ‖g‖ is 0, and for biases, which
    start at 0 and would never move, λ = 1.

    Each tower's part of a layer is a layer here. trust: η in You et al.; the rest as of SGD.
    """

    def __init__(self, network: Network, lr: float = 0.01, *args, trust: float = 0.001, **options):
        super().__init__(network, lr, *args, **options)
        self.trust = trust

    def factor(self, p: Parameter) -> float:
        if p.key == "b":
            return 1.0
        w, g = _norm(p.value), _norm(p.grad)
        return self.trust * w / (g + self.decay(p) * w) if w and g else 1.0


def _norm(array: Array) -> float:
    row = array.reshape(1, -1)
    return sqrt(float((row @ row.T)[0, 0]))
