"""What is measured: a network, one batch of made-up pictures, and an update."""

from collections.abc import Sequence

import numpy as np

from tinyalex.devices import CpuDevice
from tinyalex.optim import SGD
from tinyalex.run import presets

# Pictures of noise, again and again, must not drive the weights to infinity, or down to numbers so
# small that the processor slows down. How long an update takes does not depend on the rate.
RATE = 1e-6


class Workload:
    """The preset's network on these devices, and a batch for it.

    x: (N, H, W, 3) noise, as large as the pixels that the preset trains on. labels: (N,).
    towers, side: where they are not the preset's.
    """

    def __init__(self, preset: str, devices: Sequence[CpuDevice], batch_size: int,
                 towers: int | None = None, side: int | None = None):
        recipe = presets.get(preset)
        self.batch_size = batch_size
        self.network = recipe.network(
            devices=list(devices), towers=towers or recipe.towers, side=side,
            keep=1 - recipe.dropout, init=recipe.init)
        self.optimiser = SGD(self.network, RATE, recipe.momentum, recipe.weight_decay)
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((batch_size, *self.network.input_shape), np.float32)
        self.x *= 64 * recipe.scale
        self.labels = rng.integers(0, self.network.classes, batch_size)

    def train(self) -> float:
        """One training step; returns the loss."""
        scores = self.network.forward(self.x, remember=True, drop=True)
        loss, dscores = self.network.loss_and_gradient(scores, self.labels)
        self.network.backward(dscores)
        self.optimiser.step()
        return loss

    def infer(self) -> np.ndarray:
        """The scores (N, classes) of the batch."""
        return self.network.forward(self.x)
