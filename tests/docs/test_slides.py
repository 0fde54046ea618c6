"""The decks of the course: no picture that is not there, no slide without anything on it.

Their pictures are those that the notebooks show, so a cell that is renamed takes a slide with it.
"""

import re

import pytest
from pages import ROOT, script

from tinyalex.support.errors import UserError

slides = script("slides")
DECKS = sorted((ROOT / "docs/slides").glob("*.md"))


def test_there_is_a_deck_for_each_week():
    assert [path.stem for path in DECKS] == ["week1", "week2", "week3", "week4"]


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_every_slide_has_something_on_it_and_every_picture_is_there_and_in_words(path):
    parts = re.split(r"^# .*$", path.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert 12 <= len(parts) <= 20
    assert all(part.strip() for part in parts)
    pictures = re.findall(r"!\[(.*)\]\(data:image/png;base64,(.*)\)",
                          slides.with_pictures(path.read_text("utf-8")))
    assert path.read_text("utf-8").count("![") == len(pictures) >= 6
    assert all(said and len(data) > 4000 for said, data in pictures)


def test_a_picture_that_is_not_there_is_named():
    with pytest.raises(UserError, match="01#cell-99: there is no such picture"):
        slides.with_pictures("![](01#cell-99)")


def test_the_pages_need_nothing_besides_themselves(tmp_path):
    pytest.importorskip("pypandoc")
    assert slides.main([str(tmp_path / "new")]) == 0
    for path in DECKS:
        text = path.read_text("utf-8")
        page = (tmp_path / "new" / f"{path.stem}.html").read_text("utf-8")
        assert page.count("<section") == len(re.findall("^# ", text, re.MULTILINE))
        assert page.count("<img") == text.count("![") and "$" not in page
        assert {*re.findall(r'(?:src|href)="(.{5})', page)} == {"data:"}
