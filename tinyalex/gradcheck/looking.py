"""The functions of exercise 14: what a ReLU hands back, where a layer looks, and a step of a dream.

Written out again here, away from what the package uses: an exercise is not checked against the
thing that it explains.
"""

from functools import partial

import numpy as np

from tinyalex.gradcheck.task import Task, normal


def _by_rule(dy, y, rule, on=("gradient", "guided"), positive=("deconvnet", "guided")):
    """on, positive: by which rules the unit has to be on, and what comes down to be above 0."""
    dx = np.where(y > 0, dy, 0) if rule in on else dy
    return np.where(dy > 0, dx, 0) if rule in positive else dx


def _of_rule(wrong):
    """The right dx but by one rule, where it is what wrong(dy, y) gives."""
    rule, mistaken = wrong
    return lambda dy, y, asked: mistaken(dy, y) if asked == rule else _by_rule(dy, y, asked)


RELU_BACKWARD = Task(
    "relu_backward(dy, y, rule) gives dx, like dy", _by_rule,
    tuple((rule, (normal(3, 4, 5, 2), np.maximum(normal(3, 4, 5, 2, seed=1), 0), rule))
          for rule in ("gradient", "deconvnet", "guided")),
    (("the gradient asks whether the unit was on, y > 0, and lets negative dy through as well.",
      _of_rule(("gradient", partial(_by_rule, rule="guided")))),
     ("the gradient is let through unchanged: multiply by whether y > 0, not by y.",
      _of_rule(("gradient", lambda dy, y: dy * y))),
     ("a deconvnet does not ask whether the unit was on: that is guided backpropagation.",
      _of_rule(("deconvnet", partial(_by_rule, rule="guided")))),
     ("a deconvnet rectifies what comes down, dy; this asks whether y > 0.",
      _of_rule(("deconvnet", partial(_by_rule, rule="gradient")))),
     ("guided is both conditions: what comes down has to be above 0, too.",
      _of_rule(("guided", partial(_by_rule, rule="gradient")))),
     ("guided is both conditions: the unit has to be on, too.",
      _of_rule(("guided", partial(_by_rule, rule="deconvnet"))))))


def _cam(A, dA, axes=(0, 1), rectified=True):
    total = (A * dA.mean(axis=axes, keepdims=True)).sum(axis=2)
    return np.maximum(total, 0) if rectified else total


GRAD_CAM = Task(
    "grad_cam(A, dA) takes two arrays (OH, OW, F) and gives (OH, OW)", _cam,
    (("six maps", (abs(normal(5, 4, 6)), normal(5, 4, 6, seed=1))),
     ("three maps", (abs(normal(3, 3, 3, seed=2)), normal(3, 3, 3, seed=3)))),
    (("what speaks against the class is left out: max(0, …).", partial(_cam, rectified=False)),
     ("each map has one weight, the mean of dA over all places; here every place has its own.",
      partial(_cam, axes=())),
     ("the mean is over the places, axes 0 and 1: a weight for each map, not for each place.",
      partial(_cam, axes=(2,))),
     ("the ReLU is for the sum over all maps; here each map is rectified before.",
      lambda A, dA: np.maximum(A * dA.mean(axis=(0, 1)), 0).sum(axis=2)),
     ("add up the maps; this is their mean.", lambda A, dA: _cam(A, dA) / A.shape[2]),
     ("the weight of a map is the mean of its slopes, not their sum.",
      lambda A, dA: _cam(A, dA) * A[..., 0].size)))


def _ascent(x, g, step, decay, blur, up=1, seen=lambda g: g[g != 0], edge="edge", sharpen=1,
            fades=-1):
    x = x + up * step * g / np.sqrt((seen(g) ** 2).mean())
    around = np.pad(x, ((1, 1), (1, 1), (0, 0)), edge)  # at the edge, no difference to oneself
    neighbours = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
    return x + sharpen * blur * (neighbours - 4 * x) + fades * decay * x


SMOOTH_ASCENT = Task(
    "ascent(x, g, step, decay, blur) takes x and g (H, W, C) and gives the next x", _ascent,
    (("a square picture", (normal(6, 6, 3), normal(6, 6, 3, seed=1), 0.5, 0.02, 0.1)),
     ("another", (normal(4, 7, 3, seed=2), normal(4, 7, 3, seed=3), 0.3, 0.1, 0.05)),
     ("a unit that sees the left part only", (
         normal(5, 6, 3, seed=4), normal(5, 6, 3, seed=5) * (np.arange(6) < 4)[:, None], 0.4, 0.05,
         0.12))),
    (("up, not down: add the step.", partial(_ascent, up=-1)),
     ("divide g by its root mean square, or one step will not suit all units.",
      partial(_ascent, seen=np.ones_like)),
     ("the mean is over the numbers of g that are not 0.", partial(_ascent, seen=lambda g: g)),
     ("beyond the edge there is no neighbour; here there is one that is 0.",
      partial(_ascent, edge="constant")),
     ("beyond the edge there is no neighbour; here the opposite edge is one.",
      partial(_ascent, edge="wrap")),
     ("that sharpens: what is added is blur times the neighbours minus the pixel.",
      partial(_ascent, sharpen=-1)),
     ("the contrast has to fade: subtract decay times x.", partial(_ascent, fades=1)),
     ("the blur is missing.", partial(_ascent, sharpen=0)),
     ("the decay is missing.", partial(_ascent, fades=0))))
