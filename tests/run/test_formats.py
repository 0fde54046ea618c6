"""What was written once is read for ever, and means what it meant.

The run in format1/ is real: version 0.1.0 trained it for one epoch on the pictures of patches.py,

    python -m tinyalex.train --preset cifar --data patches:load --towers 1 --batch-size 16
        --without conv3,conv4,conv5,fc6,fc7 --lr 0.01 --schedule 2 --epochs 1

evaluated it, and went on to a second epoch; the numbers below are those that it printed. Its files
do not say what pixels are multiplied with, or which architecture it is: that stood in the preset.
"""

import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from runs import assert_close, log_rows, settings, weights

from tinyalex import train
from tinyalex.data import sources
from tinyalex.metrics import measure
from tinyalex.run import checkpoint, formats, presets
from tinyalex.run.folder import Run
from tinyalex.run.opened import open_network
from tinyalex.run.recipe import Recipe

pytestmark = pytest.mark.usefixtures("undrawn")
OLD = Path(__file__).with_name("format1")
LOSS, ERROR, NEXT_LOSS = 0.791872, 64 / 96, 0.045977


@pytest.fixture
def old(patches, tmp_path):
    """The old run, in a folder that can be written to."""
    return shutil.copytree(OLD, tmp_path / "old")


@pytest.fixture(params=["today's presets", "another cifar", "no presets"])
def other_presets(request, monkeypatch):
    """Presets as a later version may have them."""
    if request.param == "another cifar":
        changed = replace(presets.get("tiny"), preset="cifar", scale=1.0, mean_crop="centre",
                          bias_lr=0.5, bias_decay=False)
        monkeypatch.setitem(presets.PRESETS, "cifar", presets.Preset("another", changed))
    elif request.param == "no presets":
        monkeypatch.setattr(presets, "PRESETS", {})


def evaluated(path):
    with open_network(path, "cpu") as net:
        val_set = sources.load(net.recipe.data, "val", net.recipe.picture)
        return measure(net.network, net.loader(val_set).epoch())


def test_an_old_checkpoint_evaluates_as_it_did(old, other_presets):
    result = evaluated(old / "checkpoint.npz")
    assert (result.loss, result.error) == (pytest.approx(LOSS, rel=1e-4), pytest.approx(ERROR))


@pytest.mark.slow
def test_an_old_run_goes_on_as_it_would_have_gone_on(old, other_presets):
    assert train.main(["--resume", str(old), "--data", "patches:load", "--epochs", "2"]) == 0
    assert float(log_rows(old)[-1]["val_loss"]) == pytest.approx(NEXT_LOSS, rel=1e-3)
    saved = checkpoint.load(old / "checkpoint.npz")
    assert Recipe.of(saved.about["settings"], old) == replace(Run.open(old).recipe, epochs=2)
    with np.load(old / "checkpoint.npz") as file:
        assert file["tinyalex"] == formats.FORMAT, "what is written now is whole"


@pytest.mark.slow
def test_a_run_of_today_needs_no_preset_either(patches, tmp_path, monkeypatch):
    """Its recipe is no preset's: what the files did not hold could not be guessed."""
    recipe = replace(
        presets.get("cifar"), data=patches, batch_size=16, epochs=1, scale=1 / 32, bias_lr=0.001,
        mean_crop="centre", colour="original", colour_until=1, dropout=0.1, without="conv4")
    monkeypatch.setattr(presets, "get", lambda name: recipe)
    assert train.main(["--out", "made", "--seed", "3"]) == 0
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(presets, "PRESETS", {})
    saved = checkpoint.load(tmp_path / "made" / "checkpoint.npz")
    for kept in (Run.open(tmp_path / "made").recipe, Recipe.of(saved.about["settings"], tmp_path)):
        assert kept == replace(recipe, seed=3)
    assert evaluated(tmp_path / "made").loss == pytest.approx(
        float(log_rows(tmp_path / "made")[-1]["val_loss"]), abs=1e-6)


def test_the_table_says_all_that_format_1_left_unsaid():
    said = json.loads((OLD / "config.json").read_text())["settings"].keys()
    since = formats.SINCE_3.keys() | formats.SINCE_4.keys() | formats.SINCE_5.keys()
    for unsaid in formats.UNSAID.values():
        assert unsaid.keys() | since == {f.name for f in fields(Recipe)} - said


@pytest.mark.parametrize(("number", "new"), [
    (2, formats.SINCE_3 | formats.SINCE_4 | formats.SINCE_5),
    (3, formats.SINCE_4 | formats.SINCE_5), (4, formats.SINCE_5)])
def test_an_older_run_goes_on_without_what_is_new(patches, tmp_path, number, new):
    """Written today without the fields of later formats; 0.2.0 wrote format 2."""
    flags = settings(patches, "--limit", "16", "--epochs", "1", "--without", "conv3,conv4,conv5")
    train.main([*flags, "--out", "made"])
    path = tmp_path / "made" / "config.json"
    config = json.loads(path.read_text()) | {"format": number}
    with np.load(tmp_path / "made" / "checkpoint.npz") as file:
        content = {**file, "tinyalex": np.array(number)}
    about = json.loads(str(content["about"]))
    for name in new:
        del config["settings"][name], about["settings"][name]
    path.write_text(json.dumps(config))
    np.savez(tmp_path / "made" / "checkpoint.npz", **content | {"about": json.dumps(about)})
    assert train.main(["--resume", "made", "--data", patches, "--epochs", "2"]) == 0
    recipe = Run.open(tmp_path / "made").recipe
    assert {name: getattr(recipe, name) for name in new} == new


def test_formats_that_are_not_known_are_named(old, refused):
    with np.load(old / "checkpoint.npz") as file:
        np.savez(old / "checkpoint.npz", **({**file} | {"tinyalex": np.array(6)}))
    config = json.loads((old / "config.json").read_text()) | {"format": 6}
    (old / "config.json").write_text(json.dumps(config))
    for read in (lambda argv: evaluated(old), train.main):
        assert "of format 6; this version reads 1 to 5" in refused(read, ["--resume", str(old)])


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"settings": 3}', '{"settings": [1]}', "[" * 9999,
    '{"settings": {"preset": ["cifar"]}}'])
def test_a_damaged_config_is_named(old, refused, text):
    (old / "config.json").write_text(text)
    assert "config.json: " in refused(train.main, ["--resume", str(old)])


@pytest.mark.slow
def test_a_new_run_beside_an_old_one_learns_the_same(old, tmp_path):
    """The same flags today give the weights that 0.1.0 wrote, up to the rounding of another BLAS.
    """
    train.main(settings("patches:load", "--towers", "1", "--without", "conv3,conv4,conv5,fc6,fc7",
                        "--dropout", "0", "--epochs", "1", "--devices", "cpu", "--out", "new"))
    assert_close(weights(tmp_path / "new"), weights(old), rtol=1e-3, atol=1e-5)
