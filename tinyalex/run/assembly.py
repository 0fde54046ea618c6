"""From a recipe to what trains a network: optimiser, schedule, loaders."""

from collections.abc import Callable
from functools import partial

import numpy as np

from tinyalex import optim
from tinyalex.data.augment import NOISES
from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.devices import HOST, Device
from tinyalex.hybrid import Hybrid
from tinyalex.large_batches import LARS
from tinyalex.network import Network
from tinyalex.parallel import Parallel
from tinyalex.run.recipe import Recipe, loader_threads
from tinyalex.support.errors import UserError
from tinyalex.world import World


def optimiser(recipe: Recipe, network: Network) -> optim.SGD:
    """SGD, or LARS, with the recipe's rates, momentum and decay."""
    kind = partial(LARS, trust=recipe.trust) if recipe.optimiser == "lars" else optim.SGD
    return kind(network, recipe.lr, recipe.momentum, recipe.weight_decay, recipe.bias_lr,
                recipe.bias_decay, recipe.velocity == "scale", optim.factors(recipe.lr_of))


def schedule(recipe: Recipe, network: Network) -> optim.Schedule:
    """The schedule of the learning rate. UserError where it, or lr_of, names no layer that learns.
    """
    plan = optim.schedule(recipe.schedule, recipe.lr)
    named = [("schedule", layer) for _, layer, _ in getattr(plan, "changes", ())]
    for flag, layer in named + [("lr-of", layer) for layer in optim.factors(recipe.lr_of)]:
        if not any(p.name.startswith(layer) for p in network.learning):
            raise UserError(f"--{flag}: the network has no layer {layer!r} that learns",
                            "python -m tinyalex.summary lists the layers of a preset.")
    return plan


def parallel(recipe: Recipe, network: Network, world: World) -> Parallel | None:
    """How the workers make a step; None where one is alone, and nothing has to be exact. network:
    what learns. UserError where it cannot be shared as the recipe says."""
    if world.size == 1 or recipe.parallel == "data":
        shared = world.size > 1 or recipe.exact
        return Parallel(network, world, recipe.exact) if shared else None
    return Hybrid(network, world, recipe.exact, at_once=recipe.parallel == "hybrid-c")


def train_loader(recipe: Recipe, train_set: Dataset, mean: np.ndarray, side: int,
                 device: Device = HOST, rows: Callable[[int], slice] | None = None) -> Loader:
    """Batches to train on: shuffled, cropped at random and mirrored, with colour noise, as the
    recipe says. mean: the picture that is subtracted. side: of the crops. device: that will read
    them. rows: see `Loader`."""
    noise = NOISES.get(recipe.colour)
    return Loader(
        train_set, side, mean, scale=recipe.scale, mean_crop=recipe.mean_crop,
        batch_size=recipe.batch_size, seed=recipe.seed, shuffle=True,
        augment=recipe.augment, workers=recipe.workers, raw=device.takes_bytes, rows=rows,
        colour=noise and noise(train_set.measure(), recipe.colour_until))


def test_loader(recipe: Recipe, dataset: Dataset, side: int, mean: np.ndarray,
                batch_size: int | None = None, ten_crops: bool = False,
                device: Device = HOST) -> Loader:
    """Batches to measure with: the centre of each picture, or ten crops of it, minus the mean of
    the training pictures. batch_size: the recipe's, if not given. device: that will read them; on
    the host's own they are arrays that anyone can read."""
    return Loader(dataset, side, mean, scale=recipe.scale, mean_crop=recipe.mean_crop,
                  batch_size=batch_size or recipe.batch_size, ten_crops=ten_crops,
                  workers=min(recipe.workers, loader_threads()), raw=device.takes_bytes)
