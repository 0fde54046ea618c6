"""Text and JSON that others wrote: no more is read of a file than can be in it."""

import json
from pathlib import Path
from typing import Any

from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError
from tinyalex.support.files import expect_content, expect_regular
from tinyalex.support.text import megabytes

MOST = 16_000_000  # bytes of a list of classes, or of JSON


def content(path: Path, most: int = MOST, blank: bool = False) -> bytes:
    """All bytes of a file. UserError where there is no such file, there are more than `most`, or,
    unless it may be `blank`, none."""
    (expect_regular if blank else expect_content)(path)
    if path.stat().st_size > most:
        raise UserError(f"{path}: larger than {megabytes(most)}, so it is something else",
                        "check which file it is.")
    return path.read_bytes()


def text(path: Path, most: int = MOST, blank: bool = False) -> str:
    """A text file, without its byte order mark. UserError as above; UnicodeDecodeError where it is
    not UTF-8."""
    return content(path, most, blank).decode("utf-8-sig")


def parse(written: str | bytes) -> Any:
    """What JSON says; Damaged where it is none, or none that can be read."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError) as error:  # recursion: [[[[[[…
        raise Damaged(f"not JSON: {error}") from None


def record(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Damaged where it holds something else; UserError as
    above."""
    if not (written := content(path, blank=True)):
        raise Damaged("the file is empty")
    found = parse(written)
    if not isinstance(found, dict):
        raise Damaged(f"a JSON {type(found).__name__}, where an object is expected")
    return found
