"""Notebooks rot where nobody runs them: a function is renamed, a figure in the prose is no longer
what the code prints, an output is from another version.

So every notebook runs here from top to bottom, and its asserts are real: they compare what was
built on the page with what the package computes. What is stored has to be what a reader should see:
outputs, no errors, nothing of the machine it was made on. (Exercises and solutions are marked in
test_handout.py.)
"""

import dis
import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinyalex.gradcheck.marking.exercises import EXERCISES as ASKED

FOLDER = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
EXERCISES = sorted((FOLDER / "exercises").glob("*.ipynb"))
ALL = [*LESSONS, *EXERCISES, *sorted((FOLDER / "solutions").glob("*.ipynb"))]
FOLDED = {"jupyter": {"source_hidden": True}}  # JupyterLab shows such a cell's code as three dots


def name(path):
    return str(path.relative_to(FOLDER))


def cells(path, kind=None):
    return [c for c in json.loads(path.read_text())["cells"] if kind in (None, c["cell_type"])]


@pytest.fixture(scope="module")
def kernel_environment(tmp_path_factory):
    """One folder for what the notebooks draw or train, and one BLAS thread, as in other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYALEX_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        yield


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the packages that run notebooks
@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_every_notebook_runs_from_top_to_bottom(path, kernel_environment):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    stored = reports(notebook.cells)
    for cell in notebook.cells:
        cell.pop("outputs", None) is not None and cell.update(outputs=[], execution_count=None)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3",
                            resources={"metadata": {"path": str(FOLDER)}}).execute()
    said = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out["text"] for out in said if out.get("name") == "stderr"]
    assert reports(notebook.cells) == stored


def reports(page):
    """What the checks say on a page, without the numbers."""
    texts = ["".join(out.get("text") or out.get("data", {}).get("text/plain", ""))
             for cell in page for out in cell.get("outputs", [])]
    return [re.sub(r"\d\S*", "", text).strip() for text in texts if "(like " in text]


@pytest.mark.parametrize("path", ALL, ids=name)
def test_what_is_stored_is_tidy(path):
    raw = path.read_text()
    assert len(raw) < 1_000_000
    assert set(json.loads(raw)["metadata"]) == {"kernelspec", "language_info"}
    code = cells(path, "code")
    assert [c["execution_count"] for c in code] == [*range(1, len(code) + 1)]
    assert all(c["metadata"] in ({}, FOLDED) for c in code)
    assert not any(c["metadata"] for c in cells(path, "markdown"))
    outputs = [out for c in code for out in c["outputs"]]
    assert not [out for out in outputs
                if out["output_type"] == "error" or out.get("name") == "stderr"]
    for out in outputs:  # static pictures, and in words
        data = out.get("data", {})
        assert not any("widget" in kind for kind in data)
        assert "image/png" not in data or out["metadata"]["image/png"]["alt"].strip()
    said = " ".join(str(out.get("text", "")) + str(out.get("data", {}).get("text/plain", ""))
                    for out in outputs)
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|usr|Users)/|[A-Z]:\\", said)


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_every_notebook_opens_with_what_it_is_good_for_and_asserts_what_it_claims(path):
    first = "".join(cells(path, "markdown")[0]["source"])
    for promise in (f"# {path.name[:2]} · ", "**After this notebook you can**", "**Time:**",
                    "**You need:**"):
        assert promise in first
    code = "\n".join("".join(c["source"]) for c in cells(path, "code"))
    assert len(re.findall(r"^ *assert ", code, re.MULTILINE)) >= 3
    assert "drawing.show(" in code and "plt.show()" not in code


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_what_is_folded_away_draws_and_nothing_else(path):
    """Cells that make a figure are folded, no others are, and what they name no page reads."""
    hidden: set[str] = set()
    for cell in cells(path, "code"):
        source = "".join(cell["source"])
        code = compile(source, cell["id"], "exec")
        reads, names = used(code)
        if cell["metadata"] != FOLDED:
            assert not re.search(r"^figure, ", source, re.MULTILINE), cell["id"]
            assert not reads & hidden, cell["id"]
            hidden -= names
        else:
            assert "drawing." in source and "assert " not in source, cell["id"]
            hidden |= names


def used(code):
    """The globals that a cell reads before it names them, or in a function; and those it names."""
    reads, names = set(), set()
    for step in dis.get_instructions(code):
        if step.opname in ("STORE_NAME", "STORE_GLOBAL"):
            names.add(step.argval)
        elif step.opname in ("LOAD_NAME", "LOAD_GLOBAL") and step.argval not in names:
            reads.add(step.argval)
    for inner in filter(inspect.iscode, code.co_consts):
        reads |= used(inner)[0] - names
    return reads, names


def test_sliders_are_for_those_who_have_them(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    drawing = importlib.import_module("drawing")
    drawn, moved = [], []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    drawing.sliders(lambda K=3: drawn.append(K), K=(1, 7, 1))
    assert drawn == [3]
    there = SimpleNamespace(interact=lambda draw, **ranges: moved.append((draw(), ranges)))
    monkeypatch.setitem(sys.modules, "ipywidgets", there)
    drawing.sliders(lambda K=3: K, K=(1, 7, 1))
    assert moved == [(3, {"K": (1, 7, 1)})]


@pytest.mark.parametrize("path", ALL, ids=name)
def test_links_lead_somewhere(path):
    text = "\n".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", EXERCISES, ids=name)
def test_what_is_marked_is_what_the_page_checks(path):
    code = "\n".join("".join(c["source"]) for c in cells(path, "code"))
    assert re.findall(r'gradcheck\.check\((\w+), like="(\w+)"\)', code) == [
        (part.name, part.like) for part in ASKED[path.stem]]


def test_there_is_an_exercise_for_each_of_the_notebooks_1_to_9_and_12_to_14():
    assert [path.name for path in EXERCISES] == [
        path.name for path in LESSONS if path.name[:2] not in ("00", "10", "11", "15")]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/teaching.md"])
def test_pages_say_how_many_lessons_and_exercises_there_are(page):
    text = (FOLDER.parent / page).read_text("utf-8").lower()
    assert (len(LESSONS), len(EXERCISES)) == (16, 12), "then change the words on the pages, too"
    assert "sixteen" in text and "twelve" in text
