"""Batches of CIFAR-10's python version, read without running them.

A pickle is a program for a little machine with a stack, and `pickle.load` runs it: a file from a
stranger could delete your home folder, and eleven bytes can ask for four gigabytes. A batch needs
few of the machine's commands: those that build dicts, lists, tuples, texts and numbers. They are
followed here, each as far as a batch can need it; any other ends the reading. The one call that a
batch asks for, to make an array, is noted and never made:

    _reconstruct(ndarray, …) with the state (version, shape, dtype, column-major?, bytes)
"""

import pickletools
from typing import Any

import numpy as np

from tinyalex.support.arrays import Damaged

MOST_COMMANDS = 200_000  # the batches have some 40,000
_CALLS = {
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",  # a batch saved again with NumPy 2
    "numpy ndarray": "array",
    "numpy dtype": "dtype",
    "_codecs encode": "text",  # a batch saved again with Python 3; bytes are Latin-1 here anyway
}


class Noted:
    """A call that was asked for: of what, with what, and the state that it was given."""

    def __init__(self, kind: str, arguments: tuple):
        self.kind, self.arguments = kind, arguments
        self.state: Any = ()


def batch(content: bytes) -> tuple[np.ndarray, list[int]]:
    """"data" (count, 3072) uint8 and "labels" of a batch. Damaged where it is none."""
    try:
        match _followed(content):
            case {"data": Noted(kind="array", state=(
                    _, (int(rows), int(columns)), Noted(kind="dtype", arguments=("u1", *_)),
                    bool(column_major), str(numbers))),
                  "labels": [*labels]} if all(type(label) is int for label in labels):
                data = np.frombuffer(numbers.encode("latin-1"), np.uint8)
                return data.reshape((rows, columns), order="F" if column_major else "C"), labels
    except Damaged:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"a command that fails: {error!r}") from None
    raise Damaged("it has no array of bytes and no list of labels")


def _followed(content: bytes) -> Any:
    """What the pickle describes, with calls noted, and with texts for bytes."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}  # by number
    for number, (command, value, _) in enumerate(pickletools.genops(content)):
        if number > MOST_COMMANDS:
            raise Damaged("it never ends")
        match command.name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                memo[len(memo) if value is None else value] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case "TUPLE" | "APPENDS" | "SETITEMS" as name:
                at = marks.pop()
                items, stack[at:] = stack[at:], []
                _gather(name, items, stack)
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "GLOBAL" | "STACK_GLOBAL" | "REDUCE" | "BUILD" as name:
                _note(name, value, stack)
            case name:
                stack.append(_value(name, value))
    return stack.pop()


def _value(name: str, value: Any) -> Any:
    """What a command adds to the stack that only does that."""
    match name:
        case ("BININT" | "BININT1" | "BININT2" | "SHORT_BINSTRING" | "BINSTRING" | "BINUNICODE"
              | "SHORT_BINUNICODE"):
            return value
        case "BINBYTES" | "SHORT_BINBYTES":
            return value.decode("latin-1")
        case "NONE" | "NEWTRUE" | "NEWFALSE":
            return {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name]
        case "EMPTY_DICT":
            return {}
        case "EMPTY_LIST":
            return []
    raise Damaged(f"it has a {name}, which no batch needs")


def _gather(name: str, items: list, stack: list) -> None:
    """Put what was collected into a tuple, or into the list or dict that waits for it."""
    if name == "TUPLE":
        stack.append(tuple(items))
    elif name == "APPENDS":
        stack[-1].extend(items)
    else:
        keys = items[::2]
        if not all(isinstance(key, str) for key in keys):  # hashing others can take for ever
            raise Damaged("it has keys that are not text")
        stack[-1].update(zip(keys, items[1::2], strict=True))


def _note(name: str, value: str | None, stack: list) -> None:
    """Note what is to be called, a call, or the state that its result is given."""
    top: Any = stack.pop() if name != "GLOBAL" else None
    if name == "BUILD":
        stack[-1].state = top
    elif name == "REDUCE":
        kind = stack.pop()
        stack.append(top[0] if kind == "text" else Noted(kind, top))
    else:
        called = value or " ".join([stack.pop(), top])
        if called not in _CALLS:
            raise Damaged(f"it asks for {called[:80]}, which no batch needs")
        stack.append(_CALLS[called])
