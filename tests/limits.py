"""What files of others must not take."""

import contextlib
import tracemalloc
from collections.abc import Iterator


@contextlib.contextmanager
def memory(most: float) -> Iterator[None]:
    """What Python takes in the block stays below so many bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
