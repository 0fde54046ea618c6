"""Who decides what runs, what is read, and what is overwritten.

A checkpoint, a run folder, a file of features may come from anybody. Whatever they say of data is
a text that somebody wrote: a function named there must not be called, a file named there must not
be opened, unless the user's own command line says so, now.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyalex import drawing, evaluate, filters, plot, predict, similar, train
from tinyalex.data import folder, sources
from tinyalex.inside import features
from tinyalex.run import checkpoint, opened
from tinyalex.support.errors import UserError


@pytest.fixture
def run(in_blobs, tmp_path):
    """A run of one's own data, as somebody else sent it, and beside it the module that it names."""
    folder = shutil.copytree(in_blobs / "run", tmp_path / "run")
    (tmp_path / "pay.py").write_text("import blobs; load = blobs.load")
    sys.path.insert(0, str(tmp_path))
    yield folder
    sys.path.remove(str(tmp_path))
    sys.modules.pop("pay", None)


def say_of_data(run, source):
    """Let checkpoint and config.json name these data."""
    saved = checkpoint.load(run / "checkpoint.npz")
    saved.about["settings"]["data"] = source
    saved.save(run / "checkpoint.npz")
    config = json.loads((run / "config.json").read_text())
    config["settings"]["data"] = source
    (run / "config.json").write_text(json.dumps(config))


COMMANDS = {"evaluate": lambda run, *more: evaluate.main([str(run), *more]),
            "train": lambda run, *more: train.main(["--resume", str(run), *more])}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("source", "flag"), [
    ("pay:load", "--data pay:load"), ("shutil:rmtree", "--data shutil:rmtree")])
def test_no_file_says_which_function_is_called(command, source, flag, run, refused, monkeypatch):
    monkeypatch.setattr(sources, "_own", lambda *args: pytest.fail("it was called"))
    say_of_data(run, source)
    error, hint = refused(lambda argv: COMMANDS[command](run), []).splitlines()
    name = {"evaluate": "checkpoint.npz", "train": "config.json"}[command]
    assert f"{run / name}: its data is {source!r}, a function" in error
    assert hint.endswith(flag) and "pay" not in sys.modules


@pytest.mark.parametrize("command", COMMANDS)
def test_the_user_may_name_it_again(command, run):
    say_of_data(run, "pay:load")
    assert COMMANDS[command](run, "--data", "pay:load") == 0
    assert "pay" in sys.modules


@pytest.mark.parametrize("command", COMMANDS)
def test_data_that_went_is_said_to_be_the_files(command, run, refused):
    say_of_data(run, "photos/of mine")
    error = refused(lambda argv: COMMANDS[command](run), [])
    assert ": its data is 'photos/of mine', which is no file or folder here" in error


def test_a_file_may_name_what_is_built_in_or_on_the_disk(tmp_path):
    (tmp_path / "a:b").mkdir()
    for source in ("shapes", "cifar10", str(tmp_path), str(tmp_path / "a:b")):
        assert sources.from_file(source, Path("config.json")) == source
        assert not sources.is_code(source)
    for source in ("a:b", "shapes:f", "/dev/null", "", "a\0b"):
        with pytest.raises(UserError, match=r"config\.json: its data is"):
            sources.from_file(source, Path("config.json"))


# Files of features

@pytest.fixture
def saved(in_blobs, tmp_path):
    """Writes features of val/ to a file, the first of them under another name; returns the file."""
    photos = shutil.copytree(in_blobs / "val", tmp_path / "photos")
    with opened.open_network(in_blobs / "run", "cpu") as net:
        val = similar.cached(net, similar.gather([str(photos)], net.side))

    def write(name: str) -> str:
        renamed = [name or val.names[0], *val.names[1:]]
        features.Features(val.values, renamed, val.true, val.network, "").save(tmp_path / "f.npz")
        return str(tmp_path / "f.npz")

    return write


ASK = ["run", "val/rose/02.png", "--among"]


@pytest.mark.parametrize("name", [
    "/", "/etc/hostname", "photos/../../secret.png", "../secret.png", "secret.png", "*", "",
    "blobs:load/val/0", "shapes/test/0", "PHOTOS/../secret.png"])
