"""Layers, losses, exchanges and networks, each as a subject of the checks."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinyalex.exchange import Exchange
from tinyalex.gradcheck.numeric import Subject
from tinyalex.layers import MaxPool2D, ReLU
from tinyalex.network import Network


def _dict_of(layer: Any, name: str) -> dict[str, np.ndarray]:
    """A layer's params or grads; none where a learner's layer has something else there."""
    arrays = getattr(layer, name, None)
    return arrays if isinstance(arrays, dict) else {}


def to_float64(layer: Any) -> dict[str, np.ndarray]:
    """Turn a layer's parameters into float64, in which gradients are checked; returns them."""
    params = _dict_of(layer, "params")
    params.update({key: np.array(value, np.float64) for key, value in params.items()})
    return params


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Whatever is drawn from np.random inside, the caller's next numbers are the same."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


def rewinder(layer) -> Callable[[], None]:
    """A function that puts a layer's counters and random generators back to where they are now, so
    that every forward draws the same numbers (a dropout mask has to stay while x moves)."""
    if hasattr(layer, "rewind_remotely"):  # it is in another process
        return layer.rewind_remotely
    attributes = getattr(layer, "__dict__", {})
    numbers = {k: v for k, v in attributes.items() if isinstance(v, int | float)}
    generators = [(v.bit_generator, v.bit_generator.state) for v in attributes.values()
                  if isinstance(v, np.random.Generator)]

    def rewind():
        attributes.update(numbers)
        for generator, state in generators:
            generator.state = state
        np.random.seed(0)

    return rewind


def as_in_training(layer) -> dict[str, bool]:
    """The arguments with which forward does what it does in training: ours remember, and Dropout
    drops; a learner's own may do without."""
    parameters = inspect.signature(layer.forward).parameters
    return {name: True for name in ("remember", "drop") if name in parameters}


class LayerSubject(Subject):
    """y = layer.forward(x), with respect to x and every parameter; or the number
    loss.forward(x, labels), whose backward takes no upstream gradient: it is 1."""

    def __init__(self, layer, x: np.ndarray, settings=None, labels: np.ndarray | None = None):
        self.layer, self.settings, self.labels = layer, settings or layer, labels
        self.arrays = {"x": np.array(x, np.float64), **to_float64(layer)}
        self._rewind, self._in_training = rewinder(layer), as_in_training(layer)

    def forward(self, x):
        self._rewind()
        labels = () if self.labels is None else (self.labels,)
        return self.layer.forward(x, *labels, **self._in_training)

    def outputs(self):
        return [np.array(self.forward(self.arrays["x"].copy()), np.float64)]

    def gradients(self, dys, copy=np.copy):
        self.forward(copy(self.arrays["x"]))
        upstream = [copy(dy) for dy in dys] if self.labels is None else ()
        dx = self.layer.backward(*upstream)
        gradients = {**_dict_of(self.layer, "grads"), "x": dx}
        return {key: _copy(gradients.get(key)) for key in self.arrays}


def _copy(gradient):
    """Layers write over their gradients at the next backward."""
    return gradient.copy() if isinstance(gradient, np.ndarray) else gradient


class ExchangeSubject(Subject):
    """What every tower is handed, with respect to the maps x_a, x_b, … of each."""

    def __init__(self, exchange: Exchange, xs: Sequence[np.ndarray]):
        self.exchange = exchange
        self.arrays = {f"x_{'abcd'[t]}": np.array(x, np.float64) for t, x in enumerate(xs)}

    def outputs(self):
        return [np.array(y) for y in self.exchange.forward([*self.arrays.values()])]

    def gradients(self, dys):
        self.outputs()
        dxs = self.exchange.backward([dy.copy() for dy in dys])
        return dict(zip(self.arrays, dxs, strict=True))


def _side(layer: ReLU | MaxPool2D) -> np.ndarray:
    """On which side of its kinks the last forward was: which units are on, or which pixel of each
    window was the largest."""
    kept: Any = layer.kept
    if isinstance(layer, ReLU):
        return kept[0] > 0
    if layer.ties == "first":
        return kept[0]
    x, y = kept
    where = np.empty(y.shape, np.uint8)
    layer.device.kernels.max_pool(x, layer.K, layer.S, np.empty(y.shape), where)
    return where


class NetworkSubject(Subject):
    """The scores of a whole network, with respect to every parameter that learns, by name.

    It knows its kinks: which ReLUs are on and which pixel won each pooling window. Among a hundred
    thousand units some are always within h of theirs, and a step that crosses one proves nothing.
    """

    def __init__(self, network: Network, x: np.ndarray):
        self.network, self.x = network, np.array(x, np.float64)
        self.layers = [layer for stage in network.stages for tower in stage for layer in tower]
        for layer in self.layers:
            to_float64(layer)
        self.arrays = {p.name: p.value for p in network.learning}

    def outputs(self):
        self.network.set_step(0)
        scores = np.array(self.network.forward(self.x, remember=True, drop=True), np.float64)
        self._regime = b"".join(
            _side(layer).tobytes()
            for layer in self.layers if isinstance(layer, ReLU | MaxPool2D) and not layer.still)
        return [scores]

    def regime(self):
        return self._regime

    def gradients(self, dys):
        self.outputs()
        self.network.backward(dys[0].copy())
        return {p.name: p.grad.copy() for p in self.network.learning}
