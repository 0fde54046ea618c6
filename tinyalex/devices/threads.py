"""Threads to share work with, on systems that can start some and on others."""

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tinyalex.devices.base import Ready, Result


class Threads:
    """`count` threads, which live until `shutdown`.

    Without threads the caller does at once what it submits, with the same results: where none were
    asked for, where the system has none to give, and in the child of a fork, which has its parent's
    memory but not its threads.
    """

    def __init__(self, count: int, name: str):
        self._process = os.getpid()
        self._pool = ThreadPoolExecutor(count, name) if count else None
        if self._pool:
            all_started = Barrier(count + 1)
            try:
                for _ in range(count):
                    self._pool.submit(all_started.wait)
                all_started.wait()
            except RuntimeError:  # can't start new thread
                self._pool = None
            finally:  # also where this is interrupted: nobody may wait for the rest for ever
                all_started.abort()

    def submit(self, work: Callable, *args) -> Result:
        """Start work(*args)."""
        if pool := self._here():
            return pool.submit(work, *args)
        return Ready(work(*args))

    def map(self, work: Callable, *arguments: Iterable) -> Iterator:
        """What `map` gives, worked out by all threads."""
        pool = self._here()
        return pool.map(work, *arguments) if pool else map(work, *arguments)

    def shutdown(self) -> None:
        """Wait for what has begun, forget the rest, and end the threads."""
        if pool := self._here():
            pool.shutdown(cancel_futures=True)

    def _here(self) -> ThreadPoolExecutor | None:
        return self._pool if self._process == os.getpid() else None


def python_version() -> str:
    """ "3.13.0", or "3.13.0, free-threaded" where threads do not share Python's lock (PEP 703)."""
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    return platform.python_version() + ", free-threaded" * (not locked)
