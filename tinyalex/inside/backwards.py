"""From what a network gives back to the pixels, by one of three rules for its ReLUs.

Backward asks each layer how much the numbers that it read count for those that it gave. Three
methods that their papers describe in very different words differ only in what a ReLU answers,
y = max(0, x) forward:

    gradient    dx = dy where y > 0                  Simonyan et al., 2014
    deconvnet   dx = dy where dy > 0                 Zeiler and Fergus, 2014
    guided      dx = dy where y > 0 and dy > 0       Springenberg et al., 2015

The gradient is the chain rule: dy/dx is 1 where x > 0, else 0.

A deconvnet runs the network in reverse. It unpools, each number going to where the maximum was,
which is the backward of max pooling. It filters with the transposed kernels, dx = col2im(dy @ W.T),
which is the backward of a convolution. Between the two it rectifies what comes down, as the network
rectified what went up. So only the ReLU has another rule, which no longer asks whether the unit was
on.

Guided backpropagation lets through what both of them do: a unit that was on, where more of it would
excite the unit above. Only the first is a derivative of anything; what the others are good for is
to be looked at, see docs/looking.md.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from tinyalex.devices.base import Array
from tinyalex.layers import Layer, ReLU
from tinyalex.network import Network

RULES: dict[str, Callable[[Array, Array], Array]] = {
    "gradient": lambda dy, y: dy * (y > 0),
    "deconvnet": lambda dy, y: dy * (dy > 0),
    "guided": lambda dy, y: dy * (y > 0) * (dy > 0),
}


def back_to_pixels(network: Network, x: np.ndarray, dy: np.ndarray,
                   rule: str = "gradient") -> np.ndarray:
    """How much each pixel of pictures x (N, H, W, C) counts for the sum of dy·y, y being what the
    network gives for them: its scores (N, K) or, of a network `up_to` some layer, the maps (N, OH,
    OW, F) of that layer. dy: shaped like y. Returns (N, H, W, C), on the host.

    Layers that are frozen, or end backward in training, hand everything down all the same; and
    the gradients of the parameters stay what they were.
    """
    with only_the_picture_learns(network), relu_rule(network, rule):
        network.forward(x, remember=True)
        dxs = network.backward(network.devices[0].put(dy))
    return np.sum([device.get(dx) for device, dx in zip(network.devices, dxs, strict=True)], axis=0)


@contextlib.contextmanager
def relu_rule(network: Network, rule: str) -> Iterator[None]:
    """While the block runs, the backward of every ReLU follows one of the RULES."""
    def by_rule(relu):
        def backward(dy):
            (y,), relu.kept = relu.kept, None
            return RULES[rule](dy, y)

        return backward

    with other_backward({layer: by_rule(layer) for layer in network.shapes
                         if isinstance(layer, ReLU)}):
        yield


@contextlib.contextmanager
def other_backward(backward: dict[Layer, Callable[[Array], Array]]) -> Iterator[None]:
    """While the block runs, each of these layers has this backward in place of its own."""
    for layer, function in backward.items():
        vars(layer)["backward"] = function
    try:
        yield
    finally:
        for layer in backward:
            del vars(layer)["backward"]


@contextlib.contextmanager
def only_the_picture_learns(network: Network) -> Iterator[None]:
    """While the block runs, every layer hands its gradient down and keeps none for itself."""
    free = {"frozen": True, "still": False, "input_gradient": True}
    before = [(layer, {name: getattr(layer, name) for name in free} | {"grads": layer.grads})
              for layer in network.shapes]
    for layer in network.shapes:
        vars(layer).update(free, grads={})
    try:
        yield
    finally:
        for layer, state in before:
            vars(layer).update(state)
