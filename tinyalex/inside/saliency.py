"""Which pixels matter for what the network says: by the gradient, and by covering them."""

import contextlib
from collections.abc import Iterator
from itertools import product

import numpy as np

from tinyalex.metrics import log_probabilities
from tinyalex.network import Network
from tinyalex.support.progress import progress


def pixel_gradient(network: Network, x: np.ndarray, label: int) -> np.ndarray:
    """How the score of a class changes with each pixel: dscore/dx, of the shape (H, W, C), for one
    picture x (1, H, W, C) (Simonyan et al., 2014).

    Of the score, not of the probability: where that is close to 1 it hardly changes any more.
    """
    with _gradient_of_the_picture(network):
        scores = network.forward(x, remember=True)
        dscores = np.zeros(scores.shape, scores.dtype)
        dscores[0, label] = 1
        dxs = network.backward(network.devices[0].put(dscores))
    return sum(device.get(dx)[0] for device, dx in zip(network.devices, dxs, strict=True))


@contextlib.contextmanager
def _gradient_of_the_picture(network: Network) -> Iterator[None]:
    """Have the first layers hand back the gradient that nobody wants in training."""
    first = [tower[0] for tower in network.stages[0]]
    before = [layer.input_gradient for layer in first]
    for layer in first:
        layer.input_gradient = True
    try:
        yield
    finally:
        for layer, wanted in zip(first, before, strict=True):
            layer.input_gradient = wanted


def occlusion(network: Network, x: np.ndarray, label: int, side: int, stride: int,
              batch_size: int = 64) -> np.ndarray:
    """How probable a class stays when a part of the picture is covered (Zeiler and Fergus, 2014).

    A square of side×side pixels moves over the picture x (1, H, W, C) in steps of `stride`, its
    centre over all of it; under it x is 0, the mean picture. Returns (H, W) float64: for each pixel
    the probability of the class `label`, on average over the squares that cover it.

    stride is at most half of the side, or pixels would be left out.
    """
    if not 1 <= stride <= (side + 1) // 2:
        raise ValueError(f"squares of {side} pixels in steps of {stride} leave pixels out")
    squares = [*product(*(_covers(length, side, stride) for length in x.shape[1:3]))]
    total, times = np.zeros((2, *x.shape[1:3]))
    for start in progress(range(0, len(squares), batch_size), "covering parts", unit="batch"):
        batch = squares[start : start + batch_size]
        covered = np.repeat(x, len(batch), axis=0)
        for picture, square in zip(covered, batch, strict=True):
            picture[square] = 0
        logp = log_probabilities(network, covered)[:, label]
        for square, probability in zip(batch, np.exp(logp), strict=True):
            total[square] += probability
            times[square] += 1
    return total / times


def _covers(length: int, side: int, stride: int) -> list[slice]:
    """What squares cover of rows, or columns: every one of them, the outermost by half a square."""
    return [slice(max(0, start), start + side)
            for start in range(-(side // 2), length - side // 2, stride)]
