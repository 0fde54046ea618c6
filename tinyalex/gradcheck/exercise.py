"""Try a learner's own class on telling inputs, and explain what is wrong with it.

    from tinyalex import gradcheck
    gradcheck.check(MyConv2D, like="Conv2D")

The class takes the arguments of the shipped one and has forward(x), or forward(x, remember), and
backward(dy); parameters are in self.params, gradients in self.grads, as "W" and "b". Whatever it
does, the answer is a report: exceptions are shown with their line, one that never ends is stopped,
and only the beginning of what it prints is shown (watch.py). A function can be tried too,
like="im2col" and so on: see functions.py; and what the package does not have, like="DilatedConv2D"
and so on: see beyond.py.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np

from tinyalex.gradcheck import beyond
from tinyalex.gradcheck.cases import CASES, EXCHANGES, LOSSES, UPDATES, Case
from tinyalex.gradcheck.checks import check_layer
from tinyalex.gradcheck.diagnosis import agrees, explain
from tinyalex.gradcheck.functions import FUNCTIONS, check_function
from tinyalex.gradcheck.mistakes import MASKS
from tinyalex.gradcheck.report import Report, no_output, wrong_output
from tinyalex.gradcheck.scene import Scene
from tinyalex.gradcheck.subjects import LayerSubject, as_in_training, random_state_kept, to_float64
from tinyalex.gradcheck.watch import place_in, watched
from tinyalex.layers import Dropout, Layer
from tinyalex.support.errors import UserError

# Scores that overflow without a shift, and with one shift for all pictures; no p of a label is 0.
LARGE_SCORES = (
    ("with scores near 1000", np.array([[1001.0, 1000, 998], [999, 1002, 1000]]), np.array([1, 2])),
    ("with scores of ±1000", np.array([[1000.0, 998, -1000], [-1000, -1001, -999], [1, 2, 0]]),
     np.array([1, 0, 2])))
TRIED = [*CASES, *beyond.CASES]
KINDS = list(dict.fromkeys(case.kind for case in TRIED))


class Explained(Exception):
    """What is wrong, in the words of whatever found it."""


def check(cls: Callable, like: str, seconds: float = 60, seed: int = 0,
          more: Sequence[Any] = ()) -> Report:
    """Check a class against the shipped one called `like` ("Conv2D", "LocalResponseNorm", …) or one
    of beyond.py ("DilatedConv2D", …), or a function against one of FUNCTIONS ("im2col", …).

    Cases are tried one after the other, and the first that fails is reported. UserError where
    `like` is none of these names. seconds: after that it is stopped, as too slow or never ending.
    seed: of the inputs. more: cases, or a function's arguments, to be tried after those.
    """
    if like not in KINDS and like not in FUNCTIONS:
        raise UserError(f"like={like!r}: there is no such layer",
                        f"choose one of {', '.join([*KINDS, *FUNCTIONS])}.")
    name = getattr(cls, "__name__", repr(cls))

    def work() -> Report:
        try:
            with np.errstate(all="ignore"), random_state_kept():
                return _try(cls, name, like, seed, more)
        except BaseException as error:  # even SystemExit: it is the learner's
            return Report(f"{name} (like {like})", problems=[explained(error)])

    report = watched(work, seconds)
    return report if isinstance(report, Report) else Report(name, problems=[report])


def _try(cls: Any, name: str, like: str, seed: int, more: Sequence[Any]) -> Report:
    if not callable(cls):
        return Report(name, problems=["not a class: give the class itself, as in "
                                      "check(MyConv2D, …)"])
    passed = Report(f"{name} (like {like})")
    if like in FUNCTIONS:
        report = check_function(cls, like, more)
        report.title = passed.title + f", {report.title}" * bool(report.title)
        return report
    for case in [*(case for case in TRIED if case.kind == like), *more]:
        report = try_case(cls, case, seed)
        report.title = f"{name} (like {like}), {case.title}"
        if not report.ok:
            return report
        for finding in report.findings:
            finding.checked += f"; {case.title}"
        passed.findings += report.findings
    return passed


def explained(error: BaseException) -> str:
    """An exception, and the learner's line that it came from, be it raised by NumPy."""
    if isinstance(error, Explained):
        return str(error)
    frame = place_in(traceback.extract_tb(error.__traceback__))
    text, *_ = str(error).splitlines() or ["without a message"]
    if isinstance(error, NotImplementedError) and str(error) and frame:
        return f"still to be written, in {frame.name}: {text}"
    where = f" in {frame.name}, line {frame.lineno}: {frame.line}" if frame else ""
    hint = ("p.value is the layer's own array: change its numbers, p.value[...] += v"
            if isinstance(error, FrozenInstanceError) else
            "what a layer is given it only reads" if "read-only" in text else
            "" if frame or isinstance(error, SyntaxError) else
            "not in your own lines: look at what your methods take, give and keep")
    return f"raises {type(error).__name__}: {text}{where}{f'. HINT: {hint}' * bool(hint)}"


