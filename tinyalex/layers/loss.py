"""The loss: how far the network's opinion is from the truth."""

import numpy as np

from tinyalex.layers.base import Layer


class SoftmaxCrossEntropy(Layer):
    """Softmax and the logarithmic loss (paper, section 3.5: multinomial logistic regression).

        p_k = exp(x_k) / sum over j of exp(x_j)
        loss = the mean over the pictures of -log p_label

    computed as log p_k = (x_k - max) - log(sum(exp(x_j - max))), which cannot overflow.

    Backward. d(-log p_label)/dx_k = p_k - [k is the label], so dx = (p - onehot) / N.

    x, dx: (N, K) scores. labels: (N,) integers in 0..K-1. The loss is a number on the
    device; float() waits for it.
    """

    # A loss reads labels as well, and backward begins with it.
    def forward(self, x, labels, remember: bool = False):  # type: ignore[override]
        xp = self.device.xp
        shifted = x - x.max(axis=1, keepdims=True)
        log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
        true = xp.arange(len(x)), self.device.put(labels)
        self._keep(remember, log_p, true)
        return -log_p[true].mean()

    def backward(self):  # type: ignore[override]
        log_p, true = self._recall()
        dx = self.device.xp.exp(log_p)
        dx[true] -= 1
        dx /= len(dx)
        return dx


def softmax(x: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) from scores (N, K)."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
