"""Commands that are printed are pasted into a shell: a path in them with a space, a quote or a $ is
another command, unless it is quoted."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from pages import ROOT

from tinyalex.support.text import command, plural, tell


def test_a_printed_command_is_read_by_a_shell_as_it_was_meant():
    path = Path("it's $HOME & \"mine\"\\")
    assert shlex.split(command("train", "--resume", path, "--epochs", 6)) == [
        "python", "-m", "tinyalex.train", "--resume", str(path), "--epochs", "6"]
    assert command("evaluate", "runs/tiny-1") == "python -m tinyalex.evaluate runs/tiny-1"
    assert command("look", Path("-mine"), Path("a-b")) == "python -m tinyalex.look ./-mine a-b"


def test_no_module_puts_a_command_with_a_path_together_by_itself():
    by_hand = re.compile(r"python -m tinyalex\.\w+ [^\"'\n]*\{")
    assert [path for path in (ROOT / "tinyalex").rglob("*.py")
            if by_hand.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(("count", "noun", "said"), [
    (1, "epoch", "1 epoch"), (0, "epoch", "0 epochs"), (1.0, "epoch", "1 epoch"),
    (0.2, "epoch", "0.2 epochs"), (1000, "picture", "1,000 pictures"), (1, "class", "1 class"),
    (2, "class", "2 classes"), (2, "batch", "2 batches")])
def test_one_is_no_several(count, noun, said):
    assert plural(count, noun) == said


def test_no_module_adds_an_s_by_itself():
    by_hand = re.compile(r"['\"]s['\"]\)? \*")
    assert [path.name for path in (ROOT / "tinyalex").rglob("*.py")
            if by_hand.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("terminal", [True, False])
def test_who_waits_is_told_at_a_terminal_only(terminal, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    tell("this takes a while")
    assert capsys.readouterr() == ("", "this takes a while\n" * terminal)
