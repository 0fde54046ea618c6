"""Whether workers have the same program and the same data."""

from collections.abc import Sequence

import numpy as np

import tinyalex
from tinyalex.support.errors import UserError
from tinyalex.world import World


def expect_same(world: World, classes: Sequence[str], mine: dict[str, object]) -> None:
    """UserError where what this worker has (JSON can hold it), or its version of the program, is
    not the same as worker 0's."""
    mine = {"the version": [tinyalex.__version__, np.__version__], "the classes": [*classes]} | mine
    first, *others = world.share([world.host, mine])
    for rank, (host, theirs) in enumerate(others, 1):
        for what, value in theirs.items():
            if value != first[1][what]:
                raise UserError(f"worker {rank} on {host}: {what} ({_short(value)}) are not those "
                                f"of worker 0 on {first[0]} ({_short(first[1][what])})",
                                "all workers need the same program and the same data.")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 100 else text[:97] + "…"
