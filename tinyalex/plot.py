"""python -m tinyalex.plot: how several runs went, in one picture; see --help."""

import sys
from pathlib import Path

from tinyalex import drawing
from tinyalex.run.folder import Run
from tinyalex.run.live import logs
from tinyalex.support.cli import ArgumentParser, add_picture, number, output, run
from tinyalex.support.text import align


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.plot`; argv without the program's name."""
    args = _parse(argv)
    rows = logs([Run.open(folder) for folder in args.runs])
    figure = drawing.compare(rows, args.what, args.reach if args.what == "error" else None)
    print(f"{_table(rows, args.reach)}\n")
    add_picture(args.out, args.runs[0] / "compare.png", lambda path: drawing.save(figure, path))
    return 0


def _parse(argv):
    parser = ArgumentParser(
        prog="python -m tinyalex.plot",
        description="Draw the curves of several runs in one picture, against epochs and against "
                    "time (figure 1 of the paper), and say how far each got.")
    add = parser.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    add("--what", choices=list(drawing.MEASURES), default="error", help="what to draw")
    add("--reach", type=number(float, 0, 100), metavar="PERCENT", help="say when each run's "
        "training error first reached this, as the paper does with 25")
    add("--out", type=output(".png"), metavar="PNG", help="where to draw it; compare.png in "
        "the first run's folder if not given")
    return parser.parse_args(argv)


def _table(runs: dict[str, list[dict]], reach: float | None) -> str:
    """A line for each run: how far it got, and when it reached a training error of `reach` %."""
    lines = [("run", "epochs", "time", "train error", "val error", "best", "at epoch",
              *([] if reach is None else [f"{reach:g} % in training at"]))]
    for name, rows in runs.items():
        ended = [row for row in rows if row.get("val_error") is not None]
        best = min(ended, key=lambda row: row["val_error"], default={})
        last, seconds = (ended or [{}])[-1], (rows or [{}])[-1].get("seconds")
        lines.append((name, _as(last.get("epoch"), "g"), _clock(seconds),
                      _as(last.get("train_error"), ".2%"), _as(last.get("val_error"), ".2%"),
                      _as(best.get("val_error"), ".2%"), _as(best.get("epoch"), "g"),
                      *([] if reach is None else [_reached(rows, reach / 100)])))
    return align(lines, total=False)


def _reached(rows: list[dict], error: float) -> str:
    """When the training error was this low for the first time."""
    for row in drawing.training_rows(rows):
        if row.get("train_error") is not None and row["train_error"] <= error:
            return f"epoch {row['epoch']:g}, {_clock(row.get('seconds'))}"
    return "never"


def _as(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


if __name__ == "__main__":
    sys.exit(run(main))