def test_a_file_of_features_opens_no_other_files(name, saved, tmp_path, refused, monkeypatch):
    find = folder.find
    monkeypatch.setattr(folder, "find", lambda path: find(path) if path.name == "photos"
                        else pytest.fail(f"walks {path}"))
    monkeypatch.setattr(sources, "_own", lambda *args: pytest.fail("it was called"))
    shutil.copy("val/rose/02.png", tmp_path / "secret.png")
    photos = tmp_path / "photos"
    name = name.replace("PHOTOS", str(photos)) or "nameless"
    error = refused(similar.main, [*ASK, saved(name), str(photos)])
    assert f"f.npz: {name} is none of the pictures after --among" in error


def test_the_folder_of_the_pictures_has_to_be_named(saved, tmp_path, refused, capsys):
    out = ["--out", str(tmp_path / "s.png")]
    assert "--among FILE FOLDER".replace("FILE", saved("")) in refused(
        similar.main, [*ASK, saved("")])
    assert similar.main([*ASK, saved(""), str(tmp_path / "photos"), *out]) == 0


def test_built_in_pictures_need_no_folder(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(sources.shapes, "SPLITS", {"train": (10, 1), "val": (10, 2)})
    assert similar.main([*ASK, saved("shapes/val/3"), str(tmp_path / "photos"),
                         "--out", str(tmp_path / "s.png")]) == 0


# Pictures that cannot be written

TOLD = {
    "evaluate": (lambda run: [str(run), "--data", "blobs:load"], "confusion.png", "mostly taken"),
    "predict": (lambda run: [str(run), "val/rose/02.png"], "predict.png", "02.png"),
    "similar": (lambda run: [str(run), "val/rose/02.png", "--among", "val"], "similar.png",
                "02.png"),
    "plot": (lambda run: [str(run)], "compare.png", "val error"),
    "filters": (lambda run: [str(run)], "filters.png", "specificity"),
}
MAINS = {"evaluate": evaluate, "predict": predict, "similar": similar, "plot": plot,
         "filters": filters}


@pytest.mark.parametrize("command", TOLD)
def test_a_picture_that_cannot_be_written_does_not_cost_the_result(command, run, capsys):
    argv, picture, said = TOLD[command]
    (run / picture).unlink(missing_ok=True)
    (run / picture).mkdir()
    assert MAINS[command].main(argv(run)) == 0
    out, err = capsys.readouterr()
    assert said in out and picture not in out
    assert err == f"warning: there is no picture: {run / picture}: no place for a file (a folder)\n"


@pytest.mark.parametrize("command", TOLD)
def test_a_picture_that_was_asked_for_is_refused_before_the_work_or_fails_after_the_result(
        command, run, capsys, refused, monkeypatch, tmp_path):
    argv, _, said = TOLD[command]
    assert "no place for a file" in refused(
        MAINS[command].main, [*argv(run), "--out", str(tmp_path / "nowhere" / "x.png")])

    def full(figure, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(drawing.page, "save", full)
    monkeypatch.setattr(drawing, "save", full)
    with pytest.raises(OSError, match="No space left"):
        MAINS[command].main([*argv(run), "--out", str(tmp_path / "x.png")])
    assert said in capsys.readouterr().out


def test_features_that_cannot_be_kept_are_of_use_all_the_same(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "features").touch()
    assert similar.main([*TOLD["similar"][0](run), "--out", str(tmp_path / "s.png")]) == 0
    out, err = capsys.readouterr()
    assert "of the 6 nearest" in out and err.startswith("warning: the features are not kept: ")


def test_evaluate_draws_where_it_is_told_to(run, tmp_path, capsys):
    argv, picture, _ = TOLD["evaluate"]
    (run / picture).unlink(missing_ok=True)
    assert evaluate.main([*argv(run), "--out", str(tmp_path / "e.png")]) == 0
    assert capsys.readouterr().out.endswith(f"\nas a picture: {tmp_path / 'e.png'}\n")
    assert (tmp_path / "e.png").stat().st_size > 10_000 and not (run / picture).exists()
    assert np.isfinite(checkpoint.load(run / "checkpoint.npz").mean).all()
