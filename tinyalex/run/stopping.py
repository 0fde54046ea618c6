"""Ctrl-C ends a run between two steps, so that nothing is lost."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


class Stopped(Exception):
    """Ctrl-C was pressed, and the step that was under way is done."""


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C (or SIGTERM) sets, so that a step is finished before the run stops.

    A second Ctrl-C interrupts at once. Outside the main thread signals stay as they are.
    """
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def stop(number, frame):
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()
        print("\nstopping after this step; Ctrl-C again stops at once and saves nothing",
              file=sys.stderr, flush=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
