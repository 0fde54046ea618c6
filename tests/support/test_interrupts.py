"""Ctrl-C, `kill` and a closed terminal end every command in the same way, at any moment.

What a handler raises in a `__del__` is printed and forgotten, and the command goes on as if nobody
had asked; a second signal in the middle of tidying up leaves half a file; and Python's own end is
no time for a traceback.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from tinyalex.run.stopping import stop_on_signal
from tinyalex.support.cli import run
from tinyalex.support.signals import interrupting

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has other signals")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_word_and_its_status(number, capfd):
    before = signal.getsignal(number)
    assert run(lambda: signal.raise_signal(number)) == 128 + number
    assert capfd.readouterr().err == "\ninterrupted\n"
    assert signal.getsignal(number) == before


class Owner:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)


def left_early():
    try:
        yield
    finally:
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("tidy_up", [Owner, lambda: next(left_early())])
def test_what_python_would_print_and_forget_comes_once_more(tidy_up, capfd):
    def command():
        tidy_up()
        time.sleep(5)  # the work that would go on

    assert run(command) == 128 + signal.SIGTERM
    assert capfd.readouterr().err == "\ninterrupted\n"


def test_what_would_come_once_more_behind_the_command_does_not_come():
    code = ("import signal, sys, time; from tinyalex.support.cli import run\n"
            "class Owner:\n    def __del__(self):\n        signal.raise_signal(signal.SIGTERM)\n"
            "status = run(lambda: Owner() and 1); time.sleep(0.1); sys.exit(status)")
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 1


def test_other_errors_that_nobody_gets_are_printed_as_ever(monkeypatch):
    class Broken:
        def __del__(self):
            raise OSError

    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: seen.append(lost.exc_type))
    with interrupting():
        Broken()
    assert seen == [OSError]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_is_sent_twice_lets_the_command_tidy_up(number):
    tidied = []

    def command():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            tidied.append(True)

    assert run(command) == 128 + number and tidied


def test_the_status_is_that_of_the_first_signal_also_where_a_run_held_it_back():
    def command():
        with stop_on_signal():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

    assert run(command) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_ignored_stays_ignored(number, monkeypatch):
    """As by nohup, or in the background of a script."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert run(lambda: signal.raise_signal(number)) == 0
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_when_python_ends_the_status_is_decided(number):
    code = ("import atexit, signal, sys; from tinyalex.support.cli import run\n"
            f"atexit.register(signal.raise_signal, {int(number)}); sys.exit(run(lambda: 1))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_ctrl_c_while_python_imports_what_a_command_needs_is_no_traceback(tmp_path):
    (tmp_path / "numpy.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    done = subprocess.run([sys.executable, "-m", "tinyalex.train"], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "\ninterrupted\n")
