"""Functions that are not layers, for exercises: what each should give, and what mistakes give.

    gradcheck.check(my_im2col, like="im2col")

There is no gradient to measure here, so a function is compared with the right one on telling
arguments; where the result is exactly what a classic mistake gives, its hint is shown.
"""

import contextlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np

from tinyalex.data import augment
from tinyalex.data.statistics import Statistics
from tinyalex.gradcheck.crossing import CROSSING_BYTES, EXCHANGE_BYTES, PARTED_DX
from tinyalex.gradcheck.diagnosis import agrees
from tinyalex.gradcheck.looking import GRAD_CAM, RELU_BACKWARD, SMOOTH_ASCENT
from tinyalex.gradcheck.mistakes import overwritten
from tinyalex.gradcheck.report import Finding, Report, no_output, wrong_output
from tinyalex.gradcheck.task import Function, Task, normal
from tinyalex.kernels import loops, output_size
from tinyalex.support.text import plural


def check_function(function: Callable, like: str,
                   more: Sequence[tuple[str, tuple]] = ()) -> Report:
    """Compare a function with the one called `like` in FUNCTIONS, case by case, its own and then
    `more`; the first that fails is reported."""
    task, report = FUNCTIONS[like], Report("")
    for title, args in [*task.cases, *more]:
        right = np.asarray(task.right(*args), float)
        copies = deepcopy(args)
        result = function(*copies)
        problem = _problem(result, right, task, args)
        if not problem and not all(map(np.array_equal, copies, args)):
            problem = "changes its arguments: they are different after the call"
        if problem:
            return Report(title, problems=[problem])
        error = float(abs(np.asarray(result, float) - right).max(initial=0))
        checked = f"{plural(right.size, 'number')}; {title}"
        report.findings.append(Finding("result", error, checked=checked))
    return report


def _problem(result: Any, right: np.ndarray, task: Task, args: tuple) -> str:
    """What is wrong with what a function gave for these arguments."""
    y = result
    with contextlib.suppress(TypeError, ValueError):  # what holds no numbers stays what it is
        y = None if result is None else np.asarray(result, float)
    problem = no_output(y, right, "the function", task.call)
    if not problem and agrees(y, right):
        return ""
    hint = next((hint for hint, mistaken in task.mistakes if isinstance(y, np.ndarray)
                 and agrees(y, np.asarray(mistaken(*args), float))), "")
    return wrong_output("result", y, right, hint, problem)


def _im2col(x, K, S, P, step=None, padding=None):
    """step, padding: those that are used, where the shape is that of S and P."""
    N, H, W, C = x.shape
    cols = np.empty((N, output_size(H, K, S, (P, P)), output_size(W, K, S, (P, P)), K, K, C))
    before = P if padding is None else padding
    loops.im2col(x, (K, K), step or S, (before, before), cols)
    return cols


IM2COL = Task(
    "im2col(x, K, S, P) takes x (N, H, W, C) and gives (N, OH, OW, K, K, C)", _im2col,
    (("3×3 with padding", (normal(2, 4, 5, 2), 3, 1, 1)),
     ("stride 2", (normal(2, 7, 9, 3), 3, 2, 0)),
     ("stride 3, pixels left over", (normal(1, 8, 6, 2), 2, 3, 1))),
    (("windows move by S: window oh begins at row oh·S.", partial(_im2col, step=1)),
     ("the padding is missing before the first pixel.", partial(_im2col, padding=0)),
     ("the window is flipped; layers correlate, whatever they are called.",
      lambda *args: _im2col(*args)[:, :, :, ::-1, ::-1]),
     ("the numbers are right but in another order: reorder the axes of (N, OH, OW, C, K, K) with "
      "transpose, not with reshape.",
      lambda *args: (cols := _im2col(*args)).transpose(0, 1, 2, 5, 3, 4).reshape(cols.shape))))


def _col2im(cols, S, P, H, W, crop=True, step=None):
    N, C = len(cols), cols.shape[-1]
    dx = np.empty((N, H + 2 * P, W + 2 * P, C))
    loops.col2im(cols, step or S, (0, 0), dx)
    return dx[:, P:P + H, P:P + W] if crop else dx[:, :H, :W]


