"""What a submission is asked for, inside its process: to run, to build objects, to compute.

Nothing here knows a right answer or decides anything. Arrays come in, the submission's functions
and methods are called, and the resulting arrays go out.
"""

import ast
import inspect
import linecache
import re
import signal
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from tinyalex.gradcheck.marking.frames import Ask, receive, send

METHODS = ("forward", "backward", "step")


class TooSlow(BaseException):
    """Not an Exception, so that few catch it by mistake."""


@dataclass(frozen=True)
class Parameter:
    """What an optimiser is given in place of tinyalex.network.Parameter."""

    name: str
    value: Any
    grad: Any


@dataclass
class Built:
    """An object of a submission's class. rewind: see `rewinder` in gradcheck/subjects.py. network:
    the parameters that an optimiser moves. given: to its methods, from its last forward on."""

    thing: Any
    rewind: Callable[[], None]
    network: list[Parameter]
    given: list[Any]


class Desk:
    """The public methods are what may be asked. ask: calls a function that stays behind."""

    def __init__(self, ask: Callable[[int, tuple], Any]):
        self._ask = ask
        self._names: dict[str, Any] = {"__name__": "__main__", "display": lambda *things: None}
        self._objects: list[Built] = []
        self._helpers: dict[str, Any] = {"Callable": Callable, "np": np}

    def load(self, cells: list[str], title: str, given: dict[str, str], rewinder: str,
             seconds: float) -> dict:
        """Run the cells, statement by statement; where one fails, the next is run all the same.
        given: texts of modules; rewinder: of that function; seconds: for a statement or call."""
        exec(rewinder, self._helpers)
        self._seconds = seconds
        for name, text in given.items():
            module = sys.modules[name] = types.ModuleType(name)
            exec(text, module.__dict__)
        return {"failed": [f"cell {number} {problem}" for number, cell in enumerate(cells, 1)
                           for problem in self._run(cell, f"<{title}, cell {number}>")]}

    def _run(self, source: str, name: str) -> Iterator[str]:
        source = re.sub(r"(?m)^\s*[%!].*$", "", source)  # what only a notebook understands
        linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
        try:
            statements = ast.parse(source, name).body
        except Exception as error:
            yield explained(error)
            return
        for statement in statements:
            try:
                with alarm(self._seconds):
                    exec(compile(ast.Module([statement], []), name, "exec"), self._names)
            except BaseException as error:
                yield explained(error)

    def describe(self, name: str) -> dict:
        """Whether there is such a class or function, and how it is called."""
        thing = self._names.get(name)
        return {"there": name in self._names, "is_class": isinstance(thing, type),
                "parameters": parameters(thing)}

    def function(self, name: str, args: list) -> dict:
        """Call a function."""
        args = [(lambda *asked, number=arg.number: self._ask(number, asked))
                if isinstance(arg, Ask) else arg for arg in args]
        return self._call(self._names[name], args, {}, args)

    def build(self, name: str, args: list, options: dict, network: list | None) -> dict:
        """An object of a class. network: what is in one, where that is the first argument."""
        moved = [Parameter(*entry) for entry in network or ()]
        if network is not None:
            args = [types.SimpleNamespace(parameters=moved), *args]
        with alarm(self._seconds):
            thing = self._names[name](*args, **options)
        self._objects.append(Built(thing, self._helpers["rewinder"](thing), moved, []))
        return {"number": len(self._objects) - 1, "params": getattr(thing, "params", None),
                "methods": {method: parameters(getattr(thing, method)) for method in METHODS
                            if callable(getattr(thing, method, None))}}

    def method(self, number: int, name: str, args: list, options: dict, params: Any,
               rewind: bool, network: list | None, lr: float | None) -> dict:
        """Call a method of an object that was built."""
        built = self._objects[number]
        thing = built.thing
        if rewind:
            built.rewind()
        if isinstance(params, dict) and isinstance(getattr(thing, "params", None), dict):
            thing.params.update(params)
        for parameter, (_, value, grad) in zip(built.network, network or (), strict=True):
            parameter.value[...], parameter.grad[...] = value, grad
        if lr is not None:
            thing.lr = lr
        built.given = [*(built.given if name != "forward" else ()), *args]
        answer = self._call(getattr(thing, name), args, options, built.given)
        return {**answer, "params": getattr(thing, "params", None),
                "grads": getattr(thing, "grads", None),
                "network": [[parameter.value, parameter.grad] for parameter in built.network]}

    def _call(self, function: Callable, args: list, options: dict, given: list) -> dict:
        """changed: what of `given` is different now, each with its place in it."""
        copies = deepcopy(given)
        with alarm(self._seconds):
            result = function(*args, **options)
        return {"result": result, "changed": [[i, now] for i, now in enumerate(given)
                                              if differ(copies[i], now)]}


def differ(was: Any, now: Any) -> bool:
    """Whether an array, or one of those in a list, is not what it was."""
    if isinstance(was, list):
        return any(map(differ, was, now))
    return isinstance(was, np.ndarray) and was.tobytes() != now.tobytes()


def parameters(thing: Any) -> list | None:
    """The names of what a callable takes, and whether it takes others; None where it is none."""
    if not callable(thing):
        return None
    try:
        takes = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return [[], True]
    by_name = [p for p in takes if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return [[p.name for p in by_name], any(p.kind is p.VAR_KEYWORD for p in takes)]


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """TooSlow after so many seconds, and every second from then on. Where the system has no such
    clock, there is only the marker's own."""
    def ring(*_):
        raise TooSlow(f"nothing came back within {seconds:g} s; is there an endless loop?")

    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def explained(error: BaseException) -> str:
    """What was raised, and the submission's last line on the way there."""
    text = (str(error).splitlines() or ["without a message"])[0][:500]
    kind = type(error).__name__
    frames = [f for f in traceback.extract_tb(error.__traceback__) if ", cell " in f.filename]
    where = f" in {frames[-1].name}, line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
    if isinstance(error, TooSlow):
        return f"does not end: {text}"
    if isinstance(error, NotImplementedError) and frames:
        return f"still to be written, in {frames[-1].name}: {text}"
    if isinstance(error, SyntaxError):
        where = f": {(error.text or '').strip()[:200]}"
    if isinstance(error, ImportError):
        text += " (exercises are marked with NumPy alone, and without the package)"
    return f"raises {kind}: {text}{where}"


def serve(inbox: IO[bytes], outbox: IO[bytes]) -> None:
    """Answer the marker until it hangs up."""
    def ask(number: int, args: tuple) -> Any:
        send(outbox, {"ask": number, "args": list(args)})
        reply = receive(inbox)
        if "raises" in reply:
            raise ValueError(reply["raises"])
        return reply["answer"]

    desk = Desk(ask)
    while True:
        message = receive(inbox)
        try:
            answer = getattr(desk, message.pop("do"))(**message)
        except BaseException as error:
            answer = {"error": explained(error)}
        send(outbox, answer)
