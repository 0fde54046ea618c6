"""The commands that the pages print can be typed.

A flag is renamed, a command learns to refuse what it took, and the page still shows the old line.
So every `python -m tinyalex…` of every page goes through its own parser, which is stopped when it
is satisfied; what costs next to nothing is really run, made small. What is not run is a skipped
test that says how many commands that were (`pytest -rs`).
"""

import importlib
import sys

import pages
import pytest
from pages import PAGES, ROOT

from tinyalex import errors
from tinyalex.__main__ import COMMANDS

FOUND = [(str(page.relative_to(ROOT)), module, arguments) for page in PAGES
         for module, arguments in pages.commands(page.read_text(encoding="utf-8"))]
# By command: what makes it cheap, added at its end, or why it is not run.
CHEAP = {
    "tinyalex": [],
    "tinyalex.info": [],
    "tinyalex.summary": ["--preset", "tiny", "--batch-size", "2", "--devices", "cpu,cpu"],
}
COSTLY = {
    "tinyalex.bench": "measures", "tinyalex.bench.everything": "measures a GPU",
    "tinyalex.bench.timeline": "measures", "tinyalex.convert": "needs files of others",
    "tinyalex.data": "draws or downloads thousands of pictures",
    "tinyalex.gradcheck": "takes seconds to minutes", "tinyalex.prepare": "needs photographs",
    "tinyalex.train": "trains",
    **dict.fromkeys(("tinyalex.evaluate", "tinyalex.filters", "tinyalex.look", "tinyalex.plot",
                     "tinyalex.predict", "tinyalex.similar"), "needs a trained network"),
}
MODULES = sorted({module for _, module, _ in FOUND})


class Parsed(Exception):
    """Raised in place of the work: the arguments were understood."""


def main_of(module):
    found = importlib.import_module(module)
    if hasattr(found, "__path__"):
        found = importlib.import_module(f"{module}.__main__")
    return found.main


@pytest.fixture
def stopped(monkeypatch):
    parse = errors.ArgumentParser.parse_args

    def stop(parser, arguments=None, namespace=None):
        raise Parsed(parse(parser, arguments, namespace))

    monkeypatch.setattr(errors.ArgumentParser, "parse_args", stop)
    monkeypatch.chdir(ROOT)


def understood(module, arguments):
    """Whether the command's own parser takes the arguments; raises UserError if not."""
    try:
        main_of(module)(arguments)
    except Parsed:
        return True
    except SystemExit as end:  # --help, which has printed and is done
        return end.code == 0
    return False


@pytest.mark.parametrize("page", sorted({page for page, _, _ in FOUND}))
def test_every_command_of_a_page_is_understood(page, stopped, capsys):
    for _, module, arguments in (one for one in FOUND if one[0] == page):
        if module == "tinyalex":
            assert not arguments or arguments[0] in COMMANDS
            continue
        try:
            assert understood(module, arguments), f"{module} {arguments} did not look at its flags"
        except errors.UserError as error:
            pytest.fail(f"{page}: python -m {module} {' '.join(arguments)}: {error}")


def test_a_flag_that_is_not_there_is_noticed(stopped):
    with pytest.raises(errors.UserError, match="--epoch"):
        understood("tinyalex.train", ["--epoch", "3"])


@pytest.mark.parametrize("module", MODULES)
def test_cheap_commands_run(module, tmp_path, monkeypatch, capsys):
    if module in COSTLY:
        count = sum(module == other for _, other, _ in FOUND)
        pytest.skip(f"not run, {COSTLY[module]}: {count} × python -m {module}")
    monkeypatch.chdir(tmp_path)
    for _, _, arguments in (one for one in FOUND if one[1] == module):
        argv = arguments + CHEAP[module]
        monkeypatch.setattr(sys, "argv", [module, *argv])
        assert (main_of(module)() if module == "tinyalex" else main_of(module)(argv)) in (0, None)
        assert capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_cheapest_commands_of_the_others_run_too(tmp_path, monkeypatch, capsys, data_folder):
    monkeypatch.chdir(tmp_path)
    assert main_of("tinyalex.data")(["list"]) in (0, None)
    assert "shapes" in capsys.readouterr().out
    assert main_of("tinyalex.gradcheck")(["--layer", "relu"]) in (0, None)
    assert "ok" in capsys.readouterr().out.lower()


def test_pages_show_the_commands_that_there_are():
    shown = {module for _, module, _ in FOUND}
    assert shown >= {f"tinyalex.{name}" for name in COMMANDS}
