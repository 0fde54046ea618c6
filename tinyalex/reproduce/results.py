"""The result of a run: a small CSV that is kept with the project, and the numbers taken from it.

    # run: mini-0                what it was, and what made it
    # code: 0f3a…
    epoch,lr,train_loss,…        a row at the end of each epoch; the last one has more columns,
                                 what was measured of the trained network: see measures.py
"""

import ast
import csv
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import log, nan
from pathlib import Path

import tinyalex
from tinyalex.support import reading
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing

# The parts of the package that decide how a run goes: a result made by other code says so.
DECIDING = ("architectures", "data", "devices", "exchange.py", "kernels", "large_batches.py",
            "layers", "network.py", "optim.py", "run", "training.py")
COLUMNS = ("epoch", "step", "lr", "train_loss", "train_error", "val_loss", "val_error", "seconds",
           "colour_a", "colour_b")


@dataclass(frozen=True)
class Result:
    """about: of the run, by name. rows: of each epoch what was measured, by column."""

    about: dict[str, str]
    rows: list[dict[str, float]]

    @property
    def end(self) -> dict[str, float]:
        return self.rows[-1]

    @property
    def hours(self) -> float:
        return self.end["seconds"] / 3600


def code(package: Path = Path(tinyalex.__file__).parent) -> str:
    """A digest of the package's files that decide how a run goes: of what Python makes of them,
    whatever docstrings and comments say."""
    digest = hashlib.sha256()
    for name in DECIDING:
        for path in sorted((package / name).rglob("*.py")) or [package / name]:
            tree = ast.parse(path.read_bytes())
            digest.update((path.relative_to(package).as_posix() + _shape(tree)).encode())
    return digest.hexdigest()[:12]


def _shape(node: object) -> str:
    """A syntax tree as text. What is empty is left out: which fields there are at all depends on
    Python's version."""
    if isinstance(node, list):
        return f"[{' '.join(_shape(part) for part in node if not _is_docstring(part))}]"
    if isinstance(node, ast.JoinedStr):  # in which Python 3.12 finds empty texts
        return _shape([part for part in node.values
                       if not isinstance(part, ast.Constant) or part.value])
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = [f"{name}={_shape(value)}" for name, value in ast.iter_fields(node)
             if value is not None and value != []]
    return f"{type(node).__name__}({' '.join(parts)})"


def _is_docstring(node: object) -> bool:
    return (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str))


def write(path: Path, result: Result):
    """Write a result, in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = dict.fromkeys([*COLUMNS, *result.end])
    with replacing(path, suffix=".csv") as part, open(part, "w", newline="",
                                                      encoding="utf-8") as file:
        file.writelines(f"# {key}: {value}\n" for key, value in result.about.items())
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(result.rows)


def read(path: Path) -> Result:
    """A result; UserError where the file is damaged."""
    try:
        lines = reading.text(path, blank=True).splitlines()
        heads = [line[2:].split(": ", 1) for line in lines if line.startswith("# ")]
        rows = [{key: float(text) for key, text in row.items() if text}
                for row in csv.DictReader(line for line in lines if not line.startswith("# "))]
        if not rows or not {"epoch", "train_error", "val_error", "seconds"} <= rows[-1].keys():
            raise ValueError("there is no finished epoch in it")
        return Result(dict(heads), rows)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a result, or a damaged one ({error})",
                        "remove it: the next run makes it again.") from None


def read_all(folder: Path) -> dict[str, Result]:
    """All results of a folder, by the names of their runs."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.csv"))}


def _last(column: str, factor: float = 100) -> Callable[[Result], float]:
    return lambda result: factor * result.end[column]


def epochs_to(rows: Iterable[dict[str, float]], level: float) -> float:
    """The epoch at which the training error came down to `level` (a share), between two epochs on
    the line that joins them; the last epoch where it never did."""
    before = None
    for row in rows:
        if row["train_error"] <= level:
            if before is None:
                return row["epoch"]
            fall = (before["train_error"] - level) / (before["train_error"] - row["train_error"])
            return before["epoch"] + fall * (row["epoch"] - before["epoch"])
        before = row
    return before["epoch"] if before else nan


# What is compared: a number of a result, by what to call it; KeyError where it has none. "factor":
# of logarithms.
OUTCOMES: dict[str, Callable[[Result], float]] = {
    "validation error": _last("val_error"),
    "training error": _last("still_error"),
    "validation minus training error":
        lambda result: 100 * (result.end["val_error"] - result.end["still_error"]),
    "error of ten patches": _last("ten_crop_error"),
    "error of two nets together": _last("together_error"),
    "mean error of the two alone": _last("alone_error"),
    "error of five nets together": _last("five_error"),
    "mean error of the five alone": _last("five_alone"),
    "neighbours of the same class by fc7": _last("near_fc7"),
    "neighbours of the same class by pixels": _last("near_pixels"),
    "difference of the towers": _last("colour_split"),
    "the same of kernels dealt out at random": _last("colour_chance"),
    "training loss after two epochs": lambda result: result.rows[1]["train_loss"],
    "validation error after two epochs": lambda result: 100 * result.rows[1]["val_error"],
    "training loss before the drop": _last("loss_before_drop", 1),
    "training loss after the drop": _last("loss_after_drop", 1),
    "factor in epochs to 25 % training error": lambda result: log(epochs_to(result.rows, 0.25)),
    "factor from conv1's activities to fc7's at the start": lambda result: log(
        result.end["activity_fc7_at_start"] / result.end["activity_conv1_at_start"]),
    "factor from conv1's activities to fc7's at the end": lambda result: log(
        result.end["activity_fc7"] / result.end["activity_conv1"]),
    "factor in gradient beside weight in conv1 at the start":
        lambda result: log(result.end["gradient_conv1_at_start"]),
}
