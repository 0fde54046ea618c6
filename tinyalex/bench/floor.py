"""The floors of a step on CPUs: its matrix products, and its bytes.

The products, and nothing else.

A network that computes its layers by matrix products takes at least as long as the products alone,
with the same BLAS on the same cores. How far a step is above this floor is what everything else
costs: columns, normalisation, pooling, biases, updates, waiting. Unlike a time, that is much the
same on every machine.

The products are those that the layers make, of the same sizes, divided in the same way: tower by
tower on its device, a chunk of pictures at a time in a convolution, a share of the columns or rows
of W for each core in a full connection. What they read is ready beforehand; what they write is not
used.

The bytes: every array that a layer reads or writes goes through memory once, as fast as in a large
copy. It is what counts for layers without products. Only what is computed piece by piece, while it
is in the cache, can be faster, and networks whose arrays all fit into the cache.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from tinyalex.bench.timing import Spread, seconds
from tinyalex.bench.work import Part, least_bytes
from tinyalex.devices import Device
from tinyalex.layers import Conv2D, Layer, Linear
from tinyalex.network import Network


class Room:
    """Memory for the products of one device, which come one after the other: as much as the
    largest needs, filled with ordinary numbers."""

    def __init__(self, device: Device):
        self.device = device
        self.memory = device.empty((0,), np.float32)

    def view(self, *shape: int) -> np.ndarray:
        size = prod(shape)
        if self.memory.size < size:
            self.memory = self.device.empty((size,), np.float32)
            np.random.default_rng(0).standard_normal(dtype=np.float32, out=self.memory)
        return self.memory[:size].reshape(shape)


@dataclass
class Products:
    """Those of one layer."""

    name: str
    device: Device
    forward: Callable[[], None]
    backward: Callable[[], None]


def conv_products(layer: Conv2D, shape: tuple[int, ...], N: int, read: Room,
                  written: Room) -> Products:
    """y = cols @ W; dW = cols.T @ dy and, where the layer hands back a dx, dcols = dy @ W.T."""
    device, (OH, OW, F) = layer.device, layer.output_shape(shape)
    W, places = layer.params["W"].reshape(-1, F), OH * OW
    bytes_each = places * W.shape[0] * W.itemsize
    y, dy = (room.view(N * places, F) for room in (written, read))
    most = min(max(1, device.sum_bytes // bytes_each), N) * places
    dWs = written.view(device.cores, *W.shape)
    free = deque((Room(device).view(most, W.shape[0]), dW) for dW in dWs)  # for each core

    def forward(pictures):
        rows = slice(pictures.start * places, pictures.stop * places)
        cols, dW = free.pop()
        np.matmul(cols[:rows.stop - rows.start], W, out=y[rows])
        free.append((cols, dW))

    def backward(pictures):
        rows = slice(pictures.start * places, pictures.stop * places)
        all_cols, dW = free.pop()
        cols = all_cols[:rows.stop - rows.start]
        np.matmul(cols.T, dy[rows], out=dW)
        if layer.input_gradient:
            np.matmul(dy[rows], W.T, out=cols)
        free.append((all_cols, dW))

    return Products(
        layer.name, device, partial(device.over, N, forward, bytes_each),
        partial(device.over, N, backward, bytes_each * device.chunk_bytes // device.sum_bytes))


def linear_products(layer: Linear, shape: tuple[int, ...], N: int, read: Room,
                    written: Room) -> Products:
    """y = x @ W; dW = x.T @ dy and dx = dy @ W.T."""
    W, device = layer.params["W"], layer.device
    inputs, outputs = W.shape
    x, dx = read.view(N, inputs), Room(device).view(N, inputs)
    dy, y = (Room(device).view(N, outputs) for _ in range(2))
    dW = written.view(inputs, outputs)

    def forward(columns):
        np.matmul(x, W[:, columns], out=y[:, columns])

    def backward(rows):
        np.matmul(x.T[rows], dy, out=dW[rows])
        np.matmul(dy, W.T[:, rows], out=dx[:, rows])

    return Products(layer.name, device, partial(device.over, outputs, forward),
                    partial(device.over, inputs, backward))


PRODUCTS: dict[type[Layer], Callable[..., Products]] = {
    Conv2D: conv_products, Linear: linear_products}


class Floor:
    """The products of a network's training step on a batch of N pictures.

    stages: as in the network, with the products of a layer in place of the layer; towers run side
    by side, and wait for each other at the end of a stage, where the network has an exchange.
    """

    def __init__(self, network: Network, N: int):
        self.network, self.batch_size = network, N
        rooms = {device: (Room(device), Room(device)) for device in network.devices}
        self.stages = [[[PRODUCTS[type(layer)](layer, network.shapes[layer][0], N, *rooms[device])
                         for layer in tower if type(layer) in PRODUCTS]
                        for tower, device in zip(stage, network.devices, strict=True)]
                       for stage in network.stages]

    def forward(self):
        for stage in self.stages:
            self._side_by_side(stage, "forward")

    def backward(self):
        for stage in reversed(self.stages):
            self._side_by_side([layers[::-1] for layers in stage], "backward")

    def train(self):
        """The products of a training step."""
        self.forward()
        self.backward()

    infer = forward

    def wait(self):
        """Nothing is left to wait for."""

    def _side_by_side(self, stage: list[list[Products]], part: str):
        def work(layers: list[Products]):
            for layer in layers:
                getattr(layer, part)()

        running = [device.run(work, layers)
                   for device, layers in zip(self.network.devices, stage, strict=True)]
        for tower in running:
            tower.result()


LARGE = 32 << 20  # numbers; more than caches hold


def copy_speed(devices: Sequence[Device]) -> float:
    """Bytes a second that are read and written, together, while all cores copy a large array."""
    shares = [(device, np.ones(LARGE // len(devices), np.float32),
               np.ones(LARGE // len(devices), np.float32)) for device in devices]

    def copy():
        running = [device.run(device.over, source.size, partial(_copy, source, target))
                   for device, source, target in shares]
        for one in running:
            one.result()

    return 2 * 4 * LARGE / min(seconds(copy, 1, lambda: None) for _ in range(5))


def _copy(source: np.ndarray, target: np.ndarray, numbers: slice):
    target[numbers] = source[numbers]


def bytes_floor(network: Network, N: int, speed: float) -> dict[Part, Spread]:
    """The least seconds of each row and pass, where so many bytes go through memory in one."""
    return {part: Spread.of([count / speed]) for part, count in least_bytes(network, N).items()}
