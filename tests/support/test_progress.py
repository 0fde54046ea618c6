"""Progress bars: seen on a terminal, and nowhere else.

In a log file a bar is a line for each step; one that stays is in the way of what is printed next;
and tqdm starts a thread that watches over its bars, which not every Python can.
"""

import io
import os
import struct
import sys
import threading

import pytest
from tqdm import tqdm

from tinyalex.support.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stderr", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_a_bar_is_for_terminals_and_goes_when_it_is_done(monkeypatch, stderr, shown):
    monkeypatch.setattr(sys, "stderr", stderr())
    assert list(progress(iter("abc"), "reading", 3, "picture")) == ["a", "b", "c"]
    text = sys.stderr.getvalue()
    assert ("reading:   0%" in text and "picture/s" in text) == shown == bool(text)
    assert not text or text.rpartition("\r")[0].rpartition("\r")[2].strip() == ""


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (24, 60)])
def test_a_terminal_that_does_not_say_how_large_it_is_has_bars_too(monkeypatch, rows, columns):
    """Serial lines, `script` and some containers say 0×0, and tqdm drew nothing there."""
    import fcntl
    import termios

    terminal, ours = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    with open(ours, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        list(progress(range(3), "reading"))
    text = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "reading:   0%" in text and max(map(len, text.split("\r"))) < (columns or 80)


def test_a_title_does_not_speak_to_the_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    list(progress([1], "evaluating a\x1b[31m\nb"))
    assert "evaluating a\ufffd[31m\ufffdb:" in sys.stderr.getvalue()


def test_a_bar_starts_no_thread(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(tqdm, "monitor", None)  # that a bar of another test may have left
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread"))
    with progress(title="copying", total=2) as bar:
        bar.update(2)
