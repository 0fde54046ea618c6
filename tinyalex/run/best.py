"""The best epoch of a run: its checkpoint is kept as best.npz, if the recipe says so, and a run may
end when it has waited long enough for a better one.

log.csv alone says which epoch that is: a run that resumes forgets the rows after its checkpoint,
and starts from what was true then.
"""

import shutil
from itertools import takewhile

from tinyalex.run.folder import Run
from tinyalex.support.files import replacing

Row = dict[str, float | None]


def epochs(run: Run) -> list[Row]:
    """The rows of the log that end an epoch."""
    return [row for row in run.rows() if row["val_error"] is not None]


def best(rows: list[Row]) -> Row:
    """The row of the lowest validation error, the first of them if there are several."""
    return min(rows, key=lambda row: row["val_error"] or 0.0)


def keep(run: Run, step: int) -> None:
    """Copy the checkpoint, which is of this step, to best.npz if that was the end of the best epoch
    so far, and the recipe wants it.

    Only ever a copy of what is there as checkpoint.npz already: whenever the run is killed,
    best.npz is not of a later step than the checkpoint it resumes from.
    """
    rows = epochs(run) if run.recipe.keep == "best" else []
    if rows and best(rows) is rows[-1] and rows[-1]["step"] == step:
        with replacing(run.best) as part:
            shutil.copyfile(run.checkpoint, part)


def waited(run: Run) -> int:
    """How many epochs in a row, up to the last, had no lower error than the best before them. Where
    the learning rate changes, it starts again: a lower rate gets a chance of its own."""
    rows = epochs(run)
    since = rows[rows.index(best(rows)) + 1 :] if rows else []
    return len([*takewhile(lambda row: row["lr"] == since[-1]["lr"], reversed(since))])


def is_over(run: Run) -> bool:
    """Whether the run has waited as long as its recipe allows."""
    return 0 < run.recipe.patience <= waited(run)
