"""The loss: how far the network's opinion is from the truth."""

import numpy as np

from tinyalex.layers.base import Layer


class SoftmaxCrossEntropy(Layer):
    """Softmax and the logarithmic loss (paper, section 3.5: multinomial logistic regression).

        p_k = exp(x_k) / sum over j of exp(x_j)
        loss = the mean over the pictures of -log p_label

    computed as log p_k = (x_k - max) - log(sum(exp(x_j - max))), which cannot overflow.

    Backward. d(-log p_label)/dx_k = p_k - [k is the label], so dx = (p - onehot) / N.

    x, dx: (N, K) scores. labels: (N,) integers in 0..K-1. The loss is a float.
    """

    def forward(self, x, labels, train: bool = False) -> float:
        shifted = x - x.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self._keep(train, log_p, labels)
        return float(-log_p[np.arange(len(x)), labels].mean())

    def backward(self):
        log_p, labels = self._recall()
        dx = np.exp(log_p)
        dx[np.arange(len(dx)), labels] -= 1
        dx /= len(dx)
        return dx


def softmax(x: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) from scores (N, K)."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
