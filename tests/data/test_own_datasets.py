"""--data module:function: what goes wrong in a user's own code is theirs, and is said to be."""

import os
import re
import textwrap

import numpy as np
import pytest

from tinyalex import train
from tinyalex.data import folder, sources
from tinyalex.data.dataset import MOST_CLASSES, Dataset
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError

CODE = """
import numpy, os, sys
from tinyalex.data.dataset import Dataset

def number(split):
    return int("x")

def missing(split):
    return numpy.nothere

def leaves(split):
    sys.exit(0)

def moves(split):
    os.chdir("/")
    return Dataset([numpy.zeros((8, 8, 3), numpy.uint8)], [0], ("a",), "mine")

def pipe(split):
    raise BrokenPipeError

from tinyalex.support.errors import UserError

class Lazy:
    dtype = numpy.dtype(numpy.uint8)

    def __init__(self, count):
        self.shape = count, 8, 8, 3

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Lazy(len(range(self.shape[0])[i]))
        if i == 1:
            raise RuntimeError("the server is gone")
        if i == 3:
            raise SystemExit(0)
        if i == 4:
            raise UserError("this disk is damaged", "try another")
        return numpy.zeros((8 - i, 8, 3), numpy.uint8)

def lazy(split):
    return Dataset(Lazy(5), [0, 1, 0, 1, 0], ("a", "b"), "mine")

fixed = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_own.py").write_text(textwrap.dedent(CODE))
    (tmp_path / "mine_ends.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "mine_imports.py").write_text("import torchvisionx\n")
    (tmp_path / "mine_errs.py").write_text("def f(:\n")


@pytest.mark.parametrize(("source", "said", "hint"), [
    ("mine_own:number", r"ValueError: invalid literal.* \(mine_own\.py, line 6\)", "your function"),
    ("mine_own:missing", r"AttributeError.*nothere.* \(mine_own\.py, line 9\)", "your function"),
    ("mine_own:leaves", r"SystemExit: 0 \(mine_own\.py, line 12\)", "your function"),
    ("mine_own:pipe", r"BrokenPipeError", "your function"),
    ("mine_ends:load", r"SystemExit: 0 \(mine_ends\.py, line 2\)", "your function"),
    ("mine_imports:load", r"ModuleNotFoundError: No module named 'torchvisionx'", "your function"),
    ("mine_errs:load", r"SyntaxError: .*mine_errs\.py", "your function"),
    ("mine_own:nothing", "mine_own has no function nothing", "module:function"),
    ("mine_own:fixed", "mine_own has no function fixed", "module:function"),
    ("mine_nowhere:load", "No module named 'mine_nowhere'", "module:function"),
    ("mine.own:load", "No module named 'mine'", "module:function"),
    (".mine_own:load", r"\.mine_own:load: ", "module:function"),
])
def test_what_goes_wrong_in_it_is_said_to_be_there(source, said, hint, mine, refused):
    error = refused(train.main, ["--preset", "cifar", "--data", source])
    assert re.search(said, error) and hint in error, error


@pytest.mark.parametrize("limit", [None, 5])
@pytest.mark.parametrize(("i", "said"), [
    (1, "--data mine_own:lazy: RuntimeError: the server is gone"),
    (2, r"--data mine_own:lazy: picture 2 has the shape \(6, 8, 3\)"),
    (3, "--data mine_own:lazy: SystemExit: 0"), (4, "this disk is damaged")])
def test_pictures_that_its_own_code_reads_later_are_its_own_too(i, said, limit, mine):
    """A picture that could not be read in the middle of an epoch was called a bug of ours, and one
    whose reader called exit ended the run, as if all had gone well."""
    dataset = sources.load("mine_own:lazy", "train", limit=limit)
    assert np.asarray(dataset.images[:1]).shape == (1, 8, 8, 3)
    with pytest.raises(UserError, match=f"^{said}"):
        dataset.images[i]


def test_a_function_that_moves_leaves_the_run_where_it_is(mine, tmp_path):
    assert len(sources.load("mine_own:moves", "train")) == 1
    assert os.getcwd() == str(tmp_path)


def test_more_classes_than_a_checkpoint_may_have_are_refused_before_training():
    images, labels = np.zeros((1, 8, 8, 3), np.uint8), [0]
    assert len(Dataset(images, labels, range(MOST_CLASSES), "many").classes) == MOST_CLASSES
    with pytest.raises(UserError, match="too: 32,769 classes"):
        Dataset(images, labels, range(MOST_CLASSES + 1), "too")


def test_folders_that_are_linked_to_each_other_have_an_end(tmp_path):
    for i in range(9):
        (tmp_path / f"c{i}").mkdir()
        (tmp_path / f"c{i}" / "a.png").touch()
        for j in set(range(9)) - {i}:
            (tmp_path / f"c{i}" / f"l{j}").symlink_to(f"../c{j}")
    found = folder.find(tmp_path)
    assert 9 <= len(found.pictures) <= 9 + 9 * 8 + 9 * 8 * 7 + 9 * 8 * 7 * 6
    assert found.left_out["links in linked folders"]


def test_its_traceback_is_there_for_those_who_want_it(mine, monkeypatch, capsys):
    for debug, shown in (("1", True), ("", False)):
        monkeypatch.setenv("TINYALEX_DEBUG", debug)
        command = ["--preset", "cifar", "--data", "mine_own:number"]
        assert run(lambda argv=command: train.main(argv)) == 2
        assert ('return int("x")' in capsys.readouterr().err) == shown
