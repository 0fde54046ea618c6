"""On what to try a layer: few shapes, each of which tells something that the others do not.

Three pictures, since with one a sum and a mean are the same and with two a mean and a half are.
Strides that leave pixels over, padding on one side only, windows that overlap, that do not, and
that hang over the edge; maps, or pixels, more and fewer than the window of a normalisation, whose
alpha is large (at 1e-4 its cross term is too small to be missed) and as in the paper; inputs with
ties.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyalex import layers
from tinyalex.devices import CpuDevice
from tinyalex.exchange import Exchange
from tinyalex.gradcheck import frozen
from tinyalex.gradcheck.checks import EVERY, check_exchange, check_layer, check_loss
from tinyalex.gradcheck.numeric import H
from tinyalex.gradcheck.report import Report
from tinyalex.gradcheck.update import check_nesterov, check_update
from tinyalex.optim import SGD

# What has a gradient, or is one's update: every layer, and what stands around them.
SHIPPED: dict[str, Callable[..., Any]] = {
    name: getattr(layers, name) for name in layers.__all__ if name not in ("Activation", "Layer")}
SHIPPED |= {"Exchange": Exchange, "SGD": SGD, **frozen.SHIPPED}

# What is no layer, also of what is not shipped (beyond.py).
UPDATES: dict[str, Callable[..., Report]] = {
    "SGD": check_update, "NesterovSGD": check_nesterov, **frozen.CHECKS}
EXCHANGES = ("Exchange", "RingExchange")
LOSSES = ("SoftmaxCrossEntropy", "SmoothedCrossEntropy")


def spaced(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random order, but no two numbers closer than 0.05 and none near 0: no kink is near."""
    numbers = (np.arange(np.prod(shape)) + 0.5) * 0.05
    return (rng.permutation(numbers) - numbers.mean() - 0.0125).reshape(shape)


