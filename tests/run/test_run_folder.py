"""Run folders: whose they are, and that there is no way into one without a way on.

Two trainings that are started together look for a free number at the same time; a run that was
killed in its first minutes has a folder and no checkpoint, and must neither be "there already" nor
"not there". And what looks like such a one, but has lost its checkpoint, must not lose its log too.
"""

import json

import pytest
from runs import assert_same_bits, log_rows, settings, weights

from tinyalex import train
from tinyalex.run import presets
from tinyalex.run.folder import Run
from tinyalex.support import files
from tinyalex.support.errors import UserError

pytestmark = pytest.mark.usefixtures("undrawn")
locks = pytest.mark.skipif(not files.HAS_LOCKS, reason="there are no locks on this system")


def quick(*flags):
    return settings("patches:load", "--without", "conv3,conv4,conv5,fc6", *flags)


def resume(folder):
    return ["--resume", folder, "--data", "patches:load"]


def planned(folder=None):
    return Run.new(folder, presets.get("tiny"))


def test_two_runs_that_plan_the_same_number_get_two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = planned(), planned()
    for run in runs:
        run.start()
    assert [run.folder.name for run in runs] == ["tiny-1", "tiny-2"]
    for run in runs:
        run.close()
        assert [path.name for path in run.folder.iterdir()] == ["config.json"]


@locks
def test_of_two_that_are_told_the_same_folder_the_second_is_told_who_has_it(tmp_path):
    first, second = planned(tmp_path / "a"), planned(tmp_path / "a")
    first.start()
    with pytest.raises(UserError, match=f"{tmp_path / 'a'}: process .* is working in this folder"):
        second.start()
    (tmp_path / "a" / "checkpoint.npz").touch()
    first.close()
    with pytest.raises(UserError, match="a run in this folder already"):
        second.start()


@locks
def test_a_run_under_way_is_not_resumed_by_another_process(patches, tmp_path, refused):
    train.main(quick("--limit", "16", "--epochs", "1", "--out", "made"))
    with files.alone(tmp_path / "made"):
        assert "is working in this folder" in refused(train.main, resume("made"))


@pytest.mark.parametrize("command", ["resume", "out"])
def test_a_run_without_a_checkpoint_begins_again(command, patches, tmp_path):
    """Here it was killed between a row of the log and the checkpoint. Under its own name it may
    also begin as another run: perhaps it was its learning rate that ended it."""
    flags = quick("--limit", "32", "--epochs", "1")
    train.main([*flags, "--out", "whole"])
    killed = planned(tmp_path / "killed")
    train.main([*flags, "--out", "killed", *(["--lr", "0.5"] if command == "out" else [])])
    killed.checkpoint.unlink()
    killed.log.write_bytes(killed.log.read_bytes() + b"0.7,1")
    train.main(resume("killed") if command == "resume" else [*flags, "--out", "killed"])
    assert_same_bits(weights(tmp_path / "whole"), weights(killed.folder))
    assert [row["step"] for row in log_rows(killed.folder)] == ["2"]


@pytest.mark.parametrize("left", ["nothing", "a lock", "half a config"])
def test_a_folder_that_a_killed_start_has_left_is_taken_by_the_same_command(left, tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    if left != "nothing":
        (folder / ".lock").write_text("process 1 on a machine that is gone")
    if left == "half a config":
        (folder / ".config.json.0123abcd.part").write_text("{")
    run = planned(folder)
    run.start()
    run.close()
    names = [path.name for path in folder.iterdir()]
    assert names == ["config.json"] or not files.HAS_LOCKS
    assert json.loads(run.config.read_text())["settings"]["preset"] == "tiny"


@pytest.mark.parametrize("command", ["resume", "out"])
def test_a_run_that_has_lost_its_checkpoint_keeps_its_log(command, patches, tmp_path, refused):
    flags = quick("--limit", "16", "--epochs", "2", "--out", "made")
    train.main(flags)
    (tmp_path / "made" / "checkpoint.npz").rename(tmp_path / "elsewhere.npz")
    before = (tmp_path / "made" / "log.csv").read_bytes()
    error = refused(train.main, resume("made") if command == "resume" else flags)
    assert "no such checkpoint" in error or "there is a run in this folder already" in error
    assert (tmp_path / "made" / "log.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["log.csv", "checkpoint.npz", "best.npz"])
def test_files_of_something_else_are_not_taken_for_a_run_s(name, tmp_path):
    (tmp_path / name).write_text("day,weather\nMonday,1\n")
    with pytest.raises(UserError, match="of something else in this folder"):
        planned(tmp_path)


def test_hidden_files_of_others_in_the_folder_stay(tmp_path):
    theirs = {".backup.20240101.sql", ".poetry.lock", ".db.20251231.gz"}
    for name in theirs | {".config.json.0123abcd.part"}:
        (tmp_path / name).touch()
    run = planned(tmp_path)
    run.start()
    run.close()
    assert {path.name for path in tmp_path.iterdir()} == theirs | {"config.json"}
