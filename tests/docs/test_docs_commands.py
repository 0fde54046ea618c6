"""The commands that the pages print can be typed.

A flag is renamed, a command learns to refuse what it took, and the page still shows the old line.
So every `python -m tinyalex…` of every page goes through its own parser, which is stopped when it
is satisfied; what costs next to nothing is really run, made small. What is not run is a skipped
test that says how many commands that were (`pytest -rs`).
"""

import re
import sys

import pages
import pytest
from doors import main_of
from pages import PAGES, ROOT

from tinyalex.__main__ import COMMANDS
from tinyalex.support import cli, errors

FOUND = [(str(page.relative_to(ROOT)), module, arguments) for page in PAGES
         for module, arguments in pages.commands(page.read_text(encoding="utf-8"))]
COSTLY = {
    "tinyalex.bench": "measures for minutes", "tinyalex.bench.everything": "measures a GPU",
    "tinyalex.bench.timeline": "measures", "tinyalex.convert": "needs files of others",
    "tinyalex.data": "draws or downloads thousands of pictures",
    "tinyalex.gradcheck": "takes seconds to minutes",
    "tinyalex.look": "draws another page of the same kind", "tinyalex.prepare": "needs photographs",
    "tinyalex.train": "trains",
}
AS_THEY_ARE = ("tinyalex", "tinyalex.info", "tinyalex.notebooks")
TRAINED = ("dream", "evaluate", "filters", "look", "plot", "predict", "similar")
# What stands in the folder of `in_blobs` for what the pages name.
STANDS_FOR = {
    r"RUN|runs/\S+|alexnet(-\d)?": "run",
    r"\w+\.jpg|\S+\.JPEG|photos|more/\*\.jpg|(shapes|cifar10)/val\S*": "val/grass/01.png",
    r"FOLDER|(shapes|cifar10)/train\S*": "val",
}
MODULES = sorted({module for _, module, _ in FOUND})


def made_cheap(module, arguments):
    """The arguments with which a test can run the command in the folder of `in_blobs`, or None."""
    if arguments[-1:] == ["--help"] or module in AS_THEY_ARE:
        return arguments
    if module == "tinyalex.summary":
        return [*arguments, "--preset", "tiny", "--batch-size", "2", "--devices", "cpu,cpu"]
    if module == "tinyalex.gradcheck":
        return arguments if "--layer" in arguments else None
    if module == "tinyalex.data":
        return arguments if arguments[0] == "list" else None
    if module.removeprefix("tinyalex.") not in TRAINED or {"--data", "--unit"} & {*arguments}:
        return None
    own = {"tinyalex.evaluate": ["--data", "blobs:load"],
           "tinyalex.dream": ["--steps", "2"]}.get(module, [])
    return [next((there for named, there in STANDS_FOR.items() if re.fullmatch(named, one)), one)
            for one in arguments] + own


class Parsed(Exception):
    """Raised in place of the work: the arguments were understood."""


@pytest.fixture
def stopped(monkeypatch):
    parse = cli.ArgumentParser.parse_args

    def stop(parser, arguments=None, namespace=None):
        raise Parsed(parse(parser, arguments, namespace))

    monkeypatch.setattr(cli.ArgumentParser, "parse_args", stop)
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


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_cheap_commands_run(module, in_blobs, monkeypatch, capsys):
    mine = [arguments for _, other, arguments in FOUND if other == module]
    cheap = [tuple(argv) for one in mine if (argv := made_cheap(module, one)) is not None]
    for argv in dict.fromkeys(cheap):  # in the order of the pages: one may read what another wrote
        monkeypatch.setattr(sys, "argv", [module, *argv])
        try:
            status = main_of(module)(*[list(argv)] * (module != "tinyalex"))
        except SystemExit as end:  # --help
            status = end.code
        assert status in (0, None), argv
        assert capsys.readouterr().out, argv
    left = sum(made_cheap(module, one) is None for one in mine)
    if left:
        why = COSTLY.get(module, "needs other data or networks")
        pytest.skip(f"not run, {why}: {left} of {len(mine)} × python -m {module}")


def test_the_page_of_the_commands_begins_with_all_of_them():
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    shown = {module for module, _ in pages.commands(page.partition("\n## ")[0])}
    assert {f"tinyalex.{name}" for name in COMMANDS} - shown == set()
