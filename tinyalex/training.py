"""What training is: one update after the other."""

import numpy as np

from tinyalex.devices import Batch
from tinyalex.devices.base import Array
from tinyalex.network import Network
from tinyalex.optim import SGD


def train_step(network: Network, optimiser: SGD, x: np.ndarray | Batch, labels: np.ndarray,
               ) -> tuple[Array, Array]:
    """One update of all weights, from one batch (paper, section 5).

    x: pictures (N, H, W, C) on the host. labels: (N,) integers. Returns the loss and the
    scores (N, classes) from before the update, both on the first device: where that is a GPU it may
    still be working on them, see `Pending` in run/meters.py.
    """
    scores = network.forward(x, remember=True, drop=True)
    loss, dscores = network.loss_and_gradient(scores, labels)
    network.backward(dscores)
    optimiser.step()
    return loss, scores
