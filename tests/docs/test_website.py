"""The site: what GitHub shows of a page, Sphinx shows as well, and no link of it leads nowhere.

A formula that GitHub draws is dollars and backticks to another parser; a link to a Python file is a
download, or dead; a page that nobody listed is built and never found. Sphinx warns of most of that,
so the site is built here and has to come without a warning.
"""

import importlib.util
import json
import re
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import pytest
from pages import ROOT, script

website = script("website")
needs_sphinx = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("myst_nb", "furo", "sphinx-mathjax-offline"))),
    reason="Sphinx and its extensions are not installed: pip install -e '.[docs]'")
NAMES = {"tinyalex.optim", "tinyalex.optim.SGD.step", "tinyalex.layers"}


@pytest.mark.parametrize(("page", "written", "read"), [
    ("docs/a.md", "$`x_1`$, and `$`", "$x_1$, and `$`"),
    ("docs/a.md", "[`SGD.step`](../tinyalex/optim.py)", "[`SGD.step`](#tinyalex.optim.SGD.step)"),
    ("docs/a.md", "[`LIMIT`](../tinyalex/optim.py)", "[`LIMIT`](#tinyalex.optim)"),
    ("docs/a.md", "[layers](../tinyalex/layers)", "[layers](#tinyalex.layers)"),
    ("docs/a.md", "[a](b.md#c) [d](#e) [f](https://g)", "[a](b.md#c) [d](#e) [f](https://g)"),
    ("docs/a.md", "[a](../README.md#b)", "[a](../index.md#b)"),
    ("notebooks/README.md", "[a](README.md)", "[a](README.md)"),
    ("docs/a.md", "![a `b`](c.png)", "![a `b`](c.png)"),
    ("docs/a.md", "[it adds](../tests/test_a.py)", "it adds"),
    ("notebooks/README.md", "[all](solutions)", "all"),
    ("docs/a.md", "```sh\n$`x`$ [a](../tests)\n```\n", "```sh\n$`x`$ [a](../tests)\n```\n")])
def test_a_page_is_read_as_github_shows_it(page, written, read, monkeypatch):
    monkeypatch.setattr(website.browser, "repository", lambda: "")
    assert website.adapted(written, page, NAMES) == read


def test_a_link_to_a_test_leads_to_the_repository_if_that_is_known(monkeypatch):
    monkeypatch.setattr(website.browser, "repository", lambda: "a/b")
    assert website.adapted("[it adds](../tests/test_a.py)", "docs/a.md", NAMES) == (
        "[it adds](https://github.com/a/b/blob/HEAD/tests/test_a.py)")


def test_docstrings_keep_their_formulas_in_lines():
    lines = "The *norm* of `x`s.\n\n    y_i = x_i * s_i**-beta\n\nx, y_: (N, C).".splitlines()
    website.as_written(None, "class", "A", None, None, lines)
    assert "\n".join(lines) == ("The \\*norm\\* of ``x``\\ s.\n\n::\n\n"
                                "        y_i = x_i * s_i**-beta\n\nx, y\\_: (N, C).\n")


def test_every_page_has_a_place_in_the_contents(tmp_path):
    website.stage(tmp_path, live=True)
    front = (tmp_path / "index.md").read_text("utf-8")
    listed = set(re.findall(r"^[\w/.-]+$|(?<=<)[\w/]+(?=>$)", front, re.MULTILINE))
    for path in tmp_path.glob("docs/*.md"):
        assert f"docs/{path.stem}" in listed
    exercise = tmp_path / "notebooks/exercises/01_convolution.ipynb"
    page = json.loads(exercise.read_text("utf-8"))
    assert ('<a href="../../browser/lab/index.html?path=notebooks/exercises/01_convolution.ipynb">'
            in page["cells"][0]["source"])
    threads = tmp_path / "notebooks/13_one_weird_trick.ipynb"  # which a browser does not have
    assert "in your browser" not in threads.read_text("utf-8")


@needs_sphinx
@pytest.mark.filterwarnings("ignore")  # of the packages that build
def test_a_link_that_leads_nowhere_is_named(tmp_path, monkeypatch, refused):
    def stage(folder, live):
        folder.mkdir()
        (folder / "index.md").write_text("# Here\n\n[there](gone.md)\n")

    monkeypatch.setattr(website, "stage", stage)
    said = website.build(tmp_path / "site", live=False)
    assert "index.md:3" in said and "gone.md" in said


@needs_sphinx
@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_needs_no_network(tmp_path):
    """In a process of its own: what a site adds to docutils, the next one complains about."""
    site = tmp_path / "site"
    built = subprocess.run([sys.executable, ROOT / "docs/website.py", site], capture_output=True,
                           text=True, check=False)
    assert built.returncode == 0, built.stderr
    made = {path.relative_to(site).as_posix(): path.read_text("utf-8")
            for path in site.glob("**/*.html")}
    for path in website.pages():
        name = path.relative_to(ROOT).with_suffix(".html").as_posix()
        assert {"README.html": "index.html"}.get(name, name) in made
    for name, text in made.items():
        fetched = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="([^"]+)"', text)
        for target in fetched:
            parts = urlsplit(target)
            assert not parts.netloc, (name, target)
            assert not parts.path or parts.path.startswith("data:") or (
                (site / name).parent / unquote(parts.path)).exists(), (name, target)
    assert 'class="math' in made["docs/derivations.html"]
    assert "tinyalex.optim.SGD.step" in made["api/tinyalex.html"]
    assert "$`" not in made["docs/derivations.html"]
    assert "plateau" in (site / "searchindex.js").read_text("utf-8")
