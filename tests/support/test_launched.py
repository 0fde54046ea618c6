"""Commands that work alone, started several times by an mpiexec: all would write the same file."""

import sys

import pytest
from doors import main_of

from tinyalex.__main__ import COMMANDS
from tinyalex.support import launched
from tinyalex.support.cli import run

SHARING = {"train", "evaluate", "summary"}
OTHERS = sorted({*COMMANDS} - SHARING)


@pytest.fixture(params=zip(launched.SIZES, launched.RANKS, strict=True), ids=lambda names: names[0])
def as_one_of_three(request, monkeypatch):
    """Called with a rank."""
    size, rank = request.param
    monkeypatch.setenv(size, "3")
    return lambda number: monkeypatch.setenv(rank, str(number))


@pytest.mark.parametrize("name", OTHERS)
def test_a_command_that_works_alone_refuses_to_be_several(as_one_of_three, refused, name):
    as_one_of_three(0)
    assert f"tinyalex.{name}: started as 3 processes" in refused(
        main_of(f"tinyalex.{name}"), ["--help"])


def test_only_one_of_them_says_so(as_one_of_three, monkeypatch, capsys):
    as_one_of_three(2)
    monkeypatch.setattr(launched, "GRACE", 0)
    with pytest.raises(SystemExit) as ended:
        run(lambda: main_of("tinyalex.predict")(["run", "picture.jpg"]))
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", sorted(SHARING))
def test_commands_that_share_their_work_do_not(as_one_of_three, monkeypatch, name):
    as_one_of_three(0)
    monkeypatch.setitem(sys.modules, "tinyalex.world.mpi", None)  # so far they come
    with pytest.raises(Exception, match="one of 3 processes, which find each other"):
        main_of(f"tinyalex.{name}")([])


@pytest.mark.parametrize("count", ["", "1", "many", "-2"])
def test_a_process_by_itself_is_not_refused(monkeypatch, capsys, count):
    for variable in (*launched.SIZES, *launched.RANKS):
        monkeypatch.setenv(variable, count)
    with pytest.raises(SystemExit) as ended:
        main_of("tinyalex.predict")(["--help"])
    assert ended.value.code == 0 and "usage:" in capsys.readouterr().out
