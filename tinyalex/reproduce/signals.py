"""How signals and gradients go through the layers of a network, before training and in it."""

from collections.abc import Iterable

import numpy as np

from tinyalex import freezing
from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.inside.activities import blocks, named_blocks, outputs
from tinyalex.layers import Layer
from tinyalex.network import Network
from tinyalex.run import assembly
from tinyalex.run.trainer import Trainer

Columns = dict[str, float]
SEEN = 500  # pictures by which it is told what units do


def layers(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """Of each layer with weights but the last, of all its towers, for 500 pictures: the mean
    |activity|, and the share of units that are 0 for all of them. And of each, the last as well,
    |gradient| / |weights|, for a batch of centre crops with nothing dropped."""
    return _layers(trainer, trainer.network, train_set, val_set)


def layers_at_start(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The same of the network before its first step."""
    fresh = trainer.recipe.network(len(trainer.classes), trainer.network.devices)
    columns = _layers(trainer, fresh, train_set, val_set)
    return {f"{column}_at_start": value for column, value in columns.items()}


def _layers(trainer: Trainer, network: Network, train_set: Dataset, val_set: Dataset) -> Columns:
    fired, size = _activity(network, pictures_of(trainer, val_set.first(SEEN)))
    columns = {}
    for name, units in blocks(network).items():
        columns[f"activity_{name}"] = float(np.mean([size[unit] for unit in units]))
        columns[f"dead_{name}"] = float(1 - np.mean([fired[unit] for unit in units]))
    batch = train_set.first(trainer.recipe.batch_size)
    x, labels = next(iter(pictures_of(trainer, batch).epoch()))
    network.backward(network.loss_and_gradient(network.forward(x, remember=True), labels)[1])
    for name in freezing.names(network):
        towers = freezing.layers_called(network, name)
        columns[f"gradient_{name}"] = (_size(layer.device.get(layer.grads["W"]) for layer in towers)
                                       / _size(layer.device.get(layer.params["W"])
                                               for layer in towers))
    return columns


def _size(arrays: Iterable[np.ndarray]) -> float:
    """√ of the sum of the squares."""
    return float(np.sqrt(sum((array.astype(float) ** 2).sum() for array in arrays)))


def _activity(network: Network,
              loader: Loader) -> tuple[dict[Layer, np.ndarray], dict[Layer, float]]:
    """Of each layer of units which of them were not 0 for one picture at least, and the mean
    |activity|."""
    units = set(named_blocks(network).values())
    fired, sums = dict.fromkeys(units, np.array(False)), dict.fromkeys(units, 0.0)
    for x, _ in loader.epoch():
        for layer, y in outputs(network, x, units).items():
            fired[layer] = fired[layer] | (y != 0).any(axis=0)
            sums[layer] += float(np.abs(y).mean(axis=tuple(range(1, y.ndim)), dtype=float).sum())
    return fired, {layer: total / len(loader.dataset) for layer, total in sums.items()}


def pictures_of(trainer: Trainer, dataset: Dataset, ten_crops: bool = False) -> Loader:
    """Of pictures as the run's validation sees them."""
    return assembly.test_loader(trainer.recipe, dataset, trainer.network.input_shape[0],
                                trainer.mean, ten_crops=ten_crops)
