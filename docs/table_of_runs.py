"""Experiments of many runs, as docs/transfer.py and docs/large_batches.py make them: a table with a
line for each training by `python -m tinyalex.train`.

What is in the file is not trained again, so such a script can be stopped at any time, and called
again.
"""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from tinyalex.support.files import replacing

Rows = dict[tuple, float]


class Table:
    """The file `path`. columns: of what tells runs apart, by name and type. result: the name of the
    last column, what a run came to."""

    def __init__(self, path: Path, columns: dict[str, type], result: str):
        self.path, self.columns, self.result = path, columns, result

    def read(self) -> Rows:
        """The result of each training that is done."""
        if not self.path.exists():
            return {}
        with open(self.path, encoding="utf-8", newline="") as file:
            return {tuple(kind(row[name]) for name, kind in self.columns.items()):
                    float(row[self.result]) for row in csv.DictReader(file)}

    def write(self, rows: Rows) -> None:
        with replacing(self.path) as part, open(part, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*self.columns, self.result])
            writer.writerows([*key, f"{rows[key]:.4f}"] for key in sorted(rows))

    def complete(self, keys: Iterable[tuple], trained: Callable[..., float]) -> Rows:
        """All results: what is missing is trained, and written at once."""
        rows = self.read()
        for key in keys:
            if key not in rows:
                rows[key] = trained(*key)
                self.write(rows)
                said = ", ".join(f"{name} {value}" for name, value in
                                 zip(self.columns, key, strict=True))
                print(f"{said}: {rows[key]:.2%}", flush=True)
        return rows


def last_error(out: Path) -> float:
    """The validation error after the last epoch of the run in this folder, whose weights go."""
    with open(out / "log.csv", encoding="utf-8") as file:
        *_, last = csv.DictReader(file)
    (out / "checkpoint.npz").unlink()
    return float(last["val_error"])
