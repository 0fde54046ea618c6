"""The command: runs that survive a kill and share the work, and a page that says what is there."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT
from PIL import Image

from tinyalex.reproduce import __main__ as command
from tinyalex.reproduce import measures, results
from tinyalex.reproduce.experiments import ARMS, CURVES, EXPERIMENTS
from tinyalex.reproduce.kinds import Arm
from tinyalex.reproduce.measures import MEASURES
from tinyalex.reproduce.results import OUTCOMES, Result, read, write
from tinyalex.run.checkpoint import Checkpoint
from tinyalex.run.trainer import Trainer
from tinyalex.support.cli import run
from tinyalex.support.files import alone
from tinyalex.train import parse

SMALL = {"data": "patches:load", "picture": 32, "batch_size": 16, "epochs": 3, "dropout": 0.2,
         "without": "conv4,conv5", "limit": 48}
RESULTS = ROOT / "docs/reproduction"


@pytest.fixture
def quick(patches, undrawn, monkeypatch) -> list[str]:
    """Quick configurations: quick runs with all measures, one with none, one that ends early. Gives
    the flags for a folder of their own."""
    for arm in (Arm("all", "cifar", SMALL, 2, measures=tuple(MEASURES), each=("layers",)),
                Arm("once", "cifar", SMALL, 1, measures=()),
                Arm("until", "cifar", SMALL, 1, reach=0.95, measures=())):
        monkeypatch.setitem(ARMS, arm.name, arm)
    return ["--results", "results", "--devices", "cpu"]


def test_every_run_of_an_experiment_exists_and_is_understood_by_train():
    for experiment in EXPERIMENTS.values():
        assert set(experiment.arms) <= set(ARMS)
        for c in experiment.comparisons:
            assert {c.outcome, c.other_outcome or c.outcome} <= set(OUTCOMES)
    assert set(CURVES) <= set(EXPERIMENTS)
    for arm in ARMS.values():
        assert set(arm.measures) <= set(MEASURES)
        flags = parse(arm.command(1).split())
        for name, value in arm.changes.items():
            assert getattr(flags, name) == value


@pytest.mark.slow
def test_what_is_missing_is_run_and_measured(quick, capsys):
    command.main(["run", "all", "until", *quick])
    assert sorted(path.name for path in Path("results").iterdir()) == [
        "all-0.csv", "all-1.csv", "until-0.csv"]
    result = read(Path("results/all-1.csv"))
    assert [row["epoch"] for row in result.rows] == [1, 2, 3]
    end = result.rows[-1]
    for column in ("still_error", "ten_crop_error", "together_error", "alone_error", "near_fc7",
                   "near_pixels", "dead_conv1_at_start"):
        assert 0 <= end[column] <= 1
    assert end["colour_split"] >= 0 < end["colour_chance"]
    assert len(read(Path("results/until-0.csv")).rows) < 3
    capsys.readouterr()
    command.main(["run", "all", *quick])
    assert capsys.readouterr().out == "", "nothing is run twice"


@pytest.mark.slow
def test_a_gpu_gives_the_same_results(quick, gpu, monkeypatch):
    brief = SMALL | {"epochs": 1, "limit": 16}
    monkeypatch.setitem(ARMS, "brief", Arm("brief", "cifar", brief, 1, measures=tuple(MEASURES)))
    rows = []
    for devices in ("cpu", gpu):
        command.main(["run", "brief", "--results", devices, "--work", f"work-{devices}",
                      "--devices", devices])
        rows.append(read(Path(devices, "brief-0.csv")).rows[-1])
    assert rows[0].keys() == rows[1].keys()
    for column in ("val_loss", "activity_fc7_at_start", "colour_split", "near_fc7",
                   "ten_crop_error"):
        assert rows[1][column] == pytest.approx(rows[0][column], rel=0.01, abs=1e-4)


@pytest.mark.slow
def test_a_kill_loses_at_most_an_epoch(quick, monkeypatch, capsys):
    """Killed inside the third epoch, it goes on behind the second, and ends as if nothing was."""
    count = Trainer._count

    def killed(trainer, wait=False):
        if trainer.progress.epoch == 3 and trainer.progress.batch == 2:
            raise SystemExit
        count(trainer, wait)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_count", killed)
        with pytest.raises(SystemExit):
            command.main(["run", "once", *quick])
    capsys.readouterr()
    command.main(["run", "once", *quick])
    assert "once-0: epoch 3 of 3" in capsys.readouterr().out.splitlines()[1]
    resumed = read(Path("results/once-0.csv"))
    shutil.rmtree("reproduce-work")
    shutil.rmtree("results")
    command.main(["run", "once", *quick])
    for ours, theirs in zip(read(Path("results/once-0.csv")).rows, resumed.rows, strict=True):
        assert ours | {"seconds": 0} == theirs | {"seconds": 0}


@pytest.mark.slow
def test_a_run_that_somebody_is_at_is_left_to_them(quick):
    Path("reproduce-work").mkdir()
    with alone(Path("reproduce-work"), "once-0"):
        command.main(["run", "once", "until", *quick])
    assert [path.name for path in Path("results").iterdir()] == ["until-0.csv"]


@pytest.mark.slow
def test_weights_that_no_run_wrote_are_no_run_that_is_through(tmp_path):
    about = {"preset": "mini", "classes": ["a"], "settings": {"epochs": 3}}
    Checkpoint(about, np.zeros((33, 33, 3), np.float32), {}).save(tmp_path / "checkpoint.npz")
    assert not measures._ended(tmp_path)


def test_a_run_that_fails_leaves_the_others_alone(quick, monkeypatch, capsys):
    broken = Arm("broken", "cifar", SMALL | {"lr": 1e30}, 1)
    monkeypatch.setitem(ARMS, "broken", broken)
    assert run(lambda: command.main(["run", "broken", "until", *quick])) == 2
    out, err = capsys.readouterr()
    assert "broken-0: epoch 1" in out and err.startswith("error: broken-0: failed\n")
    assert Path("results/until-0.csv").exists()


@pytest.mark.parametrize(("flags", "says"), [
    (["run", "nothing"], "there is no experiment 'nothing'"),
    (["run", "towers"], "--photographs imagenette-64: there is no such folder"),
    (["list", "--results", "damaged"], "damaged/mini-0.csv: not a result, or a damaged one"),
    (["report", "--results", "damaged"], "damaged/mini-0.csv: not a result, or a damaged one"),
    (["report"], "there is no text.md")])
def test_what_cannot_be_is_refused(tmp_path, monkeypatch, refused, flags, says):
    monkeypatch.chdir(tmp_path)
    Path("damaged").mkdir()
    Path("damaged/mini-0.csv").write_text("epoch\nx\n")
    Path("damaged/text.md").write_text("{claims}")
    assert says in refused(command.main, flags)


CODE = '''"""What it is."""
import math


def rate(epoch, base=0.01):
    """How fast."""
    # Why.
    return f"{base:,}", [base * 0.5 ** epoch, ""]
'''


@pytest.mark.parametrize(("old", "new", "same"), [
    ("What it is.", "What it was.", True), ('"""How fast."""', '"""How fast, in units."""', True),
    ("    # Why.\n", "", True), ("base=0.01", "base = 1e-2", True), ("import math\n", "", False),
    ("0.01", "0.02", False), ("base * 0.5", "0.5 * base", False), (', ""]', "]", False),
    (":,", "", False)])
def test_only_what_python_makes_of_the_code_counts(old, new, same, tmp_path, monkeypatch):
    """A page on style, and 187 results would be those of other code."""
    monkeypatch.setattr(results, "DECIDING", ("run", "optim.py"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.py").write_text(CODE)
    (tmp_path / "optim.py").write_text("x = 1\n")
    before = results.code(tmp_path)
    assert old in CODE
    (tmp_path / "run" / "a.py").write_text(CODE.replace(old, new))
    assert (results.code(tmp_path) == before) is same


def test_results_of_other_code_say_so(tmp_path, capsys):
    about = {"run": "mini-0", "code": "another"}
    rows = [{"epoch": 1.0, "train_error": 0.5, "val_error": 0.5, "seconds": 3600.0}]
    write(tmp_path / "mini-0.csv", Result(about, rows))
    command.main(["list", "towers", "--results", str(tmp_path)])
    mini, one = capsys.readouterr().out.splitlines()[1:]
    left = ARMS["mini"].seeds - 1
    assert mini.split()[:4] == ["mini", "1", f"{left}", f"{left}.0"]
    assert "(1 made by other code)" in mini and "other code" not in one


def test_the_page_is_what_the_results_say(tmp_path):
    """Bit for bit; and so are the pictures, where the same matplotlib draws them."""
    import matplotlib

    page = tmp_path / "reproduction.md"
    command.main(["report", "--results", str(RESULTS), "--page", str(page)])
    assert page.read_bytes() == (ROOT / "docs/reproduction.md").read_bytes()
    drawn = sorted((tmp_path / "reproduction").iterdir())
    assert [path.name for path in drawn] == sorted(path.name for path in RESULTS.glob("*.png"))
    for path in drawn:
        with Image.open(RESULTS / path.name) as kept:
            drawn_by = kept.info["Software"]
        if f"version{matplotlib.__version__}," in drawn_by:
            assert path.read_bytes() == (RESULTS / path.name).read_bytes(), path.name
