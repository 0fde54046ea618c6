"""Layers that stay while others learn (freezing.py), where a learner writes it: two checks.

FrozenBackward: a backward that ends above the still layers, and gives exactly the gradients of what
learns. FrozenUpdate: an update that leaves frozen layers alone. Both go wrong silently: with a
layer that never moves, or one that slowly forgets what was taken over, the loss still falls.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np

from tinyalex import freezing
from tinyalex.gradcheck.numeric import relative_error
from tinyalex.gradcheck.report import WRONG, Finding, Report, no_output, place
from tinyalex.gradcheck.update import MISTAKES, RATES, D, M, Mistakes, check_steps, paper, stays
from tinyalex.layers import Linear, ReLU
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.support.text import plural

FROZEN = ("fc1-fc2", "fc1,fc4", "fc2-fc3", "none")  # of fc1 to fc5, in turn
WIDTH = 5  # of all layers, so that one that is passed over does not show in a shape

Described = list[dict[str, Any]]
Gradients = dict[str, np.ndarray]


def backward(layers: Described, dy: np.ndarray, early: bool = False, at_frozen: bool = False,
             theirs: bool = False, past: bool = False, mask: bool = True) -> Gradients:
    """dW by name, of the layers that learn. layers: see `describe`; dy: of the last one's output.
    The other arguments make mistakes, see BACKWARD."""
    grads: Gradients = {}
    for layer in reversed(layers):
        if layer["still"] or (at_frozen and layer["frozen"]):
            break
        if theirs or not layer["frozen"]:
            grads[layer["name"]] = layer["x"].T @ dy
        if not (past and layer["frozen"]):
            dy = dy @ layer["W"].T * ((layer["x"] > 0) if mask else 1)
    return dict([*grads.items()][:-1]) if early else grads


# The name of each mistake, a hint for the learner, and a backward that makes it.
BACKWARD: dict[str, tuple[str, Callable[..., Gradients]]] = {
    "stops one layer too early": (
        "the lowest layer that learns has a dW as well; only its dx is read by nobody.",
        partial(backward, early=True)),
    "stops at a frozen layer": (
        "one that learns may be below: a frozen layer hands the gradient down. The end is where "
        "layers are still.", partial(backward, at_frozen=True)),
    "gradients of frozen layers": (
        "they stay as they are, so nobody needs their dW.", partial(backward, theirs=True)),
    "passes over frozen layers": (
        "what goes down through a frozen layer is multiplied by its W, and masked, as always.",
        partial(backward, past=True)),
    "no mask": (
        "where x is 0, the ReLU below was off, and nothing flows back.",
        partial(backward, mask=False)),
}

# Likewise of an update; the rule is that of the frozen layers.
UPDATE: Mistakes = {
    "a frozen layer that moves": (
        "leave out the parameters in `frozen`: any gradient that they have is an old one.",
        paper),
    "a frozen layer that decays": (
        "without its gradient the update still shrinks it: leave the whole update out.",
        partial(paper, gradient=0)),
    "frozen for the decay only": (
        "its gradient does not count either: leave the whole update out.",
        partial(paper, decay=0)),
}


def describe(network: Network) -> Described:
    """The fully connected layers after a forward that remembers, from the pictures to the scores:
    name, W, frozen, still, and x, what it has read and kept: None of a still one."""
    return [{"name": layer.name, "W": layer.params["W"].copy(), "frozen": layer.frozen,
             "still": layer.still, "x": layer.kept[0].copy() if layer.kept else None}
            for layer in network.shapes if isinstance(layer, Linear)]


def small_network(cls: Callable[..., Network], frozen: str, seed: int, count: int = 5) -> Network:
    """fc1, fc2 and so on, with ReLU between them, some of them frozen."""
    layers = [layer for i in range(1, count + 1) for layer in (
        Linear(WIDTH, WIDTH, std=0.7, bias=0.3, name=f"fc{i}"), ReLU(f"relu{i}"))][:-1]
    network = cls([[layers]], (WIDTH,), seed=seed, dtype=np.float64)
    freezing.freeze(network, frozen)
    return network


def check_backward(tried: Any, seed: int = 0) -> Report:
    """Check backward(layers, dy), see `backward`, or the backward of a class of networks."""
    report = Report("FrozenBackward")
    for frozen in FROZEN:
        x, dy = np.random.default_rng([seed, 3]).standard_normal((2, 6, WIDTH))
        network = small_network(tried if isinstance(tried, type) else Network, frozen, seed)
        network.forward(x, remember=True)
        layers = describe(network)
        given = deepcopy(layers), dy.copy()
        said = _of_network(network, dy) if isinstance(tried, type) else tried(*given)
        findings, problem = _compared(said, layers, dy)
        if not problem and not _same(backward(*given), backward(layers, dy)):
            problem = "changes its arguments: they are different after the call"
        if problem:
            return Report(report.title, findings, [f"{problem} (frozen: {frozen})"])
        for finding in findings:
            finding.checked += f"; frozen: {frozen}"
        report.findings += findings
    return report


def _of_network(network: Network, dy: np.ndarray) -> Gradients:
    network.backward(dy.copy())
    return {layer.name: layer.grads["W"] for layer in network.shapes if "W" in layer.grads}


def _compared(said: Any, layers: Described, dy: np.ndarray) -> tuple[list[Finding], str]:
    """Each gradient against the right one, and what is wrong with all of it."""
    right = backward(layers, dy)
    if not isinstance(said, dict):
        return [], (f"no output: backward gives {type(said).__name__}, where a dict is expected, "
                    "with the dW of each layer that learns, by name")
    named = next((f"{name}: {hint}" for name, (hint, wrong) in BACKWARD.items()
                  if not _same(said, right) and _same(said, wrong(layers, dy))), "")
    if said.keys() != right.keys():
        detail = f"gradients of {_list(said)} are given, but {_list(right)} learn"
        return [], f"{named} {detail[0].upper()}{detail[1:]}" if named else f"wrong names: {detail}"
    findings = []
    for name, dW in right.items():
        if problem := no_output(said[name], dW, f"dW of {name}", ""):
            return [], problem
        error = relative_error(said[name], dW)
        worst = np.unravel_index(error.argmax(), error.shape)
        findings.append(Finding(name, checked=plural(dW.size, "number"),
                                words=("dW is", "and should be")))
        findings[-1].measure(error[worst], f"{name}{place(worst)}", said[name][worst], dW[worst])
    if not named and any(finding.verdict == WRONG for finding in findings):
        named = "wrong gradients"
    return findings, named


def _list(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "no layer"


def _same(said: dict, gives: Gradients) -> bool:
    return said.keys() == gives.keys() and all(
        np.shape(said[name]) == dW.shape and np.allclose(said[name], dW, rtol=1e-9, atol=1e-12)
        for name, dW in gives.items())


def sgd(network: Network, lr: float, momentum: float, weight_decay: float,
        frozen: tuple[str, ...]) -> SGD:
    """The shipped update, built as a learner's is: with the names of the frozen parameters."""
    return SGD(network, lr, momentum, weight_decay)


def check_update(optimiser: Callable[..., Any], seed: int = 0) -> Report:
    """Check an optimiser's class, built as optimiser(network, lr, momentum, weight_decay, frozen),
    for two layers of which the first is frozen and has an old gradient."""
    rng = np.random.default_rng([seed, 4])
    network = small_network(Network, "fc1", seed, count=2)
    parameters = network.parameters
    old = {p.name: rng.standard_normal(p.value.shape) for p in parameters if p.layer.frozen}
    report = check_steps(
        "FrozenUpdate", optimiser(network, RATES[0], M, D, tuple(old)), parameters,
        lambda p: old[p.name] if p.name in old else rng.standard_normal(p.value.shape),
        lambda p: (stays, UPDATE) if p.name in old else (paper, MISTAKES))
    for finding in report.findings:
        finding.checked += ", frozen" if finding.name in old else ", learns"
    return report


SHIPPED: dict[str, Callable[..., Any]] = {"FrozenBackward": Network, "FrozenUpdate": sgd}
CHECKS = {"FrozenBackward": check_backward, "FrozenUpdate": check_update}
