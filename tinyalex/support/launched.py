"""What mpiexec and its like tell the processes that they start, before any MPI is asked."""

import os
import time

from tinyalex.support.errors import UserError

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
GRACE = 1.0  # seconds that the others leave worker 0 to say what is wrong with all of them


def processes() -> int:
    """How many were started together with this one, which is counted too."""
    return max(1, _largest(SIZES))


def expect_one(command: str) -> None:
    """UserError where a command that works alone was started several times over: all would do the
    same, and write the same files. One of them says so."""
    if (count := processes()) > 1:
        if _largest(RANKS):
            time.sleep(GRACE)
            raise SystemExit(2)
        raise UserError(f"{command}: started as {count} processes, and it works alone",
                        "start it without mpiexec; train and evaluate share their work.")


def _largest(names: tuple[str, ...]) -> int:
    said = [os.environ.get(name, "") for name in names]
    return max([0, *(int(number) for number in said if number.isdecimal())])
