"""An exercise as a plain Python file: the same page, and the same marks for it.

A notebook shows the value of a cell's last line and a script does not, so a check that says nothing
would be the likely slip; the other, that a file counts less than the notebook it comes from.
"""

import ast
import re
import runpy
import subprocess
import sys

import pytest
from pages import ROOT, script

from tinyalex.gradcheck.marking import submissions
from tinyalex.gradcheck.marking.exercises import EXERCISES
from tinyalex.gradcheck.marking.marks import mark
from tinyalex.gradcheck.marking.remote import walls_stand
from tinyalex.support import reading

handout = script("handout")
NUMBER = re.compile(r"\d\S*")


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("folder", ["exercises", "solutions"])
def test_a_blank_says_what_to_write_and_a_solution_passes(exercise, folder, tmp_path):
    """The file is marked; its notebook has the same code."""
    notebook, path = written(exercise, folder, tmp_path)
    assert code_of(path) == code_of(notebook)
    marks, failed = mark(exercise, path, 120, 0, walls_stand())
    assert not failed
    for given in marks:
        assert given.said == "" if folder == "solutions" else (
            "still to be written, in " in given.said)


def code_of(path):
    """The cells that have any, as Python understands them; a file prints what a page shows."""
    code = [re.sub(r"^print\((gradcheck\.check\(.*\))\)$", r"\1", cell, flags=re.MULTILINE)
            for cell in submissions.cells(path)]
    return [ast.dump(tree) for tree in map(ast.parse, code) if tree.body]


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("folder", ["exercises", "solutions"])
@pytest.mark.filterwarnings("ignore")  # of what is still to be written
def test_it_says_what_its_notebook_shows(exercise, folder, tmp_path, capsys):
    """But for the numbers, which are of a machine."""
    notebook, path = written(exercise, folder, tmp_path)
    shown = [out for cell in reading.record(notebook)["cells"] for out in cell.get("outputs", ())]
    texts = ["".join(out.get("text") or out["data"]["text/plain"]) for out in shown]
    runpy.run_path(str(path), run_name="__main__")
    said = NUMBER.sub("", capsys.readouterr().out).split()
    assert said == NUMBER.sub("", "\n".join(texts)).split()


def written(exercise, folder, tmp_path):
    """The notebook, and the file that is made of it."""
    notebook, path = ROOT / f"notebooks/{folder}/{exercise}.ipynb", tmp_path / f"{exercise}.py"
    path.write_text(handout.script(notebook), "utf-8")
    return notebook, path


def test_it_runs_as_a_script_and_says_what_its_checks_say(tmp_path, capsys):
    assert handout.main([str(tmp_path / "new")]) == 0
    assert sorted(path.stem for path in (tmp_path / "new").iterdir()) == sorted(EXERCISES)
    pooling = (tmp_path / "new/03_overlapping_pooling.py").read_text("utf-8")
    assert "# A hint: Write" in pooling and "`argmax(axis=1)`" in pooling
    path = tmp_path / "new/02_relu_and_tanh.py"
    done = subprocess.run([sys.executable, path], capture_output=True, check=True, encoding="utf-8",
                          env={"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"})
    assert done.stdout.count("still to be written, in forward") == 3
    path.write_text("print('an evening of work')")
    assert handout.run(lambda: handout.main([str(tmp_path / "new")])) == 2
    assert "somebody's work" in capsys.readouterr().err
    assert path.read_text() == "print('an evening of work')"


def test_a_cell_that_python_cannot_read_costs_its_own_part_only(tmp_path):
    text = handout.script(ROOT / "notebooks/solutions/02_relu_and_tanh.ipynb")
    path = tmp_path / "02.py"
    path.write_text(text.replace("class MyTanh:", "class MyTanh"), "utf-8")
    marks, failed = mark("02_relu_and_tanh", path, 60, 0, walls_stand())
    assert [bool(given.points) for given in marks] == [True, False, True] and len(failed) == 1
