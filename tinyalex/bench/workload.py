"""What is measured: a network, one batch of made-up pictures, and an update."""

from collections.abc import Iterable

import numpy as np

from tinyalex.devices import Batch, Device
from tinyalex.devices.base import Array
from tinyalex.devices.cuda import CudaDevice
from tinyalex.optim import SGD
from tinyalex.run import presets
from tinyalex.training import train_step

# Pictures of noise, again and again, must not drive the weights to infinity, or down to numbers so
# small that the processor slows down. How long an update takes does not depend on the rate.
RATE = 1e-6


class Resident(Batch):
    """A batch that is already on the devices, so that its way there is not measured."""

    def __init__(self, pixels: np.ndarray, devices: Iterable[Device]):
        super().__init__(pixels)
        self.copies = {device: device.put(pixels) for device in devices}

    def on(self, device: Device) -> Array:
        return self.copies[device]


class Workload:
    """The preset's network on these devices, and a batch for it.

    x: (N, H, W, 3) noise, as large as the pixels that the preset trains on. labels: (N,).
    fed: x as the network gets it, on the devices already. towers, side: where they are not the
    preset's. precision: "TF32" where GPUs may multiply so, see `gpu.measure`.
    """

    def __init__(self, preset: str, devices: Iterable[Device], batch_size: int,
                 towers: int | None = None, side: int | None = None, precision: str = "float32"):
        recipe = presets.get(preset)
        self.preset, self.batch_size, self.precision = preset, batch_size, precision
        self.network = recipe.network(devices=list(devices), towers=towers or recipe.towers,
                                      side=side)
        self.devices = list(dict.fromkeys(self.network.devices))
        self.gpus = [device for device in self.devices if isinstance(device, CudaDevice)]
        self.optimiser = SGD(self.network, RATE, recipe.momentum, recipe.weight_decay)
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((batch_size, *self.network.input_shape), np.float32)
        self.x *= 64 * recipe.scale
        self.labels = rng.integers(0, self.network.classes, batch_size)
        self.fed = Resident(self.x, self.devices)

    def train(self) -> Array:
        """One training step; returns the loss."""
        return train_step(self.network, self.optimiser, self.fed, self.labels)[0]

    def infer(self) -> Array:
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
