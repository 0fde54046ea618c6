"""A submission's process, seen from the marker: stand-ins for its classes and functions.

The checks of gradcheck are given the stand-ins. So they run here, on what the submission computes
there. References, comparisons and verdicts never enter its process, and nothing comes out of it but
arrays, and text that says what was raised.
"""

import contextlib
import inspect
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.gradcheck.exercise import Explained
from tinyalex.gradcheck.marking import worker
from tinyalex.gradcheck.marking.confine import SCRATCH
from tinyalex.gradcheck.marking.exercises import GIVEN
from tinyalex.gradcheck.marking.frames import Ask, receive, send
from tinyalex.gradcheck.subjects import rewinder
from tinyalex.network import Network

MEMORY = 2_000_000_000  # bytes of addresses
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")


class Submission:
    """A process that has run the cells of one file; `close` ends it and all that it has started.

    seconds: for all that is asked of it; slow: for a single statement or call; walls: see
    confine.py. failed: what its cells raised. Explained says why it does not answer.
    """

    running: "set[Submission]" = set()  # noqa: RUF012

    def __init__(self, cells: list[str], title: str, seconds: float, slow: float, walls: bool):
        self._seconds, self._until = seconds, time.monotonic() + seconds
        self._home = tempfile.TemporaryDirectory(prefix="tinyalex-", ignore_cleanup_errors=True)
        home, inside = self._home.name, SCRATCH if walls else self._home.name
        arguments = [Path(np.__file__).parents[1], home, seconds, MEMORY, "walls" if walls else ""]
        kept = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", worker.__file__, *map(str, arguments)], cwd=home,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**kept, **ONE_THREAD, "HOME": inside, "TMPDIR": inside}, start_new_session=True)
        assert self._process.stdin and self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        self._clock = threading.Timer(seconds, self._process.terminate)
        self._clock.start()
        self.running.add(self)  # from now on it can be closed
        try:
            self.failed = self.ask("load", cells=cells, title=title, given=GIVEN, seconds=slow,
                                   rewinder=inspect.getsource(rewinder))["failed"]
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, functions: tuple[Callable, ...] = (), **message: Any) -> dict:
        """What it answers. functions: those that it may ask us to call."""
        try:
            send(self._to, {"do": do, **message})
            while "ask" in (answer := receive(self._from)):
                send(self._to, _called(functions[answer["ask"]], answer["args"]))
        except (OSError, EOFError):
            self.close()
            raise Explained(
                f"does not end: no further answer within {round(self._seconds, 1):g} s"
                if time.monotonic() >= self._until else
                "ends Python, or takes more memory than there is") from None
        except Exception:
            self.close()
            raise Explained("gives answers that cannot be read") from None
        if "error" in answer:
            raise Explained(str(answer["error"])[:1000])
        return answer

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self not in self.running

    def close(self):
        """End the process, and all that it has started."""
        self._clock.cancel()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()
        self._home.cleanup()
        self.running.discard(self)


def _called(function: Callable, args: list) -> dict:
    try:
        return {"answer": function(*args)}
    except Exception as error:
        return {"raises": str(error)}


@cache
def walls_stand() -> bool:
    """Whether submissions can be isolated here, see confine.py: this tries it."""
    try:
        Submission([], "", 30, 3, walls=True).close()
        return True
    except Explained:
        return False


def stand_in(submission: Submission, name: str) -> Callable:
    """What behaves like the submission's class or function of this name."""
    described = submission.ask("describe", name=name)
    if not described["there"]:
        raise Explained(f"there is no {name}")
    if described["parameters"] is None:
        raise Explained(f"{name} is neither a class nor a function")
    call = partial(Remote if described["is_class"] else _function, submission, name)
    return _signed(call, name, *described["parameters"])


def _signed(call: Callable, name: str, names: list[str], others: bool) -> Callable:
    """The function, and of what names its arguments are."""
    kind = inspect.Parameter
    takes = [kind(each, kind.POSITIONAL_OR_KEYWORD) for each in names]
    takes += [kind("others", kind.VAR_KEYWORD)] * others
    vars(call).update(__name__=name, __signature__=inspect.Signature(takes))
    return call


def _function(submission: Submission, name: str, *args: Any) -> Any:
    functions = tuple(arg for arg in args if callable(arg))
    plain = [Ask(functions.index(arg)) if callable(arg) else arg for arg in args]
    return _result(submission.ask("function", functions, name=name, args=plain), plain)


def _result(answer: dict, given: list) -> Any:
    """What was returned; and what was changed of the arguments is changed here as well."""
    for index, now in answer["changed"]:
        _overwrite(given[index], now)
    return answer["result"]


def _overwrite(was: Any, now: Any) -> None:
    if isinstance(was, list):
        for pair in zip(was, now, strict=True):
            _overwrite(*pair)
    elif isinstance(was, np.ndarray):
        was[...] = now


class Remote:
    """An object of a submission's class: its methods, its params and grads. Where the first
    argument is a Network, its parameters go along with every call, and come back."""

    def __init__(self, submission: Submission, name: str, *args: Any, **options: Any):
        self._submission, self._rewind, self._network = submission, False, None
        self._given: list[Any] = []
        if args and isinstance(args[0], Network):
            self._network, self.lr = args[0].parameters, args[1]
        built = submission.ask(
            "build", name=name, options=options, args=list(args[self._network is not None:]),
            network=self._state(lambda p: np.zeros_like(p.value)))
        self._number, self.params, self.grads = built["number"], built["params"], None
        for method, takes in built["methods"].items():
            setattr(self, method, _signed(partial(self._call, method), method, *takes))

    def rewind_remotely(self) -> None:
        """Before the next call, random numbers and counters go back to where they began."""
        self._rewind = True

    def _state(self, grad: Callable) -> list | None:
        return self._network and [[p.name, p.value, grad(p)] for p in self._network]

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        self._given = [*(self._given if method != "forward" else ()), *args]
        answer = self._submission.ask(
            "method", number=self._number, name=method, args=list(args), options=options,
            params=self.params, rewind=self._rewind, network=self._state(lambda p: p.grad),
            lr=getattr(self, "lr", None))
        self._rewind, self.grads = False, answer["grads"]
        if isinstance(self.params, dict) and isinstance(answer["params"], dict):
            for key, now in answer["params"].items():
                was = self.params.get(key)
                if isinstance(was, np.ndarray) and was.shape == np.shape(now):
                    was[...] = now  # others hold this array too
                else:
                    self.params[key] = now
        for p, (value, grad) in zip(self._network or (), answer["network"], strict=True):
            p.value[...], p.grad[...] = value, grad
        return _result(answer, self._given)
