"""Exercises that are functions, and the grading of notebooks.

A function of a learner is compared with the right one, so the comparison must see every mistake it
claims to know, must not call two different mistakes the same where they are not, and must not let
through what merely looks right in one case.
"""

import json

import numpy as np
import pytest

from tinyalex.gradcheck import check
from tinyalex.gradcheck.__main__ import main
from tinyalex.gradcheck.functions import FUNCTIONS
from tinyalex.gradcheck.notebooks import find, grade
from tinyalex.support.errors import UserError


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_right_function_passes(name):
    report = check(FUNCTIONS[name].right, like=name)
    assert report.ok, report


@pytest.mark.parametrize(("name", "hint", "wrong"), [
    (name, *mistake) for name, task in FUNCTIONS.items() for mistake in task.mistakes])
def test_every_known_mistake_is_caught_and_told(name, hint, wrong):
    report = check(wrong, like=name)
    assert not report.ok
    assert f"HINT: {hint}" in str(report)


def blank(shape):
    raise NotImplementedError("the root of 2 over the inputs")


@pytest.mark.parametrize(("function", "explanation"), [
    (blank, "still to be written, in blank: the root of 2 over the inputs"),
    (lambda shape: None, "is the return missing"),
    (lambda shape: "much", "gives str"),
    (lambda shape: np.ones(3), "wrong shape: the function gives (3,) and should give ()"),
    (lambda shape: np.nan, "not finite"),
    (lambda shape: 0.5, "wrong output: result is 0.5 and should be 0.070710678"),
    (lambda shape: 1 / 0, "raises ZeroDivisionError: division by zero"),
])
def test_other_mistakes_are_explained_too(function, explanation):
    assert explanation in str(check(function, like="initial_std"))


def test_a_function_that_writes_into_its_arguments_is_told_so():
    def greedy(covariance, alpha):
        shift = FUNCTIONS["colour_shift"].right(covariance, alpha)
        alpha *= 0
        return shift

    assert "changes its arguments" in str(check(greedy, like="colour_shift"))


def notebook(path, *sources):
    cells = [{"cell_type": "markdown", "source": ["# hello"]}]
    cells += [{"cell_type": "code", "source": source} for source in sources]
    path.write_text(json.dumps({"cells": cells}))
    return path


HEAD = "import numpy as np\nfrom tinyalex import gradcheck\n"
RIGHT = "gradcheck.check(lambda shape: np.sqrt(2 / np.prod(shape[:-1])), like='initial_std')"


def test_a_notebook_is_graded_cell_by_cell_with_what_went_before(tmp_path):
    path = notebook(tmp_path / "a.ipynb", HEAD, "%matplotlib inline\nfactor = 2",
                    "def mine(shape):\n    return np.sqrt(factor / shape[-1])\n"
                    "gradcheck.check(mine, like='initial_std')", RIGHT)
    wrong, right = grade(path)
    assert "count what a unit reads" in str(wrong)
    assert right.ok


@pytest.mark.parametrize(("cell", "explanation"), [
    ("x = 1\ny = nothing", "line 2: y = nothing"), ("x = 1\ny = nothing", "raises NameError"),
    ("raise SystemExit", "raises SystemExit"), ("for", "SyntaxError")])
def test_a_cell_that_raises_is_explained_and_the_rest_goes_on(tmp_path, cell, explanation):
    broken, right = grade(notebook(tmp_path / "a.ipynb", HEAD, cell, RIGHT))
    assert explanation in str(broken)
    assert right.ok


def test_the_command_counts_and_its_status_says_whether_all_are_right(tmp_path, capsys):
    notebook(tmp_path / "a.ipynb", HEAD, RIGHT)
    assert main(["--exercises", str(tmp_path)]) == 0
    assert "1 exercises, 1 right" in capsys.readouterr().out
    notebook(tmp_path / "b.ipynb", HEAD, RIGHT.replace("2 /", "1 /"))
    assert main(["--exercises", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "2 exercises, 1 right" in out and "b.ipynb: 0 of 1 right" in out
    assert "lets half of the power through" in out


def test_what_is_no_notebook_is_named(tmp_path):
    with pytest.raises(UserError, match="no notebook here"):
        find([tmp_path])
    broken = tmp_path / "a.ipynb"
    broken.write_text("{}")
    with pytest.raises(UserError, match=r"a\.ipynb: not a notebook"):
        grade(broken)
