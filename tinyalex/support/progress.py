"""Progress bars: on stderr, only where that is a terminal, and gone once they are done."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

from tinyalex.support.text import shown

T = TypeVar("T")

tqdm.monitor_interval = 0  # no thread to watch over bars: not every Python can start one


def progress(iterable: Iterable[T] | None = None, title: str = "", total: int | None = None,
             unit: str = "it", **more: bool | float) -> "tqdm[T]":
    """The iterable, with a bar that says how far it is and how many `unit` a second go by.

    Without an iterable: a bar for a `with` block, which calls its `update`. total: how many there
    will be, where the iterable has no length. more: of tqdm's options, for the few that need one.
    """
    return tqdm(iterable, shown(title), total, unit=unit, disable=None, leave=False, **_size(),
                **more)


def _size() -> dict[str, int]:
    """tqdm's options for a terminal that says it has no rows or columns, where it would draw
    nothing."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # no terminal, or no file at all
        return {}
    return {} if all(size) else {"ncols": 79, "nrows": 24}
