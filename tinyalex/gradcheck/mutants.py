"""Wrong on purpose: every known mistake, planted in the shipped class that it is made in.

A check that has never failed proves nothing, nor does a hint that has never been given. So each
formula in mistakes/ is planted: the shipped layer runs, and returns what the formula gives in place
of one array. Nothing else is touched, so what is caught is the mistake and not a slip of the
mutant's own. For an update, a wrong rule takes the place of the right one.

What is wrong in behaviour and not in the numbers has no formula: an argument written to, gradients
that pile up, a dtype. Those few are written out below.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyalex.exchange import Exchange
from tinyalex.gradcheck import frozen, update
from tinyalex.gradcheck.cases import SHIPPED, cases_of
from tinyalex.gradcheck.exercise import try_case
from tinyalex.gradcheck.mistakes import ANY, MASKS, MISTAKES
from tinyalex.gradcheck.report import Report
from tinyalex.gradcheck.scene import Formula, Scene
from tinyalex.layers import Conv2D, Dropout, Linear
from tinyalex.optim import SGD


@dataclass(frozen=True)
class Mutant:
    """kind: the shipped class it is a variant of. about: how it is wrong. says: what the report
    should say, to name the mistake. cls: the class, or function. way: which of the mistake's
    formulas it is planted from."""

    kind: str
    about: str
    says: str
    cls: Callable
    way: int = 0


def _planted_layer(kind: str, array: str, formula: Formula) -> type:
    """A layer, or the loss, in which one array is what the formula gives."""
    shipped: Any = SHIPPED[kind]

    class Planted(shipped):
        @functools.wraps(shipped.forward)  # the checks look at its arguments
        def forward(self, x, *args, **options):
            arrays = {"x": np.array(x), **self.params}
            y = super().forward(x, *args, **options)
            self.scene = Scene(array, self, arrays, (), [np.array(y)],
                               labels=args[0] if args else None)
            comes_out = "test" if options.get("drop") is False else "y"
            return formula(self.scene).astype(x.dtype) if array == comes_out else y

        def backward(self, *dy):
            self.grads: dict[str, np.ndarray] = {}  # else the layer would write over the formula's
            right, scene = {"x": super().backward(*dy)} | self.grads, self.scene
            if array in right:
                scene.dys, scene.true = dy or [np.ones(())], right[array]
                scene.ones = lambda: scene.true / scene.dy  # where that is the slope
                right[array] = formula(scene).astype(right[array].dtype)
            self.grads = {key: right[key] for key in self.grads}
            return right["x"]

    return Planted


def _planted_exchange(array: str, formula: Formula) -> type:
    class Planted(Exchange):
        def forward(self, xs):
            self.xs = {f"x_{tower}": x for tower, x in zip("ab", xs, strict=True)}
            wrong = [formula(Scene(f"y_{t}", self, self.xs)) for t in "ab" if array == "y"]
            return wrong or super().forward(xs)

        def backward(self, dys):
            wrong = [formula(Scene(x, self, self.xs, dys)) for x in self.xs if array == "x"]
            return wrong or super().backward(dys)

    return Planted


def _planted_masks(wrong: Callable[..., np.ndarray]) -> type:
    class Planted(Dropout):
        def mask(self, shape, step, first=0):
            return np.array(wrong(super().mask, shape, step))

    return Planted


def _planted_update(rule: update.Rule, frozen: bool = False) -> type:
    """frozen: whether the frozen layers have this rule, or the others."""
    class Planted(SGD):
        def __init__(self, network, lr, momentum, weight_decay, names=()):
            super().__init__(network, lr, momentum, weight_decay)
            self.velocity = {p.name: np.zeros_like(p.value) for p in network.parameters}

        def step(self):
            for p in self.network.parameters:
                w, v = p.value, self.velocity[p.name]
                moved = rule if p.layer.frozen == frozen else update.paper
                w[...], v[...] = moved(w, v, p.grad, self.lr)

    return Planted


def _from_formulas() -> Iterator[Mutant]:
    anywhere = [replace(mistake, kind=kind, array="x") for mistake in ANY
                for kind in ("ReLU", "Tanh")]
    for m in [*MISTAKES, *anywhere]:
        output = m.name == m.hint
        about = f"in forward: {m.hint}" if output else f"d{m.array}: {m.name}"
        for way, formula in enumerate(m.ways):
            cls = (_planted_exchange(m.array, formula) if m.kind == "Exchange" else
                   _planted_layer(m.kind, m.array, formula))
            yield Mutant(m.kind, about, m.hint if output else f"{m.name}: {m.hint}", cls, way)


class PilesUp(Conv2D):
    """dW is added to what the last step left"""

    def backward(self, dy):
        before = self.grads["W"].copy() if "W" in self.grads else 0
        dx = super().backward(dy)
        self.grads["W"] += before
        return dx


class MakesFloat64(Conv2D):
    """dx is made in float64, whatever came in"""

    def backward(self, dy):
        return super().backward(dy).astype(np.float64)


class ScalesUpstream(Linear):
    """backward divides dy in place before it is done with it"""

    def backward(self, dy):
        dx = super().backward(dy)
        dy /= 2
        return dx


class AlwaysDrops(Dropout):
    """forward does not know the test"""

    def forward(self, x, remember=False):  # type: ignore[override]
        return super().forward(x, remember, drop=True)


MUTANTS = sorted([
    *_from_formulas(),
    *(Mutant("Dropout", f"its masks: {hint}", hint, _planted_masks(wrong))
      for hint, _, wrong in MASKS),
    *(Mutant("SGD", name, f"{name}: {hint}", _planted_update(rule))
      for name, (hint, rule) in update.MISTAKES.items()),
    *(Mutant("FrozenBackward", name, f"{name}: {hint}", wrong)
      for name, (hint, wrong) in frozen.BACKWARD.items()),
    *(Mutant("FrozenUpdate", name, f"{name}: {hint}", _planted_update(rule, frozen=True))
      for name, (hint, rule) in frozen.UPDATE.items()),
    *(Mutant(cls.__mro__[1].__name__, str(cls.__doc__), says, cls) for says, cls in (
        ("gradients pile up", PilesUp), ("wrong dtype", MakesFloat64),
        ("writes into dy", ScalesUpstream), ("no test mode", AlwaysDrops))),
], key=lambda mutant: list(SHIPPED).index(mutant.kind))


def try_mutant(mutant: Mutant, seed: int = 0) -> tuple[Report | None, bool]:
    """The report in which its mistake is named, and True; else the first in which it is caught,
    None where it never is, and False."""
    caught = None
    for case in cases_of(mutant.kind):
        report = try_case(mutant.cls, case, seed)
        if mutant.says in str(report):
            return report, True
        caught = caught or (None if report.ok else report)
    return caught, False
