"""Run learners' code with an eye on the clock and on what it prints, and find their own lines.

In the browser's Python there are no threads: there nobody watches the clock.
"""

import contextlib
import ctypes
import io
import linecache
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

SHOWN = 2000  # characters; a check calls forward some hundred times

_NOT_THEIRS = (os.path.dirname(os.path.dirname(__file__)) + os.sep, os.path.dirname(os.__file__))


def _theirs(filename: str) -> bool:
    """Whether a file is neither this package, nor Python's, nor NumPy or another library."""
    return not filename.startswith((*_NOT_THEIRS, "<frozen")) and "-packages" not in filename


def place_in(frames: traceback.StackSummary) -> traceback.FrameSummary | None:
    """The learner's own line in a stack, the innermost."""
    return next((f for f in reversed(frames) if f.line and _theirs(f.filename)), None)


def watched(work: Callable[[], Any], seconds: float) -> Any:
    """What work() gives, or in a sentence why it was stopped after this many seconds."""
    results: list = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    printed = _Beginning(sys.stdout or io.StringIO())
    # Redirecting is for the whole process, so of several checks at once none may do it.
    alone = threading.current_thread() is threading.main_thread()
    with contextlib.redirect_stdout(printed) if alone else contextlib.nullcontext():
        try:
            thread.start()
        except RuntimeError:  # a Python without threads: the browser's
            results.append(work())
        else:
            thread.join(seconds / 2)
            halfway = _calls(thread)
            thread.join(seconds / 2)
            results = results or [_left(thread, halfway, seconds)]
    if printed.dropped:
        print(f"\n… and {printed.dropped:,} more characters: forward is called for every slope, "
              "so print in the first call only")
    return results[0]


def _left(thread: threading.Thread, halfway: list[FrameType], seconds: float) -> str:
    """Why a thread was stopped; and its end, unless it is inside NumPy."""
    calls, where = _calls(thread), ""
    for frame in calls[:1]:
        code, line = frame.f_code, frame.f_lineno
        text = linecache.getline(code.co_filename, line).strip()
        where = f" It is in {code.co_name}, line {line}: {text}"
    # What Python does to a thread that is to end; it arrives at the next line of Python.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0),
                                               ctypes.py_object(SystemExit))
    thread.join(1)
    if calls and calls[-1:] == halfway[-1:]:  # the same call, from the check's side
        return (f"does not end: one call has not returned within {seconds / 2:g} s; is there an "
                f"endless loop?{where}")
    return (f"too slow: its calls end, but {seconds:g} s are not enough for the hundreds that a "
            "check makes, on small arrays. HINT: whole arrays instead of loops, or "
            f"gradcheck.check(…, seconds={10 * seconds:g}).{where}")


def _calls(thread: threading.Thread) -> list[FrameType]:
    """The learner's calls that a thread is in, the innermost first: the same objects as long as
    they last."""
    frame = sys._current_frames().get(thread.ident or 0)
    return [f for f, _ in traceback.walk_stack(frame) if _theirs(f.f_code.co_filename)] if (
        frame) else []


class _Beginning:
    """A stream that lets only the first characters through."""

    def __init__(self, stream: Any):
        self.stream, self.left, self.dropped = stream, SHOWN, 0

    def write(self, text: str) -> int:
        shown = text[:self.left]
        self.left, self.dropped = self.left - len(shown), self.dropped + len(text) - len(shown)
        self.stream.write(shown)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