def tied(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Few different numbers, so that most windows have several largest pixels."""
    return rng.integers(1, 4, shape).astype(float)


def normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape)


@dataclass(frozen=True)
class Case:
    """kind: the shipped class. title: what is special. args, options: what the class is built with,
    by position and by name. shape: of x. inputs: how x is drawn."""

    kind: str
    title: str
    args: tuple
    shape: tuple[int, ...]
    inputs: Callable = normal
    options: Mapping[str, object] = field(default_factory=dict)

    def make(self, cls: Callable, seed: int = 0) -> Any:
        """A layer of class `cls` with these settings, but for options that it does not know; or an
        exchange between two devices without threads of their own."""
        if self.kind == "Exchange":
            return cls("conv3", [CpuDevice("cpu0"), CpuDevice("cpu1")])
        options = dict(self.options)
        if self.kind in ("Conv2D", "Linear", "LocallyConnected2D"):
            options.update(std=0.5, bias=0.3, rng=seed)
        known = inspect.signature(cls).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            options = {name: value for name, value in options.items() if name in known}
        return cls(*self.args, **options)

    def x(self, seed: int = 0) -> np.ndarray:
        return self.inputs(self.shape, np.random.default_rng([seed, 1]))

    def check(self, cls: Callable, seed: int = 0, h: float = H, every: int = EVERY) -> Report:
        """Check class `cls` in this case."""
        rng = np.random.default_rng([seed, 2])
        if self.kind in UPDATES:
            report = UPDATES[self.kind](cls, seed)
        elif self.kind in EXCHANGES:
            xs = [rng.standard_normal((*self.shape, c)) for c in self.args]
            report = check_exchange(self.make(cls), xs, kind=self.kind, seed=seed, h=h)
        elif self.kind in LOSSES:
            labels = rng.integers(0, self.shape[1], len(self.x(seed)))
            report = check_loss(self.make(cls), self.x(seed), labels, kind=self.kind, seed=seed,
                                h=h)
        else:
            report = check_layer(self.make(cls, seed), self.x(seed), kind=self.kind, seed=seed, h=h,
                                 every=every)
        report.title = f"{self.kind}: {self.title}"
        return report


CASES = [
    Case("Conv2D", "3×3 with padding", (2, 4, 3, 1, 1), (3, 4, 5, 2)),
    Case("Conv2D", "stride 2, zeros on one side only", (2, 3, 3, 2, (0, 1)), (3, 6, 7, 2)),
    Case("Conv2D", "stride 3, pixels left over, one picture", (3, 2, 2, 3, 1), (1, 6, 5, 3)),
    Case("Conv2D", "no padding", (2, 3, 2), (2, 4, 3, 2)),
    Case("LocallyConnected2D", "3×3 with padding", ((3, 4, 2), 3, 3, 1, 1), (3, 3, 4, 2)),
    Case("LocallyConnected2D", "stride 2, zeros on one side only", ((4, 5, 2), 2, 3, 2, (0, 1)),
         (3, 4, 5, 2)),
    Case("Linear", "more inputs than outputs", (6, 4), (3, 6)),
    Case("Linear", "as many inputs as outputs", (5, 5), (3, 5)),
    Case("ReLU", "on either side of 0", (), (3, 3, 2, 2), spaced),
    Case("Tanh", "where it bends", (), (3, 3, 2, 2)),
    Case("LocalResponseNorm", "more maps than the window", (5, 2.0, 0.3, 0.75), (3, 2, 2, 7)),
    Case("LocalResponseNorm", "fewer maps than the window", (5, 1.0, 0.2, 0.6), (3, 2, 2, 3)),
    Case("LocalResponseNorm", "the paper's alpha", (5, 2.0, 1e-4, 0.75), (2, 2, 2, 6)),
    Case("SpatialResponseNorm", "maps larger than the window", (3, 2.0, 3.0, 0.75), (3, 5, 4, 2)),
    Case("SpatialResponseNorm", "maps smaller than the window", (5, 1.0, 5.0, 0.6), (3, 2, 3, 2)),
    Case("SpatialResponseNorm", "the authors' alpha", (5, 1.0, 1e-3, 0.75), (2, 6, 7, 1)),
    Case("MaxPool2D", "overlapping", (3, 2), (3, 7, 5, 2), spaced),
    Case("MaxPool2D", "side by side", (2, 2), (3, 4, 5, 2), spaced),
    Case("MaxPool2D", "over the edge", (3, 2), (2, 6, 6, 2), spaced, {"ceil": True}),
    Case("MaxPool2D", "ties", (3, 2), (2, 5, 5, 2), tied),
    Case("MaxPool2D", "ties to all, where there are none", (3, 2), (2, 5, 7, 2), spaced,
         {"ties": "all"}),
    Case("AveragePool2D", "overlapping", (3, 2), (3, 7, 5, 2)),
    Case("AveragePool2D", "over the edge", (3, 2), (2, 6, 4, 2), normal, {"ceil": True}),
    Case("Flatten", "maps of unequal sides", (), (3, 3, 2, 4)),
    Case("Dropout", "keep 0.7", (0.7,), (4, 10)),
    Case("Dropout", "keep 0.4", (0.4,), (4, 10)),
    Case("OwnMaps", "the first of two towers", (2,), (3, 2, 3, 6)),
    Case("SoftmaxCrossEntropy", "four pictures, three classes", (), (4, 3)),
    Case("SoftmaxCrossEntropy", "one picture", (), (1, 5)),
    Case("Exchange", "towers of unequal width", (3, 2), (2, 3, 3)),
    Case("Exchange", "towers of equal width", (3, 3), (2, 6)),
    Case("SGD", "five steps, the rate drops", (), ()),
    Case("FrozenBackward", "some of five layers learn", (), ()),
    Case("FrozenUpdate", "the second of two layers learns", (), ()),
]


def cases_of(kind: str) -> list[Case]:
    """The cases of one kind of layer."""
    return [case for case in CASES if case.kind == kind]
