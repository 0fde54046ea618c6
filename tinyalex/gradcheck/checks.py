"""The checks: everything that says it is a gradient, against numeric slopes."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from tinyalex.exchange import Exchange
from tinyalex.gradcheck.comparison import compare
from tinyalex.gradcheck.diagnosis import explain
from tinyalex.gradcheck.manners import manners
from tinyalex.gradcheck.numeric import H, Slopes, Subject
from tinyalex.gradcheck.report import WRONG, Report
from tinyalex.gradcheck.scene import Scene
from tinyalex.gradcheck.subjects import (
    ExchangeSubject,
    LayerSubject,
    NetworkSubject,
    random_state_kept,
)
from tinyalex.layers import Layer, SoftmaxCrossEntropy
from tinyalex.network import Network

EVERY = 600  # numbers: arrays up to this size are checked one by one


def check_layer(layer, x: np.ndarray, *, kind: str = "", title: str = "", seed: int = 0,
                h: float = H, every: int = EVERY, settings: Layer | None = None) -> Report:
    """Check a layer's gradients at x, in float64 (its parameters become float64 too), and, where
    they are right, its manners.

    kind: whose mistakes to look for, "Conv2D" and so on; if not given, the shipped class that the
    layer is, or comes from. settings: a shipped layer with the same settings, for a class that has
    other names for them.
    """
    subject = LayerSubject(layer, x, settings)
    report = check_subject(subject, title or repr(layer), kind or kind_of(layer), seed, h, every)
    if report.ok:
        report.problems += manners(subject, seed)
    return report


def check_loss(loss: SoftmaxCrossEntropy, x: np.ndarray, labels: np.ndarray, *,
               kind: str = "SoftmaxCrossEntropy", seed: int = 0, h: float = H) -> Report:
    """Check the gradient of a loss with respect to the scores x (N, K), for labels (N,).
    kind: whose mistakes to look for."""
    subject = LayerSubject(loss, x, labels=labels)
    return check_subject(subject, repr(loss), kind, seed, h)


def check_exchange(exchange: Exchange, xs: Sequence[np.ndarray], *, kind: str = "Exchange",
                   seed: int = 0, h: float = H) -> Report:
    """Check an exchange at the maps xs of its towers. kind: whose mistakes to look for."""
    title = f"exchange before {getattr(exchange, 'name', '')}"
    return check_subject(ExchangeSubject(exchange, xs), title, kind, seed, h)


def check_network(network: Network, x: np.ndarray, *, seed: int = 0, h: float = H,
                  title: str = "network", only: str = "") -> Report:
    """Check every parameter of a network, for pictures x; `only`: of layers whose name begins so.

    The network's parameters become float64. Large arrays are moved along random directions.
    """
    subject = NetworkSubject(network, x)
    if only:
        subject.arrays = {k: v for k, v in subject.arrays.items() if k.startswith(only)}
    return check_subject(subject, title, "", seed, h, every=12)


def kind_of(layer) -> str:
    """The shipped class that a layer is, or comes from; "" where there is none."""
    return next((c.__name__ for c in type(layer).__mro__
                 if c.__module__.startswith("tinyalex.layers.")), "")


@random_state_kept()
def check_subject(subject: Subject, title: str, kind: str = "", seed: int = 0, h: float = H,
                  every: int = EVERY) -> Report:
    """Compare all gradients of a subject with numeric slopes, for a random upstream gradient."""
    rng = np.random.default_rng(seed)
    dys = [np.ones(()) if subject.labels is not None else rng.standard_normal(y.shape)
           for y in subject.outputs()]
    before = {name: array.copy() for name, array in subject.arrays.items()}
    gradients = subject.gradients(dys)
    report = Report(title)
    for name, array in subject.arrays.items():
        if not np.array_equal(array, before[name]):
            report.problems.append(f"changes its arguments: {name} is different after backward")
            array[...] = before[name]
    slopes = Slopes(subject, dys, h)
    for name in subject.arrays:
        finding, numeric = compare(slopes, name, gradients[name], rng, every)
        if finding.verdict == WRONG:
            scene = Scene(name, subject.settings, before, dys, slopes.base, numeric,
                          gradients[name], subject.labels, partial(_with_ones, slopes, name))
            finding.mistakes = explain(kind, scene)
        report.findings.append(finding)
    return report


def _with_ones(slopes: Slopes, name: str) -> np.ndarray:
    """The slopes of an array with a dy that is 1 everywhere."""
    flat = Slopes(slopes.subject, [np.ones_like(dy) for dy in slopes.dys], slopes.h)
    shape = slopes.subject.arrays[name].shape
    return np.reshape([flat.at(name, i).value for i in np.ndindex(shape)], shape)
