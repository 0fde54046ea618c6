"""Ctrl-C ends a run between two steps, so that nothing is lost; so do `kill` and a hangup."""

import contextlib
import signal
from collections.abc import Iterator

from tinyalex.support.signals import Interrupted, handling


class Stopped(Exception):
    """A signal asked the run to stop, and the step that was under way is done."""


class Stopping:
    """Which signal has asked the run to stop, if one has."""

    signal: int | None = None

    def check(self) -> None:
        """Raise Stopped if the run is to stop: for places where nothing is half-done."""
        if self.signal is not None:
            raise Stopped


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Stopping]:
    """Holds Ctrl-C, SIGTERM and SIGHUP while the block runs, until somebody looks.

    A Ctrl-C after the first signal interrupts at once; SIGTERM and SIGHUP never do, since systems
    send them several times.
    """
    stopping = Stopping()

    def stop(number, frame):
        # Nothing is printed here: Python may be in the middle of a print, and the reader gone.
        if number == signal.SIGINT and stopping.signal is not None:
            raise Interrupted(stopping.signal)
        stopping.signal = number

    with handling(stop):
        yield stopping
