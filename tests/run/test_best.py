"""The best epoch: whose checkpoint is kept, and after which a run waits only so long.

What could go wrong: a tie that counts as better; a best checkpoint that the run, gone back and on
another way, has never had; one that a kill cost; patience that begins anew with each resume, or
that ends a run just when the learning rate was lowered for it.
"""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from runs import assert_same_bits, weights

from tinyalex import evaluate, predict, train
from tinyalex.data import sources
from tinyalex.devices import Devices
from tinyalex.metrics import Result
from tinyalex.run import best, checkpoint, presets, trainer
from tinyalex.run.folder import Run
from tinyalex.run.trainer import Trainer
from tinyalex.support.errors import UserError


@pytest.fixture
def errors(patches, undrawn, monkeypatch):
    """What the validations to come will measure; the numbers are used up."""
    coming = []
    monkeypatch.setattr(trainer, "measure", lambda *args: Result(
        1.0, coming.pop(0), 0.0, np.zeros((3, 3)), np.zeros(96, int), np.ones(96)))
    return coming


def go(folder, resume=True, **changes):
    """Begin or resume a run of one step an epoch; returns the epochs that it did."""
    recipe = replace(presets.get("cifar"), **{
        "data": "patches:load", "batch_size": 96, "epochs": 9, "schedule": "constant",
        "devices": "cpu", "without": "conv3,conv4,conv5,fc6,fc7"} | changes)
    run, rows = Run(folder, recipe), []
    with Devices("cpu") as devices:
        this = Trainer(run, *(sources.load(recipe.data, split) for split in ("train", "val")),
                       devices)
        if resume:
            this.resume()
        else:
            run.start()
        assert this.train(rows.append)
    return [int(row["epoch"]) for row in rows]


def step(path):
    return checkpoint.load(path).about["progress"]["step"]


def test_the_first_of_the_lowest_errors_is_kept_beside_the_last(errors, tmp_path):
    run, kept = tmp_path / "run", []
    errors += [0.5, 0.25, 0.25, 0.3, 0.2, 0.9, 0.5]
    go(run, resume=False, keep="best", epochs=1)
    for epochs in range(2, 7):
        go(run, keep="best", epochs=epochs)
        kept.append(step(run / "best.npz"))
    assert kept == [2, 2, 2, 5, 5] and step(run / "checkpoint.npz") == 6
    go(tmp_path / "other", resume=False, epochs=1)
    assert not (tmp_path / "other" / "best.npz").exists()


def test_a_run_that_went_back_keeps_no_best_from_the_future(errors, tmp_path):
    run = tmp_path / "run"
    errors += [0.4, 0.5, 0.1, 0.45, 0.3]
    go(run, resume=False, keep="best", epochs=2)
    shutil.copy(run / "checkpoint.npz", tmp_path)
    go(run, keep="best", epochs=3)
    shutil.copy(tmp_path / "checkpoint.npz", run)
    go(run, keep="best", epochs=2)
    go(run, keep="best", epochs=3)
    assert not (run / "best.npz").exists(), "of epoch 1, now the best, there is nothing left"
    assert step(run / "best-of-step-3.npz") == 3, "it was somebody's best, and nobody's to delete"
    go(run, keep="best", epochs=4)
    assert step(run / "best.npz") == 4


def test_a_checkpoint_in_the_middle_of_an_epoch_is_not_the_best_epoch_before(
        errors, tmp_path, monkeypatch):
    run, calls, train_step = tmp_path / "run", [], trainer.train_step

    def crash(*args):
        calls.append(args)
        return train_step(*args) if len(calls) < 4 else 1 / 0

    errors += [0.5, 0.6]
    monkeypatch.setattr(trainer, "SAVE_EVERY", 0)
    monkeypatch.setattr(trainer, "train_step", crash)
    with pytest.raises(ZeroDivisionError):
        go(run, resume=False, keep="best", batch_size=48)
    assert step(run / "checkpoint.npz") == 3
    monkeypatch.setattr(trainer, "train_step", train_step)
    go(run, keep="best", batch_size=48, epochs=2)
    assert (step(run / "best.npz"), step(run / "checkpoint.npz")) == (2, 4)


