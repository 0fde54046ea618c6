"""Mistakes in the loss, in an exchange, and those that can be made in any layer."""

import numpy as np

from tinyalex.gradcheck.scene import Scene, backward


def _p(s: Scene) -> np.ndarray:
    e = np.exp(s.x - s.x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _onehot(s: Scene) -> np.ndarray:
    return np.eye(s.x.shape[1])[s.labels]


loss_dx, exchange, anywhere = (backward(kind, array) for kind, array in (
    ("SoftmaxCrossEntropy", "x"), ("Exchange", ""), ("", "")))

LOSS = [
    loss_dx("without the one-hot", "dx = (p − onehot) / N: the label's own 1 is missing.",
            lambda s: _p(s) / len(s.x)),
    loss_dx("one-hot only", "dx = (p − onehot) / N: the probabilities are missing.",
            lambda s: -_onehot(s) / len(s.x)),
    loss_dx("forgotten ÷N", "the loss is a mean over N pictures, so each counts 1/N.",
            lambda s: _p(s) - _onehot(s)),
    loss_dx("divided by K",
            "the mean is over the N pictures, not over the K classes, nor over N·K scores.",
            lambda s: (_p(s) - _onehot(s)) / s.x.shape[1],
            lambda s: (_p(s) - _onehot(s)) / s.x.size),
    loss_dx("÷N of one part only", "both p and the one-hot are divided by N.",
            lambda s: _p(s) - _onehot(s) / len(s.x), lambda s: _p(s) / len(s.x) - _onehot(s)),
]


def _part(s: Scene, dy: np.ndarray, first: bool) -> np.ndarray:
    """As many maps of dy as this tower has: the first of them, or the last."""
    width = s.arrays[s.name].shape[-1]
    return dy[..., :width] if first else dy[..., -width:]


def _own(s: Scene) -> np.ndarray:
    """What the tower's own reader hands back for its maps."""
    return _part(s, s.dys[s.name == "x_b"], s.name == "x_a")


def _other(s: Scene) -> np.ndarray:
    return _part(s, s.dys[s.name == "x_a"], s.name == "x_a")


EXCHANGE = [
    exchange("forgets to add", "every tower read these maps: add up what all of them hand back.",
             _own, _other),
    exchange("part taken from the other tower", "tower t's maps stand at its own channels.",
             lambda s: _part(s, s.dys[0] + s.dys[1], s.name == "x_b")),
    exchange("averaged over the readers", "the readers' gradients are added, not averaged.",
             lambda s: (_own(s) + _other(s)) / 2),
    exchange("one reader counted twice", "each reader counts once.",
             lambda s: 2 * _own(s), lambda s: 2 * _other(s)),
]


def _places(s: Scene) -> int:
    """The places (OH·OW) of one output map; 1 where the output has none."""
    return int(np.prod(s.dy.shape[1:-1]))


def _N(s: Scene) -> int:
    return len(s.dy) if s.dy.ndim else len(s.x)


ANY = [
    anywhere("gradient is zero", "nothing flows back: is the result assigned, or returned?",
             lambda s: 0 * s.true),
    anywhere("wrong sign", "every number is the negative of the right one: training climbs.",
             lambda s: -s.true),
    anywhere("averaged over the batch",
             "backward only adds up: it is the loss that has taken the mean.",
             lambda s: s.true / _N(s), lambda s: s.true / _places(s),
             lambda s: s.true / (_N(s) * _places(s))),
    anywhere("double counting", "every number is twice the right one.", lambda s: 2 * s.true),
]
