"""Which pixels matter for what the network says: by what backward hands them, by the maps of a
layer, and by covering them."""

from itertools import product

import numpy as np

from tinyalex.inside.activities import blocks, outputs
from tinyalex.inside.backwards import back_to_pixels, only_the_picture_learns, other_backward
from tinyalex.inside.units import class_unit, one_hot
from tinyalex.layers import Layer
from tinyalex.metrics import log_probabilities
from tinyalex.network import Network
from tinyalex.support.progress import progress


def pixel_gradient(network: Network, x: np.ndarray, label: int,
                   rule: str = "gradient") -> np.ndarray:
    """How the score of a class changes with each pixel: dscore/dx, of the shape (H, W, C), for one
    picture x (1, H, W, C) (Simonyan et al., 2014); or what another of the RULES makes of it, see
    backwards.py.

    Of the score, not of the probability: where that is close to 1 it hardly changes any more.
    """
    score = one_hot(network, [class_unit(network, label)], x.dtype)
    return back_to_pixels(network, x, score, rule)[0]


def grad_cam(network: Network, x: np.ndarray, label: int, name: str | None = None) -> np.ndarray:
    """Where a layer of maps sees what speaks for a class: Grad-CAM (Selvaraju et al., 2017).

    Let s be the score of the class for a picture x (1, H, W, C), and A (OH, OW, F) the activities
    of the layer, those of all towers. Near these activities

        s ≈ constant + sum over places p and maps f of ds/dA[p, f] A[p, f]

    Grad-CAM gives each map one weight for all places, the mean of its slopes, and keeps what speaks
    for the class:

        a[f] = the mean over p of ds/dA[p, f]        map[p] = max(0, sum over f of a[f] A[p, f])

    A single weight is what makes it see *where*: the slopes of a fully connected layer say at which
    places the layer expects a map to be on, whether or not it is on there in this picture.

    name: of the layer, without its tower's letter, see `activities.blocks`; the last layer of maps
    if not given. Returns (OH, OW), on the scale of the score. KeyError where no layer of maps has
    this name.
    """
    candidates = {block: layers for block, layers in blocks(network).items()
                  if len(network.shapes[layers[0]][1]) == 3}
    layers = candidates[name or [*candidates][-1]]
    dA: dict[Layer, np.ndarray] = {}

    def noting(layer):
        def backward(dy):
            dA[layer] = layer.device.get(dy)[0].copy()
            return own(dy)

        own = layer.backward
        return backward

    with only_the_picture_learns(network), other_backward(
            {layer: noting(layer) for layer in layers}):
        A = outputs(network, x, layers, remember=True)
        network.backward(network.devices[0].put(
            one_hot(network, [class_unit(network, label)], x.dtype)))
    return np.maximum(0, sum(A[layer][0] @ dA[layer].mean(axis=(0, 1)) for layer in layers))


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