def test_a_kill_between_the_checkpoint_and_its_copy_costs_nothing(errors, tmp_path, monkeypatch):
    run = tmp_path / "run"
    errors += [0.5, 0.4, 0.6]
    go(run, resume=False, keep="best", epochs=1)
    keep = best.keep
    monkeypatch.setattr(best, "keep", lambda this, at: keep(this, at) if at == 1 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        go(run, keep="best", epochs=2)
    assert (step(run / "best.npz"), step(run / "checkpoint.npz")) == (1, 2)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    with Devices("cpu") as devices:
        Trainer(Run.open(run), *(sources.load("patches:load", s) for s in ("train", "val")),
                devices).resume()
    assert_same_bits(weights(run, "best"), weights(run))


def test_a_damaged_best_is_named_and_nothing_is_changed(errors, tmp_path):
    run = tmp_path / "run"
    errors += [0.5, 0.4]
    go(run, resume=False, keep="best", epochs=1)
    (run / "best.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"best\.npz: ") as caught:
        go(run, keep="best", epochs=2)
    assert "move it away" in caught.value.hint
    assert (run / "best.npz").read_bytes() == b"PK" and step(run / "checkpoint.npz") == 1


def test_a_run_ends_when_it_has_waited_long_enough_and_goes_on_with_more_patience(
        errors, tmp_path):
    run = tmp_path / "run"
    errors += [0.5, 0.4, 0.4, 0.6, 0.3, 0.5, 0.5, 0.5]
    assert go(run, resume=False, patience=2) == [1, 2, 3, 4]
    assert go(run, patience=2) == [], "it is over"
    assert go(run, patience=3) == [5, 6, 7, 8]


def test_patience_outlives_a_resume(errors, tmp_path):
    errors += [0.5, 0.5, 0.5, 0.5]
    assert go(tmp_path / "run", resume=False, patience=3, epochs=2) == [1, 2]
    assert go(tmp_path / "run", patience=3) == [3, 4]


def test_a_lower_rate_gets_its_own_chance(errors, tmp_path):
    """Plateau lowers it after epochs 4, 7 and 10, and after the third time leaves it."""
    errors += [0.5] * 20
    assert go(tmp_path / "run", resume=False, patience=4, schedule="plateau", epochs=20
              ) == [*range(1, 15)]
    for patience in (1, 3):
        with pytest.raises(UserError, match=f"--patience {patience} would end the run before"):
            replace(presets.get("paper"), patience=patience)
    with pytest.raises(UserError, match="--patience 3 counts epochs at one learning rate"):
        replace(presets.get("paper"), patience=3, schedule="linear")


def test_commands_take_the_best_by_its_path_and_say_what_was_kept(in_blobs, tmp_path, capsys):
    run = str(tmp_path / "run")
    train.main(["--preset", "cifar", "--data", "blobs:load", "--batch-size", "20", "--keep", "best",
                "--epochs", "4", "--patience", "1", "--lr", "0", "--out", run])
    out = capsys.readouterr().out
    assert "no lower validation error since epoch 1: the run ends after epoch 2" in out
    assert "best.npz: epoch 1, " in out and f"tinyalex.evaluate {run}/best.npz" in out
    assert f"--resume {run} --patience 2" in out
    assert evaluate.main([f"{run}/best.npz", "--data", "blobs:load"]) == 0
    assert predict.main([f"{run}/best.npz", "val/grass/01.png", "--out", f"{run}/p.png"]) == 0
    (tmp_path / "run" / "log.csv").unlink()
    assert train.main(["--resume", run, "--data", "blobs:load", "--epochs", "2"]) == 0
