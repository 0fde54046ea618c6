"""Numbers and tables as text."""

import contextlib
import json
import math
import shlex
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def megabytes(size: float) -> str:
    """ "12.3 MB" (of 10^6 bytes)."""
    return f"{size / 1e6:,.1f} MB"


def plural(count: float, noun: str) -> str:
    """ "1 epoch", "0.2 epochs", "1,000 epochs", "2 batches"."""
    ending = "es" if noun.endswith(("s", "tch")) else "s"
    return f"{count:,}".removesuffix(".0") + f" {noun}" + ending * (count != 1)


def shown(text: str) -> str:
    """A text that others wrote (a file's name, a class in a file), as one line that is safe to
    print: what would end the line, or turn a terminal red, is replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def composed(name: str) -> str:
    """A name with each accented letter as one character: macOS writes two, and means the same."""
    return unicodedata.normalize("NFC", name)


def say(*lines: str) -> None:
    """Print these lines, each of which stays one line, whatever others wrote in it; see `shown`."""
    print(*map(shown, lines), sep="\n", flush=True)


def note(line: str) -> None:
    """Say a line on stderr, beside the result."""
    print(shown(line), file=sys.stderr, flush=True)


def tell(line: str) -> None:
    """Say a line on stderr to whoever waits at a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        note(line)


def warn(line: str) -> None:
    """Say on stderr, in a line, what failed without costing the result."""
    note(f"warning: {line}")


@contextlib.contextmanager
def stdout_free(wanted: bool) -> Iterator[None]:
    """What this block prints goes to stderr, if stdout is `wanted` for JSON alone."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


def print_json(document: Any) -> None:
    """Print a document for other programs, on one line. A number that is none, or infinite, is
    null; letters beyond ASCII are escaped, so every stream takes them."""
    print(json.dumps(_with_null(document)), flush=True)


def _with_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_null(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [*map(_with_null, value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def command(module: str, *arguments: object) -> str:
    """How to run a command of the package, to be pasted into a shell as it is. A path that begins
    with a dash would be a flag there, and is written as ./-runs."""
    words = [f"./{word}" if isinstance(word, Path) and f"{word}".startswith("-") else str(word)
             for word in arguments]
    return shlex.join(["python", "-m", f"tinyalex.{module}", *words])


def align(rows: Sequence[tuple[str, ...]], left: int = 1, total: bool = True) -> str:
    """Rows of texts below each other, the first of them the head, the last the total if there is
    one; the first `left` columns at their left edge, the others at their right."""
    rows = [tuple(map(shown, row)) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(w) if i < left else cell.rjust(w)
                 for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, rule := "─" * max(map(len, lines)))
    if total:
        lines.insert(-1, rule)
    return "\n".join(lines)
