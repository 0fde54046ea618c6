"""Towers side by side, and the parameters by name.

A network is a list of stages. In a stage every tower has its own layers, on its own device, and
reads only what it was handed at the start of the stage; so the towers of a stage can run at the
same time. Between two stages is an Exchange, which hands every tower the maps of all towers.

Stages, towers, layers: `stages[s][t]` is the list of layers of tower t in stage s. Towers are
called a, b, …; the layer "conv1" of tower a has the parameters "conv1a.W" and "conv1a.b". In a
network of one tower they are called "conv1.W" and "conv1.b".
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_lowercase

import numpy as np

from tinyalex.devices import HOST, Batch, Device, copy
from tinyalex.devices.base import Array
from tinyalex.exchange import Exchange
from tinyalex.layers import Dropout, Layer, SoftmaxCrossEntropy
from tinyalex.support.errors import UserError


@dataclass(frozen=True)
class Parameter:
    """One array of numbers that training changes: its name, the layer and the key in it."""

    name: str
    layer: Layer
    key: str

    @property
    def value(self):
        return self.layer.params[self.key]

    @property
    def grad(self):
        return self.layer.grads[self.key]


class Network:
    """Stages of towers, placed on devices, with a softmax on top.

    stages: see above. input_shape: (H, W, C) of the pictures. devices: tower t lives on device
    t modulo their number. seed: of the initial weights and of dropout; the weights of a layer
    depend on the seed and its name only, not on the placement. dtype: of the parameters.
    draw=False: the layers stay without weights, for a look at what they are.
    """

    def __init__(self, stages: list[list[list[Layer]]], input_shape: tuple[int, ...],
                 devices: Sequence[Device] = (HOST,), seed: int = 0, dtype=np.float32,
                 draw: bool = True):
        self.stages, self.input_shape = stages, tuple(input_shape)
        self.towers = len(stages[0])
        self.devices = [devices[t % len(devices)] for t in range(self.towers)]
        self.loss = SoftmaxCrossEntropy("loss")
        self.loss.device = self.devices[0]
        names = set()
        for t, layer in self._layers():
            layer.settle(self.devices[t], t, seed)
            layer.name += self.letter(t)
            if layer.name in names:
                raise ValueError(f"two layers are called {layer.name}: weights go by name")
            names.add(layer.name)
            if draw:
                key = [seed, zlib.crc32(layer.name.encode())]
                layer.initialise(np.random.default_rng(key), dtype)
        self.exchanges = [Exchange(_first_weights(stage, self.letter(0)), self.devices)
                          for stage in stages[1:]]
        self.shapes, self.output_shapes = self._follow_shapes()

    def letter(self, tower: int) -> str:
        """What names of this tower's layers end in: a, b, …; nothing where there is one tower."""
        return ascii_lowercase[tower] if self.towers > 1 else ""

    def _layers(self) -> Iterator[tuple[int, Layer]]:
        for stage in self.stages:
            for t, tower in enumerate(stage):
                for layer in tower:
                    yield t, layer

    def _follow_shapes(self) -> tuple[dict[Layer, tuple[tuple, tuple]], list[tuple]]:
        """For every layer the shapes of one picture's input and output, and for every tower that of
        its scores. UserError where a layer does not fit."""
        shapes, incoming = {}, [self.input_shape] * self.towers
        for stage in self.stages:
            outgoing = []
            for tower, shape in zip(stage, incoming, strict=True):
                for layer in tower:
                    shapes[layer] = shape, layer.output_shape(shape)
                    shape = shapes[layer][1]
                outgoing.append(shape)
            incoming = [(*outgoing[0][:-1], sum(s[-1] for s in outgoing))] * self.towers
        return shapes, outgoing

    @property
    def classes(self) -> int:
        return sum(shape[-1] for shape in self.output_shapes)

    @property
    def parameters(self) -> list[Parameter]:
        return [Parameter(f"{layer.name}.{key}", layer, key)
                for _, layer in self._layers() for key in layer.params]

    @property
    def learning(self) -> list[Parameter]:
        """Those that training changes: of the layers that are not frozen, see freezing.py."""
        return [p for p in self.parameters if not p.layer.frozen]

    def forward(self, x: np.ndarray | Batch, remember: bool = False, drop: bool = False,
                watch: Callable[[Layer, Array], None] | None = None) -> Array:
        """Scores (N, classes), on the first device, for pictures (N, H, W, C) on the host.

        remember: keep what backward needs, x itself included: leave it alone until then. drop:
        switch units off, as in training, see `Dropout`. watch: called with every layer and its
        output, as soon as there is one, on the thread of the layer's device. To keep an output,
        copy it: a ReLU in place will overwrite it.
        """
        if x.shape[1:] != self.input_shape:
            raise UserError(f"the network reads pictures of shape {self.input_shape} but was "
                            f"given {x.shape[1:]}", "crop or resize the pictures.")
        batch = x if isinstance(x, Batch) else Batch(x)
        if batch.mean is None and batch.pixels.dtype.kind != "f":
            raise UserError(f"the network reads floats but was given {batch.pixels.dtype}",
                            "subtract the mean, or convert the pictures: x.astype(np.float32).")
        uploaded = {device: batch.on(device) for device in dict.fromkeys(self.devices)}
        xs = [uploaded[device] for device in self.devices]
        for s, stage in enumerate(self.stages):
            if s:
                xs = self.exchanges[s - 1].forward(xs)
            xs = self._side_by_side(_run_forward, stage, xs, remember, drop, watch)
        return self.devices[0].run(self._gather_scores, xs).result()

    def loss_and_gradient(self, scores, labels: np.ndarray) -> tuple[Array, Array]:
        """The loss of these scores, and its gradient with respect to them: what backward starts
        from. labels: (N,) integers on the host."""
        def both():
            value = self.loss.forward(scores, labels, remember=True)
            return value, self.loss.backward()

        return self.devices[0].run(both).result()

    def backward(self, dscores, watch: Callable[[Layer], None] | None = None) -> list:
        """Fills the gradients of all parameters that learn. dscores: (N, classes), on the first
        device. watch: called with every layer whose gradients are there, on its device's thread.

        Returns the dx of the lowest layers that it reaches, tower by tower: None where nobody wants
        it.
        """
        if dscores.shape[1:] != (*self.output_shapes[0][:-1], self.classes):
            raise UserError(f"the network gives {self.classes} scores a picture, but dscores has "
                            f"the shape {dscores.shape}", "dscores is the gradient of the scores.")
        first, dys = self.devices[0], []
        for device, part in zip(self.devices, self._score_columns(), strict=True):
            dys.append(device.run(copy, dscores[..., part], first, device).result()[0])
        return self.backward_towers(dys, watch)

    def backward_towers(self, dys: list, watch: Callable[[Layer], None] | None = None) -> list:
        """`backward` from the gradients of each tower's own scores, each on its device."""
        for s in reversed(range(len(self.stages))):
            dys = self._side_by_side(_run_backward, self.stages[s], dys, watch)
            if all(dy is None for dy in dys):  # nothing below learns
                break
            if s:
                dys = self.exchanges[s - 1].backward(dys)
        return dys

    def _gather_scores(self, xs):
        """The scores of all towers, on the first device, where the softmax is."""
        first = self.devices[0]
        scores = first.empty((*xs[0].shape[:-1], self.classes), xs[0].dtype)
        for x, device, part in zip(xs, self.devices, self._score_columns(), strict=True):
            scores[..., part] = copy(x, device, first)[0]
        return scores

    def _score_columns(self) -> list[slice]:
        """Which of the scores each tower gives."""
        ends = np.cumsum([0] + [shape[-1] for shape in self.output_shapes])
        return [slice(a, b) for a, b in pairwise(ends)]

    def _side_by_side(self, work, stage, inputs, *args):
        """work(layers, input, *args) for every tower, each on its device, all at the same time. If
        one fails, the others end first: nothing of this step goes on beside the next."""
        running = [device.run(work, layers, x, *args)
                   for device, layers, x in zip(self.devices, stage, inputs, strict=True)]
        try:
            return [tower.result() for tower in running]
        except BaseException:
            for tower in running:
                with suppress(BaseException):
                    tower.result()
            raise

    def state(self) -> dict[str, np.ndarray]:
        """All parameters by name, on the host; those of a CPU are not copied."""
        return {p.name: p.layer.device.get(p.value) for p in self.parameters}

    def load_state(self, state: dict[str, np.ndarray], source: str = "the state"):
        """Take over what `state` returned, from `source`. UserError, and no change, if it does not
        fit."""
        names = {p.name: p for p in self.parameters}
        for name in names.keys() ^ state.keys():
            where = f"is missing in {source}" if name in names else f"of {source} is not known here"
            raise UserError(f"the parameter {name} {where}", "was it saved by another preset?")
        for name, p in names.items():
            if state[name].shape != p.value.shape:
                raise UserError(
                    f"{name} has shape {state[name].shape} in {source} and {p.value.shape} here",
                    "was it saved by another preset, or with another number of classes?")
        for name, p in names.items():
            p.layer.device.put_into(p.value, state[name])

    def set_step(self, step: int, first: int = 0):
        """Make the next forward that drops draw the masks of this step. first: the number of its
        first picture in the batch, where other workers have those before."""
        for _, layer in self._layers():
            if isinstance(layer, Dropout):
                layer.step, layer.first = step, first

    def release_memory(self):
        """Give memory that is free on the devices back to the operating system."""
        for device in self.devices:
            device.pool.trim()


def _run_forward(layers, x, remember, drop, watch):
    for layer in layers:
        keep = remember and not layer.still
        x = (layer.forward(x, keep, drop and not layer.still) if isinstance(layer, Dropout)
             else layer.forward(x, keep))
        if watch:
            watch(layer, x)
    return x


def _run_backward(layers, dy, watch):
    for layer in reversed(layers):
        if layer.still or dy is None:
            return None
        dy = layer.backward(dy)
        if layer.frozen:
            layer.grads.clear()
        elif watch:
            watch(layer)
    return dy


def _first_weights(stage, letter: str) -> str:
    """The name of a stage's first layer with weights (else of its first layer), without its tower's
    letter: the exchange stands before it."""
    first = next((layer for layer in stage[0] if layer.params), stage[0][0])
    return first.name.removesuffix(letter)
