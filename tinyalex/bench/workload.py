"""What is measured: a network, one batch of made-up pictures, and an update."""

from collections.abc import Iterable

import numpy as np

from tinyalex.devices import CpuDevice
from tinyalex.devices.cuda import CudaDevice
from tinyalex.optim import SGD
from tinyalex.run import presets

# Pictures of noise, again and again, must not drive the weights to infinity, or down to numbers so
# small that the processor slows down. How long an update takes does not depend on the rate.
RATE = 1e-6


class Resident:
    """A batch that lies on the devices already, so that its way there is not measured. A network
    takes it as it takes `Crops`, and finds nothing left to do."""

    def __init__(self, batch: np.ndarray, devices: Iterable[CudaDevice]):
        self.shape, self.copies = batch.shape, {device: device.put(batch) for device in devices}

    def __len__(self) -> int:
        return self.shape[0]

    def finish(self, device: CudaDevice):
        return self.copies[device]


class Workload:
    """The preset's network on these devices, and a batch for it.

    x: (N, H, W, 3) noise, as large as the pixels that the preset trains on. labels: (N,).
    fed: x as the network gets it: on GPUs it is there already. towers, side: where they are not the
    preset's. precision: "TF32" where GPUs may multiply so, see `gpu.measure`.
    """

    def __init__(self, preset: str, devices: Iterable[CpuDevice | CudaDevice], batch_size: int,
                 towers: int | None = None, side: int | None = None, precision: str = "float32"):
        recipe = presets.get(preset)
        self.preset, self.batch_size, self.precision = preset, batch_size, precision
        self.network = recipe.network(
            devices=list(devices), towers=towers or recipe.towers, side=side,
            keep=1 - recipe.dropout, init=recipe.init)
        self.devices = list(dict.fromkeys(self.network.devices))
        self.gpus = [device for device in self.devices if isinstance(device, CudaDevice)]
        self.optimiser = SGD(self.network, RATE, recipe.momentum, recipe.weight_decay)
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((batch_size, *self.network.input_shape), np.float32)
        self.x *= 64 * recipe.scale
        self.labels = rng.integers(0, self.network.classes, batch_size)
        self.fed = Resident(self.x, self.gpus) if self.gpus else self.x

    def train(self) -> float:
        """One training step; returns the loss."""
        scores = self.network.forward(self.fed, remember=True, drop=True)
        loss, dscores = self.network.loss_and_gradient(scores, self.labels)
        self.network.backward(dscores)
        self.optimiser.step()
        return loss

    def infer(self) -> np.ndarray:
        """The scores (N, classes) of the batch."""
        return self.network.forward(self.fed)

    def wait(self):
        """Until the devices have done all that they were given."""
        for device in self.devices:
            device.synchronize()

    @property
    def places(self) -> list[str]:
        """The devices, as printed: "cpu0: 1 core"."""
        return [repr(device)[1:-1] for device in self.devices]
