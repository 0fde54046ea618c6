"""The safetensors format, without the library.

    8 bytes      n, little-endian
    n bytes      JSON: {"conv1.weight": {"dtype": "F32", "shape": [96, 3, 11, 11],
                                         "data_offsets": [0, 139392]}, …}
    the rest     the numbers, little-endian, one array after the other, in row-major order

Offsets count from the end of the JSON. "__metadata__", if it is there, holds texts by name.
"""

import json
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.support import reading
from tinyalex.support.arrays import Damaged, Stored, contents
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
          "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}
ABOUT = "tinyalex_about"  # what our own files say about their arrays
MOST_HEADER = 10_000_000  # bytes


def load(path: Path) -> dict[str, Stored]:
    """The arrays of a file by name, and of its texts the one called ABOUT, as an array of one.
    UserError where there is none, or it is damaged."""
    data = contents(path)
    try:
        header, rest = _header(data)
        texts = header.pop("__metadata__", {})
        found = {name: _tensor(name, about, rest) for name, about in header.items()}
    except Damaged as error:
        raise UserError(f"{path}: not a safetensors file, or a damaged one ({error})",
                        "download or write it again.") from None
    if isinstance(texts, dict) and isinstance(text := texts.get(ABOUT), str):
        found[ABOUT] = Stored((), partial(np.array, text))
    return found


def _header(data: memoryview) -> tuple[dict, memoryview]:
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, MOST_HEADER):
        raise Damaged(f"it announces a header of {length:,} bytes, but has {len(data):,}")
    header = reading.parse(bytes(data[8 : 8 + length]))
    if not isinstance(header, dict):
        raise Damaged("its header does not name arrays")
    return header, data[8 + length :]


def _tensor(name: str, about: Any, data: memoryview) -> Stored:
    match about:
        case {"dtype": str(kind), "shape": [*sizes], "data_offsets": [int(start), int(end)]}:
            pass
        case _:
            raise Damaged(f"{name!r} has no dtype, shape and two offsets")
    if kind not in DTYPES:
        raise Damaged(f"{name!r} holds numbers of the unknown kind {kind!r}")
    if not all(type(size) is int and 0 <= size < 1 << 31 for size in sizes) or len(sizes) > 32:
        raise Damaged(f"{name!r} has something that is not a shape")
    dtype, shape = np.dtype(DTYPES[kind]), tuple(sizes)
    if not 0 <= start <= end <= len(data) or end - start != prod(shape) * dtype.itemsize:
        raise Damaged(f"{name!r} announces bytes {start:,} to {end:,} of {len(data):,} for "
                      f"{prod(shape):,} numbers of {dtype.itemsize} bytes")

    def read() -> np.ndarray:
        numbers = np.ndarray(shape, dtype, data[start:end])
        if kind == "BF16":  # the upper half of a float32
            return (numbers.astype(np.uint32) << 16).view(np.float32)
        return numbers

    return Stored(shape, read)


def save(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write float32 arrays by name."""
    header: dict[str, dict] = {"__metadata__": metadata}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8, as the format advises
    with replacing(path, suffix=".safetensors") as part, open(part, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, "<f4").data)
