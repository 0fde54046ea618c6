"""What is measured of a trained network besides its log; each gives columns for the last row."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.inside import features
from tinyalex.inside.activities import named_blocks
from tinyalex.inside.colour import colour_specificity, first_kernels
from tinyalex.metrics import average, measure, predictions, score
from tinyalex.network import Network
from tinyalex.run import assembly, checkpoint
from tinyalex.run.opened import open_network
from tinyalex.run.trainer import Trainer

Columns = dict[str, float]
QUERIES = 1000  # pictures whose neighbours are looked for
NEAR = 5  # how many neighbours each
DEALS = 10_000  # how often the kernels are dealt out at random


def still_error(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The error on the training pictures as the validation pictures are seen: centre crops, no
    noise, nothing dropped, the network standing still."""
    return {"still_error": measure(trainer.network, _loader(trainer, train_set).epoch()).error}


def ten_crops(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The validation error of ten patches' averaged predictions (section 4.1)."""
    labels, logp = _said(trainer.network, _loader(trainer, val_set, ten_crops=True))
    logp = average(logp.reshape(len(labels), 10, -1), axis=1)
    return {"ten_crop_error": score(logp, labels).error}


def together(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """Of every second run: the validation error of its predictions averaged with those of the run
    before it (section 6), and the mean of the errors that the two have alone. Nothing where the
    other run has not ended."""
    name, _, seed = trainer.run.folder.name.rpartition("-")
    other = trainer.run.folder.with_name(f"{name}-{int(seed) - 1}")
    if int(seed) % 2 == 0 or not _ended(other):
        return {}
    labels, ours = _said(trainer.network, _loader(trainer, val_set))
    with open_network(other, trainer.recipe.devices) as net:
        _, theirs = _said(net.network, net.loader(val_set))
    alone = [score(logp, labels).error for logp in (ours, theirs)]
    both = average(np.stack([ours, theirs]), axis=0)
    return {"together_error": score(both, labels).error, "alone_error": sum(alone) / 2}


def colour(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """How far apart the towers' mean colour specificities are (section 6.1), and how far apart on
    average when the same kernels are dealt out to the towers at random."""
    towers = [colour_specificity(kernels) for kernels in first_kernels(trainer.network).values()]
    a, kernels = len(towers[0]), np.nan_to_num(np.concatenate(towers))

    def apart(dealt):
        return np.abs(dealt[..., :a].mean(axis=-1) - dealt[..., a:].mean(axis=-1))

    rng = np.random.default_rng(trainer.recipe.seed)
    dealt = rng.permuted(np.tile(kernels, (DEALS, 1)), axis=1)
    return {"colour_split": float(apart(kernels)), "colour_chance": float(apart(dealt).mean())}


def neighbours(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The share of validation pictures' nearest training pictures that has their class: by
    the activities of the last hidden layer, and by the pixels themselves (section 6.1)."""
    known, asked = _loader(trainer, train_set), _loader(trainer, val_set)
    labels = np.asarray(train_set.labels)
    picked = np.random.default_rng(0).permutation(len(val_set))[:QUERIES]
    true = np.asarray(val_set.labels)[picked]

    def fc7(loader):
        return features.extract(trainer.network, (x.pixels for x, _ in loader.epoch()))

    def pixels(loader):
        return np.concatenate([x.pixels.reshape(len(x.pixels), -1) for x, _ in loader.epoch()])

    return {f"near_{name}": float((labels[_nearest(of(asked)[picked], of(known))]
                                   == true[:, None]).mean())
            for name, of in (("fc7", fc7), ("pixels", pixels))}


def start(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """Of the network before its first step: the loss, and the share of the units that are 0 for
    every one of 500 pictures."""
    fresh = trainer.recipe.network(len(train_set.classes), trainer.network.devices)
    some = val_set.first(500)
    return {"loss_at_start": measure(fresh, _loader(trainer, some).epoch()).loss,
            "dead_at_start": _dead(fresh, _loader(trainer, some))}


def _dead(network: Network, loader: Loader) -> float:
    units = set(named_blocks(network).values())
    fired: dict = {}

    def keep(layer, y):
        if layer in units:
            fired[layer] = fired.get(layer, False) | (layer.device.get(y) != 0).any(axis=0)

    for x, _ in loader.epoch():
        network.forward(x, watch=keep)
    return float(1 - np.concatenate([of.ravel() for of in fired.values()]).mean())


def _nearest(queries: np.ndarray, among: np.ndarray) -> np.ndarray:
    """(Q, NEAR) indices of the nearest by Euclidean distance; |q|² is the same for all of a row."""
    among, queries = among.astype(np.float32), queries.astype(np.float32)
    squares = (among**2).sum(axis=1)
    return np.argsort(squares - 2 * queries @ among.T, axis=1, kind="stable")[:, :NEAR]


def _ended(folder: Path) -> bool:
    """Whether the run in this folder is through."""
    if not (folder / "checkpoint.npz").exists():
        return False
    about = checkpoint.load(folder / "checkpoint.npz").about
    return "progress" in about and about["progress"]["epoch"] > about["settings"]["epochs"]


def _said(network: Network, loader: Loader) -> tuple[np.ndarray, np.ndarray]:
    """The labels (N,), and the logarithms of the probabilities, for all pictures."""
    parts = zip(*predictions(network, loader.epoch()), strict=True)
    labels, logp = (np.concatenate(part) for part in parts)
    return labels, logp


def _loader(trainer: Trainer, dataset: Dataset, ten_crops: bool = False) -> Loader:
    return assembly.test_loader(trainer.recipe, dataset, trainer.network.input_shape[0],
                                trainer.mean, ten_crops=ten_crops)


MEASURES: dict[str, Callable[[Trainer, Dataset, Dataset], Columns]] = {
    f.__name__: f for f in (still_error, ten_crops, together, colour, neighbours, start)}
