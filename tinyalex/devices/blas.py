"""BLAS, which multiplies matrices for NumPy, and its threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

_limited = threading.Lock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """In this block BLAS keeps to one thread a call, in the whole process.

    The cores belong to the devices; BLAS threads of many callers, or of many small products, only
    wait for each other. Blocks may nest and overlap: the first sets the limit and, at its end,
    restores what was there before; the others share it as long as the first lasts.
    """
    if not _limited.acquire(blocking=False):
        yield
        return
    before = [library.num_threads for library in _libraries()]
    try:
        _set([1] * len(before))
        yield
    finally:
        _set(before)
        _limited.release()


def _set(threads: list[int]):
    for library, count in zip(_libraries(), threads, strict=True):
        library.set_num_threads(count)


@cache
def _libraries() -> list:
    return ThreadpoolController().select(user_api="blas").lib_controllers
