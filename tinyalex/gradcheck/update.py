"""The optimiser against the update of the paper's section 5, written out.

An update is not a gradient, but it goes wrong as silently: with weights that barely move at first,
decay without the learning rate, or a learning rate outside the velocity, looks like the real thing
until the rate changes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinyalex.gradcheck.numeric import relative_error
from tinyalex.gradcheck.report import WRONG, Finding, Report, place
from tinyalex.layers import Flatten, Linear
from tinyalex.network import Network, Parameter
from tinyalex.support.text import plural

M, D = 0.8, 0.3  # momentum, not the usual one; a decay that is seen within a few steps
RATES = (0.1, 0.1, 0.1, 0.01, 0.01)

Rule = Callable[..., tuple[np.ndarray, np.ndarray]]  # (w, v, g, lr) -> the new w and v
Mistakes = dict[str, tuple[str, Rule]]  # the name of each, a hint for the learner, the wrong rule


def paper(w, v, g, lr, momentum=M, decay=D, gradient=1.0):
    """v ← momentum·v − decay·lr·w − lr·g; w ← w + v. gradient: a factor, 1 in the paper."""
    v = momentum * v - decay * lr * w - gradient * lr * g
    return w + v, v


def stays(w, v, g, lr):
    """w does not move."""
    return w, v


def _outside(w, v, g, lr):
    """As in later libraries: a drop of the rate also slows the old velocity."""
    v = M * v - D * w - g
    return w + lr * v, v


def nesterov(w, v, g, lr):
    """As `paper`, but w is where the old velocity has led ahead to, and g its gradient there."""
    v = M * v - lr * (g + D * w)
    return w + M * v - lr * (g + D * w), v


def _after(w, v, g, lr):
    w, v = paper(w, v, g, lr, decay=0)
    return w * (1 - D * lr), v


MISTAKES: Mistakes = {
    "learning rate outside the velocity": (
        "the rate multiplies the gradient as it enters v, not v as it enters w.", _outside),
    "decay without the learning rate": (
        "the decay term is decay·lr·w.", lambda w, v, g, lr: paper(w, v, g, lr, decay=D / lr)),
    "no weight decay": ("−decay·lr·w is missing.", partial(paper, decay=0)),
    "decay of the wrong sign": ("weights shrink: minus decay·lr·w.", partial(paper, decay=-D)),
    "gradient uphill": ("down the slope: minus lr·g.", partial(paper, gradient=-1)),
    "no momentum": (
        "momentum·v of the previous step is missing: is v kept?", partial(paper, momentum=0)),
    "step of the wrong sign": (
        "v ← momentum·v − decay·lr·w − lr·g points downhill already: w ← w + v.",
        partial(paper, decay=-D, gradient=-1)),
    "weights that stay": (
        "w = w + v makes a new array; p.value[...] += v changes the layer's own.", stays),
    "rate of the first step": (
        "self.lr may change between two steps: read it in each.",
        lambda w, v, g, lr: paper(w, v, g, RATES[0])),
    "momentum of one's own": (
        "use the argument momentum, not always 0.9.", partial(paper, momentum=0.9)),
    "gradient damped by 1 − momentum": (
        "g enters v in full: v is not a running mean of gradients but a sum that fades.",
        partial(paper, gradient=1 - M)),
    "Nesterov's momentum": ("the paper's momentum does not look ahead.", nesterov),
    "decay after the step": ("the decay is of w before the step, and goes through v.", _after),
    "weights moved by the old velocity": (
        "first v, then w ← w + v with the new v.",
        lambda w, v, g, lr: (w + v, paper(w, v, g, lr)[1])),
}


def check_update(optimiser: Callable[..., Any], seed: int = 0, right: Rule = paper,
                 mistakes: Mistakes = MISTAKES) -> Report:
    """Check an optimiser's class, built as optimiser(network, lr, momentum, weight_decay)."""
    rng = np.random.default_rng(seed)
    network = Network([[[Flatten(), Linear(4, 3, std=1, bias=1, name="fc")]]], (1, 1, 4),
                      dtype=np.float64)
    return check_steps("SGD", optimiser(network, RATES[0], M, D), network.parameters,
                       lambda p: rng.standard_normal(p.value.shape), lambda p: (right, mistakes))


def check_steps(title: str, update: Any, parameters: list[Parameter],
                gradient: Callable[[Parameter], np.ndarray],
                rules: Callable[[Parameter], tuple[Rule, Mistakes]]) -> Report:
    """Five steps of an optimiser, the rate divided by 10 before the fourth. gradient: gives that of
    a parameter, in each step. rules: by which a parameter should move, and wrong ones."""
    if not callable(getattr(update, "step", None)):
        return Report(title, problems=["no step: an optimiser has step()"])
    paths, gradients = [[p.value.copy()] for p in parameters], []
    for update.lr in RATES:
        gradients.append([gradient(p) for p in parameters])
        for p, g in zip(parameters, gradients[-1], strict=True):
            p.layer.grads[p.key] = g.copy()
        update.step()
        for p, path in zip(parameters, paths, strict=True):
            path.append(p.value.copy())
        if not all(map(np.array_equal, gradients[-1], (p.grad for p in parameters))):
            return Report(title, problems=["changes its arguments: p.grad is only read"])
    return Report(title, [follow(p.name, np.array(path), gs, *rules(p)) for p, path, gs
                          in zip(parameters, paths, zip(*gradients, strict=True), strict=True)])


check_nesterov = partial(check_update, right=nesterov, mistakes={
    "the paper's momentum": ("it does not look ahead.", paper),
    "weights that stay": MISTAKES["weights that stay"]})


def follow(name: str, path: np.ndarray, gs: Sequence[np.ndarray], rule: Rule,
           mistakes: Mistakes) -> Finding:
    """A parameter's path, from before the first step on, against that by the rule; gs: the gradient
    in each step."""
    right = _path(rule, path[0], gs)
    error = relative_error(path, right)
    worst = np.unravel_index(error.argmax(), error.shape)
    finding = Finding(name, checked=plural(len(gs), "step"), words=("it is", "and should be"))
    finding.measure(error[worst], f"{name}{place(worst[1:])} after step {worst[0]}", path[worst],
                    right[worst])
    if finding.verdict == WRONG:
        finding.mistakes = {mistake: hint for mistake, (hint, wrong) in mistakes.items()
                            if np.allclose(path, _path(wrong, path[0], gs), rtol=1e-9, atol=1e-12)}
    return finding


def _path(rule: Rule, w: np.ndarray, gs: Sequence[np.ndarray]) -> np.ndarray:
    v, path = np.zeros_like(w), [w]
    for g, lr in zip(gs, RATES, strict=True):
        w, v = rule(w, v, g, lr)
        path.append(w)
    return np.array(path)
