"""Mistakes in layers without weights: activations, pooling, flatten, dropout, own maps."""

from collections.abc import Callable, Iterator

import numpy as np

from tinyalex.gradcheck.scene import Formula, Scene, backward, forward
from tinyalex.kernels import loops

relu_y, relu_dx = forward("ReLU"), backward("ReLU", "x")

RELU = [
    relu_y("nothing is cut off.", lambda s: s.x),
    relu_dx("mask of the gradient", "the mask is where x (or y) is positive, not where dy is.",
            lambda s: s.dy * (s.dy > 0), lambda s: s.dy * ((s.dy > 0) & (s.x > 0))),
    relu_dx("no mask", "where x was negative, nothing flows back.", lambda s: s.dy),
    relu_dx("mask inverted", "gradients pass where x is positive.", lambda s: s.dy * (s.x <= 0)),
    relu_dx("multiplied by the value", "the slope is 1, not y: a mask.",
            lambda s: s.dy * np.maximum(s.x, 0)),
]

tanh_y, tanh_dx = forward("Tanh"), backward("Tanh", "x")

TANH = [
    tanh_y("that is the sigmoid.", lambda s: 1 / (1 + np.exp(-s.x))),
    tanh_y("exp overflows; np.tanh does not.",
           lambda s: (np.exp(2 * s.x) - 1) / (np.exp(2 * s.x) + 1),
           lambda s: (np.exp(s.x) - np.exp(-s.x)) / (np.exp(s.x) + np.exp(-s.x))),
    tanh_dx("y not squared", "tanh' = 1 − tanh², squared.", lambda s: s.dy * (1 - s.y)),
    tanh_dx("difference squared", "1 − y², not (1 − y)².", lambda s: s.dy * (1 - s.y)**2),
    tanh_dx("input instead of output", "tanh' = 1 − y² with y = tanh(x), not x.",
            lambda s: s.dy * (1 - s.x**2)),
    tanh_dx("derivative of the sigmoid", "y (1 − y) belongs to the sigmoid.",
            lambda s: s.dy * s.y * (1 - s.y)),
    tanh_dx("tanh applied twice", "y is tanh(x) already.",
            lambda s: s.dy * (1 - np.tanh(s.y) ** 2)),
]

flatten_y, flatten_dx = forward("Flatten"), backward("Flatten", "x")

FLATTEN = [
    flatten_y("the numbers are in another order.", lambda s: s.x.reshape(len(s.x), -1, order="F")),
    flatten_y("the channels come first.",
              lambda s: s.x.transpose(0, 3, 1, 2).reshape(len(s.x), -1)),
    flatten_dx("wrong order", "forward and backward have to read the numbers in the same order.",
               lambda s: s.dy.reshape(s.x.shape, order="F"),
               lambda s: np.moveaxis(s.dy.reshape(np.moveaxis(s.x, 3, 1).shape), 1, 3)),
]


own_y, own_dx = forward("OwnMaps"), backward("OwnMaps", "x")


def _into_maps(s: Scene, first: int) -> np.ndarray:
    dx = np.zeros_like(s.x)
    dx[..., first : first + s.dy.shape[-1]] = s.dy
    return dx


