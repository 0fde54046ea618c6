"""Files that somebody else wrote, or put there.

A reader that opens whatever has the right name waits for ever where it is a pipe, and takes all
memory where it does not end. And Python's own reader of JSON has more to say than ValueError.
"""

import io
import os
import signal
from pathlib import Path

import pytest

from tinyalex import plot, train
from tinyalex.convert.published import class_names
from tinyalex.data import cifar10, imagenet, labels, preparation, shards, sources
from tinyalex.data.folder import Listing, listing
from tinyalex.data.pictures import BrokenPicture, read_picture
from tinyalex.gradcheck.marking import submissions
from tinyalex.inside import features
from tinyalex.run import checkpoint, flags
from tinyalex.run.folder import Run
from tinyalex.support import arrays, reading
from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError

WNIDS = tuple(f"n{i:08}" for i in range(1000))


class Waited(BaseException):
    """Somebody opened the pipe."""


@pytest.fixture
def no_waiting():
    def stop(*_):
        raise Waited

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def shard_of(path: Path):
    return shards.open_shard(path, (1, 4, 4, 3))


def devkit(path: Path):
    (path.parent / labels.GROUND_TRUTH).write_text("1\n")
    return labels.read(path.parent / labels.GROUND_TRUTH, ["a.jpg"], WNIDS)


def plan(path: Path):
    return preparation.prepare(Listing(path.parent.parent / "photos", (), {}), path.parent, 8)


def val_tar(path: Path):
    return imagenet.from_tars(val=path, devkit=path)


def rows(path: Path):
    return Run(path.parent, None).rows()


READERS = [
    ("cat.jpg", lambda path: read_picture(path, 8)), ("names.txt", flags.spoken_names),
    ("classes.txt", lambda path: class_names(path, 2)),
    ("list.txt", lambda path: labels.read(path, ["a.jpg"], ("a", "b"))), ("meta.mat", devkit),
    ("config.json", lambda path: Run.open(path.parent)), ("log.csv", rows),
    ("checkpoint.npz", checkpoint.load), ("features.npz", features.load),
    ("plan.json", plan), ("prepared.json", lambda path: shards.about(path.parent)),
    ("train-00000.npy", shard_of), ("exercise.ipynb", submissions.cells),
    ("cifar.tar.gz", lambda path: cifar10.load("val", path)),
    ("cifar.tar.gz", lambda path: sources.load(str(path), "val")),
    ("a.caffemodel", arrays.contents),
]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(("name", "read"), READERS, ids=lambda value: str(value)[:20])
def test_a_pipe_is_not_opened(name, read, tmp_path, no_waiting):
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / name)
    with pytest.raises(UserError):
        read(tmp_path / "in" / name)


@pytest.mark.parametrize(("name", "read"), [
    *(reader for reader in READERS if reader[0] != "log.csv"),
    ("val.tar", val_tar), ("all.zip", imagenet.from_kaggle),
    ("a.jpg", lambda path: read_picture(io.BytesIO(path.read_bytes()), 8)),
], ids=lambda value: str(value)[:20])
def test_an_empty_file_is_called_so(name, read, tmp_path):
    """Half of a download, a disk that was full: "damaged" makes its owner look for what is wrong
    in it. (A log without a line is that of a run killed before its first.)"""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).touch()
    with pytest.raises(UserError, match="the file is empty"):
        read(tmp_path / "in" / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_the_pictures_is_none_of_them(tmp_path, no_waiting):
    (tmp_path / "cat").mkdir()
    os.mkfifo(tmp_path / "cat" / "a.jpg")
    with pytest.raises(UserError, match=r"files that are not pictures: 1 \(cat/a.jpg\)"):
        listing(tmp_path, val_share=0)
    with pytest.raises(BrokenPicture, match="not a regular file"):
        read_picture(tmp_path / "cat" / "a.jpg", 8)


def test_a_file_larger_than_there_can_be_is_not_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": "ü"}')
    assert reading.record(path) == {"a": "ü"}
    assert reading.text(path, path.stat().st_size) == '{"a": "ü"}'
    with pytest.raises(UserError, match=r"x\.json: larger than 0.0 MB"):
        reading.text(path, path.stat().st_size - 1)


@pytest.mark.parametrize("text", [
    "", "{", "[]", "3", '{"a": ' + "9" * 5000 + "}", "[" * 10**5, '{"a":' * 10**5, "\ud800",
], ids=lambda text: text[:10])
def test_what_is_no_json_object_is_damaged(text, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text, "utf-8", "surrogatepass")
    with pytest.raises((Damaged, UserError)):
        reading.record(path)


def test_commands_name_the_run_whose_files_are_too_deep(tmp_path, refused):
    (tmp_path / "config.json").write_text("[" * 10**5)
    for command, argv in ((plot, [tmp_path]), (train, ["--resume", tmp_path])):
        assert "config.json: damaged" in refused(command.main, [*map(str, argv)])
