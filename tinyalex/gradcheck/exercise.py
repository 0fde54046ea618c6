"""Try a learner's own class on telling inputs, and explain what is wrong with it.

    from tinyalex import gradcheck
    gradcheck.check(MyConv2D, like="Conv2D")

The class takes the arguments of the shipped one and has forward(x), or forward(x, remember), and
backward(dy); parameters are in self.params, gradients in self.grads, as "W" and "b". Whatever it
does, the answer is a report: exceptions are shown with their line, and one that never ends is left.
A function can be tried too, like="im2col" and so on: see functions.py.
"""

import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinyalex.gradcheck.cases import SHIPPED, Case, cases_of
from tinyalex.gradcheck.checks import check_layer
from tinyalex.gradcheck.diagnosis import agrees, explain
from tinyalex.gradcheck.functions import FUNCTIONS, check_function
from tinyalex.gradcheck.report import Report, no_output, wrong_output
from tinyalex.gradcheck.scene import Scene
from tinyalex.gradcheck.subjects import LayerSubject, as_in_training, random_state_kept, to_float64
from tinyalex.layers import Dropout, Layer
from tinyalex.support.errors import UserError

WHOLE = ("SoftmaxCrossEntropy", "Exchange", "SGD")  # no layers: their check is all there is


class Explained(Exception):
    """What is wrong, said by whoever has seen it."""


def check(cls: Callable, like: str, seconds: float = 60, seed: int = 0,
          more: Sequence[Any] = ()) -> Report:
    """Check a class against the shipped one called `like` ("Conv2D", "LocalResponseNorm", …), or a
    function against one of FUNCTIONS ("im2col", …).

    Cases are tried one after the other, and the first that fails is reported. UserError where
    `like` is not the name of a shipped class. seconds: after that it counts as never ending.
    seed: of the inputs. more: cases, or a function's arguments, to be tried after those.
    """
    if like not in SHIPPED and like not in FUNCTIONS:
        raise UserError(f"like={like!r}: there is no such layer",
                        f"choose one of {', '.join([*SHIPPED, *FUNCTIONS])}.")
    name = getattr(cls, "__name__", repr(cls))
    reports = [Report(name, problems=[
        f"does not end: nothing came back within {seconds:g} s; is there a loop without a way out?"
    ])]

    def work():
        try:
            with np.errstate(all="ignore"), random_state_kept():
                reports.append(_try(cls, name, like, seed, more))
        except BaseException as error:  # even SystemExit: it is the learner's
            reports.append(Report(f"{name} (like {like})", problems=[explained(error)]))

    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        thread.join(seconds)
    except RuntimeError:  # a Python without threads: the browser's
        work()
    return reports[-1]


def _try(cls: Any, name: str, like: str, seed: int, more: Sequence[Any]) -> Report:
    if not callable(cls):
        return Report(name, problems=["not a class: give the class itself, as in "
                                      "check(MyConv2D, …)"])
    passed = Report(f"{name} (like {like})")
    if like in FUNCTIONS:
        report = check_function(cls, like, more)
        report.title = passed.title + f", {report.title}" * bool(report.title)
        return report
    for case in [*cases_of(like), *more]:
        report = case.check(cls, seed) if like in WHOLE else try_case(cls, case, seed)
        report.title = f"{name} (like {like}), {case.title}"
        if not report.ok:
            return report
        for finding in report.findings:
            finding.checked += f"; {case.title}"
        passed.findings += report.findings
    return passed


def explained(error: BaseException) -> str:
    """An exception, and the learner's line that it came from."""
    if isinstance(error, Explained):
        return str(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__)
              if "/tinyalex/gradcheck/" not in f.filename.replace("\\", "/")]
    where = f" in {frames[-1].name}, line {frames[-1].lineno}: {frames[-1].line}" if frames else ""
    text = str(error).splitlines()
    if isinstance(error, NotImplementedError) and text and frames:
        return f"still to be written, in {frames[-1].name}: {text[0]}"
    return f"raises {type(error).__name__}: {text[0] if text else 'without a message'}{where}"


def try_case(cls: Callable, case: Case, seed: int = 0) -> Report:
    """Try a learner's layer in one case: its parts, its output, and then its gradients."""
    reference = case.make(SHIPPED[case.kind], seed)
    to_float64(reference)
    layer = case.make(cls)
    problem = (_parts_missing(layer, reference)
               or _forward_problem(layer, reference, case, case.x(seed)))
    title = f"{case.kind}: {case.title}"
    if problem:
        return Report(title, problems=[problem])
    return check_layer(layer, case.x(seed), kind=case.kind, title=title, seed=seed,
                       settings=reference)


def _parts_missing(layer, reference: Layer) -> str:
    """Gives the layer the parameters of the reference; says what is in the way of that."""
    for method in ("forward", "backward"):
        if not callable(getattr(layer, method, None)):
            return f"no {method}: a layer has forward(x) and backward(dy)"
    params = getattr(layer, "params", None)
    if not isinstance(params, dict):
        return ('no parameters: self.params has to be a dict with "W" and "b"'
                if reference.params else "")
    for key, value in reference.params.items():
        mine = np.shape(params[key]) if key in params else value.shape
        if mine != value.shape:
            return f"wrong shape: {key} is {mine} and should be {value.shape}"
        params[key] = value.copy()
    return ""


def _forward_problem(layer, reference: Layer, case: Case, x: np.ndarray) -> str:
    """What is wrong with the output; a gradient check could not tell."""
    mine, theirs = LayerSubject(layer, x), LayerSubject(reference, x)
    y, right = mine.forward(x.copy()), theirs.outputs()[0]
    if problem := no_output(y, right, "forward", f"x is {x.shape}"):
        return problem
    if any(not np.array_equal(layer.params.get(k), v) for k, v in reference.params.items()):
        return "changes its parameters: forward only reads them"
    if not np.array_equal(y, mine.forward(x.copy())):
        return ("not repeatable: forward gives something else each time. Random numbers have to "
                "come from a np.random.Generator in self, or from np.random, to be drawn again")
    y = y.astype(np.float64)
    if isinstance(reference, Dropout):
        right = np.where(y != 0, x, 0)  # it draws its own mask
        if not 0 < (y != 0).mean() < 1:
            return "wrong output: all units are on, or all are off"
    if agrees(y, right):
        return _at_test_time(layer, x, reference) if isinstance(reference, Dropout) else ""
    hints = explain(case.kind, Scene("y", reference, theirs.arrays, ys=[right], said=y))
    return wrong_output("y", y, right, next(iter(hints.values()), ""))


def _at_test_time(layer, x: np.ndarray, reference: Dropout) -> str:
    """What it does when it is not training; nothing to say of a forward(x) without `drop`."""
    if "drop" not in as_in_training(layer):
        return ""
    y = np.asarray(layer.forward(x.copy(), drop=False), np.float64)
    if agrees(y, reference.keep * x):
        return ""
    hint = ""
    if agrees(y, x):
        hint = ". HINT: at test time each unit counts by keep, as often as it was on in training"
    elif y.shape == x.shape and ((y == 0) & (x != 0)).any():
        hint = ". HINT: at test time all units are on"
    return f"wrong output: at test time, forward(x, drop=False) is keep·x{hint}"
