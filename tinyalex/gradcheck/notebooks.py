"""Grade the exercises in notebooks: run their cells, and collect what the checks say.

A notebook is a JSON file of cells, so no Jupyter is needed here. What a cell shows as its result
is kept where it is a report of `gradcheck.check`; a cell that raises becomes a report too.
Whoever grades other people's notebooks runs other people's code, as whoever opens them does.
"""

import ast
import contextlib
import io
import linecache
from collections.abc import Iterable
from pathlib import Path

from tinyalex.gradcheck.exercise import explained
from tinyalex.gradcheck.report import Report
from tinyalex.support import reading
from tinyalex.support.errors import UserError


def find(paths: Iterable[Path]) -> list[Path]:
    """The notebooks that these files and folders are, or hold. UserError where there is none."""
    all_notebooks = []
    for path in paths:
        here = sorted(path.glob("*.ipynb")) if path.is_dir() else [path] * path.is_file()
        if not here:
            raise UserError(f"{path}: no notebook here", "name .ipynb files, or folders with some.")
        all_notebooks += here
    return all_notebooks


def grade(path: Path) -> list[Report]:
    """The reports of one notebook's checks, in order. UserError where the file is no notebook."""
    reports, names = [], {"__name__": "__main__"}
    for number, source in enumerate(_code_cells(path), 1):
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                result = _run(source, f"<{path.name}, cell {number}>", names)
            except (Exception, SystemExit) as error:
                result = Report(f"cell {number}", problems=[explained(error)])
        if isinstance(result, Report):
            reports.append(result)
    return reports


def _code_cells(path: Path) -> list[str]:
    try:
        cells = reading.record(path)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        return ["".join(source) for source in sources]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a notebook ({error})", "name an .ipynb file.") from None


def _run(source: str, name: str, names: dict):
    """Run one cell; returns what its last line gives, as a notebook shows it."""
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in source.split("\n")]
    source = "\n".join(lines)
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    *body, last = ast.parse(source or "pass", name).body or [ast.Pass()]
    if not isinstance(last, ast.Expr):
        exec(compile(ast.Module([*body, last], []), name, "exec"), names)
        return None
    exec(compile(ast.Module(body, []), name, "exec"), names)
    return eval(compile(ast.Expression(last.value), name, "eval"), names)
