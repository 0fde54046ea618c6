"""The optimiser against the update of the paper's section 5, written out.

An update is no gradient, but it goes wrong as silently: with weights that barely move at first,
decay without the learning rate, or a learning rate outside the velocity, look like the real thing
until the rate changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyalex.gradcheck.numeric import relative_error
from tinyalex.gradcheck.report import TOLERANCE, WRONG, Finding, Report
from tinyalex.layers import Linear
from tinyalex.network import Network

LR, MOMENTUM, DECAY = 0.1, 0.9, 0.3  # a decay large enough to be seen within a few steps
RATES = (LR, LR, LR, LR / 10, LR / 10)

# (w, v, g, lr, momentum, decay) -> the new w and v; of numbers, or of arrays
Rule = Callable[..., tuple[np.ndarray, np.ndarray]]


def paper(w, v, g, lr, m, decay):
    """v ← momentum·v − decay·lr·w − lr·g; w ← w + v."""
    v = m * v - decay * lr * w - lr * g
    return w + v, v


def moved_by(velocity: Callable[..., np.ndarray]) -> Rule:
    """The rule that renews v so, and then moves w by it."""
    def rule(w, v, g, lr, m, decay):
        v = velocity(w, v, g, lr, m, decay)
        return w + v, v

    return rule


def _outside(w, v, g, lr, m, decay):
    v = m * v - decay * w - g
    return w + lr * v, v


def _nesterov(w, v, g, lr, m, decay):
    v = m * v - lr * (g + decay * w)
    return w + m * v - lr * (g + decay * w), v


def _after(w, v, g, lr, m, decay):
    v = m * v - lr * g
    return (w + v) * (1 - decay * lr), v


def _beside(w, v, g, lr, m, decay):
    v = m * v - lr * g
    return w + v - decay * lr * w, v


def _old_velocity(w, v, g, lr, m, decay):
    return w + v, m * v - decay * lr * w - lr * g


@dataclass(frozen=True)
class WrongRule:
    """A mistake in the update: its name and hint for the learner, a sentence about it, the rule."""

    name: str
    hint: str
    about: str
    rule: Rule


MISTAKES = [
    WrongRule("learning rate outside the velocity",
              "the rate multiplies the gradient as it enters v, not v as it enters w.",
              "w ← w − lr·v: as in later libraries, a drop of the rate also slows the old velocity",
              _outside),
    WrongRule("decay without the learning rate", "the decay term is decay·lr·w.",
              "the decay term lacks the learning rate",
              moved_by(lambda w, v, g, lr, m, decay: m * v - decay * w - lr * g)),
    WrongRule("no weight decay", "−decay·lr·w is missing.", "weights do not decay",
              moved_by(lambda w, v, g, lr, m, decay: m * v - lr * g)),
    WrongRule("decay of the wrong sign", "weights shrink: minus decay·lr·w.",
              "weight decay makes weights grow",
              moved_by(lambda w, v, g, lr, m, decay: m * v + decay * lr * w - lr * g)),
    WrongRule("gradient uphill", "down the slope: minus lr·g.", "the gradient is added",
              moved_by(lambda w, v, g, lr, m, decay: m * v - decay * lr * w + lr * g)),
    WrongRule("no momentum", "0.9·v of the step before is missing: is v kept?",
              "the velocity is not kept from step to step",
              moved_by(lambda w, v, g, lr, m, decay: -decay * lr * w - lr * g)),
    WrongRule("gradient damped by 1 − momentum", "g enters v in full.",
              "v is a running mean of gradients, where it should be a sum that fades",
              moved_by(lambda w, v, g, lr, m, decay: m * v - decay * lr * w - (1 - m) * lr * g)),
    WrongRule("Nesterov's momentum", "the paper's momentum does not look ahead.",
              "the step looks ahead along the velocity", _nesterov),
    WrongRule("decay outside the velocity", "decay goes through v, as the gradient does.",
              "weights shrink beside the velocity", _beside),
    WrongRule("decay after the step", "decay is taken of w before the step, through v.",
              "weights shrink after the step, beside the velocity", _after),
    WrongRule("weights moved by the old velocity", "first v, then w ← w + v with the new v.",
              "w moves before v is renewed", _old_velocity),
    WrongRule("learning rate twice", "the decay term has the rate once.",
              "the decay term is multiplied by the rate twice",
              moved_by(lambda w, v, g, lr, m, decay: m * v - decay * lr**2 * w - lr * g)),
]


def check_update(optimiser: Callable, seed: int = 0, title: str = "SGD") -> Report:
    """Check an optimiser's class, built as optimiser(network, lr, momentum, weight_decay): five
    steps with random gradients, the rate divided by 10 before the fourth."""
    rng = np.random.default_rng(seed)
    network = Network([[[Linear(4, 3, std=1, bias=1, name="fc")]]], (4,), dtype=np.float64)
    update = optimiser(network, LR, MOMENTUM, DECAY)
    (layer,), report = network.stages[0][0], Report(title)
    start = {k: v.copy() for k, v in layer.params.items()}
    seen: dict[str, list[np.ndarray]] = {key: [] for key in start}
    gs: dict[str, list[np.ndarray]] = {key: [] for key in start}
    for lr in RATES:
        layer.grads = {k: rng.standard_normal(v.shape) for k, v in start.items()}
        for key, g in layer.grads.items():
            gs[key].append(g.copy())
        update.lr = lr
        update.step()
        for key in start:
            seen[key].append(layer.params[key].copy())
    for key, w in start.items():
        report.findings.append(_compare(key, w, gs[key], np.array(seen[key])))
    return report


def run(rule: Rule, w: np.ndarray, gs: list[np.ndarray]) -> np.ndarray:
    """The weights after each step."""
    v, path = np.zeros_like(w), []
    for g, lr in zip(gs, RATES, strict=True):
        w, v = rule(w, v, g, lr, MOMENTUM, DECAY)
        path.append(w)
    return np.array(path)


def _compare(key: str, w: np.ndarray, gs: list[np.ndarray], seen: np.ndarray) -> Finding:
    right = run(paper, w, gs)
    error = relative_error(seen, right)
    worst = np.unravel_index(error.argmax(), error.shape)
    finding = Finding(key, float(error[worst]), checked=f"{len(RATES)} steps")
    if not finding.error <= TOLERANCE:
        step, *place = map(int, worst)
        finding.verdict = WRONG
        finding.worst = f"{key}{place} after step {step + 1}"
        finding.says, finding.slope = float(seen[worst]), float(right[worst])
        finding.mistakes = {m.name: m.hint for m in MISTAKES
                            if np.allclose(seen, run(m.rule, w, gs), rtol=1e-9, atol=1e-12)}
    return finding
