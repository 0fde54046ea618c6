"""train --from: one's own classes, told apart by a network that others have trained.

What has to be taken over is more than weights: a mean that is subtracted twice, pixels of another
scale, or dropout that counts otherwise than in training give a network that still learns, only
worse. And the run must never need again the file that it began with.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import patches as own
import pytest
from PIL import Image
from runs import assert_close, assert_same_bits, log_rows, weights

from tinyalex import evaluate, freezing, predict, train
from tinyalex.convert import safetensors
from tinyalex.data.dataset import Dataset
from tinyalex.devices import Devices
from tinyalex.run import checkpoint, tuning
from tinyalex.run.folder import Run
from tinyalex.run.opened import open_network
from tinyalex.run.start import from_checkpoint
from tinyalex.run.trainer import Trainer
from tinyalex.support.errors import UserError

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def source(in_blobs, patches, tmp_path, monkeypatch):
    """A run on other pictures, with other classes."""
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path / "cache"))
    return shutil.copytree(in_blobs / "run", tmp_path / "source")


def tune(source, *more, out="tuned"):
    return train.main(["--from", str(source), "--data", "patches:load", "--epochs", "4",
                       "--devices", "cpu", "--out", out, *more])


def the_recipe(folder):
    return Run.open(Path(folder)).recipe


def test_the_layers_are_taken_over_and_the_last_one_learns_new_classes(source, tmp_path, capsys):
    assert tune(source) == 0
    before, after = (checkpoint.load(folder / "checkpoint.npz")
                     for folder in (source, tmp_path / "tuned"))
    moved = {name for name, value in after.values.items()
             if not np.array_equal(value, before.values[name])}
    assert moved == {"fc8a.W", "fc8a.b", "fc8b.W", "fc8b.b"} == after.velocities.keys()
    np.testing.assert_array_equal(after.mean, before.mean)
    assert after.about["classes"] == ["red", "green", "blue"]
    recipe = the_recipe("tuned")
    assert recipe.scale == the_recipe(source).scale and recipe.views == 1
    assert recipe.freeze == "all-but fc8" and str(source) in recipe.source
    assert float(log_rows(tmp_path / "tuned")[-1]["val_error"]) < 0.1
    printed = capsys.readouterr().out
    assert f"from     {source}" in printed and "once through the frozen layers" in printed
    assert [line.split()[-1] for line in printed.splitlines() if line.startswith("conv")] == [
        "frozen"] * printed.count("\nconv")
    assert evaluate.main(["tuned", "--data", "patches:load"]) == 0


def test_kept_features_and_pictures_every_time_anew_come_to_the_same(source, tmp_path):
    tune(source, "--no-augment", "--lr", "0.01")
    tune(source, "--no-augment", "--lr", "0.01", "--views", "0", out="anew")
    assert_close(weights(tmp_path / "tuned"), weights(tmp_path / "anew"), rtol=1e-3, atol=1e-5)


def test_all_of_it_can_learn(source, tmp_path):
    assert tune(source, "--freeze", "none", "--lr-of", "conv=0.1,fc8=10") == 0
    recipe = the_recipe("tuned")
    assert recipe.views == 0 and recipe.lr <= the_recipe(source).lr / 10
    before, after = (checkpoint.load(folder / "checkpoint.npz").values
                     for folder in (source, tmp_path / "tuned"))
    assert not any(np.array_equal(value, before[name]) for name, value in after.items())


def test_how_the_old_run_was_watched_weighted_and_shared_is_not_taken_over(source):
    """Nor its warm-up, which the preset tiny has, nor LARS: the rate is one for plain SGD."""
    start = from_checkpoint(source / "checkpoint.npz")
    old = replace(start.recipe, balance=True, keep="best", patience=9, warmup=2,
                  optimiser="lars", parallel="hybrid-b")
    recipe = tuning.usual_recipe(replace(start, recipe=old))
    assert (recipe.balance, recipe.keep, recipe.patience) == (False, "last", 0)
    assert (recipe.warmup, recipe.optimiser, recipe.parallel) == (0, "sgd", "data")


def test_the_run_no_longer_needs_what_it_began_with(source, tmp_path):
    tune(source, "--epochs", "2", out="cut")
    tune(source, out="whole")
    shutil.rmtree(source)
    shutil.rmtree(tmp_path / "cache" / "kept")
    assert train.main(["--resume", "cut", "--data", "patches:load", "--epochs", "4"]) == 0
    assert_same_bits(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_a_run_that_goes_on_reads_its_checkpoint_once(source, monkeypatch):
    """Of 450 MB each time, and for the mean picture alone."""
    tune(source, "--epochs", "1")
    load, loaded = checkpoint.load, []
    monkeypatch.setattr(checkpoint, "load", lambda path: loaded.append(path.name) or load(path))
    assert train.main(["--resume", "tuned", "--data", "patches:load", "--epochs", "2"]) == 0
    assert loaded == ["checkpoint.npz"]


def test_a_run_that_ended_before_the_weights_were_in_its_folder_is_not_drawn_anew(
        source, refused, tmp_path):
    tune(source)
    for name in ("checkpoint.npz", "log.csv"):
        (tmp_path / "tuned" / name).unlink()
    message = refused(train.main, ["--resume", "tuned", "--data", "patches:load"])
    assert "tuned: ended before it had taken over" in message and "--from" in message


def test_frozen_layers_can_be_set_free_later_and_it_goes_on_from_there(
        source, refused, tmp_path, capsys):
    tune(source)
    capsys.readouterr()
    before = checkpoint.load(tmp_path / "tuned/checkpoint.npz").values
    error = float(log_rows(tmp_path / "tuned")[-1]["val_error"])
    assert train.main(["--resume", "tuned", "--data", "patches:load", "--freeze", "none", "--lr",
                       "0.0005", "--epochs", "6"]) == 0
    recipe = the_recipe("tuned")
    assert (recipe.freeze, recipe.lr, recipe.schedule) == ("none", 0.0005, "constant")
    assert recipe.views == 0 and "pictures random crops" in capsys.readouterr().out
    after = checkpoint.load(tmp_path / "tuned/checkpoint.npz")
    assert not any(np.array_equal(value, before[name]) for name, value in after.values.items())
    assert after.velocities.keys() == after.values.keys()
    rows = log_rows(tmp_path / "tuned")
    assert {float(row["lr"]) for row in rows if float(row["epoch"]) > 4} == {0.0005}
    assert float(rows[-1]["val_error"]) <= error + 0.02
    # And a third time, with nothing changed, from the config that was written.
    assert train.main(["--resume", "tuned", "--data", "patches:load", "--epochs", "7"]) == 0
    assert "--views 2" in refused(
        train.main, ["--resume", "tuned", "--data", "patches:load", "--views", "2"])


def test_velocities_scale_with_a_rate_that_is_said_on_resume(source, tmp_path):
    tune(source, "--lr", "0.01")
    recipe = the_recipe("tuned")
    run = Run(tmp_path / "tuned", replace(recipe, lr=0.001, schedule="constant"))
    before = checkpoint.load(run.checkpoint).velocities["fc8a.W"]
    with Devices("cpu", recipe.towers) as devices:
        trainer = Trainer(run, own.load("train"), own.load("val"), devices,
                          checkpoint.load(run.checkpoint).mean)
        trainer.resume()
        np.testing.assert_allclose(trainer.optimiser.velocity["fc8a.W"], before / 10, rtol=1e-5)


def test_other_runs_keep_what_they_began_with(source, refused):
    for flags in (["--freeze", "conv1"], ["--lr", "0.5"], ["--views", "2"], ["--lr-of", "conv=2"]):
        message = refused(train.main, ["--resume", str(source), "--data", "blobs:load", *flags])
        assert "cannot continue with" in message


def test_the_same_classes_keep_their_last_layer(source, tmp_path):
    assert train.main(["--from", str(source / "checkpoint.npz"), "--data", "blobs:load", "--freeze",
                       "conv1-conv2", "--epochs", "1", "--lr", "0", "--out", "same"]) == 0
    assert_same_bits(checkpoint.load(tmp_path / "same/checkpoint.npz").values,
                     checkpoint.load(source / "checkpoint.npz").values)


def test_a_layer_behind_dropout_counts_as_before_whatever_dropout_is_now(source):
    """At test time dropout makes units count by the share of them that it keeps."""
    start = from_checkpoint(source / "checkpoint.npz")
    start = replace(start, recipe=replace(start.recipe, dropout=0.2))
    x = np.random.default_rng(0).standard_normal((3, 28, 28, 3)).astype(np.float32)
    scores = []
    for dropout in (0.2, 0.0, 0.7):
        network = replace(start.recipe, dropout=dropout).network(3)
        assert "fc8" in tuning.take_over(network, start, start.classes)
        scores.append(network.forward(x))
    np.testing.assert_allclose(scores[1:], [scores[0]] * 2, rtol=1e-4, atol=1e-5)


def test_the_rate_fits_the_features(source):
    start = from_checkpoint(source / "checkpoint.npz")
    network = start.recipe.network(3)
    tuning.take_over(network, start, ("a", "b", "c"))
    x = np.random.default_rng(0).standard_normal((8, 28, 28, 3)).astype(np.float32)
    rates = []
    for factor in (1, 10):
        for layer in freezing.layers_called(network, "conv1"):
            layer.params["W"] *= factor  # all biases are still about 0
        rates.append(tuning.rate(network, Batches(x)))
    assert 20 < rates[0] / rates[1] <= 101


@pytest.mark.parametrize("factor", [0, 1e25])
def test_features_without_a_rate_that_fits_are_an_error_and_not_a_run_that_learns_nothing(
        source, factor):
    start = from_checkpoint(source / "checkpoint.npz")
    network = start.recipe.network(3)
    tuning.take_over(network, start, ("a", "b", "c"))
    for parameter in network.parameters:
        np.multiply(parameter.value, factor, out=parameter.value)
    x = np.random.default_rng(0).standard_normal((8, 28, 28, 3)).astype(np.float32)
    with np.errstate(all="ignore"), pytest.raises(UserError, match="what fc8 reads is nothing"):
        tuning.rate(network, Batches(x))


def test_the_rate_does_not_depend_on_the_workers_who_share_a_batch(source):
    start = from_checkpoint(source / "checkpoint.npz")
    network = start.recipe.network(3)
    tuning.take_over(network, start, ("a", "b", "c"))
    x = np.random.default_rng(0).standard_normal((8, 28, 28, 3)).astype(np.float32)
    x[:4] *= 10
    half = Batches(x, lambda count: slice(0, count // 2))
    with tuning.not_shared(half) as whole:
        assert tuning.rate(network, whole) == tuning.rate(network, Batches(x))
    assert len(next(half.epoch())[0]) == 4, "and then it is shared"


class Batches:
    def __init__(self, x, rows=None):
        self.x, self.rows = x, rows

    def epoch(self):
        rows = self.rows(len(self.x)) if self.rows else slice(None)
        yield self.x[rows], np.zeros(len(self.x), int)[rows]


@pytest.fixture
def features(tmp_path):
    """The convolutions of torchvision's alexnet, drawn at random."""
    rng, tensors = np.random.default_rng(0), {}
    for name, shape in {"features.0": (64, 3, 11, 11), "features.3": (192, 64, 5, 5),
                        "features.6": (384, 192, 3, 3), "features.8": (256, 384, 3, 3),
                        "features.10": (256, 256, 3, 3)}.items():
        std = np.sqrt(2 / np.prod(shape[1:]))
        tensors[f"{name}.weight"] = rng.standard_normal(shape, np.float32) * np.float32(std)
        tensors[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    safetensors.save(tmp_path / "features.safetensors", tensors, {})
    return tmp_path / "features.safetensors"


@pytest.fixture
def large(monkeypatch):
    """Twelve of the patches, of the size that torchvision's net was made for."""
    load = own.load

    def scaled(split):
        data = load(split)
        images = data.images[:12].repeat(8, axis=1).repeat(8, axis=2)
        return Dataset(images, data.labels[:12], data.classes, f"large ({split})")

    monkeypatch.setattr(own, "load", scaled)


@pytest.mark.slow
def test_a_file_of_others_with_the_convolutions_alone_is_taken_as_far_as_it_goes(
        patches, features, large, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path / "cache"))
    assert tune(features, "--epochs", "8", "--batch-size", "4") == 0
    recipe = the_recipe("tuned")
    assert (recipe.without, recipe.freeze) == ("fc6,fc7", "all-but fc8")
    assert float(log_rows(tmp_path / "tuned")[-1]["train_error"]) == 0
    with open_network(tmp_path / "tuned", "cpu") as net:
        assert freezing.names(net.network) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc8"]
    Image.fromarray(own.load("val").images[1]).save("green.png")
    capsys.readouterr()
    assert predict.main(["tuned", "green.png"]) == 0
    assert "green" in capsys.readouterr().out.splitlines()[1]


