"""The floor: the matrix products of a step and nothing else.

A network that computes its layers by matrix products takes at least as long as the products alone,
with the same BLAS on the same cores. How far above this floor a step lies is what everything else
costs: columns, normalisation, pooling, biases, updates, waiting. Unlike a time it says much the
same on every machine.

The products are those that the layers make, of the same sizes, divided in the same way: tower by
tower on its device, a chunk of pictures at a time in a convolution, a share of the columns or rows
of W for each core in a full connection. What they read lies ready; of what they write nothing is
used.
"""

from collections.abc import Callable
from math import prod

import numpy as np

from tinyalex.devices import CpuDevice
from tinyalex.layers import Conv2D, Linear
from tinyalex.network import Network


class Room:
    """Memory for the products of one device, which come one after the other: as much as the
    largest needs, filled with ordinary numbers."""

    def __init__(self, device: CpuDevice):
        self.device = device
        self.memory = device.empty((0,), np.float32)

    def view(self, *shape: int) -> np.ndarray:
        size = prod(shape)
        if self.memory.size < size:
            self.memory = self.device.empty((size,), np.float32)
            np.random.default_rng(0).standard_normal(dtype=np.float32, out=self.memory)
        return self.memory[:size].reshape(shape)


class ConvProducts:
    """y = cols @ W; dW = cols.T @ dy and, where the layer hands back a dx, dcols = dy @ W.T."""

    def __init__(self, layer: Conv2D, shape: tuple[int, ...], N: int, read: Room, written: Room):
        self.name, self.device, self.N = layer.name, layer.device, N
        self.input_gradient = layer.input_gradient
        OH, OW, F = layer.output_shape(shape)
        self.W, self.places = layer.params["W"].reshape(-1, F), OH * OW
        self.chunk = max(1, self.device.chunk_bytes // (self.places * self.W.shape[0] * 4))
        self.chunk_backward = max(self.chunk, -(-layer.places // self.places))
        self.y, self.dy = (room.view(N * self.places, F) for room in (written, read))
        self.dWs = written.view(self.device.cores, *self.W.shape)
        rows = min(self.chunk_backward, -(-N // self.device.cores)) * self.places
        self.cols = [Room(self.device).view(rows, self.W.shape[0])
                     for _ in range(self.device.cores)]

    def _part(self, pictures: slice, worker: int) -> tuple[slice, np.ndarray]:
        """Which rows of y belong to these pictures, and columns for as many."""
        places = slice(pictures.start * self.places, pictures.stop * self.places)
        return places, self.cols[worker][:places.stop - places.start]

    def forward(self):
        def multiply(pictures, worker):
            places, cols = self._part(pictures, worker)
            np.matmul(cols, self.W, out=self.y[places])

        self.device.over(self.N, multiply, self.chunk)

    def backward(self):
        def multiply(pictures, worker):
            places, cols = self._part(pictures, worker)
            np.matmul(cols.T, self.dy[places], out=self.dWs[worker])
            if self.input_gradient:
                np.matmul(self.dy[places], self.W.T, out=cols)

        self.device.over(self.N, multiply, self.chunk_backward)


class LinearProducts:
    """y = x @ W; dW = x.T @ dy and dx = dy @ W.T."""

    def __init__(self, layer: Linear, shape: tuple[int, ...], N: int, read: Room, written: Room):
        self.name, self.device = layer.name, layer.device
        self.W = layer.params["W"]
        inputs, outputs = self.W.shape
        self.x, self.dx = read.view(N, inputs), Room(self.device).view(N, inputs)
        self.dy, self.y = (Room(self.device).view(N, outputs) for _ in range(2))
        self.dW = written.view(inputs, outputs)

    def forward(self):
        def multiply(columns, worker):
            np.matmul(self.x, self.W[:, columns], out=self.y[:, columns])

        self.device.over(self.W.shape[1], multiply)

    def backward(self):
        def multiply(rows, worker):
            np.matmul(self.x.T[rows], self.dy, out=self.dW[rows])
            np.matmul(self.dy, self.W.T[:, rows], out=self.dx[:, rows])

        self.device.over(self.W.shape[0], multiply)


PRODUCTS = {Conv2D: ConvProducts, Linear: LinearProducts}


class Floor:
    """The products of a network's training step on a batch of N pictures.

    stages: as in the network, with the products of a layer in place of the layer; towers run side
    by side, and wait for each other at the end of a stage, where the network has an exchange.
    """

    def __init__(self, network: Network, N: int):
        self.network = network
        rooms = {device: (Room(device), Room(device)) for device in network.devices}
        self.stages = [[[PRODUCTS[type(layer)](layer, network.shapes[layer][0], N, *rooms[device])
                         for layer in tower if type(layer) in PRODUCTS]
                        for tower, device in zip(stage, network.devices, strict=True)]
                       for stage in network.stages]

    def forward(self):
        for stage in self.stages:
            self._side_by_side(_forward, stage)

    def backward(self):
        for stage in reversed(self.stages):
            self._side_by_side(_backward, stage)

    def train(self):
        """The products of a training step."""
        self.forward()
        self.backward()

    infer = forward

    def _side_by_side(self, work: Callable, stage: list):
        running = [device.run(work, tower)
                   for device, tower in zip(self.network.devices, stage, strict=True)]
        for tower in running:
            tower.result()


def _forward(products: list):
    for product in products:
        product.forward()


def _backward(products: list):
    for product in reversed(products):
        product.backward()
