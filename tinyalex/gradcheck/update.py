"""The optimiser against the update of the paper's section 5, written out number by number.

An update is no gradient, but it goes wrong as silently: with weights that barely move at first,
decay without the learning rate, or a learning rate outside the velocity, look like the real thing
until the rate changes.
"""

from collections.abc import Callable

import numpy as np

from tinyalex.gradcheck.numeric import relative_error
from tinyalex.gradcheck.report import TOLERANCE, WRONG, Finding, Report
from tinyalex.layers import Linear
from tinyalex.network import Network

LR, MOMENTUM, DECAY = 0.1, 0.9, 0.3  # a decay large enough to be seen within a few steps
RATES = (LR, LR, LR, LR / 10, LR / 10)

Rule = Callable[[float, float, float, float], tuple[float, float]]  # (w, v, g, lr) -> (w, v)


def paper(w, v, g, lr):
    """v ← 0.9·v − decay·lr·w − lr·g; w ← w + v."""
    v = MOMENTUM * v - DECAY * lr * w - lr * g
    return w + v, v


def _outside(w, v, g, lr):
    v = MOMENTUM * v - DECAY * w - g
    return w + lr * v, v


def _nesterov(w, v, g, lr):
    v = MOMENTUM * v - lr * (g + DECAY * w)
    return w + MOMENTUM * v - lr * (g + DECAY * w), v


def _after(w, v, g, lr):
    v = MOMENTUM * v - lr * g
    return (w + v) * (1 - DECAY * lr), v


def _beside(w, v, g, lr):
    v = MOMENTUM * v - lr * g
    return w + v - DECAY * lr * w, v


def _old_velocity(w, v, g, lr):
    return w + v, MOMENTUM * v - DECAY * lr * w - lr * g


MISTAKES: dict[str, tuple[str, Rule]] = {
    "learning rate outside the velocity": (
        "the rate multiplies the gradient as it enters v, not v as it enters w.", _outside),
    "decay without the learning rate": (
        "the decay term is decay·lr·w.",
        lambda w, v, g, lr: (w + (v := MOMENTUM * v - DECAY * w - lr * g), v)),
    "no weight decay": (
        "−decay·lr·w is missing.", lambda w, v, g, lr: (w + (v := MOMENTUM * v - lr * g), v)),
    "decay of the wrong sign": (
        "weights shrink: minus decay·lr·w.",
        lambda w, v, g, lr: (w + (v := MOMENTUM * v + DECAY * lr * w - lr * g), v)),
    "gradient uphill": (
        "down the slope: minus lr·g.",
        lambda w, v, g, lr: (w + (v := MOMENTUM * v - DECAY * lr * w + lr * g), v)),
    "no momentum": (
        "0.9·v of the step before is missing: is v kept?",
        lambda w, v, g, lr: (w - DECAY * lr * w - lr * g, 0.0)),
    "gradient damped by 1 − momentum": (
        "g enters v in full.",
        lambda w, v, g, lr: (w + (v := MOMENTUM * v - DECAY * lr * w - (1 - MOMENTUM) * lr * g),
                             v)),
    "Nesterov's momentum": ("the paper's momentum does not look ahead.", _nesterov),
    "decay outside the velocity": ("decay goes through v, as the gradient does.", _beside),
    "decay after the step": ("decay is taken of w before the step, through v.", _after),
    "weights moved by the old velocity": ("first v, then w ← w + v with the new v.",
                                          _old_velocity),
    "learning rate twice": (
        "the decay term has the rate once.",
        lambda w, v, g, lr: (w + (v := MOMENTUM * v - DECAY * lr * lr * w - lr * g), v)),
}


def check_update(optimiser: Callable, seed: int = 0, title: str = "SGD") -> Report:
    """Check an optimiser's class, built as optimiser(network, lr, momentum, weight_decay): five
    steps with random gradients, the rate divided by 10 before the fourth."""
    rng = np.random.default_rng(seed)
    network = Network([[[Linear(4, 3, std=1, bias=1, name="fc")]]], (4,), dtype=np.float64)
    network_step = optimiser(network, LR, MOMENTUM, DECAY)
    (layer,), report = network.stages[0][0], Report(title)
    start = {k: v.copy() for k, v in layer.params.items()}
    seen, gs = {k: [] for k in start}, {k: [] for k in start}
    for lr in RATES:
        layer.grads = {k: rng.standard_normal(v.shape) for k, v in start.items()}
        for key, g in layer.grads.items():
            gs[key].append(g.copy())
        network_step.lr = lr
        network_step.step()
        for key in start:
            seen[key].append(layer.params[key].copy())
    for key, w in start.items():
        report.findings.append(_compare(key, w, gs[key], np.array(seen[key])))
    return report


def run(rule: Rule, w: np.ndarray, gs: list[np.ndarray]) -> np.ndarray:
    """The weights after each step, by a rule for one number."""
    w, v, path = w.copy(), np.zeros_like(w), []
    for g, lr in zip(gs, RATES, strict=True):
        for i in np.ndindex(w.shape):
            w[i], v[i] = rule(w[i], v[i], g[i], lr)
        path.append(w.copy())
    return np.array(path)


def _compare(key, w, gs, seen) -> Finding:
    right = run(paper, w, gs)
    error = relative_error(seen, right)
    worst = np.unravel_index(error.argmax(), error.shape)
    finding = Finding(key, float(error[worst]), checked=f"{len(RATES)} steps")
    if not finding.error <= TOLERANCE:
        step, *place = map(int, worst)
        finding.verdict = WRONG
        finding.worst = f"{key}{place} after step {step + 1}"
        finding.says, finding.slope = float(seen[worst]), float(right[worst])
        for mistake, (hint, rule) in MISTAKES.items():
            if np.allclose(seen, run(rule, w, gs), rtol=1e-9, atol=1e-12):
                finding.mistakes.append(mistake)
                finding.hints.append(f"{mistake}: {hint}")
    return finding
