"""The commands as a user runs them: train, stop, resume, evaluate, and all that can go wrong.

What matters most of a training run is that nothing is lost. A run that is resumed must end, bit for
bit, where the unbroken one ends; the usual slips are a forgotten momentum, dropout that starts from
step 0 again, another order of the pictures, a learning rate that forgets that it dropped.
"""

import json
import os
import re
import shlex
import signal
from dataclasses import replace

import numpy as np
import patches as own
import pytest
from runs import assert_same_bits, log_rows, settings, weights

from tinyalex import evaluate, look, train
from tinyalex.data import sources
from tinyalex.run import checkpoint
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError

pytestmark = pytest.mark.usefixtures("undrawn")


def test_a_run_learns_and_leaves_what_it_promises(with_pictures, patches, tmp_path, capsys):
    assert train.main(settings(patches, "--out", "made")) == 0
    folder = tmp_path / "made"
    names = {"checkpoint.npz", "config.json", "curves.png", "filters.png", "log.csv"}
    assert {path.name for path in folder.iterdir()} - {"wrong.png"} == names
    rows = log_rows(folder)
    assert [row["epoch"] for row in rows if row["val_error"]] == ["1", "2", "3"]
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.01, 0.01, 0.001])
    assert float(rows[-1]["val_error"]) < 0.1
    assert json.loads((folder / "config.json").read_text())["settings"]["batch_size"] == 16
    printed = capsys.readouterr().out
    assert "cifar: 2 towers" in printed and "--resume made" in printed

    assert evaluate.main(["made", "--data", patches]) == 0
    printed = capsys.readouterr().out
    right = f"{1 - float(rows[-1]['val_error']):.2%}"
    assert any(line.split()[:3] == ["centre", "patch", right] for line in printed.splitlines())
    assert (folder / "confusion.png").exists()


def test_what_it_says_to_look_at_next_is_there(patches, monkeypatch, capsys):
    """It said PICTURE, of built-in data too, of which nobody has a file. A folder's name that
    begins with a dash is no flag."""
    monkeypatch.setitem(sources.BUILT_IN, "shapes", own.load)
    train.main(settings("shapes", "--limit", "16", "--epochs", "1", "--out=-made"))
    (line,) = re.findall(r"python -m tinyalex\.look .*", capsys.readouterr().out)
    assert look.main(shlex.split(line)[3:]) == 0


@pytest.mark.slow
def test_an_experiment_is_kept_with_the_run_and_measured_as_the_same_network(
        patches, tmp_path, capsys):
    changes = ["--towers", "1", "--activation", "tanh", "--lrn", "before", "--pool", "2/2",
               "--without", "conv4,fc7", "--colour", "original", "--epochs", "1", "--limit", "32"]
    assert train.main(settings(patches, "--out", "made", *changes)) == 0
    printed = capsys.readouterr().out
    assert "1 tower," in printed and "activation tanh, lrn before, pool 2/2" in printed
    kept = weights(tmp_path / "made")
    assert "conv1.W" in kept and "conv4.W" not in kept and "fc7.W" not in kept
    assert train.main(["--resume", "made", "--data", patches, "--epochs", "2"]) == 0
    assert evaluate.main(["made", "--data", patches]) == 0


@pytest.mark.slow
def test_colour_noise_changes_what_is_learned(patches, tmp_path):
    for colour in ("none", "paper", "original"):
        train.main(settings(patches, "--out", colour, "--epochs", "1", "--limit", "16",
                            "--colour", colour))
    first = [weights(tmp_path / colour)["conv1a.W"] for colour in ("none", "paper", "original")]
    assert abs(first[0] - first[1]).max() > 0 and abs(first[1] - first[2]).max() > 0


def test_a_run_resumed_after_an_epoch_ends_bit_for_bit_where_the_unbroken_one_ends(
        patches, tmp_path):
    """The rate drops after epoch 1, where the second part begins: velocities scale once."""
    short = settings(patches, "--limit", "32", "--epochs", "2", "--schedule", "1")
    train.main([*short, "--out", "whole"])
    train.main([*short, "--out", "parts", "--epochs", "1"])
    train.main(["--resume", "parts", "--data", patches, "--epochs", "2"])
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(trained):
    before = weights(trained)
    config = json.loads((trained / "config.json").read_text())
    config["settings"]["lr"] = 1e30
    (trained / "config.json").write_text(json.dumps(config))
    saved = checkpoint.load(trained / "checkpoint.npz")
    saved.about["settings"]["lr"] = saved.about["schedule"]["lr"] = 1e30
    saved.save(trained / "checkpoint.npz")
    with np.errstate(all="ignore"), pytest.raises(UserError, match="training stops here") as caught:
        train.main(["--resume", str(trained), "--data", "blobs:load", "--epochs", "5"])
    assert "smaller --lr" in caught.value.hint and "checkpoint.npz" in caught.value.hint
    assert_same_bits(before, weights(trained))


