"""Figures as text, and the one kind of CSV for all that is measured."""

import csv
from collections.abc import Iterable
from pathlib import Path

from tinyalex.bench.timing import Seconds, Spread
from tinyalex.support.files import replacing

COLUMNS = ("name", "pass", "quantity", "unit", "median", "lowest", "highest")
Row = tuple[str | float, ...]


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.{1 if seconds >= 0.01 else 2}f}"


def with_spread(spread: Spread, digits: int | None = None) -> str:
    """ "16.2 (15.1–17.0)": the median, the lowest and the highest."""
    if digits is None:
        digits = 0 if spread.median >= 1000 else 1
    return "{:,.{d}f} ({:,.{d}f}–{:,.{d}f})".format(
        spread.median, spread.low, spread.high, d=digits)


def rate(seconds: list[float]) -> Spread:
    """Pictures a second."""
    return Spread.of(1 / spent for spent in seconds)


def speed_cells(seconds: list[float], pictures: int = 1) -> tuple[str, str]:
    """Milliseconds that so many pictures take, and pictures a second."""
    return milliseconds(pictures * Spread.of(seconds).median), with_spread(rate(seconds))


def speed_rows(seconds: Seconds) -> list[Row]:
    """Rows of COLUMNS: how long each contender takes, and how fast it is."""
    rows = [row(*key, "time a picture", "ms", Spread.of(spent), 1000)
            for key, spent in seconds.items()]
    return rows + [row(*key, "speed", "images/s", rate(spent)) for key, spent in seconds.items()]


def row(name: str, part: str, quantity: str, unit: str, spread: Spread | float,
        times: float = 1) -> Row:
    """A row of COLUMNS: all of it multiplied by `times`."""
    if not isinstance(spread, Spread):
        spread = Spread.of([spread])
    figures = (spread.median, spread.low, spread.high)
    return name, part, quantity, unit, *(times * figure for figure in figures)


def write_csv(path: Path | None, rows: Iterable[Row], columns: tuple[str, ...] = COLUMNS):
    """The rows as CSV, numbers to six digits, and a line that says so; nothing without a path."""
    if path is None:
        return
    with replacing(path) as part, open(part, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([[f"{value:.6g}" if isinstance(value, float) else value for value in row]
                          for row in rows])
    print(f"all figures: {path}")
