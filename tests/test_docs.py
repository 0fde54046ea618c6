"""What the pages say can be followed: links lead somewhere, names are names of something.

Files move, headings are rewritten, tests get better names, and no page notices: the reader does.
So every relative link must lead to a file, and to a heading where it names one. Where a link to a
Python file is a name in code, as in [`SGD.step`](../tinyalex/optim.py), the file defines it; and a
link to a test is the test's name, with spaces: [the maps shrink as in figure 2](…/test_alexnet.py)
is test_the_maps_shrink_as_in_figure_2.
"""

import re

import pages
import pytest
from pages import PAGES, ROOT

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_link_leads_to_a_file_and_a_heading(page):
    for text, target in pages.links(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        to = (page.parent / name).resolve() if name else page
        assert to.exists(), f"[{text}]({target})"
        assert to.is_relative_to(ROOT), f"[{text}]({target}) leaves the project"
        if anchor:
            assert anchor in pages.anchors(to.read_text(encoding="utf-8")), f"[{text}]({target})"


@each_page
def test_every_name_in_a_link_is_defined_in_its_file(page):
    for text, target in pages.links(page.read_text(encoding="utf-8")):
        to = (page.parent / target).resolve()
        if to.suffix != ".py" or text.strip("`").endswith(".py") or target.startswith("http"):
            continue
        if text.startswith("`"):
            name = text.strip("`").partition("(")[0]
        elif to.name.startswith("test_"):
            name = "test_" + "_".join(re.findall(r"\w+", text.lower().replace("'", "")))
        else:
            continue
        assert name in pages.defined(to), f"[{text}]({target}): no {name}"


def test_the_map_of_the_paper_names_many_functions_and_tests():
    found = pages.links((ROOT / "docs/paper.md").read_text(encoding="utf-8"))
    assert sum("tinyalex/" in target and text.startswith("`") for text, target in found) > 40
    assert sum("tests/test_" in target for _, target in found) > 40


def test_every_page_stands_in_the_index():
    listed = {target for _, target in pages.links(
        (ROOT / "docs/index.md").read_text(encoding="utf-8"))}
    for page in PAGES:
        if page.parent == ROOT / "docs" and page.name != "index.md":
            assert page.name in listed


def test_headings_get_githubs_anchors():
    text = "# Two devices\n## λ or √λ? It's `x_1`\n## [A](b.md)\n## A\n```sh\n# no heading\n```\n"
    assert pages.anchors(text) == {"two-devices", "λ-or-λ-its-x_1", "a", "a-1"}


def test_what_is_shown_as_code_is_no_link():
    assert pages.links("`[x](y)` [a `b`](c) ![p](q.png)\n```python\nd[0](e)\n```\n") == [
        ("a `b`", "c"), ("p", "q.png")]