COL2IM = Task(
    "col2im(cols, S, P, H, W) takes cols (N, OH, OW, K, K, C) and gives (N, H, W, C)", _col2im,
    (("3×3 with padding", (normal(2, 4, 5, 3, 3, 2), 1, 1, 4, 5)),
     ("stride 2", (normal(2, 3, 4, 3, 3, 2), 2, 0, 7, 9)),
     ("stride 3, pixels left over", (normal(1, 3, 3, 2, 2, 2), 3, 1, 8, 7))),
    (*(("a pixel in several windows adds up what each sends: +=, not =.",
        lambda cols, S, P, H, W, last=last: overwritten(
            cols, S, (P, P), (len(cols), H, W, cols.shape[-1]), last))
       for last in ("window", "element")),
     ("with P = 0 nothing is left of dx[:, P:-P, P:-P]: cut off at P + H and P + W.",
      lambda cols, S, P, H, W: _col2im(cols, S, P, H, W)[:, :H * bool(P), :W * bool(P)]),
     ("cut off the P pixels that come before the picture: dx[:, P:P+H, P:P+W].",
      partial(_col2im, crop=False)),
     ("window (oh, ow) goes back to the pixels from (oh·S, ow·S) on.", partial(_col2im, step=1))))


def _cube(x):
    return float(np.sum(np.exp(2 * x)) + np.sum(x[0] * x[-1]))


def _slope(f, x, h, below=1, divide=2, restore=True):
    """below: how many h from x to the lower end."""
    moved, slope = x.copy(), np.empty(x.shape)
    for i in np.ndindex(x.shape):
        kept = moved[i]
        moved[i] = kept + h
        up = f(moved)
        moved[i] = kept - below * h
        slope[i] = (up - f(moved)) / (divide * h)
        if restore:
            moved[i] = kept
    return slope


NUMERIC_GRADIENT = Task(
    "numeric_gradient(f, x, h) gives an array like x", _slope,
    (("two rows", (_cube, normal(2, 3), 1e-4)), ("one row", (_cube, normal(1, 4), 1e-3))),
    (("that is one-sided: (f(x + h) − f(x)) / h. Move both ways.",
      partial(_slope, below=0, divide=1)),
     ("from x − h to x + h it is 2h: divide by that.", partial(_slope, divide=1)),
     ("the other numbers have to stay as they are: put each back after its turn.",
      partial(_slope, restore=False))))


def _net(x, W1, b1, W2, b2, labels, mask=True, onehot=1, mean=True):
    hidden = x @ W1 + b1
    scores = np.maximum(hidden, 0) @ W2 + b2
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    d = e / e.sum(axis=1, keepdims=True) - onehot * np.eye(len(b2))[labels]
    dhidden = d @ W2.T * ((hidden > 0) if mask else 1)
    return x.T @ dhidden / (len(x) if mean else 1)


NET_GRADIENT = Task(
    "net_gradient(x, W1, b1, W2, b2, labels) gives dW1, like W1", _net,
    (("six pictures", (normal(6, 5), normal(5, 8, seed=1), normal(8, seed=2),
                       normal(8, 3, seed=3), normal(3, seed=4), np.array([0, 2, 1, 1, 0, 2]))),),
    (("where the ReLU was off, nothing flows back.", partial(_net, mask=False)),
     ("the gradient of the scores is (p − onehot) / N: the one-hot is missing.",
      partial(_net, onehot=0)),
     ("the loss is a mean: divide by N, once.", partial(_net, mean=False))))


def _five_crops(picture, side):
    """Those of the ten that are not mirrored."""
    height, width, _ = picture.shape
    return np.stack([picture[top:top + side, left:left + side]
                     for top, left, mirrored in augment.ten_crops(height, width, side)
                     if not mirrored])


def _and(second_five: Function) -> Function:
    """The five crops, and these after them: of (the five, the picture, side)."""
    def ten(picture, side):
        five = _five_crops(picture, side)
        return np.concatenate([five, second_five(five, picture, side)])

    return ten


TEN_CROPS = Task(
    "ten_crops(picture, side) takes (H, W, 3) and gives (10, side, side, 3)",
    _and(lambda five, picture, side: five[:, :, ::-1]),
    (("a square picture", (normal(8, 8, 3), 6)), ("another", (normal(7, 10, 3), 4))),
    (("the last five are not mirrored.", _and(lambda five, picture, side: five)),
     ("the last five are upside down: mirror left and right, along the width.",
      _and(lambda five, picture, side: five[:, ::-1])),
     ("mirror the crops, not the picture: the order of the corners has changed.",
      _and(lambda five, picture, side: _five_crops(picture[:, ::-1], side)))))


