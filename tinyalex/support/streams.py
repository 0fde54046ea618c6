"""stdout and stderr as they may be: in another alphabet, closed, or without anybody who reads."""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

PLAIN = {"×": "x", "·": "*", "÷": "/", "−": "-", "–": "-", "─": "-", "±": "+-", "…": "...",
         "→": "->", "←": "<-", "√": "sqrt ", "²": "^2", "₁": "1", "α": "alpha", "λ": "lambda",
         "µ": "u"}


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Our symbols in characters that every alphabet has; any other as a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, "?") for sign in missing), error.end


codecs.register_error("tinyalex", _plainly)


def prepare() -> None:
    """Make stdout and stderr take any text. One that is closed sends it nowhere; being open, it
    also keeps its number from the next file, which would get what C libraries print."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="tinyalex")


def finish() -> None:
    """Leave nothing to be flushed when Python ends, where an error would be noise."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            to_nowhere(stream)


def is_stuck(stream: TextIO) -> bool:
    """Whether what was written there cannot leave: the disk that it goes to is full."""
    try:
        stream.flush()
    except OSError:
        return True
    return False


def to_nowhere(stream: TextIO) -> None:
    """From now on nobody gets what is written, and what is still to be flushed."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class Unheard:
    """A stream that goes nowhere when its reader has left (| head, a terminal that was closed),
    or the disk that it is written to is full."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._going_on():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._going_on():
            self._stream.flush()

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            to_nowhere(self._stream)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Work in this block goes on whether or not anybody reads what it prints."""
    with contextlib.redirect_stdout(Unheard(sys.stdout)), \
            contextlib.redirect_stderr(Unheard(sys.stderr)):
        yield
