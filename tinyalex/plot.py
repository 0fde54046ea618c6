"""python -m tinyalex.plot: how several runs went, in one picture; see --help. And, in a notebook,

    from tinyalex.plot import live
    live("runs/tiny-1", "runs/tiny-2")

draws the same below the cell, and again whenever a log has grown, until all of the runs are done.
"""

import io
import sys
import time
from pathlib import Path

from tinyalex import drawing
from tinyalex.run.folder import Run
from tinyalex.support.cli import ArgumentParser, number, png_path, run
from tinyalex.support.errors import UserError
from tinyalex.support.text import align


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.plot`; argv without the programme's name."""
    args = _parse(argv)
    runs = [Run.open(folder) for folder in args.runs]
    rows = _rows(runs)
    figure = drawing.compare(rows, args.what, args.reach if args.what == "error" else None)
    out = args.out or args.runs[0] / "compare.png"
    drawing.save(figure, out)
    print(_table(rows, args.reach))
    print(f"\nas a picture: {out}")
    return 0


def _parse(argv):
    parser = ArgumentParser(
        prog="python -m tinyalex.plot",
        description="Draw the curves of several runs in one picture, against epochs and against "
                    "time (figure 1 of the paper), and say how far each came.")
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    add("--what", choices=list(drawing.MEASURES), default="error", help="what to draw")
    add("--reach", type=number(float, 0, 100), metavar="PERCENT", help="say when each run's "
        "training error first reached this, as the paper does with 25")
    add("--out", type=png_path, metavar="PNG", help="where to draw it; compare.png in the first "
        "run's folder if not given")
    return parser.parse_args(argv)


def _rows(runs: list[Run]) -> dict[str, list[dict]]:
    """The logs by the names of the folders; by their whole paths where two are called alike."""
    names = [one.folder.resolve().name for one in runs]
    if len(set(names)) < len(names):
        names = [str(one.folder) for one in runs]
    return {name: one.rows() for name, one in zip(names, runs, strict=True)}


def _table(runs: dict[str, list[dict]], reach: float | None) -> str:
    """A line for each run: how far it came, and when it reached a training error of `reach` %."""
    head = ["run", "epochs", "time", "train error", "val error", "best", "at epoch"]
    lines = [(*head, f"{reach:g} % in training at") if reach is not None else tuple(head)]
    for name, rows in runs.items():
        ended = [row for row in rows if row.get("val_error") is not None]
        best = min(ended, key=lambda row: row["val_error"], default={})
        last, time_of = (ended or [{}])[-1], (rows or [{}])[-1].get("seconds")
        line = [name, _as(last.get("epoch"), "g"), _clock(time_of),
                _as(last.get("train_error"), ".2%"), _as(last.get("val_error"), ".2%"),
                _as(best.get("val_error"), ".2%"), _as(best.get("epoch"), "g")]
        if reach is not None:
            at = next((row for row in drawing.training_rows(rows)
                       if row.get("train_error") is not None
                       and row["train_error"] <= reach / 100), None)
            line.append(f"epoch {at['epoch']:g}, {_clock(at.get('seconds'))}" if at else "never")
        lines.append(tuple(line))
    return align(lines, total=False)


def _as(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


class LiveCurves:
    """The curves of runs in the output of a notebook's cell, drawn anew in the same place.

    folders: of the runs. what: one of drawing.MEASURES. Raises UserError where there is no run, and
    outside of Jupyter's reach, where IPython is not installed.
    """

    def __init__(self, *folders: str | Path, what: str = "error"):
        self.runs = [Run.open(Path(folder)) for folder in folders]
        self.what, self.seen, self.handle = what, None, None

    def update(self, row: dict | None = None):
        """Draw the curves if a log has grown. row is not read: so that `update` may be what
        `Trainer.train` reports to."""
        try:
            from IPython.display import Image, display
        except ImportError:
            raise UserError("live curves need IPython", "pip install jupyter, or draw a PNG with "
                            "python -m tinyalex.plot.") from None
        rows = _rows(self.runs)
        if rows == self.seen or not any(rows.values()):
            return
        self.seen, file = rows, io.BytesIO()
        drawing.compare(rows, self.what).savefig(file, format="png", dpi=drawing.DPI * 2 / 3)
        image = Image(file.getvalue())
        if self.handle is None:
            self.handle = display(image, display_id=True)
        else:
            self.handle.update(image)

    def done(self) -> bool:
        """Whether all runs have finished their last epoch."""
        return all(any(row["epoch"] == one.recipe.epochs and row["val_error"] is not None
                       for row in one.rows()) for one in self.runs)

    def watch(self, every: float = 2.0):
        """Go on drawing, a look every so many seconds, until all runs are done, or the cell is
        interrupted."""
        try:
            while True:
                done = self.done()  # before the last look, or the last row could be missed
                self.update()
                if done:
                    return
                time.sleep(every)
        except KeyboardInterrupt:
            return


def live(*folders: str | Path, what: str = "error", every: float = 2.0):
    """Watch runs that are under way, in a notebook; see LiveCurves."""
    LiveCurves(*folders, what=what).watch(every)


if __name__ == "__main__":
    sys.exit(run(main))
