"""What is measured of a run, where a slip would give a number that nobody doubts.

Averaging a net with itself; a chance that is dealt out to two towers where there are four; the loss
after the last drop of the rate and not the first; an activity over some of the pictures, a gradient
that is left from training.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from blobs import load

from tinyalex.devices import Devices
from tinyalex.reproduce import measures, signals
from tinyalex.run import presets
from tinyalex.run.folder import Run
from tinyalex.run.trainer import Trainer


@pytest.fixture
def trainer(tmp_path):
    """Of four towers, before its first step."""
    recipe = replace(presets.get("cifar"), towers=4, batch_size=8, dropout=0.5)
    with Devices("cpu", 4) as devices:
        yield Trainer(Run(tmp_path / "run-4", recipe), load("train"), load("val"), devices)


def test_four_towers_are_compared_with_the_same_kernels_dealt_out_to_four(trainer):
    W = [tower[0].params["W"] for tower in trainer.network.stages[0]]
    for array, colour in zip(W, ((1, 1, 1), (1, 1, 1), (1, -1, 0), (1, 0, 0)), strict=True):
        array[...] = np.array(colour)[:, None]
    apart = measures.colour(trainer, load("train"), load("val"))
    assert apart["colour_split"] == pytest.approx(1)
    assert 0.1 < apart["colour_chance"] < 0.6


def test_nets_that_differ_are_better_together_and_each_is_counted_once(trainer, monkeypatch):
    """Five nets, of which each is sure of a fifth of the classes and knows nothing of the rest."""
    labels, folder = np.arange(50) % 5, trainer.run.folder
    said = {i: np.where((labels == i)[:, None], 5.0, 0) * np.eye(5)[labels] for i in range(5)}

    class Opened:
        def __init__(self, other, devices):
            self.network = int(other.name.rpartition("-")[2])
            assert other.parent == folder.parent

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def loader(self, val_set):
            return None

    monkeypatch.setattr(measures, "_ended", lambda other: True)
    monkeypatch.setattr(measures, "open_network", Opened)
    monkeypatch.setattr(measures, "_said", lambda network, loader: (
        labels, np.log(_softmax(said[network if isinstance(network, int) else 4]))))
    columns = measures.five_together(trainer, load("train"), load("val"))
    assert columns["five_error"] == 0 and columns["five_alone"] > 0.5
    assert measures.together(trainer, load("train"), load("val")) == {}, "4 is the first of a pair"


def _softmax(scores):
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def test_the_first_drop_of_the_rate_is_the_one_that_is_looked_at():
    rates = 0.02, 0.02, 0.002, 0.002, 0.0002
    rows = [{"lr": lr, "train_loss": loss, "val_error": None}
            for lr, loss in zip(rates, (3.0, 2.0, 2.5, 2.2, 2.1), strict=True)]
    rows.insert(2, {"lr": 0.02, "train_loss": 9.0, "val_error": 0.5})  # of a whole epoch

    def drop(rows):
        return measures.drop(SimpleNamespace(run=SimpleNamespace(rows=lambda: rows)), None, None)

    assert drop(rows) == {"loss_before_drop": 2.0, "loss_after_drop": 2.5}
    assert drop(rows[:2]) == {}


def test_signals_are_those_of_the_network_at_hand(trainer):
    """A layer that gives nothing has no activity, and nothing comes back through it."""
    train_set, val_set = load("train"), load("val")
    before = signals.layers_at_start(trainer, train_set, val_set)
    for p in trainer.network.parameters:
        if p.name.startswith("conv2"):
            p.value[...] = -abs(p.value) if p.key == "W" else 0
    after = signals.layers(trainer, train_set, val_set)
    assert {f"{column}_at_start" for column in after} == before.keys()
    assert after["activity_conv1"] == pytest.approx(before["activity_conv1_at_start"])
    assert after["dead_conv2"] == 1 and after["activity_conv2"] == 0
    assert after["dead_conv1"] == before["dead_conv1_at_start"] < 0.1
    assert after["gradient_conv1"] == 0 < before["gradient_conv1_at_start"]
    assert signals.layers_at_start(trainer, train_set, val_set) == before, "the weights as drawn"


def test_activities_are_means_over_all_pictures(trainer):
    """Those of a batch and those of the rest, which is smaller, do not count alike."""
    val_set = load("val").first(11)
    seen = []

    def keep(layer, y):
        if layer.name.startswith("relu7"):
            seen.append(y.copy())

    for x, _ in signals.pictures_of(trainer, val_set).epoch():
        trainer.network.forward(x, watch=keep)
    both = np.concatenate([np.concatenate(seen[:4], 1), np.concatenate(seen[4:], 1)])
    columns = signals.layers(trainer, load("train"), val_set)
    assert len(both) == 11
    assert columns["activity_fc7"] == pytest.approx(both.mean(), rel=1e-5)
    assert columns["dead_fc7"] == pytest.approx((both == 0).all(axis=0).mean())
