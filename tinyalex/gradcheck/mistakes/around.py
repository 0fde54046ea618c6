"""Mistakes in the loss, in an exchange, and those that can be made in any layer."""

import numpy as np

from tinyalex.gradcheck.scene import Scene, backward, forward


def _p(s: Scene, axis: int | None = 1, along: int | None = 1, shift: int = 1) -> np.ndarray:
    """Softmax over an axis, shifted by `shift` times the largest along another, or of all."""
    e = np.exp(s.x - shift * s.x.max(axis=along, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _logs(s: Scene, **softmax) -> np.ndarray:
    """−ln p of each picture's label."""
    return -np.log(_p(s, **softmax)[np.arange(len(s.x)), s.labels])


def _onehot(s: Scene) -> np.ndarray:
    return np.eye(s.x.shape[1])[s.labels]


loss_y, exchange_y = forward("SoftmaxCrossEntropy"), forward("Exchange")
loss_dx, exchange, anywhere = (backward(kind, array) for kind, array in (
    ("SoftmaxCrossEntropy", "x"), ("Exchange", "x"), ("", "")))

LOSS = [
    loss_y("it is 0 whatever the scores: is the loss computed, and returned?",
           lambda s: np.zeros(())),
    loss_y("that is computed from the squares of the scores; the loss is the mean of −ln p[label].",
           lambda s: (s.x**2).sum(), lambda s: (s.x**2).mean()),
    loss_y("the sign is wrong: −ln p is never below 0.", lambda s: -_logs(s).mean()),
    loss_y("that is the sum over the pictures: the loss is their mean.", lambda s: _logs(s).sum()),
    loss_y("that is one number per picture: the loss is their mean.", _logs),
    loss_y("the mean is over the N pictures, not over all N·K numbers.",
           lambda s: _logs(s).sum() / s.x.size),
    loss_y("subtract the largest score of each picture (axis=1, keepdims=True), not the largest of "
           "all: exp(−2000) is 0.", lambda s: _logs(s, along=None).mean()),
    loss_y("subtract each picture's largest score before np.exp: exp(1000) overflows.",
           lambda s: _logs(s, shift=0).mean()),
    loss_y("softmax runs over the wrong axis: each picture's probabilities add up to 1, so sum "
           "with axis=1, keepdims=True.",
           *(lambda s, axis=axis, along=along: _logs(s, axis=axis, along=along).mean()
             for axis in (0, None) for along in (axis, 1))),
    loss_dx("no shift by the maximum", "exp(1000) overflows: keep the p of the forward pass.",
            lambda s: (_p(s, shift=0) - _onehot(s)) / len(s.x)),
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


def _maps(s: Scene, other: bool = False) -> np.ndarray:
    """The maps of the tower that reads, or of the other."""
    return s.arrays["x_a" if (s.name == "y_a") != other else "x_b"]


EXCHANGE = [
    exchange_y("nothing is exchanged: every tower reads the maps of all towers.",
               _maps, lambda s: _maps(s, other=True)),
    exchange_y("tower a's maps come first, then b's, whoever reads them.",
               lambda s: np.concatenate([s.arrays["x_b"], s.arrays["x_a"]], axis=-1),
               lambda s: np.concatenate([_maps(s), _maps(s, other=True)], axis=-1)),
    exchange("forgets to add", "every tower read these maps: add up what all of them hand back.",
             _own, _other),
    exchange("part taken from the other tower", "tower t's maps are at its own channels.",
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
             "backward only adds up: the loss has already taken the mean.",
             lambda s: s.true / _N(s), lambda s: s.true / _places(s),
             lambda s: s.true / (_N(s) * _places(s))),
    anywhere("double counting", "every number is twice the right one.", lambda s: 2 * s.true),
    anywhere("dy forgotten", "the slope has to be multiplied by dy, which comes from above.",
             lambda s: s.ones()),
]
