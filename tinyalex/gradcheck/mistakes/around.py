"""Mistakes in the loss, in an exchange, and those that can be made in any layer."""

import numpy as np

from tinyalex.gradcheck.scene import Scene, backward


def _p(s: Scene) -> np.ndarray:
    e = np.exp(s.x - s.x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _onehot(s: Scene) -> np.ndarray:
    return np.eye(s.x.shape[1])[s.labels]


def _of_p_label(s: Scene) -> np.ndarray:
    p, onehot = _p(s), _onehot(s)
    return -p * (onehot - (p * onehot).sum(axis=1, keepdims=True)) / len(p)


loss_dx, exchange, anywhere = (backward(kind, array) for kind, array in (
    ("SoftmaxCrossEntropy", "x"), ("Exchange", ""), ("", "")))

LOSS = [
    loss_dx("without the one-hot", "dx = (p − onehot) / N: the label's own 1 is missing.",
            "dx = p / N: the 1 of the label is not subtracted", lambda s: _p(s) / len(s.x)),
    loss_dx("one-hot only", "dx = (p − onehot) / N: the probabilities are missing.",
            "dx = −onehot / N: the sum over exp(x) is taken for a constant",
            lambda s: -_onehot(s) / len(s.x)),
    loss_dx("forgotten ÷N", "the loss is a mean over N pictures, so each counts 1/N.",
            "dx is not divided by the number of pictures",
            lambda s: _p(s) - _onehot(s), lambda s: _onehot(s) - _p(s)),
    loss_dx("wrong sign", "p − onehot, not onehot − p.",
            "onehot − p: training climbs", lambda s: (_onehot(s) - _p(s)) / len(s.x)),
    loss_dx("divided by K",
            "the mean is over the N pictures, not over the K classes, nor over N·K scores.",
            "dx is divided by the number of classes",
            lambda s: (_p(s) - _onehot(s)) / s.x.shape[1],
            lambda s: (_p(s) - _onehot(s)) / s.x.size),
    loss_dx("scores instead of probabilities", "p = softmax(x) belongs there, not x.",
            "dx = (x − onehot) / N", lambda s: (s.x - _onehot(s)) / len(s.x)),
    loss_dx("softmax not normalised", "exp(x) has to be divided by its sum.",
            "exp(x − max) is taken for p",
            lambda s: (np.exp(s.x - s.x.max(axis=1, keepdims=True)) - _onehot(s)) / len(s.x)),
    loss_dx("÷N of one part only", "both p and the one-hot are divided by N.",
            "p − onehot / N: a pair of brackets is missing",
            lambda s: _p(s) - _onehot(s) / len(s.x), lambda s: _p(s) / len(s.x) - _onehot(s)),
    loss_dx("derivative of another loss", "that is the derivative of −p_label, without the log.",
            "backward forgets the log", _of_p_label),
]


def _towers(s: Scene) -> tuple[int, int, list[int]]:
    """Which tower's maps this array is, which tower is the next, and where each one's maps begin
    and the last one's end."""
    t = list(s.arrays).index(s.name)
    ends = np.cumsum([0, *(x.shape[-1] for x in s.arrays.values())])
    return t, (t + 1) % len(s.arrays), ends.tolist()


def _part(s: Scene, reader: int, of: int | None = None) -> np.ndarray:
    """Of what a reader hands back, the maps of one tower: of this one if not given."""
    t, _, ends = _towers(s)
    of = t if of is None else of
    return s.dys[reader][..., ends[of]:ends[of + 1]]


def _all(s: Scene, of: int | None = None) -> np.ndarray:
    return np.sum([_part(s, reader, of) for reader in range(len(s.dys))], axis=0)


def _own(s: Scene) -> np.ndarray:
    return _part(s, _towers(s)[0])


def _other(s: Scene) -> np.ndarray:
    return _part(s, _towers(s)[1])


def _other_end(s: Scene) -> np.ndarray:
    """As many maps as this tower has, from the other end of the joined ones."""
    t, _, ends = _towers(s)
    width = ends[t + 1] - ends[t]
    first = 0 if t else ends[-1] - width
    return np.sum([dy[..., first:first + width] for dy in s.dys], axis=0)


def _each_readers_own(s: Scene) -> np.ndarray:
    parts = [_part(s, reader, reader) for reader in range(len(s.dys))]
    same = all(part.shape == parts[0].shape for part in parts)
    return np.sum(parts, axis=0) if same else np.empty(0)


EXCHANGE = [
    exchange("forgets to add", "every tower read these maps: add up what all of them hand back.",
             "only the gradient of the tower's own reader comes back",
             _own, _other),
    exchange("part taken from the other tower", "tower t's maps stand at its own channels.",
             "each tower is handed the gradient of the other one's maps",
             _other_end, lambda s: _all(s, _towers(s)[1])),
    exchange("averaged over the readers", "the readers' gradients are added, not averaged.",
             "the readers' gradients are averaged where they should be added",
             lambda s: _all(s) / len(s.dys)),
    exchange("one reader counted twice", "each reader counts once.",
             "the tower's own reader is counted twice, the other not at all",
             lambda s: 2 * _own(s), lambda s: 2 * _other(s)),
    exchange("one reader subtracted", "each reader's part is added.",
             "the other reader's part is subtracted", lambda s: _own(s) - _other(s)),
    exchange("each reader's own part added",
             "all readers' gradients are cut at the same channels, those of the tower that wrote "
             "them.",
             "each reader's gradient is cut at the reader's own channels", _each_readers_own),
]


def _true(s: Scene) -> np.ndarray:
    """The right gradient, to do something to it that can be done to any."""
    true = s.true[s.name]
    return np.empty(0) if true is None else true


def _places(s: Scene) -> int:
    """The places (OH·OW) of one output map; 1 where the output has none."""
    return int(np.prod(s.dy.shape[1:-1]))


def _N(s: Scene) -> int:
    return len(s.dy) if s.dy.ndim else len(s.x)


def _flipped(s: Scene, *axes: int) -> np.ndarray:
    true = _true(s)
    return np.flip(true, axes) if true.ndim > max(axes) else np.empty(0)


SCALED = [
    anywhere("gradient is zero", "nothing flows back: is the result assigned, or returned?",
             "it stays what it was at the start", lambda s: 0 * _true(s)),
    anywhere("wrong sign", "every number is the negative of the right one.",
             "it has the other sign: training climbs", lambda s: -_true(s)),
    anywhere("averaged over the batch",
             "backward only adds up: it is the loss that has taken the mean.",
             "it is averaged over the pictures, though the loss has done that already",
             lambda s: _true(s) / _N(s), lambda s: _true(s) / _places(s),
             lambda s: _true(s) / (_N(s) * _places(s))),
    anywhere("double counting", "every number is twice the right one.",
             "it is added twice", lambda s: 2 * _true(s)),
    anywhere("half is missing", "every number is half the right one.",
             "it is halved", lambda s: _true(s) / 2),
    anywhere("summed where a mean was due", "every number is N times the right one.",
             "it is multiplied by the number of pictures", lambda s: _true(s) * _N(s)),
]
TURNED = [
    anywhere("flipped", "the right numbers, backwards along the first axis, the second, or both.",
             "it is turned round along its first axis", lambda s: _flipped(s, 0),
             lambda s: _flipped(s, 1), lambda s: _flipped(s, 0, 1)),
    anywhere("transposed gradient", "the right numbers with the first two axes exchanged.",
             "its first two axes are exchanged",
             lambda s: _true(s).swapaxes(0, 1) if _true(s).ndim >= 2 else np.empty(0)),
]
