"""The classic mistakes of the layers without weights; see mistakes.py."""

from collections.abc import Iterator

import numpy as np

from tinyalex.gradcheck.scene import Candidate, Scene
from tinyalex.kernels import loops


def relu(s: Scene, name: str) -> Iterator[Candidate]:
    x, dy = s.x, s.dy
    yield ("mask of the gradient", "the mask is where x (or y) is positive, not where dy is.",
           dy * (dy > 0))
    yield "mask of the gradient", "both masks at once: only x decides.", dy * ((dy > 0) & (x > 0))
    yield "no mask", "where x was negative nothing flows back.", dy
    yield "mask inverted", "gradients pass where x is positive.", dy * (x <= 0)
    yield "multiplied by the value", "the slope is 1, not y: a mask.", dy * np.maximum(x, 0)
    yield "leaks", "the slope of a ReLU is 0 where x is negative.", dy * np.where(x > 0, 1, 0.01)


def tanh(s: Scene, name: str) -> Iterator[Candidate]:
    x, dy, y = s.x, s.dy, np.tanh(s.x)
    yield "y not squared", "tanh' = 1 − tanh², squared.", dy * (1 - y)
    yield "input instead of output", "tanh' = 1 − y² with y = tanh(x), not x.", dy * (1 - x * x)
    yield "wrong sign within", "tanh' = 1 − y², minus.", dy * (1 + y * y)
    yield "derivative of the sigmoid", "y (1 − y) belongs to the sigmoid.", dy * y * (1 - y)
    yield "tanh applied twice", "y is tanh(x) already.", dy * (1 - np.tanh(y) ** 2)


def max_pool(s: Scene, name: str) -> Iterator[Candidate]:
    x, dy, K, S = s.x, s.dy, s.layer.K, s.layer.S

    def scatter(shares, S=S, add=True):
        dx = np.zeros_like(x)
        for n, oh, ow, c in np.ndindex(dy.shape):
            places = [(h, w) for _, h, w in loops._window(oh, ow, K, s.layer.S, *x.shape[1:3])]
            share = shares(np.array([x[n, h, w, c] for h, w in places]))
            for (h, w), part in zip(places, share, strict=True):
                h, w = h - oh * (s.layer.S - S), w - ow * (s.layer.S - S)
                dx[n, h, w, c] = dy[n, oh, ow, c] * part + (dx[n, h, w, c] if add else 0)
        return dx

    def one(i):
        return lambda v: np.arange(len(v)) == i(v)

    yield ("gradient to all ties", "of equal largest pixels one gets the gradient, not each.",
           scatter(lambda v: v == v.max()))
    yield ("shared by all pixels", "only the largest pixel gets the gradient, not a share each.",
           scatter(lambda v: np.full(len(v), 1 / len(v))))
    yield ("shared by all pixels", "only the largest pixel gets the gradient.",
           scatter(lambda v: np.ones(len(v))))
    yield ("overlaps overwritten", "a pixel that wins several windows adds up: += and not =.",
           _winner_overwrites(s))
    yield ("wrong winner", "the gradient goes to the window's first pixel, whoever won.",
           scatter(one(lambda v: 0)))
    yield ("wrong winner", "the gradient goes to the smallest pixel.", scatter(one(np.argmin)))
    yield ("wrong winner", "the gradient goes to the pixel after the winner.",
           scatter(one(lambda v: (v.argmax() + 1) % len(v))))
    square = K[0] == K[1]
    yield ("wrong winner", "the winner's row and column in the window are exchanged.",
           scatter(lambda v: one(lambda v: (v.argmax() % K[1]) * K[1] + v.argmax() // K[1])(v)
                   if square and len(v) == K[0] * K[1] else v == v.max()))
    if S > 1:
        yield ("stride ignored", "window (oh, ow) begins at pixel (oh·S, ow·S).",
               scatter(one(np.argmax), S=1))


def _winner_overwrites(s: Scene):
    dx, x = np.zeros_like(s.x), s.x
    for n, oh, ow, c in np.ndindex(s.dy.shape):
        window = loops._window(oh, ow, s.layer.K, s.layer.S, *x.shape[1:3])
        _, h, w = max(window, key=lambda p: (x[n, p[1], p[2], c], -p[0]))
        dx[n, h, w, c] = s.dy[n, oh, ow, c]
    return dx


def average_pool(s: Scene, name: str) -> Iterator[Candidate]:
    dy, K, S = s.dy, s.layer.K, s.layer.S
    H, W = s.x.shape[1:3]

    def scatter(divide, S=S, add=True):
        dx = np.zeros_like(s.x)
        for oh, ow in np.ndindex(dy.shape[1:3]):
            places = [(h, w) for _, h, w in loops._window(oh, ow, K, s.layer.S, H, W)]
            for h, w in places:
                h, w = h - oh * (s.layer.S - S), w - ow * (s.layer.S - S)
                dx[:, h, w] = dy[:, oh, ow] / divide(len(places)) + (dx[:, h, w] if add else 0)
        return dx

    whole = K[0] * K[1]
    yield "not divided", "each pixel gets 1/(pixels in the window) of dy.", scatter(lambda n: 1)
    yield ("divided by the whole window at the edge", "over the edge a window has fewer pixels.",
           scatter(lambda n: whole))
    yield "divided twice", "once is enough.", scatter(lambda n: n * n)
    yield "divided by one side only", "K·K pixels share the gradient.", scatter(lambda n: K[0])
    yield ("overlaps overwritten", "a pixel in several windows adds up: += and not =.",
           scatter(lambda n: n, add=False))
    yield ("stride ignored", "window (oh, ow) begins at pixel (oh·S, ow·S).",
           scatter(lambda n: n, S=1))


def flatten(s: Scene, name: str) -> Iterator[Candidate]:
    shape, dy = s.x.shape, s.dy
    hint = "forward and backward have to read the numbers in the same order."
    yield "wrong order", hint, dy.reshape(shape, order="F")
    N, H, W, C = shape
    yield "wrong order", hint, dy.reshape(N, C, H, W).transpose(0, 2, 3, 1)
    yield "wrong order", hint, dy.reshape(N, W, H, C).swapaxes(1, 2)


def dropout(s: Scene, name: str) -> Iterator[Candidate]:
    dy, keep = s.dy, s.layer.keep
    m = (s.subject.outputs()[0] != 0).astype(float)
    yield "no mask", "the units that were off get no gradient.", dy
    yield "mask inverted", "the gradient goes to the units that were on.", dy * (1 - m)
    yield ("rescaled in backward", "forward does not divide by keep, so neither does backward.",
           dy * m / keep)
    yield "rescaled in backward", "backward is dy · m, without keep.", dy * m * keep
    yield "rescaled in backward", "the keep of the test phase has no place here.", dy * keep
    wrong = s.gradients["x"]
    if ((wrong != 0) & (m == 0)).any():  # through units that were off: another mask
        hint = "backward needs the mask that forward drew, not a new one."
        yield "mask not reused", hint, np.where(wrong != 0, dy, 0)
        yield "mask not reused", hint, np.where(wrong != 0, dy / keep, 0)