@pytest.mark.parametrize(("argv", "message"), [
    (["--preset", "huge"], "--preset huge"),
    (["--preset", "paper"], "needs to know the data"),
    (["--preset", "tiny", "--data", "patches:load"], "32×32"),
    (["--devices", "gpu"], "there is no device 'gpu'"),
    (["--devices", "cuda:0"], "cuda:0"),
    (["--batch-size", "0"], "--batch-size"),
    (["--batch-size", "many"], "--batch-size"),
    (["--epochs", "1.5"], "--epochs"),
    (["--lr", "nan"], "--lr"),
    (["--momentum", "2"], "--momentum"),
    (["--seed", "9" * 30], "--seed"),
    (["--dropout", "1"], "--dropout"),
    (["--schedule", "never"], "--schedule"),
    (["--schedule", "5:cnov1=0"], "no layer 'cnov1'"),
    (["--towers", "3"], "--towers"),
    (["--colour", "sepia"], "--colour"),
    (["--without", "conv1"], "--without conv1"),
    (["--data", "nowhere"], "nowhere"),
    (["--data", "nowhere:load"], "nowhere"),
    (["--data", "."], "."),
    (["--resume", "nowhere"], "nowhere"),
    (["--flag"], "--flag"),
])
def test_bad_input_gets_one_line_a_hint_and_status_2(patches, tmp_path, refused, argv, message):
    before = sorted(tmp_path.rglob("*"))
    assert message in refused(train.main, argv).splitlines()[0]
    after = [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in str(path)]
    assert after == before, "a run that cannot start leaves nothing behind"


def test_classes_of_another_order_to_validate_with_are_refused(patches, refused, monkeypatch):
    """Trained on red, green, blue and measured on green, red, blue, a perfect network is wrong."""
    load, order = own.load, {"train": ("red", "green", "blue"), "val": ("green", "red", "blue")}
    monkeypatch.setattr(own, "load", lambda split: replace(load(split), classes=order[split]))
    error = refused(train.main, settings(patches))
    assert "patches (val) has 'green' as its class 0; patches (train) has 'red' there" in error


def test_a_batch_that_is_larger_than_the_data_is_said(patches, capsys):
    train.main(settings(patches, "--limit", "8", "--batch-size", "9", "--epochs", "1"))
    assert "batch 9 (larger than the data: one step an epoch, of 8 pictures" in (
        capsys.readouterr().out)


def test_a_run_cannot_be_resumed_as_another_one(trained, refused):
    for flag in (["--preset", "tiny"], ["--lr", "0.5"], ["--batch-size", "3"]):
        assert "was started with" in refused(train.main, ["--resume", str(trained), *flag])
    error = refused(train.main, settings("blobs:load", "--out", str(trained)))
    assert "there is a run in this folder already" in error


@pytest.mark.parametrize("obstacle", [
    pytest.param("a folder", marks=pytest.mark.skipif(
        os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")),
    "a file"])
def test_a_folder_that_cannot_be_written_is_refused(patches, tmp_path, refused, obstacle):
    if obstacle == "a folder":
        (tmp_path / "locked").mkdir(mode=0o500)
    else:
        (tmp_path / "locked").write_text("")
    assert "cannot be written" in refused(train.main, settings(patches, "--out", "locked/made"))


def test_a_disk_without_room_for_checkpoints_is_noticed_before_the_training(
        patches, free_space, refused, tmp_path):
    train.main(settings(patches, "--epochs", "1", "--out", "made", "--keep", "best"))
    size = os.path.getsize("made/checkpoint.npz")
    free_space(size)  # beside those that are there
    assert train.main(["--resume", "made", "--data", patches, "--epochs", "2"]) == 0
    for last in (1.6, 2.4):
        free_space(last * size)
        flags = ["--keep", "best"] * (last > 2)
        assert "other: its checkpoints would take" in refused(
            train.main, settings(patches, "--out", "other", *flags))
    free_space(3 * size)
    assert train.main(settings(patches, "--epochs", "1", "--out", "other", "--keep", "best")) == 0


def test_an_interruption_outside_of_the_steps_says_how_to_go_on(patches, monkeypatch, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "announce", interrupt)
    assert run(lambda: train.main(settings(patches, "--out", "made"))) == 130
    out = capsys.readouterr().out
    assert f"to continue: python -m tinyalex.train --resume made --data {patches}\n" in out


def test_a_signal_after_the_last_epoch_is_told_that_all_is_done(patches, monkeypatch, capsys):
    """Once: there is nothing to stop, and the rest is said. Twice: it ends at once."""
    farewell, shots = train.farewell, [signal.SIGINT]

    def interrupted(trainer):
        for number in shots:
            signal.raise_signal(number)
        farewell(trainer)

    monkeypatch.setattr(train, "farewell", interrupted)
    assert run(lambda: train.main(settings(patches, "--epochs", "1", "--out", "made"))) == 0
    out, err = capsys.readouterr()
    assert "validation: " in out and "checkpoint.npz" in out and "interrupted" not in err
    shots.append(signal.SIGINT)
    again = ["--resume", "made", "--data", patches]
    assert run(lambda: train.main(again)) == 130
    out, err = capsys.readouterr()
    assert out.endswith("\ndone after 1 epoch, and saved in made\n")
    assert err == "\ninterrupted\n"


def test_a_checkpoint_that_is_gone_is_named(trained, refused):
    (trained / "checkpoint.npz").unlink()
    error = refused(train.main, ["--resume", str(trained), "--data", "blobs:load", "--epochs", "5"])
    assert "checkpoint.npz: " in error
