"""What crosses between the marker and a submission's process: lines of JSON, with arrays as bytes.

Both sides read this file. Nothing that is read here decides what runs.
"""

import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

MOST = 8_000_000  # bytes of a message
NUMBERS = re.compile(r"[<>|]([iu][1248]|f(2|4|8|16)|b1)")


@dataclass(frozen=True)
class Ask:
    """In place of a function that stays with the marker: to call it, ask for it by number."""

    number: int


def send(file: IO[bytes], message: dict) -> None:
    """Write a message of numbers, texts, arrays, lists, tuples and dicts. Anything else in it
    arrives as a thing that has nothing but the name of its class."""
    file.write(json.dumps(_plain(message)).encode() + b"\n")
    file.flush()


def receive(file: IO[bytes]) -> dict:
    """The next message; EOFError at the end, ValueError where there is something else."""
    if not (line := file.readline(MOST)):
        raise EOFError
    try:
        return dict(_thing(json.loads(line)))
    except (TypeError, KeyError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _plain(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic) and NUMBERS.fullmatch(value.dtype.str):
        scalar = isinstance(value, np.generic)
        return {"array": b64encode(np.array(value, order="C").tobytes()).decode(),
                "dtype": value.dtype.str, "shape": value.shape, "scalar": scalar,
                "locked": not scalar and not value.flags.writeable,
                "gaps": not scalar and value.ndim > 0 and not value.flags.c_contiguous}
    if isinstance(value, list):
        return [*map(_plain, value)]
    if isinstance(value, tuple):
        return {"tuple": [*map(_plain, value)]}
    if isinstance(value, dict):
        return {"dict": [[str(key), _plain(item)] for key, item in value.items()]}
    if isinstance(value, Ask):
        return {"ask": value.number}
    return {"other": type(value).__name__}


def _thing(value: Any) -> Any:
    if isinstance(value, list):
        return [*map(_thing, value)]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return _array(value)
    if "tuple" in value:
        return tuple(map(_thing, value["tuple"]))
    if "dict" in value:
        return {str(key): _thing(item) for key, item in value["dict"]}
    if "ask" in value:
        return Ask(value["ask"])
    return type(re.sub(r"\W", "_", value["other"])[:40], (), {})()


def _array(value: dict) -> Any:
    if not NUMBERS.fullmatch(value["dtype"]):
        raise ValueError("an array of things that are not numbers")
    array = np.frombuffer(b64decode(value["array"]), value["dtype"]).reshape(value["shape"]).copy()
    if value["gaps"]:  # the same numbers, not contiguous in memory
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    array.flags.writeable = not value["locked"]
    return array[()] if value["scalar"] else array