@pytest.mark.parametrize(("flags", "message"), {
    "no file": (["--from", "nowhere"], "nowhere"),
    "a folder of something": (["--from", "cache"], "--from cache: there is no checkpoint in this"),
    "not weights": (["--from", "notes.txt"], "notes.txt: not a file that can be read here"),
    "a cut checkpoint": (["--from", "cut.npz"], "cut.npz"),
    "not fetched": (["--from", "alexnet-caffe"], "alexnet-caffe: not here yet"),
    "a preset besides": (["--from", "source", "--preset", "tiny"], "--preset tiny: "),
    "other towers": (["--from", "source", "--towers", "1"], "in 2 towers, none is one of conv1"),
    "a layer less": (["--from", "source", "--without", "conv3,conv4,conv5"], "fc6a.W is ("),
    "no such layer": (["--from", "source", "--freeze", "conv7"], "--freeze 'conv7'"),
    "no such range": (["--from", "source", "--freeze", "conv1-conv7"], "--freeze 'conv1-conv7'"),
    "all frozen": (["--from", "source", "--freeze", "conv1-fc8"], "no layer would learn"),
    "no factor": (["--from", "source", "--lr-of", "conv"], "--lr-of 'conv'"),
    "a factor of nothing": (["--from", "source", "--lr-of", "pool=2"], "no layer 'pool'"),
    "a factor of a frozen layer": (["--from", "source", "--lr-of", "conv1=2"], "layer 'conv1' t"),
    "two factors of one": (["--from", "source", "--lr-of", "fc8=2,fc8=3"],
                           "--lr-of 'fc8=2,fc8=3'"),
    "views of nothing": (["--from", "source", "--freeze", "fc7", "--views", "2"], "--views 2"),
    "negative views": (["--from", "source", "--views", "-1"], "--views"),
    "resumed": (["--from", "source", "--resume", "source"], "--from source: a resumed run "),
}.values())
def test_what_cannot_be_is_one_line_and_nothing_is_left(source, refused, tmp_path, flags, message):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cut.npz").write_bytes((source / "checkpoint.npz").read_bytes()[:-100])
    data = [] if "--resume" in flags else ["--data", "patches:load"]
    assert message in refused(train.main, [*flags, *data])
    assert not (tmp_path / "runs").exists()


def test_a_new_class_on_resume_is_another_run(source, refused, monkeypatch):
    tune(source)
    load = own.load
    monkeypatch.setattr(own, "load", lambda split: replace(
        load(split), classes=(*load(split).classes, "white")))
    assert "4 classes" in refused(train.main, ["--resume", "tuned", "--data", "patches:load"])


def test_config_and_checkpoint_say_what_it_began_with(source, tmp_path):
    tune(source)
    settings = json.loads((tmp_path / "tuned/config.json").read_text())["settings"]
    assert settings["source"] == str(source / "checkpoint.npz")
    assert checkpoint.load(tmp_path / "tuned/checkpoint.npz").about["settings"] == settings