def _views_back(dviews, H, W, add=True, mirror=True, share=1.0):
    """share: what is left of each view's part."""
    side, dpicture = dviews.shape[1], np.zeros((H, W, 3))
    for dview, (top, left, mirrored) in zip(dviews, augment.ten_crops(H, W, side), strict=True):
        place = dpicture[top:top + side, left:left + side]
        place[...] = share * (dview[:, ::-1] if mirrored and mirror else dview) + add * place
    return dpicture


VIEWS_BACK = Task(
    "views_back(dviews, H, W) takes (10, side, side, 3) and gives (H, W, 3)", _views_back,
    (("a square picture", (normal(10, 6, 6, 3), 8, 8)), ("another", (normal(10, 4, 4, 3), 7, 10)),
     ("views that miss the middle rows", (normal(10, 2, 2, 3), 9, 4))),
    (("a pixel in several views adds up what each of them says.",
      partial(_views_back, add=False)),
     ("a mirrored view's pixels go back to where they came from.",
      partial(_views_back, mirror=False)),
     ("the loss is a function of all ten views: their parts are added up, not averaged.",
      partial(_views_back, share=0.1))))


def _colour_shift(covariance, alpha, power=1.0, unit=255.0, transposed=False):
    values, vectors = Statistics(np.zeros(0), covariance).principal_colours()
    return (vectors.T if transposed else vectors) @ (alpha * values ** power / unit)


def _any_sign(covariance, alpha):
    values, vectors = np.linalg.eigh(covariance)
    return vectors[:, ::-1] @ (alpha * values[::-1] / 255)


def _covariance(seed: int) -> np.ndarray:
    mix = normal(3, 3, seed=seed) + 2
    return 900 * mix @ mix.T


COLOUR_SHIFT = Task(
    "colour_shift(covariance, alpha) takes (3, 3) and (3,), gives (3,)", _colour_shift,
    (("colours of one kind", (_covariance(1), np.array([0.1, -0.05, 0.2]))),
     ("of another", (_covariance(5), np.array([-0.1, 0.3, 0.02])))),
    (("eigenvectors are the COLUMNS of what np.linalg.eigh gives.",
      partial(_colour_shift, transposed=True)),
     ("the paper has λ, not √λ.", partial(_colour_shift, power=0.5)),
     ("λ is for pixels from 0 to 1: divide by 255, as above.", partial(_colour_shift, unit=1.0)),
     ("α₁ belongs to the LARGEST eigenvalue; np.linalg.eigh gives the smallest first.",
      lambda covariance, alpha: _colour_shift(covariance, alpha[::-1])),
     ("turn each eigenvector so that its largest component is positive.", _any_sign)))


INITIAL_STD = Task(
    "initial_std(shape) gives one number, for W (KH, KW, C, F) or (inputs, outputs)",
    lambda shape: np.sqrt(2 / np.prod(shape[:-1])),
    (("a convolution", ((5, 5, 16, 32),)), ("a full connection", ((384, 128),))),
    (("count what a unit reads, not how many units there are.",
      lambda shape: np.sqrt(2 / shape[-1])),
     ("that is the variance: take the root.", lambda shape: 2 / np.prod(shape[:-1])),
     ("a ReLU lets half of the power through: 2 / inputs, not 1 / inputs.",
      lambda shape: np.sqrt(1 / np.prod(shape[:-1]))),
     ("all axes of W but the last run over what a unit reads.",
      lambda shape: np.sqrt(2 / shape[-2]))))


FUNCTIONS: dict[str, Task] = {
    "im2col": IM2COL, "col2im": COL2IM, "numeric_gradient": NUMERIC_GRADIENT,
    "net_gradient": NET_GRADIENT, "exchange_bytes": EXCHANGE_BYTES, "ten_crops": TEN_CROPS,
    "views_back": VIEWS_BACK, "colour_shift": COLOUR_SHIFT, "initial_std": INITIAL_STD,
    "parted_dx": PARTED_DX, "crossing_bytes": CROSSING_BYTES,
    "relu_backward": RELU_BACKWARD, "grad_cam": GRAD_CAM, "ascent": SMOOTH_ASCENT}
