"""The curves of runs that are under way. In a notebook

    from tinyalex.run.live import live
    live("runs/tiny-1", "runs/tiny-2")

draws them below the cell, and again whenever a log has grown, until all of the runs are done.
"""

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyalex import drawing
from tinyalex.run.folder import Run
from tinyalex.support.errors import UserError


def logs(runs: Sequence[Run]) -> dict[str, list[dict]]:
    """The logs by the names of the folders; by their whole paths where two are called alike."""
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [str(run.folder) for run in runs]
    return {name: run.rows() for name, run in zip(names, runs, strict=True)}


class LiveCurves:
    """The curves of runs in the output of a notebook's cell, redrawn in the same place.

    folders: of the runs. what: one of drawing.MEASURES. Raises UserError where there is no run, and
    outside of Jupyter's reach, where IPython is not installed.
    """

    def __init__(self, *folders: str | Path, what: str = "error"):
        self.runs = [Run.open(Path(folder)) for folder in folders]
        self.measure = what
        self.handle: Any = None  # IPython's, of what is on the screen
        self.drawn: dict[str, list[dict]] = {}  # the rows of the runs, as they are on the screen

    def update(self, row: dict | None = None) -> None:
        """Draw the curves if a log has grown. row is not read: so that `update` may be what
        `Trainer.train` reports to."""
        try:
            from IPython.display import Image, display
        except ImportError:
            raise UserError("live curves need IPython", "pip install jupyter, or draw a PNG with "
                            "python -m tinyalex.plot.") from None
        rows = logs(self.runs)
        if rows == self.drawn or not any(rows.values()):
            return
        self.drawn, file = rows, io.BytesIO()
        drawing.png(drawing.compare(rows, self.measure), file, drawing.DPI * 2 / 3)
        image = Image(file.getvalue())
        if self.handle is None:
            self.handle = display(image, display_id=True)
        else:
            self.handle.update(image)

    def done(self) -> bool:
        """Whether all runs have finished their last epoch."""
        return all(any(row["epoch"] == run.recipe.epochs and row["val_error"] is not None
                       for row in run.rows()) for run in self.runs)

    def watch(self, every: float = 2.0) -> None:
        """Keep drawing, with a look every this many seconds, until all runs are done, or the cell
        is interrupted."""
        try:
            while True:
                done = self.done()  # before the last look, or the last row could be missed
                self.update()
                if done:
                    return
                time.sleep(every)
        except KeyboardInterrupt:
            return


def live(*folders: str | Path, what: str = "error", every: float = 2.0) -> None:
    """Watch runs that are under way, in a notebook; see LiveCurves."""
    LiveCurves(*folders, what=what).watch(every)
