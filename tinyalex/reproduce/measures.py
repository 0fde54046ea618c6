"""What is measured of a trained network besides its log; each gives columns for the last row."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.inside import features
from tinyalex.inside.colour import colour_specificity, first_kernels
from tinyalex.metrics import average, measure, predictions, score
from tinyalex.network import Network
from tinyalex.reproduce.signals import Columns, layers, layers_at_start, pictures_of
from tinyalex.run import checkpoint
from tinyalex.run.opened import open_network
from tinyalex.run.trainer import Trainer

QUERIES = 1000  # pictures whose neighbours are looked for
NEAR = 5  # how many neighbours each
DEALS = 10_000  # how often the kernels are dealt out at random


def still_error(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The error on the training pictures as the validation pictures are seen: centre crops, no
    noise, nothing dropped, the network standing still."""
    return {"still_error": measure(trainer.network, pictures_of(trainer, train_set).epoch()).error}


def ten_crops(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The validation error of ten patches' averaged predictions (section 4.1)."""
    labels, logp = _said(trainer.network, pictures_of(trainer, val_set, ten_crops=True))
    logp = average(logp.reshape(len(labels), 10, -1), axis=1)
    return {"ten_crop_error": score(logp, labels).error}


def together(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """Of every second run: the validation error of its predictions averaged with those of the run
    before it (section 6), and the mean of the errors that the two have alone. Nothing where the
    other run has not ended."""
    return _averaged(trainer, val_set, 2, "together_error", "alone_error")


def five_together(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The same of every fifth run and the four before it."""
    return _averaged(trainer, val_set, 5, "five_error", "five_alone")


def _averaged(trainer: Trainer, val_set: Dataset, count: int, *columns: str) -> Columns:
    """The error of so many runs together, this one the last of them, and the mean of their own."""
    name, _, seed = trainer.run.folder.name.rpartition("-")
    others = [trainer.run.folder.with_name(f"{name}-{int(seed) - back}")
              for back in range(1, count)]
    if int(seed) % count != count - 1 or not all(map(_ended, others)):
        return {}
    labels, ours = _said(trainer.network, pictures_of(trainer, val_set))
    said = [ours]
    for other in others:
        with open_network(other, trainer.recipe.devices) as net:
            said.append(_said(net.network, net.loader(val_set))[1])
    alone = [score(logp, labels).error for logp in said]
    errors = score(average(np.stack(said), axis=0), labels).error, sum(alone) / count
    return dict(zip(columns, errors, strict=True))


def colour(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """How far apart the towers' mean colour specificities are (section 6.1), the lowest and the
    highest, and how far apart on average when the same kernels are dealt out to the towers at
    random."""
    towers = [colour_specificity(kernels) for kernels in first_kernels(trainer.network).values()]
    kernels = np.nan_to_num(np.concatenate(towers))

    def apart(dealt):
        return np.ptp(dealt.reshape(*dealt.shape[:-1], len(towers), -1).mean(axis=-1), axis=-1)

    rng = np.random.default_rng(trainer.recipe.seed)
    dealt = rng.permuted(np.tile(kernels, (DEALS, 1)), axis=1)
    return {"colour_split": float(apart(kernels)), "colour_chance": float(apart(dealt).mean())}


def neighbours(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The share of validation pictures' nearest training pictures that has their class: by
    the activities of the last hidden layer, and by the pixels themselves (section 6.1)."""
    known, asked = pictures_of(trainer, train_set), pictures_of(trainer, val_set)
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


def drop(trainer: Trainer, train_set: Dataset, val_set: Dataset) -> Columns:
    """The training loss just before the rate falls for the first time, and just after it: in
    twentieths of an epoch, as the log has them. Nothing where its rows are longer, or the rate does
    not fall."""
    rows = [(row["lr"] or 0, row["train_loss"] or 0) for row in trainer.run.rows()
            if row["val_error"] is None]
    for (before, loss), (after, next_loss) in pairwise(rows):
        if after < before:
            return {"loss_before_drop": loss, "loss_after_drop": next_loss}
    return {}


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


MEASURES: dict[str, Callable[[Trainer, Dataset, Dataset], Columns]] = {
    f.__name__: f for f in (still_error, ten_crops, together, five_together, colour, neighbours,
                            layers, layers_at_start, drop)}
