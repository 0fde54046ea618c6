"""ImageNet's development kit: which class its numbers mean, and what the classes are called.

Its meta.mat is a MATLAB 5 file: 128 bytes of header, then elements. An element is its kind and its
length, four bytes each, and its content, up to a multiple of eight bytes; content of up to four
bytes stands where the length would, which is then in the upper half of the kind. An array is an
element of elements: flags, shape, name, content. In a table the content is its columns' names, then
an array for each cell, row by row. So a page is enough to read it, where SciPy would be another
package, and a large one, for one file.
"""

import struct
import zlib
from collections.abc import Iterator

from tinyalex.support.arrays import Damaged

CLASSES = 1000  # the first; groups of them follow
MOST = 16_000_000  # bytes, packed or not; the real one has some two million
_ARRAY, _PACKED = 14, 15  # kinds of elements
_NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}
_TABLE, _TEXT = 2, 4  # kinds of arrays
_COLUMNS = ("ILSVRC2012_ID", "WNID", "words")


def synsets(content: bytes) -> dict[str, str]:
    """The words for each class, by its WNID, in the order of the kit's numbers, of which the first
    is 1. content: of meta.mat. Damaged where it is none.

    {"n01440764": "tench, Tinca tinca", …}
    """
    order = ">" if content[126:128] == b"MI" else "<"
    try:
        rows = [row for kind, element in _elements(content[128:], order, packed=True)
                if kind == _ARRAY for row in _table(element, order)]
    except (struct.error, zlib.error, ValueError, IndexError, KeyError) as error:
        raise Damaged(error) from None
    by_number = {row["ILSVRC2012_ID"]: row for row in rows}
    classes = [by_number[number] for number in range(1, CLASSES + 1) if number in by_number]
    words = {row["WNID"]: row["words"] for row in classes
             if isinstance(row["WNID"], str) and isinstance(row["words"], str)}
    if len(words) < CLASSES:
        raise Damaged(f"{len(words)} classes found in it, {CLASSES} expected")
    return words


def _elements(content: bytes, order: str, packed: bool = False) -> Iterator[tuple[int, bytes]]:
    """(kind, content) of each. packed: whether some may be, as they are outside all arrays."""
    at = 0
    while at + 8 <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, at)
        at += 8
        if kind > 0xFFFF:
            kind, length, at = kind & 0xFFFF, kind >> 16, at - 4
        element = content[at : at + length]
        if not kind or len(element) < length:
            raise ValueError("cut short")
        at += length
        if packed and kind == _PACKED:  # by zlib; there is no filling after it
            unpacked = zlib.decompressobj().decompress(element, MOST)
            yield from _elements(unpacked, order)
        else:
            yield kind, element
            at += -at % 8


def _table(array: bytes, order: str) -> Iterator[dict]:
    """The rows of a table that has the columns, which alone are read; of other arrays there are
    none."""
    (_, flags), (_, shape), _, *content = _elements(array, order)
    if _kind(flags, order) != _TABLE:
        return
    (_, width), (_, names), *cells = content
    (wide,) = struct.unpack(f"{order}I", width)
    columns = [names[i : i + wide].partition(b"\0")[0].decode()
               for i in range(0, len(names), max(wide, 1))]
    if not set(_COLUMNS) <= set(columns):
        return
    for first in range(0, len(cells) - len(columns) + 1, len(columns)):
        yield {name: _value(cells[first + columns.index(name)][1], order) for name in _COLUMNS}


def _value(array: bytes, order: str) -> str | float | None:
    """A text, or the first of the numbers; None for an array of nothing."""
    parts = list(_elements(array, order))
    if len(parts) < 4:
        return None
    kind, content = parts[3]
    if _kind(parts[0][1], order) == _TEXT:
        wide = f"utf-16-{'be' if order == '>' else 'le'}"
        return content.decode({4: wide, 16: "utf-8", 17: wide}.get(kind, "latin-1"))
    return struct.unpack_from(order + _NUMBERS[kind], content)[0] if content else None


def _kind(flags: bytes, order: str) -> int:
    return struct.unpack_from(f"{order}I", flags)[0] & 0xFF
