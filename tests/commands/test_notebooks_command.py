"""The notebooks as they come out of an installed package: all of them, and over nobody's work.

A wheel is easily built without them, and nobody notices in a clone, where they are beside the
package. So one is built and installed here, and asked for them from another folder.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

from tinyalex import notebooks

ROOT = Path(__file__).parents[2]
PAGES = {path.relative_to(ROOT / "notebooks") for path in (ROOT / "notebooks").glob("**/*.ipynb")}


def pages(folder):
    return {path.relative_to(folder) for path in folder.glob("**/*.ipynb")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what `pip install` makes of a wheel of this package."""
    pytest.importorskip("pip")
    try:  # not by importing it, which fails where something has imported distutils before
        old = tuple(map(int, metadata.version("setuptools").split(".")[:2])) < (70, 1)
    except metadata.PackageNotFoundError:
        old = True
    if old:  # needs another package to make a wheel
        pytest.skip("setuptools is older than 70.1")
    work = tmp_path_factory.mktemp("wheel")
    for name in ("tinyalex", "notebooks"):
        copytree(ROOT / name, work / "source" / name, ignore=ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE", "setup.cfg", "pyproject.toml"):
        copy(ROOT / name, work / "source")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", work,
                    work / "source"], check=True)
    wheel, = work.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target",
                    work / "there", wheel], check=True)
    return work / "there"


@pytest.mark.slow
def test_a_wheel_has_them_and_works_from_any_folder(installed, tmp_path):
    def tinyalex(*arguments):
        return subprocess.run([sys.executable, "-m", "tinyalex", *arguments], cwd=tmp_path,
                              env=os.environ | {"PYTHONPATH": str(installed)}, check=True,
                              capture_output=True, encoding="utf-8").stdout

    where = subprocess.run([sys.executable, "-c", "import tinyalex; print(tinyalex.__file__)"],
                           cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)},
                           capture_output=True, encoding="utf-8").stdout
    assert where.startswith(str(installed))
    assert f"mine: {len(PAGES) + 1} new files" in tinyalex("notebooks", "mine")
    assert pages(tmp_path / "mine") == PAGES and (tmp_path / "mine/drawing.py").is_file()
    assert "333,546" in tinyalex("summary", "--preset", "tiny")


def test_what_a_learner_wrote_stays_and_is_named(tmp_path, capsys):
    notebooks.main([str(tmp_path)])
    assert pages(tmp_path) == PAGES
    work, gone = tmp_path / "exercises/01_convolution.ipynb", tmp_path / "00_tour.ipynb"
    work.write_text("an evening of work")
    gone.unlink()
    capsys.readouterr()
    assert notebooks.main([str(tmp_path)]) == 0
    kept, new = capsys.readouterr().out.splitlines()[:2]
    assert kept.startswith(f"kept as it is: {work} ") and new == f"{tmp_path}: 1 new files"
    assert work.read_text() == "an evening of work" and gone.is_file()


def test_what_to_type_next_can_be_pasted(tmp_path, capsys):
    folder = tmp_path / "my notebooks"
    notebooks.main([str(folder)])
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert ["jupyter", "lab", str(folder / "00_tour.ipynb")] in lines


def test_no_link_of_theirs_leads_out(tmp_path):
    notebooks.copy_new(notebooks.source(), tmp_path)
    for path in tmp_path.glob("**/*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells
                         if cell["cell_type"] == "markdown")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (path.parent / target).is_file(), (path.name, target)


def test_an_installation_without_them_says_so(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(notebooks.tinyalex, "__file__", str(tmp_path / "lib/tinyalex/x.py"))
    assert "were not installed" in refused(notebooks.main, [str(tmp_path / "mine")])
    assert not (tmp_path / "mine").exists()


def test_a_file_is_no_folder(tmp_path, refused):
    (tmp_path / "mine").write_text("x")
    assert "mine" in refused(notebooks.main, [str(tmp_path / "mine")])
