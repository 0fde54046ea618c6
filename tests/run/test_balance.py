"""Classes of unequal size: what is said of them, and how much each of their pictures counts.

Weights whose mean is not 1 are a learning rate in disguise; a class without pictures is a division
by 0; and a weighted validation error would flatter whoever knows the rare class.
"""

import json
from dataclasses import replace

import blobs
import numpy as np
import pytest
from runs import assert_same_bits, log_rows, weights

from tinyalex import train
from tinyalex.data.dataset import Dataset
from tinyalex.run.balance import about, class_weights

pytestmark = pytest.mark.usefixtures("undrawn")


def of(*labels, classes=("ant", "bee", "cow")):
    return Dataset(np.zeros((len(labels), 4, 4, 3), np.uint8), np.array(labels), classes, "they")


def test_all_classes_count_alike_and_pictures_1_on_average():
    labels = np.array([0] * 30 + [1] * 6 + [3] * 4)
    w = class_weights(labels, 5)
    totals = np.bincount(labels, weights=w[labels], minlength=5)
    np.testing.assert_allclose(totals, [40 / 3, 40 / 3, 0, 40 / 3, 0], rtol=1e-6)
    assert w[labels].mean() == pytest.approx(1) and w[2] == w[4] == 0


def test_what_is_said_of_the_classes():
    even = of(0, 0, 1, 1, 2, 2)
    assert about(even, even, False) == about(even, even, True) == ""
    assert about(of(*[0] * 8, 1, 1, 2, 2), even, False) == "", "four times as many are not yet much"
    assert about(of(*[0] * 9, 1, 1, 2, 2, 2), even, False) == (
        "from 2 (bee) to 9 pictures (ant); --balance makes them count alike")
    assert about(of(*[0] * 9, 1, 1, 2), even, True) == (
        "a picture of ant counts 0.44 times, one of cow 4 times; a single picture to train on: cow")
    assert about(of(0, 0, 2, 2), of(0, 1), False) == (
        "no picture to train on: bee; no picture to validate with: cow")


load = blobs.load


def uneven(split):
    """Of the third class a few pictures only, to train on."""
    whole = load(split)
    few = np.flatnonzero((whole.labels < 2) | (np.arange(40) < 8 if split == "train" else True))
    return replace(whole, images=whole.images[few], labels=whole.labels[few])


@pytest.fixture
def flags(in_blobs, monkeypatch):
    monkeypatch.setattr(blobs, "load", uneven)
    return ["--preset", "cifar", "--data", "blobs:load", "--batch-size", "8"]


def test_balanced_the_rare_class_counts_and_a_resumed_run_is_the_same(flags, tmp_path):
    for name, more in (("plain", []), ("whole", ["--balance"]), ("parts", ["--balance"])):
        epochs = "1" if name == "parts" else "2"
        train.main([*flags, *more, "--epochs", epochs, "--out", str(tmp_path / name)])
    train.main(["--resume", str(tmp_path / "parts"), "--data", "blobs:load", "--epochs", "2"])
    whole = weights(tmp_path / "whole")
    assert_same_bits(whole, weights(tmp_path / "parts"))
    assert abs(whole["fc8a.W"] - weights(tmp_path / "plain")["fc8a.W"]).max() > 1e-4
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert config["settings"]["balance"] is True


def test_the_validation_is_not_balanced(flags, tmp_path):
    """With a rate of 0 nothing is learned: two runs that differ in --balance measure the same."""
    rows = []
    for more in ([], ["--balance"]):
        out = tmp_path / f"run{len(rows)}"
        train.main([*flags, *more, "--lr", "0", "--epochs", "1", "--no-augment", "--out", str(out)])
        rows += log_rows(out)
    assert rows[0]["val_loss"] == rows[1]["val_loss"]
    assert rows[0]["train_loss"] != rows[1]["train_loss"]


def test_pictures_of_one_class_are_refused(flags, tmp_path, refused, monkeypatch):
    monkeypatch.setattr(blobs, "load", lambda split: Dataset(
        load(split).images, np.zeros(40, int), ("rose",), "blobs"))
    error = refused(train.main, [*flags, "--out", str(tmp_path / "run")])
    assert "blobs: all pictures are of one class, rose" in error
    assert not (tmp_path / "run").exists()
