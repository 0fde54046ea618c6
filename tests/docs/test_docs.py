"""What the pages say can be followed: links lead somewhere, names are names of something.

Files move, headings are rewritten, tests get better names, and no page notices: the reader does.
So every relative link must lead to a file, and to a heading where it names one. Where a link to a
Python file is a name in code, as in [`SGD.step`](../tinyalex/optim.py), the file defines it; and a
link to a test is the test's name, with spaces: [the maps shrink as in figure 2](…/test_alexnet.py)
is test_the_maps_shrink_as_in_figure_2.
"""

import ast
import importlib

import pages
import pytest
from pages import PAGES, ROOT

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_every_link_leads_to_a_file_and_a_heading(page):
    assert pages.broken_links(page) == []


@each_page
def test_every_name_in_a_link_is_defined_in_its_file(page):
    assert pages.unknown_names(page) == []


def test_links_that_lead_nowhere_and_names_of_nothing_are_noticed(tmp_path):
    (tmp_path / "code.py").write_text("class A:\n    b = 1\n")
    (tmp_path / "test_code.py").write_text("def test_one_and_one():\n    pass\n")
    page = tmp_path / "page.md"
    page.write_text("""# Here
[1](#here) [2](#there) [3](gone.md) [4](page.md#here) ![5](gone.png) [6](https://example.org/x)
[`A`](code.py) [`A.b`](code.py) [`A.c`](code.py) [`A(1)`](code.py) [code.py](code.py)
[One and one](test_code.py) [one and two](test_code.py)
""")
    assert pages.broken_links(page) == ["#there", "gone.md", "gone.png"]
    assert pages.unknown_names(page) == ["A.c", "test_one_and_two"]


def package_imports(code: str) -> list[tuple[str, list[str]]]:
    """(module, names taken from it) of all imports of the package in some Python."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            found.append((node.module, [alias.name for alias in node.names]))
        elif isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
    return [(module, names) for module, names in found if module.split(".")[0] == "tinyalex"]


@each_page
def test_python_that_a_page_shows_imports_what_is_there(page):
    for language, block in pages.FENCE.findall(page.read_text(encoding="utf-8")):
        for module, names in package_imports(block) if language == "python" else ():
            there = importlib.import_module(module)
            for name in names:
                assert hasattr(there, name) or importlib.import_module(f"{module}.{name}")


def test_the_map_of_the_paper_names_many_functions_and_tests():
    targets = pages.links((ROOT / "docs/paper.md").read_text(encoding="utf-8"))
    assert sum("tinyalex/" in target and text.startswith("`") for text, target in targets) > 40
    assert sum("/test_" in target for _, target in targets) > 40


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