@np.errstate(all="ignore")
def try_case(cls: Callable, case: Case, seed: int = 0) -> Report:
    """Try a learner's class in one case: its parts, its output, which a gradient check could not
    tell from another function's, and then its gradients."""
    if case.kind in UPDATES:  # no layer, and compared with what is right anyway
        return case.check(cls, seed)
    reference, layer = case.make(beyond.REFERENCES[case.kind], seed), case.make(cls, seed)
    to_float64(reference)
    output = _exchange_problem if case.kind in EXCHANGES else _output_problem
    problem = parts_missing(layer, reference) or output(layer, reference, case, seed)
    if not problem and isinstance(reference, Dropout):
        problem = _dropout_problem(case.make(cls, seed), reference, case.x(seed))
    if problem:
        return Report(f"{case.kind}: {case.title}", problems=[problem])
    if case.kind in (*EXCHANGES, *LOSSES):
        return case.check(cls, seed)
    return check_layer(layer, case.x(seed), kind=case.kind, seed=seed, settings=reference,
                       title=f"{case.kind}: {case.title}")


def parts_missing(layer: Any, reference: Any) -> str:
    """Gives the layer the parameters of the reference, or says what prevents that."""
    for method in ("forward", "backward"):
        if not callable(getattr(layer, method, None)):
            return f"no {method}: a class to be tried has forward and backward"
    params, right = getattr(layer, "params", None), getattr(reference, "params", {})
    if not isinstance(params, dict):
        names = " and ".join(f'"{key}"' for key in right)
        return f"no parameters: self.params has to be a dict with {names}" if right else ""
    for key, value in right.items():
        mine = np.shape(params[key]) if key in params else value.shape
        if mine != value.shape:
            return f"wrong shape: {key} is {mine} and should be {value.shape}"
        params[key] = value.copy()
    return ""


def _output_problem(layer: Any, reference: Layer, case: Case, seed: int) -> str:
    """What is wrong with the output of a layer, or of a loss, as it comes and for large numbers."""
    loss, first = case.kind in LOSSES, case.x(seed)
    large = LARGE_SCORES if loss else [("with x 1000 times as large", 1000 * first, None)]
    for where, x, labels in ("", first, np.arange(len(first)) % first.shape[-1]), *large:
        labels = _read_only(labels) if loss else None
        mine, theirs = (LayerSubject(each, x, labels=labels) for each in (layer, reference))
        y, right = mine.forward(_read_only(x) if loss else x.copy()), theirs.outputs()[0]
        params = getattr(reference, "params", {}).items()
        if any(not np.array_equal(layer.params.get(k), v) for k, v in params):
            return "changes its parameters: forward only reads them"
        again = mine.forward(x.copy()) if isinstance(y, np.ndarray) else y
        if isinstance(y, np.ndarray) and y.tobytes() != np.asarray(again).tobytes():
            return ("not repeatable: forward gives a different result each time. Random numbers "
                    "must come from an np.random.Generator in self, or from np.random, so that "
                    "they can be drawn again")
        if isinstance(reference, Dropout) and np.shape(y) == x.shape:
            right = np.where(y != 0, x * getattr(reference, "gain", 1.0), 0)  # its own mask
        scene = Scene("y", reference, theirs.arrays, ys=[right], labels=labels)
        if problem := _compared(y, right, case.kind, scene, where, f"x is {x.shape}"):
            return problem
        if loss and where:
            said = mine.gradients([np.ones(())])["x"]
            if isinstance(said, np.ndarray) and not np.isfinite(said.astype(float)).all():
                scene.name = "x"
                return _compared(said, x, case.kind, scene, where)  # x: of the right shape
    return ""


