"""Small training runs, as the tests make them and read what they leave."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tinyalex.run import checkpoint, mistakes
from tinyalex.run.pictures import Pictures

DRAW = Pictures.draw


@pytest.fixture
def patches(tmp_path, monkeypatch):
    """--data for a dataset of the user's own; the working folder is an empty one."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.chdir(tmp_path)
    return "patches:load"


@pytest.fixture
def undrawn(monkeypatch):
    """Runs leave no pictures: to draw them takes longer than to train as little as here."""
    monkeypatch.setattr(Pictures, "draw", lambda self, if_due=False: None)
    monkeypatch.setattr(mistakes, "draw_worst", lambda *args: None)


@pytest.fixture
def with_pictures(undrawn, monkeypatch):
    """This test's runs do, in a file where the others are undrawn."""
    monkeypatch.setattr(Pictures, "draw", DRAW)


def settings(data: str, *more: str) -> list[str]:
    """The flags of a quick run of two towers, with all that a resumed one could forget: velocities
    that scale when the rate drops, dropout, crops at random."""
    return ["--preset", "cifar", "--data", data, "--batch-size", "16", "--lr", "0.01",
            "--schedule", "2", "--epochs", "3", "--dropout", "0.2", "--without", "conv4,conv5",
            *more]


def weights(folder: Path, of: str = "checkpoint") -> dict[str, np.ndarray]:
    saved = checkpoint.load(folder / f"{of}.npz")
    return saved.values | {f"velocity of {n}": v for n, v in saved.velocities.items()}


def assert_same_bits(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]):
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def assert_close(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], **tolerances: float):
    """tolerances: rtol and atol of np.testing.assert_allclose."""
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], err_msg=name, **tolerances)


def log_rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "log.csv") as file:
        return list(csv.DictReader(file))
