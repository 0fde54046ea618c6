"""To continue from the weights of a network that is already trained.

Its layers are taken over, and with them what belongs to them: the architecture, and how pictures
are read (their size, the mean, the scale). The last layer tells other classes apart: it is new, and
begins at 0, where no class is likelier than another. What is taken over is frozen unless told
otherwise, and then the new layer is a softmax regression on the features of the old ones.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np

from tinyalex import freezing
from tinyalex.architectures.ablations import MIDDLE
from tinyalex.layers import Dropout, Layer
from tinyalex.layers.base import Weighted
from tinyalex.network import Network
from tinyalex.run.kept import Batches
from tinyalex.run.recipe import Recipe, loader_threads
from tinyalex.run.start import Start
from tinyalex.run.trainer import Trainer
from tinyalex.support.errors import UserError
from tinyalex.support.text import plural


def usual_recipe(start: Start) -> Recipe:
    """How a run that begins so is trained, where no flag says otherwise: for a few epochs, with
    small batches, since there are few pictures. (The rate: see `rate`.)"""
    recipe = start.recipe
    return replace(
        recipe, source=start.about, data="", limit=None, devices="auto", workers=loader_threads(),
        parallel="data", seed=0, colour="none", colour_until=None, batch_size=32, epochs=20,
        schedule="15", velocity="scale", bias_lr=None, warmup=0, optimiser="sgd", lr_of="",
        freeze="", views=1, balance=False, keep="last", patience=0)


def fit(recipe: Recipe, start: Start, classes: Sequence[str],
        given: Collection[str]) -> Recipe:
    """The recipe with what is decided by the weights there are, where no flag (given: their names)
    decides it: hidden layers that the file lacks are left out, the rest is frozen but for the last
    layer, and what is still is computed once. UserError where the network cannot take the weights
    over."""
    names = freezing.names(recipe.network(len(classes), draw=False))
    if "without" not in given and recipe.without is None:
        there = {name.split(".")[0].rstrip("abcd") for name in start.values}
        missing = [name for name in names[:-1] if name not in there and name in MIDDLE]
        recipe = replace(recipe, without=",".join(missing) or None)
    network = recipe.network(len(classes), draw=False)
    names, old = freezing.names(network), taken(network, start, classes)
    if "freeze" not in given:
        new = [name for name in names if name not in old] or names[-1:]
        recipe = replace(recipe, freeze=f"all-but {','.join(new)}")
    return with_possible_views(recipe, given)


def with_possible_views(recipe: Recipe, given: Collection[str]) -> Recipe:
    """The recipe, without views where the first layers learn: nothing is computed once there.
    UserError where a flag (given: their names) asks for views all the same."""
    network = recipe.network(2, draw=False)
    freezing.freeze(network, recipe.freeze)
    if not recipe.views or freezing.parts(network):
        return recipe
    if "views" in given:
        raise UserError(f"--views {recipe.views}: there are no frozen layers to go through once "
                        "and for all",
                        "leave it out, or freeze the first layers (--freeze).")
    return replace(recipe, views=0)


def taken(network: Network, start: Start, classes: Sequence[str]) -> list[str]:
    """The layers that are taken over: all that are there, of the last one only if it has the same
    classes. UserError where one has another shape, and where there are none."""
    names, found = freezing.names(network), []
    for name in names:
        if name == names[-1] and start.classes != tuple(classes):
            continue
        shapes = {f"{layer.name}.{key}": shape for layer in freezing.layers_called(network, name)
                  for key, shape in (("W", layer.W_shape), ("b", layer.b_shape))}
        if not shapes.keys() & start.values.keys():
            continue
        for key, shape in shapes.items():
            theirs = start.values[key].shape if key in start.values else "missing"
            if theirs != shape:
                raise UserError(f"--from {start.about}: {key} is {theirs} there and {shape} here",
                                "leave out the flags that change the network (--towers, "
                                "--without).")
        found.append(name)
    if not found:
        raise UserError(f"--from {start.about}: of its layers, in "
                        f"{plural(start.recipe.towers, 'tower')}, none is one of "
                        f"{', '.join(names)}",
                        "leave out the flags that change the network (--towers, --without).")
    return found


def begin(trainer: Trainer, start: Start, given: Collection[str]) -> None:
    """Put the weights into the trainer's network. Where no flag gives the learning rate, it is
    chosen: by what the last layer reads; where others learn as well, no more than a tenth of the
    rate that their weights were trained with."""
    network, recipe = trainer.network, trainer.recipe
    trainer.taken = take_over(network, start, trainer.classes)
    if "lr" not in given:
        with not_shared(trainer.train_loader) as loader:
            lr = rate(trainer.learner, loader)
        if freezing.chosen(network, recipe.freeze) != freezing.names(network)[:-1]:
            lr = min(lr, recipe.lr / 10)
        trainer.recipe = trainer.run.recipe = replace(recipe, lr=lr)
        trainer.set_rates()


def take_over(network: Network, start: Start, classes: Sequence[str]) -> list[str]:
    """Put the weights into the network; returns the names of the layers that are taken over.

    At test time dropout makes its units count less, by `keep`. The layer that reads them learned
    with that, so where dropout is different now, its weights make up for the difference.
    """
    old, last = taken(network, start, classes), freezing.names(network)[-1]
    dropped = _layers_after_dropout(network)
    for name in {*old, last}:
        for layer in freezing.layers_called(network, name):
            for key, value in layer.params.items():
                new = (start.values[f"{layer.name}.{key}"] if name in old
                       else np.zeros(value.shape, np.float32))
                if key == "W" and layer in dropped:
                    new = new * np.float32((1 - start.recipe.dropout) / dropped[layer].keep)
                layer.device.put_into(value, new)
    return old


def _layers_after_dropout(network: Network) -> dict[Layer, Dropout]:
    """The layers with weights that read what dropout left, and which dropout."""
    found: dict[Layer, Dropout] = {}
    before = None
    for t in range(network.towers):
        for layer in (layer for stage in network.stages for layer in stage[t]):
            if isinstance(layer, Dropout):
                before = layer
            elif isinstance(layer, Weighted):
                if before is not None:
                    found[layer] = before
                before = None
    return found


@contextmanager
def not_shared(loader: Batches) -> Iterator[Batches]:
    """The loader, which in this block gives whole batches, however many workers share them."""
    rows, loader.rows = loader.rows, None
    yield loader
    loader.rows = rows


def rate(network: Network, loader: Batches) -> float:
    """A learning rate by what the last layer reads: 4 / the mean of |x|².

    The gradient of one picture moves its own scores by rate·|x|², so with this rate they move alike
    whatever the scale of x. The factor was chosen on the ten classes of docs/transfer.md, where
    half of it, or twice as much, makes no difference. UserError where x is nearly 0, far too large,
    or not finite.
    """
    with closing(loader.epoch()) as batches:
        x, _ = next(batches)
    network.forward(x, remember=True)
    last = network.stages[-1][0][-1]  # of the first tower: all read the same
    (x,) = last._recall()
    squares = (last.device.get(x).astype(np.float64) ** 2).sum(axis=1).mean()
    if not 1e-6 < squares < 1e12:
        raise UserError(f"what {freezing.names(network)[-1]} reads is nothing to learn from: the "
                        f"mean of |x|² is {squares:.2g}", "the weights are damaged, or "
                        "never trained; if they are right, choose a rate (--lr).")
    return float(f"{4 / squares:.2g}")
