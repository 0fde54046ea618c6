"""Ctrl-C, `kill` and a closed terminal: three signals that ask a command to end."""

import atexit
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """A signal, of this number, asked the command to end."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


@contextlib.contextmanager
def handling(handler: Callable[[int, FrameType | None], Any], *more: int) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP (and `more`) call `handler` while the block runs. One that is
    ignored, as `nohup` has it, stays so; outside the main thread all stay as they are."""
    hangup = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in {signal.SIGINT, signal.SIGTERM, hangup, *more}:
                if (old := signal.getsignal(number)) is not signal.SIG_IGN:
                    before[number] = old
                    signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


class Asked:
    """number: of the first signal that came. over: what else comes is too late to change anything.
    again: whether a clock may be running that raises it once more.
    """

    number: int | None = None
    over = again = False


@contextlib.contextmanager
def interrupting() -> Iterator[Asked]:
    """Each of the three signals interrupts the block: SIGTERM and SIGHUP once, since systems send
    them several times, Ctrl-C whenever it comes. For commands, whose process ends with the block.

    What is raised while Python tidies up (in a `__del__`, a generator that nobody needs any more)
    reaches nobody: Python prints it and goes on. Here it is raised once more, a moment later.
    """
    asked, alarm = Asked(), getattr(signal, "SIGALRM", 0)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if asked.over or (asked.number and number not in (signal.SIGINT, alarm)):
            return
        asked.number = asked.number or (signal.SIGINT if number == alarm else number)
        raise Interrupted(asked.number)

    def unheard(lost: Any) -> None:
        if alarm and issubclass(lost.exc_type, KeyboardInterrupt):
            asked.again = True
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        else:
            hook(lost)

    hook = sys.unraisablehook
    try:
        with handling(interrupt, *filter(None, [alarm])):
            sys.unraisablehook = unheard
            try:
                yield asked
            finally:
                sys.unraisablehook = hook
                if asked.again:  # behind the block, the alarm would kill the process
                    signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        atexit.unregister(_ignore)  # so that it is the first of all
        atexit.register(_ignore)


def _ignore() -> None:
    """Python is about to end, which takes a moment, and its status is decided."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
