"""A flag changes what it says, or is refused: an experiment that changed nothing is worse than
none, since its numbers are believed. Whether there is something to change depends on the preset,
and on the other flags."""

import pytest
from doors import main_of
from PIL import Image

from tinyalex import train
from tinyalex.architectures.ablations import MIDDLE
from tinyalex.data import imagenet
from tinyalex.run import presets
from tinyalex.run.presets import PRESETS
from tinyalex.run.recipe import CHOICES
from tinyalex.support.errors import UserError

# For every flag of a recipe, values of which one at least is not the preset's.
VALUES = {name: CHOICES[name] for name in (
    "activation", "lrn", "pool", "init", "velocity", "colour", "keep", "optimiser", "parallel")} | {
    "without": MIDDLE, "dropout": ("0.1", "0.6"), "towers": ("1", "2"), "lr": ("0.3",),
    "momentum": ("0.5",), "weight-decay": ("0.3",), "schedule": ("constant", "2"),
    "epochs": ("3", "4"), "batch-size": ("7",), "seed": ("7",), "limit": ("7",), "workers": ("7",),
    "devices": ("cpu,cpu",), "no-augment": (None,), "scale": ("0.5",),
    "freeze": ("conv1", "conv1-conv2"), "lr-of": ("conv=0.1",),
    "balance": (None,), "patience": ("5",), "warmup": ("2",), "exact": (None,)}
NO_MIDDLE = {*(("without", name) for name in ("conv3", "conv4", "conv5", "fc6", "fc7")),
             ("dropout", "0.1"), ("dropout", "0.6")}
NO_LRN = {("lrn", value) for value in CHOICES["lrn"]}
NOTHING_TO_ACT_ON = {
    "tiny": {("velocity", "keep"), ("patience", "5")},  # its rate falls in every step
    "torchvision": NO_LRN,
    "caffe": {("lrn", "before"), ("lrn", "after")},  # its LRN reads what both towers gave
    "cifar10-quick": NO_LRN | NO_MIDDLE - {("without", "conv3")},
    "cifar10-full": {("lrn", "before"), ("lrn", "after")} | NO_MIDDLE - {("without", "conv3")},
    "four-layers": NO_LRN | NO_MIDDLE - {("without", "conv3")} | {
        ("velocity", "scale")},  # its rate never changes
    "13pct": NO_LRN | NO_MIDDLE, "11pct": NO_MIDDLE}


def recipe(*argv):
    flags = vars(train.parse(["--data", "shapes", *argv]))
    return train._new({name: value for name, value in flags.items() if value is not None}, None)


@pytest.mark.parametrize("preset", PRESETS)
def test_each_flag_changes_the_run_of_each_preset_or_is_refused(preset):
    usual, refused, changed = recipe("--preset", preset).outcome(), set(), set()
    for flag, value in [(flag, value) for flag, values in VALUES.items() for value in values]:
        try:
            outcome = recipe("--preset", preset, f"--{flag}", *([value] if value else [])).outcome()
        except UserError as error:
            assert error.args[0].startswith(f"--{flag}")
            refused.add((flag, value))
        else:
            changed |= {flag} if outcome != usual else set()
    assert refused == NOTHING_TO_ACT_ON.get(preset, set())
    without_effect = VALUES.keys() - changed - {flag for flag, _ in refused}
    assert without_effect == (
        set() if presets.get(preset).augment else {"no-augment"})


def test_the_table_has_all_flags_of_a_recipe():
    others = {"preset", "data", "out", "resume", "weights", "views", "trust", "scale_lr"}
    assert {{"no-augment": "augment"}.get(flag, flag.replace("-", "_")) for flag in VALUES} == \
        vars(train.parse([])).keys() - others


@pytest.mark.parametrize(("flags", "idle"), [
    ("--dropout 0.5 --without fc6,fc7", "--dropout 0.5"),
    ("--velocity keep --schedule constant", "--velocity keep"),
    ("--velocity keep --momentum 0", "--velocity keep"),
    ("--views 1", "--views 1"), ("--views 1 --freeze fc7", "--views 1"),
    ("--lr-of conv1=2 --freeze conv1-conv3", "--lr-of conv1=2"),
    ("--lr-of pool1=2", "--lr-of pool1=2"), ("--trust 0.1", "--trust 0.1"),
])
def test_a_flag_that_another_one_leaves_nothing_to_is_refused(flags, idle):
    with pytest.raises(UserError, match=f"^{idle}: with --preset tiny and the other flags"):
        recipe(*flags.split())


@pytest.mark.parametrize("flags", ["--lrn after", "--pool 3/2", "--activation relu",
                                   "--dropout 0", "--velocity scale --schedule constant"])
def test_what_is_there_already_may_be_said_and_is_no_change(flags):
    assert recipe(*flags.split()).outcome()[1] == presets.get("tiny").outcome()[1]


def test_only_what_is_changed_is_called_so(patches, capsys):
    train.main(["--preset", "cifar", "--data", patches, "--limit", "8", "--epochs", "1",
                "--lrn", "after", "--activation", "relu", "--pool", "2/2", "--without", "fc7"])
    assert "changed  pool 2/2, without fc7\n" in capsys.readouterr().out


@pytest.mark.parametrize(("line", "flag"), [
    ("prepare photos out --val-share 0.2", "--val-share"),
    ("prepare photos out --seed=3", "--seed"),
    ("prepare photos out --val-labels list.txt", "--val-labels"),
    ("prepare tars out --val-share 0.2", "--val-share"), ("prepare tars out --seed 3", "--seed"),
    ("prepare all.zip out --seed 3", "--seed"),
    ("prepare tars out --val-labels list.txt", "--val-labels"),
    ("summary --plot x.png", "--plot"), ("summary --network 1g", "--network"),
    ("gradcheck --csv x.csv", "--csv"), ("gradcheck --seeds 2 --feedback x", "--feedback"),
    ("gradcheck --seeds 2 --seed 3", "--seed"), ("gradcheck --show-mutants --h 1e-3", "--h"),
    ("gradcheck --plot x.png --preset paper", "--preset"),
    ("gradcheck --plot x.png --seeds 2", "--seeds"),
    ("gradcheck --exercises . --layer ReLU", "--layer"),
    ("bench --measures --out x.png", "--out"), ("bench --memory 3 --rounds 2", "--rounds"),
    ("bench --sweep batch --batch-size 2", "--batch-size"),
    ("reproduce run --page x.md", "--page"),
    ("reproduce report towers", "towers"),
])
def test_a_flag_that_nothing_reads_is_refused(line, flag, tmp_path, monkeypatch, refused):
    """`gradcheck --csv` without --exercises wrote no file, and said nothing."""
    monkeypatch.chdir(tmp_path)
    for place in ("train/cat", "val/cat"):
        (tmp_path / "photos" / place).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / place / "1.png")
    (tmp_path / "tars").mkdir()
    for file in imagenet.PUBLISHED.values():
        (tmp_path / "tars" / file.what).touch()
    (tmp_path / "all.zip").touch()
    command, *argv = line.split()
    before = sorted(tmp_path.rglob("*"))
    said = refused(main_of(f"tinyalex.{command}"), argv)
    assert f"error: {flag}" in said.replace("error: report ", "error: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_is_resumed_takes_no_new_folder(refused):
    assert "--out new: a resumed run" in refused(train.main, ["--resume", "a", "--out",
                                                                     "new"])