OWN_MAPS = [
    own_y("these are another tower's maps.", lambda s: s.x[..., s.x.shape[-1] // 2 :]),
    own_dx("another tower's maps", "the gradient belongs to the maps that forward took.",
           lambda s: _into_maps(s, s.dy.shape[-1])),
    own_dx("maps not left alone", "maps that forward did not take get no gradient.",
           lambda s: np.concatenate([s.dy, s.dy], axis=-1)),
]


def _other_mask(s: Scene) -> np.ndarray:
    """dy through the units that backward lets it through, if those are others than forward's;
    where backward has said nothing yet, through units that are."""
    on = (np.roll(s.y, 1, axis=-1) if s.said is None else s.said) != 0
    other = on.shape == s.y.shape and (on & (s.y == 0)).any() and (on & (s.y != 0)).any()
    return s.dy * on if other and not on.all() else np.empty(0)


def _masked(s: Scene, on: np.ndarray) -> np.ndarray:
    """x through these units, or those that are on in what was said of the output."""
    on = on if s.said is None else s.said != 0
    return s.x * on if on.shape == s.x.shape and not on.all() else np.empty(0)


dropout_y, dropout_test = forward("Dropout"), forward("Dropout", "test")
dropout_dx = backward("Dropout", "x")

DROPOUT = [
    dropout_y("units that stay are divided by keep: that is the modern way; the paper leaves them "
              "alone in training and multiplies by keep at test time.",
              lambda s: _masked(s, s.y != 0) / s.layer.keep),
    dropout_test("each unit counts by keep, the share of steps in which it was on.", lambda s: s.x),
    dropout_test("units count by keep, the share that stays, not by 1 − keep.",
                 lambda s: (1 - s.layer.keep) * s.x),
    dropout_test("all units are on at test time.", lambda s: _masked(s, s.x > 0),
                 lambda s: s.layer.keep * _masked(s, s.x > 0)),
    dropout_dx("no mask", "the units that were off get no gradient.", lambda s: s.dy),
    dropout_dx("mask inverted", "the gradient goes to the units that were on.",
               lambda s: s.dy * (s.y == 0)),
    dropout_dx("rescaled in backward",
               "forward does not divide by keep, so neither does backward: dy · m.",
               lambda s: s.dy * (s.y != 0) / s.layer.keep,
               lambda s: s.dy * (s.y != 0) * s.layer.keep),
    dropout_dx("mask not reused", "backward needs the mask that forward drew, not a new one.",
               _other_mask),
]

FAR = 0.02  # 8 standard deviations of the share of 40,000 units


def _alike(mask: np.ndarray, axis: int) -> bool:
    """Whether what is drawn along this axis goes together: its means scatter more than they would
    if each unit were drawn on its own, by six standard deviations at 200 × 200."""
    alone = mask.mean() * (1 - mask.mean()) / mask.shape[axis]
    return bool(mask.mean(axis=axis).var() > 1.6 * alone)


# Mistakes in drawing masks: a hint; whether the masks of two steps, (2, N, units), show it for this
# keep; and the wrong mask, made with draw(shape, step), which gives right ones.
MASKS: list[tuple[str, Callable[[np.ndarray, float], bool], Callable[..., np.ndarray]]] = [
    ("pictures have the same mask: draw one number for each number of x, rng.random(x.shape).",
     lambda masks, keep: _alike(masks[0], axis=0),
     lambda draw, shape, step: np.broadcast_to(draw((1, *shape[1:]), step), shape)),
    ("units of a picture go together: draw one number for each unit, rng.random(x.shape).",
     lambda masks, keep: _alike(masks[0], axis=1),
     lambda draw, shape, step: np.broadcast_to(draw((shape[0], 1), step), shape)),
    ("keep and 1 − keep are swapped: keep is the probability that a unit stays.",
     lambda masks, keep: abs(masks.mean() - keep) > FAR > abs(masks.mean() - (1 - keep)),
     lambda draw, shape, step: ~draw(shape, step)),
    ("a unit stays with probability keep.",
     lambda masks, keep: abs(masks.mean() - keep) > FAR,
     lambda draw, shape, step: draw(shape, step) | draw(shape, step + 100)),
    ("every step has the same mask: keep the generator in self, and draw in each forward.",
     lambda masks, keep: np.array_equal(*masks),
     lambda draw, shape, step: draw(shape, 0)),
]

Place = tuple[int, int, int, int]  # of a window (n, oh, ow, c), or of a pixel (n, h, w, c)
Row = np.ndarray  # the pixels of a window that lie inside the picture, row by row
Shares = Callable[[Row, tuple[int, int]], np.ndarray]  # what each of them gets, for a window K


def _windows(s: Scene) -> Iterator[tuple[Place, list[Place], Row]]:
    """Each window, with the places and the values of its pixels."""
    for n, oh, ow, c in np.ndindex(s.y.shape):
        pixels = [(n, h, w, c) for _, h, w in loops._window(
            oh, ow, s.layer.K, s.layer.S, *s.x.shape[1:3])]
        yield (n, oh, ow, c), pixels, np.array([s.x[pixel] for pixel in pixels])


def _pooled(value: Callable[[Row, tuple[int, int]], float]) -> Formula:
    """The output with the value of each window's pixels."""
    def formula(s: Scene) -> np.ndarray:
        y = np.empty(s.y.shape)
        for place, _, row in _windows(s):
            y[place] = value(row, s.layer.K)
        return y

    return formula


def _shared(shares: Shares, S: int | None = None, add: bool = True) -> Formula:
    """dx with these shares of dy for the pixels of a window. S: the stride with which they are put
    back. add: else a later window overwrites what earlier ones put there."""
    def formula(s: Scene) -> np.ndarray:
        dx, back = np.zeros(s.x.shape), s.layer.S - (S or s.layer.S)
        for place, pixels, row in _windows(s):
            _, oh, ow, _ = place
            for (n, h, w, c), share in zip(pixels, shares(row, s.layer.K), strict=True):
                if share:
                    pixel = n, h - oh * back, w - ow * back, c
                    dx[pixel] = s.dy[place] * share + (dx[pixel] if add else 0)
        return dx

    return formula


def _to_winner(row: Row, K: tuple[int, int]) -> np.ndarray:
    return np.arange(len(row)) == row.argmax()


def _to_transposed(row: Row, K: tuple[int, int]) -> np.ndarray:
    """All for the pixel whose row and column are the winner's column and row."""
    return _to_winner(row.reshape(K).T.ravel() if len(row) == K[0] * K[1] else row, K)


def _evenly(row: Row, K: tuple[int, int]) -> np.ndarray:
    return np.full(len(row), 1 / len(row))


def _whole(row: Row, K: tuple[int, int]) -> np.ndarray:
    return np.ones(len(row))


max_y, max_dx = forward("MaxPool2D"), backward("MaxPool2D", "x")

MAX_POOL = [
    max_y("that is the mean of each window.", _pooled(lambda row, K: row.mean())),
    max_dx("gradient to all ties", "of equal largest pixels, one gets the gradient, not each.",
           _shared(lambda row, K: row == row.max())),
    max_dx("shared by all pixels", "only the largest pixel gets the gradient, not a share each.",
           _shared(_evenly), _shared(_whole)),
    max_dx("overlaps overwritten", "a pixel that wins several windows adds up: +=, not =.",
           _shared(_to_winner, add=False)),
    max_dx("wrong winner", "the gradient goes to the window's first pixel, whoever won.",
           _shared(lambda row, K: np.arange(len(row)) == 0)),
    max_dx("wrong winner", "the gradient goes to the smallest pixel.",
           _shared(lambda row, K: np.arange(len(row)) == row.argmin())),
    max_dx("wrong winner", "the winner's row and column in the window are swapped.",
           _shared(_to_transposed)),
    max_dx("stride ignored", "window (oh, ow) begins at pixel (oh·S, ow·S).",
           _shared(_to_winner, S=1)),
]

average_y, average_dx = forward("AveragePool2D"), backward("AveragePool2D", "x")

AVERAGE_POOL = [
    average_y("that is the sum of each window.", _pooled(lambda row, K: row.sum())),
    average_y("windows over the edge are divided by K·K.",
              _pooled(lambda row, K: row.sum() / (K[0] * K[1]))),
    average_dx("not divided", "each pixel gets 1/(pixels in the window) of dy.", _shared(_whole)),
    average_dx("divided by the whole window at the edge",
               "over the edge a window has fewer pixels than K·K.",
               _shared(lambda row, K: np.full(len(row), 1 / (K[0] * K[1])))),
    average_dx("overlaps overwritten", "a pixel in several windows adds up: +=, not =.",
               _shared(_evenly, add=False)),
    average_dx("stride ignored", "window (oh, ow) begins at pixel (oh·S, ow·S).",
               _shared(_evenly, S=1)),
]

MAPS = [*RELU, *TANH, *FLATTEN, *OWN_MAPS, *DROPOUT, *MAX_POOL, *AVERAGE_POOL]