def _read_only(a: np.ndarray) -> np.ndarray:
    """A copy; writing into it raises."""
    a = a.copy()
    a.flags.writeable = False
    return a


def _compared(said: Any, right: np.ndarray, kind: str, scene: Scene, where: str = "",
              usage: str = "") -> str:
    """What is wrong with an output or, in a scene of x, with dx, and the hint where a classic
    mistake gives just that; "" where nothing is. where: "at test time", and so on."""
    giver, name = ("backward", "dx") if scene.name == "x" else ("forward", "y")
    said = np.asarray(said) if isinstance(said, int | float | np.number) else said
    problem = no_output(said, right, giver + f", {where}," * bool(where), usage).rstrip(". ")
    if not problem and agrees(said, right):
        return ""
    if isinstance(said, np.ndarray) and said.dtype.kind in "fiu":
        scene.said = said.astype(np.float64)
    hint = next((hint if mistake == hint else f"{mistake}: {hint}"
                 for mistake, hint in explain(kind, scene).items()), "")
    return wrong_output(f"{where}, " * bool(where) + name, said, right, hint, problem)


def _dropout_problem(layer: Any, reference: Dropout, x: np.ndarray) -> str:
    """What is wrong with the masks of a dropout layer, not used yet, and with its test mode."""
    if "drop" not in as_in_training(layer):
        return ("no test mode: forward(x, drop=True) is for training; with drop=False nothing is "
                "random")
    keep, whole = reference.keep, isinstance(reference, beyond.MapDropout)
    ones = np.ones((200, 2, 2, 200) if whole else (200, 200))
    masks = np.array([layer.forward(ones.copy(), drop=True) for _ in range(2)]) != 0
    if whole:
        if (masks != masks[:, :, :1, :1]).any():
            return "wrong masks: within a picture's map, some pixels stay and others go"
        masks = masks[:, :, 0, 0]
    for hint, shows, _ in MASKS:
        if shows(masks, keep):
            hint = hint.partition(":")[0] if whole else hint  # behind it: how to draw for units
            return (f"wrong masks: keep is {keep:g}, and {masks.mean():.3f} of {masks.size:,} "
                    f"{'maps' if whole else 'units'} stayed, in two steps of {len(ones)} pictures. "
                    f"HINT: {hint}")
    right = keep * getattr(reference, "gain", 1.0) * x
    scene = Scene("test", reference, {"x": x}, ys=[right])
    return _compared(layer.forward(x.copy(), drop=False), right, type(reference).__name__, scene,
                     "at test time")


def _exchange_problem(exchange: Any, reference: Any, case: Case, seed: int) -> str:
    """What is wrong with the lists that an exchange gives, and with the maps in the first list."""
    rng = np.random.default_rng(seed)
    xs = [_read_only(rng.standard_normal((*case.shape, channels))) for channels in case.args]
    ys, towers = [_read_only(y) for y in reference.forward(xs)], "abcd"[:len(xs)]
    said = exchange.forward(xs)
    if problem := _no_list(said, "forward", len(xs)):
        return problem
    arrays = {f"x_{tower}": x for tower, x in zip(towers, xs, strict=True)}
    for tower, maps, y in zip(towers, said, ys, strict=True):
        scene = Scene(f"y_{tower}", reference, arrays, ys=[y])
        if problem := _compared(maps, y, case.kind, scene, f"for tower {tower}"):
            return problem
    return _no_list(exchange.backward(ys), "backward", len(xs))


def _no_list(given: Any, giver: str, towers: int) -> str:
    """Why something is not a list with an array for each tower."""
    if isinstance(given, list | tuple) and len(given) == towers:
        return ""
    what = "None: is the return missing?" if given is None else f"a {type(given).__name__}."
    return (f"no output: {giver} gives {what} A list is expected, with an array for each of "
            f"{towers} towers")
