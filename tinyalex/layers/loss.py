"""The loss: how wrong the scores are."""

import numpy as np

from tinyalex.layers.base import Layer, expect_floats
from tinyalex.support.errors import UserError


class SoftmaxCrossEntropy(Layer):
    """Softmax and the logarithmic loss (paper, section 3.5: multinomial logistic regression).

        p_k = exp(x_k) / sum over j of exp(x_j)
        loss = the mean over the pictures of -log p_label

    computed as log p_k = (x_k - max) - log(sum(exp(x_j - max))), which cannot overflow.

    Backward. -log p_label = -x_label + log(sum over j of exp(x_j)). The sum has the derivative
    exp(x_k), so its logarithm has p_k; -x_label has -1 where k is the label. With the mean's 1/N:

        dx = (p - onehot) / N

    With class_weights w, a picture counts as much as its class:

        loss = the mean over the pictures of -w_label log p_label

    It is still divided by N, not by the sum of the weights, so that weights with mean 1 over the
    training pictures leave the size of the loss unchanged in the long run. w_label does not depend
    on x: it multiplies the picture's row of the gradient, dx = w_label (p - onehot) / N.

    x, dx: (N, K) scores. labels: (N,) integers in 0..K-1. class_weights: (K,) on the host, or
    None. The loss is a number on the device; float() waits for it.
    """

    class_weights: np.ndarray | None = None

    # A loss reads labels as well, and backward begins with it.
    def forward(self, x, labels, remember: bool = False):  # type: ignore[override]
        expect_floats(self, "x", x)
        expect_labels(self.name, labels, x)
        xp = self.device.xp
        shifted = x - x.max(axis=1, keepdims=True)
        log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
        true, w = (xp.arange(len(x)), self.device.put(labels)), None
        losses = -log_p[true]
        if self.class_weights is not None:
            w = self.device.put(self.class_weights[labels].astype(x.dtype))
            losses *= w
        self._keep(remember, log_p, true, w)
        return losses.mean()

    def backward(self):  # type: ignore[override]
        log_p, true, w = self._recall()
        dx = self.device.xp.exp(log_p)
        dx[true] -= 1
        if w is not None:
            dx *= w[:, None]
        dx /= len(dx)
        return dx


def expect_labels(name: str, labels: np.ndarray, scores):
    """UserError unless the labels are (N,) integers, each of them one of the K classes of the
    scores (N, K)."""
    if len(scores.shape) != 2:
        raise UserError(f"{name}: scores have the shape (N, K), but these have {scores.shape}",
                        "a row for each picture, a column for each class.")
    N, K = scores.shape
    dtype, shape = getattr(labels, "dtype", np.dtype(object)), np.shape(labels)
    if dtype.kind not in "iu" or shape != (N,):
        raise UserError(f"{name}: for scores of shape {(N, K)} the labels must be an array of "
                        f"integers of shape {(N,)}, but are a {type(labels).__name__} of {dtype} "
                        f"of shape {shape}", "a label is the number of a class: labels[:, 0] from "
                        "a column, labels.argmax(axis=1) from one-hot rows.")
    if ((labels < 0) | (labels >= K)).any():
        raise UserError(f"{name}: the labels run from {labels.min()} to {labels.max()}; with {K} "
                        f"classes they must run from 0 to {K - 1}", "do they count from 1?")


def softmax(x: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) from scores (N, K)."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
