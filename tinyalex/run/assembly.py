"""From the settings of a run to its parts: network, optimiser, schedule, loaders."""

import numpy as np

from tinyalex import optim
from tinyalex.architectures import ablations
from tinyalex.data.augment import NOISES
from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.devices import HOST, Device, Devices
from tinyalex.network import Network
from tinyalex.run import presets
from tinyalex.run.folder import Settings
from tinyalex.support.errors import UserError


def network(settings: Settings, classes: int, devices: Devices) -> Network:
    """The network, with fresh weights. UserError where the settings clash."""
    return presets.get(settings.preset).network(
        classes, list(devices), towers=settings.towers, seed=settings.seed,
        keep=1 - settings.dropout, init=settings.init,
        edit=ablations.edit(settings.activation, settings.lrn, settings.pool, settings.without))


def optimiser(settings: Settings, network: Network) -> optim.SGD:
    """SGD with the settings' rate, momentum and decay, and the preset's rules for biases."""
    preset = presets.get(settings.preset)
    return optim.SGD(network, settings.lr, settings.momentum, settings.weight_decay,
                     preset.bias_lr, preset.bias_decay, settings.velocity == "scale")


def schedule(settings: Settings, network: Network) -> optim.Schedule:
    """The schedule of the learning rate. UserError where it names a layer that is not there."""
    plan = optim.schedule(settings.schedule, settings.lr)
    for _, layer, _ in getattr(plan, "changes", ()):
        if not any(p.name.startswith(layer) for p in network.parameters):
            raise UserError(f"--schedule: the network has no layer {layer!r}",
                            "python -m tinyalex.summary lists the layers of a preset.")
    return plan


def train_loader(settings: Settings, train_set: Dataset, side: int,
                 device: Device = HOST) -> Loader:
    """Batches to train on: shuffled, cropped at random and mirrored, with colour noise, as the
    settings say. side: of the crops. device: that will read them."""
    preset, statistics = presets.get(settings.preset), train_set.measure()
    noise = NOISES.get(settings.colour)
    return Loader(
        train_set, side, statistics.mean, scale=preset.scale, mean_crop=preset.mean_crop,
        batch_size=settings.batch_size, seed=settings.seed, shuffle=True,
        augment=settings.augment, workers=settings.workers, raw=device.takes_bytes,
        colour=noise and noise(statistics, preset.colour_until))


def test_loader(settings: Settings, dataset: Dataset, side: int, mean: np.ndarray,
                batch_size: int | None = None, ten_crops: bool = False,
                device: Device = HOST) -> Loader:
    """Batches to measure with: the centre of each picture, or ten crops of it, minus the mean of
    the training pictures. batch_size: the settings', if not given. device: that will read them; on
    the host's own they are arrays that anyone can read."""
    preset = presets.get(settings.preset)
    return Loader(dataset, side, mean, scale=preset.scale, mean_crop=preset.mean_crop,
                  batch_size=batch_size or settings.batch_size, ten_crops=ten_crops,
                  workers=settings.workers, raw=device.takes_bytes)
