"""An exercise as a plain Python file: the same page, and the same marks for it.

A notebook shows the value of a cell's last line and a script does not, so a check that says nothing
would be the likely slip; the other, that a file counts less than the notebook it comes from.
"""

import re
import subprocess
import sys

import pytest
from pages import ROOT, script

from tinyalex.gradcheck.marking.exercises import EXERCISES
from tinyalex.gradcheck.marking.marks import mark
from tinyalex.gradcheck.marking.remote import walls_stand
from tinyalex.support import reading

handout = script("handout")
NUMBER = re.compile(r"\d\S*")


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("folder", ["exercises", "solutions"])
def test_it_is_marked_as_its_notebook_is(exercise, folder, tmp_path):
    notebook, path = written(exercise, folder, tmp_path)
    marks, failed = mark(exercise, path, 120, 0, walls_stand())
    assert not failed
    assert marks == mark(exercise, notebook, 120, 0, walls_stand())[0]
    assert all(given.points for given in marks) == (folder == "solutions")


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("folder", ["exercises", "solutions"])
def test_it_says_what_its_notebook_shows(exercise, folder, tmp_path):
    """But for the numbers, which are of a machine."""
    notebook, path = written(exercise, folder, tmp_path)
    shown = [out for cell in reading.record(notebook)["cells"] for out in cell.get("outputs", ())]
    texts = ["".join(out.get("text") or out["data"]["text/plain"]) for out in shown]
    said = NUMBER.sub("", said_by(path)).split()
    assert said == NUMBER.sub("", "\n".join(texts)).split()


def written(exercise, folder, tmp_path):
    """The notebook, and the file that is made of it."""
    notebook, path = ROOT / f"notebooks/{folder}/{exercise}.ipynb", tmp_path / f"{exercise}.py"
    path.write_text(handout.script(notebook), "utf-8")
    return notebook, path


def said_by(path):
    return subprocess.run([sys.executable, path], cwd=ROOT, capture_output=True, check=True,
                          encoding="utf-8", env={"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}).stdout


def test_it_runs_as_a_script_and_says_what_its_checks_say(tmp_path, capsys):
    assert handout.main([str(tmp_path / "new")]) == 0
    assert sorted(path.stem for path in (tmp_path / "new").iterdir()) == sorted(EXERCISES)
    pooling = (tmp_path / "new/03_overlapping_pooling.py").read_text("utf-8")
    assert "# A hint: Write" in pooling and "`argmax(axis=1)`" in pooling
    path = tmp_path / "new/02_relu_and_tanh.py"
    assert said_by(path).count("still to be written, in forward") == 3
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
