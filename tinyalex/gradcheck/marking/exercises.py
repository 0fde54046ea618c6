"""The exercises: what each asks for, its points, and cases that no page shows.

The names are those of the blanks in notebooks/exercises; a test holds the two together.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyalex import kernels
from tinyalex.gradcheck.cases import Case, normal, spaced
from tinyalex.gradcheck.functions import FUNCTIONS
from tinyalex.gradcheck.numeric import random_direction

Rng = np.random.Generator


@dataclass(frozen=True)
class Part:
    """A class or function to be written. like: what it is checked against."""

    name: str
    like: str
    points: int


EXERCISES: dict[str, tuple[Part, ...]] = {
    "01_convolution": (
        Part("im2col", "im2col", 2), Part("col2im", "col2im", 2), Part("MyConv2D", "Conv2D", 4),
        Part("MyDilatedConv", "DilatedConv2D", 3)),
    "02_relu_and_tanh": (
        Part("MyReLU", "ReLU", 1), Part("MyTanh", "Tanh", 1), Part("MyLeak", "LearnedLeak", 2)),
    "03_overlapping_pooling": (
        Part("MyMaxPool", "MaxPool2D", 3), Part("MyAveragePool", "AveragePool2D", 2),
        Part("MyNormPool", "NormPool2D", 2)),
    "04_local_response_normalisation": (
        Part("MyLRN", "LocalResponseNorm", 4), Part("MySpatialNorm", "SpatialResponseNorm", 2),
        Part("MyOneSidedNorm", "OneSidedNorm", 3)),
    "05_two_towers": (
        Part("MyExchange", "Exchange", 3), Part("exchange_bytes", "exchange_bytes", 1),
        Part("MyRing", "RingExchange", 2)),
    "06_backpropagation": (
        Part("numeric_gradient", "numeric_gradient", 2), Part("MyLoss", "SoftmaxCrossEntropy", 2),
        Part("MyLinear", "Linear", 2), Part("net_gradient", "net_gradient", 2),
        Part("MySmoothedLoss", "SmoothedCrossEntropy", 2)),
    "07_dropout": (Part("MyDropout", "Dropout", 3), Part("MyMapDropout", "MapDropout", 2)),
    "08_augmentation": (
        Part("ten_crops", "ten_crops", 2), Part("colour_shift", "colour_shift", 2),
        Part("views_back", "views_back", 2)),
    "09_optimisation": (
        Part("MySGD", "SGD", 3), Part("initial_std", "initial_std", 1),
        Part("MyNesterov", "NesterovSGD", 2)),
    "12_your_own_pictures": (
        Part("backward", "FrozenBackward", 3), Part("MyFrozenSGD", "FrozenUpdate", 1)),
    "13_one_weird_trick": (
        Part("parted_dx", "parted_dx", 2), Part("crossing_bytes", "crossing_bytes", 2)),
    "14_what_does_it_look_at": (
        Part("relu_backward", "relu_backward", 2), Part("grad_cam", "grad_cam", 2),
        Part("ascent", "ascent", 2)),
}

# What the pages import from the package, but for the checks: modules by name, and their text.
GIVEN = {"tinyalex.kernels":
         f"from math import ceil as round_up\n{inspect.getsource(kernels.output_size)}"}


def held_back(like: str, rng: Rng) -> Sequence[Any]:
    """Two more cases, or arguments of a function, of random size."""
    draw = _arguments if like in FUNCTIONS else _case
    return [draw(like, rng) for _ in range(2)]


def _sizes(rng: Rng) -> list[int]:
    """N, H, W, C, F, K, S, P."""
    return rng.integers((2, 5, 5, 2, 2, 2, 1, 0), (4, 8, 8, 5, 5, 4, 4, 2)).tolist()


def _case(kind: str, rng: Rng) -> Case:
    N, H, W, C, F, K, S, P = _sizes(rng)
    norm = 2 * K - 3, rng.uniform(1, 2), rng.uniform(0.2, 0.5), rng.uniform(0.5, 1)
    pool, ceil = (K, min(S, K)), {"ceil": bool(rng.integers(2))}
    # What the class is built with, the shape of x, how it is drawn, and options.
    built: dict[str, tuple] = {
        "Conv2D": ((C, F, K, S, P), (N, H, W, C)), "Linear": ((H, F), (N, H)),
        "ReLU": ((), (N, W, C), spaced), "Tanh": ((), (N, W, C)),
        "LocalResponseNorm": (norm, (N, 2, 2, H)), "SpatialResponseNorm": (norm, (N, H, W, 2)),
        "MaxPool2D": (pool, (N, H, W, 2), spaced, ceil),
        "AveragePool2D": (pool, (N, H, W, 2), normal, ceil),
        "Dropout": ((rng.uniform(0.3, 0.8),), (4 * N, 10)),
        "SoftmaxCrossEntropy": ((), (N, C + 1)), "Exchange": ((C, F), (N, H)), "SGD": ((), ()),
        "FrozenBackward": ((), ()), "FrozenUpdate": ((), ()), "NesterovSGD": ((), ()),
        "DilatedConv2D": ((C, F, 2, S), (N, H, W, C)), "LearnedLeak": ((C,), (N, W, C), spaced),
        "NormPool2D": ((*pool, rng.uniform(3, 5)), (N, H, W, 2), random_direction),
        "OneSidedNorm": ((K, *norm[1:]), (N, 2, 2, H)), "RingExchange": ((C, F, K), (N, H)),
        "SmoothedCrossEntropy": ((rng.uniform(0.1, 0.5),), (N, C + 1)),
        "MapDropout": ((rng.uniform(0.3, 0.8),), (4 * N, 2, 3, 10))}
    return Case(kind, "a case that is not on the page", *built[kind])


def _arguments(like: str, rng: Rng) -> tuple[str, tuple]:
    (N, H, W, C, F, K, S, P), draw = _sizes(rng), rng.standard_normal
    windows = [kernels.output_size(side, K, S, (P, P)) for side in (H, W)]
    net = draw((N, H)), draw((H, W)), draw(W), draw((W, C + 1)), draw(C + 1)
    mix, maps = draw((3, 3)) + 2, [(H, W, channels) for channels in (C, F, K)[:N]]
    arguments: dict[str, tuple] = {
        "im2col": (draw((N, H, W, C)), K, S, P),
        "col2im": (draw((N, *windows, K, K, C)), S, P, H, W),
        "numeric_gradient": (lambda x: float((x**3).sum() + np.prod(x)), draw((N, C)), 1e-4),
        "net_gradient": (*net, rng.integers(0, C + 1, N)),
        "exchange_bytes": (int(rng.integers(2, 200)), maps, 2**K),
        "ten_crops": (draw((H, W, 3)), min(H, W) - 1), "views_back": (draw((10, K, K, 3)), H, W),
        "colour_shift": (900 * mix @ mix.T, 0.1 * draw(3)), "initial_std": ((K, K, 7 * C, 16 * F),),
        "parted_dx": (draw((N, H, F)), draw((N, W, F))),
        "crossing_bytes": (12 * H, N, (C * W, F * W), 3 * C),
        "relu_backward": (draw((N, H, C)), np.maximum(draw((N, H, C)), 0),
                           str(rng.choice(("gradient", "deconvnet", "guided")))),
        "grad_cam": (abs(draw((H, W, F))), draw((H, W, F))),
        "ascent": (draw((H, W, 3)), draw((H, W, 3)), *rng.uniform(0.01, 0.12, 3))}
    return "arguments that are not on the page", arguments[like]
