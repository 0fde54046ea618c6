"""What a command says when something is wrong, and the exit status it gives.

A traceback tells the reader of the code much and the user nothing; and a script that starts us
sees only the exit status. So: two lines on stderr, the second what to do, and 2; 130 when
interrupted, as shells have it; and what is our own mistake is never dressed up as the user's.
"""

import argparse
import errno
import subprocess
import sys
from pathlib import Path

import pytest

from tinyalex.support.cli import ArgumentParser, number, output, run
from tinyalex.support.errors import UserError


def failing(error: BaseException):
    def command():
        raise error

    return command


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_that_ends_well_decides_its_own_status(returned, status, capsys):
    assert run(lambda: returned) == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("error", "said", "advice"), [
    (UserError("a.jpg: not a picture", "name a picture."), "a.jpg: not a picture",
     "name a picture."),
    # What a damaged file calls itself stays one line, and does not turn a terminal red.
    (UserError("a\nb\x1b[31mred: ü", "c\rd"), "a\ufffdb\ufffd[31mred: ü", "c\ufffdd"),
    (OSError(errno.ENOSPC, "Full", "runs/log.csv"), "runs/log.csv: Full", "free some space"),
    (OSError(errno.EACCES, "Denied", "log.csv"), "log.csv: Denied", "may read"),
    (OSError(errno.EROFS, "Read-only", "log.csv"), "log.csv: Read-only", "may write to"),
    (OSError(errno.ENOENT, "Nothing", "log.csv"), "log.csv: Nothing", "check the path"),
    (OSError(errno.EEXIST, "There", "mine"), "mine: There", "name another folder"),
    (OSError(errno.ENOTDIR, "No folder", "a/b"), "a/b: No folder", "name another folder"),
    (OSError(errno.EIO, "Broken", "log.csv"), "log.csv: Broken", "disk"),
    (OSError("cannot identify image file"), "cannot identify image file", "check the path"),
    (MemoryError("Unable to allocate 56.1 GiB"),
     "there is not enough memory (Unable to allocate 56.1 GiB)", "smaller"),
], ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "")
def test_what_goes_wrong_is_two_lines_and_status_2(error, said, advice, refused):
    first, second = refused(lambda argv: failing(error)(), []).splitlines()
    assert first == f"error: {said}" and advice in second


@pytest.mark.parametrize("argv", [["--save", ""], ["--save="], ["--count", "3", ""], [""]],
                         ids=repr)
def test_an_empty_argument_is_not_the_folder_we_are_in(argv, refused):
    """rm -r "$HOME/$x" is how others learned it; and Path("") is "."."""
    def command(argv):
        parser = ArgumentParser(prog="command")
        parser.add_argument("--save", type=Path)
        parser.add_argument("--count", type=int)
        parser.add_argument("out", type=Path, nargs="?")
        return parser.parse_args(argv)

    assert "nothing follows it" in refused(command, argv)


def test_ctrl_c_while_a_command_is_imported_is_no_traceback_either(tmp_path):
    """`tinyalex train` imports NumPy, which takes longest, when it can tell what happened."""
    (tmp_path / "numpy.py").write_text("raise KeyboardInterrupt")
    code = (f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from tinyalex.__main__ import main; sys.exit(main())")
    done = subprocess.run([sys.executable, "-c", code, "train"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_mistake_of_ours_is_not_blamed_on_the_user(monkeypatch, capsys, debug):
    """One line, where to report it, and status 70; whoever mends it wants the traceback."""
    monkeypatch.setenv("TINYALEX_DEBUG", debug)
    assert run(lambda: int("1\x1b[31m")) == 70
    *traceback, error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ValueError: invalid literal") and "test_errors.py" in error
    assert "report it" in hint and "TINYALEX_DEBUG=1" in hint
    assert bool(traceback) == bool(debug) and "\x1b" not in error


def parser() -> ArgumentParser:
    parser = ArgumentParser(prog="train")
    parser.add_argument("--batch", type=number(int, 1), default=128, help="pictures a step")
    return parser


@pytest.mark.parametrize(("argv", "named"), [
    (["--batch", "0"], "--batch: '0' is not a whole number of at least 1"),
    (["--batch"], "--batch"),
    (["--bat", "3"], "--bat"),  # no abbreviations: --bat may mean something else next year
    (["picture.jpg"], "picture.jpg"),
])
def test_a_wrong_flag_is_a_users_error_that_names_it(argv, named):
    with pytest.raises(UserError, match=named) as caught:
        parser().parse_args(argv)
    assert caught.value.hint == "train --help lists what there is."


@pytest.mark.parametrize(("argv", "lost"), [
    ("a.png --out a.png", "a.png"), ("run a.png --out ./a.png", "a.png"),
    ("--out=link.png b.png a.png", "link.png"), ("--names a.png b.png --out a.png", "a.png"),
    ("run --out run/checkpoint.npz", "run/checkpoint.npz"),
    ("run --out run/best.npz", "run/best.npz"),
    ("a.png --out b.png", ""), ("run --out run/predict.png", ""), ("a.png --out c.png", "")])
def test_what_is_read_is_not_written_over(argv, lost, tmp_path, monkeypatch):
    """`predict RUN photo.png --out photo.png` drew its page over the photograph."""
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    for name in ("a.png", "b.png", "run/checkpoint.npz", "run/best.npz", "run/predict.png"):
        Path(name).touch()
    Path("link.png").symlink_to("a.png")
    parser = ArgumentParser(prog="predict")
    parser.add_argument("pictures", nargs="*")
    parser.add_argument("--names", type=Path)
    parser.add_argument("--out", type=output())
    if not lost:
        parser.parse_args(argv.split())
    else:
        with pytest.raises(UserError, match=f"^{lost}: that is a file to read"):
            parser.parse_args(argv.split())


def test_the_help_shows_the_defaults():
    assert "(default: 128)" in parser().format_help()


@pytest.mark.parametrize("text", ["0", "-1", "3.5", "nan", "inf", "-inf", "", "three", "1e3"])
def test_a_count_is_a_whole_number_of_at_least_1(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a whole number of at"):
        number(int, 1)(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "-0.1", "", "0,5"])
def test_a_real_number_is_finite_even_where_there_is_no_upper_bound(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a number of at least 0"):
        number(float, 0)(text)


def test_the_upper_bound_is_named():
    with pytest.raises(argparse.ArgumentTypeError, match="at least 0 and at most 1"):
        number(float, 0, 1)("1.1")


def test_both_bounds_belong_to_the_range_and_the_kind_is_kept():
    rate, count = number(float, 0, 1), number(int, 1)
    assert (rate("0"), rate("1"), rate("1e-3")) == (0.0, 1.0, 0.001)
    assert count("1") == 1 and isinstance(count("128"), int)
