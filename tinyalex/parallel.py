"""Training with several workers: each has the whole network and takes its part of every batch.

The gradient is a mean over the pictures of a batch, so it is the sum of what the workers' parts
give, and when all have that sum, all make the same update: their weights stay equal, and nothing
else has to be exchanged. Pictures, crops, noise and dropout masks are those of one worker alone.

There are two ways to add up:

- As soon as backward is done with a layer, its gradient is on its way (`Sums`), in buckets of some
  megabytes, while the layers below compute theirs. fc6 to fc8 have 96 % of the paper's parameters
  and are done first. The order in which numbers are added is MPI's, which depends on how many
  workers there are, so the last bits do, too.
- Exactly: a batch is cut into BLOCKS blocks, whatever the workers; each block's gradient is
  computed by itself, and they are added up along a fixed tree. Fully connected layers compute
  BLOCKS pieces of their units each by itself, since hybrid.py spreads them over the workers. The
  result has the same bits with any number of workers up to that, and however they share the work.
"""

import contextlib
import copy
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, zip_longest

import numpy as np

from tinyalex.devices import Batch
from tinyalex.devices.base import Array, Result
from tinyalex.layers import Layer, Linear
from tinyalex.layers.pieces import InPieces
from tinyalex.network import Network, Parameter
from tinyalex.optim import SGD
from tinyalex.support.errors import UserError
from tinyalex.world import Sum, World

BLOCKS = 8  # of a batch that is added up exactly; also how many workers there can be then
BUCKET = 16 << 20  # bytes that are sent at a time
PAUSE = 0.0005  # seconds between two looks at what is on its way

Part = tuple[Array, Array, np.ndarray]  # the loss, the scores and the labels of some pictures


class Parallel:
    """The steps of training, made together with the other workers.

    network: what learns. exact: whether the bits of the result must not depend on the number of
    workers. bucket: bytes, see above. UserError where there are too many workers for that.
    `waited` adds up the seconds that this worker waited for the others.
    """

    def __init__(self, network: Network, world: World, exact: bool = False, bucket: int = BUCKET):
        self.network, self.world = in_pieces(network) if exact else network, world
        if exact and world.size > BLOCKS:
            raise UserError(f"--exact cuts batches into {BLOCKS} blocks, and there are {world.size}"
                            " workers", f"start {BLOCKS} at most, or do without.")
        self.exact, self.waited = exact, 0.0
        self.sums = None if exact or world.size == 1 else Sums(network, world, bucket)
        blocks = cut(BLOCKS, world.size)[world.rank]
        self.blocks = range(blocks.start, blocks.stop)

    def rows(self, count: int) -> slice:
        """Which pictures of a batch of so many are this worker's."""
        if not self.exact:
            return cut(count, self.world.size)[self.world.rank]
        blocks = cut(count, BLOCKS)
        return slice(blocks[self.blocks[0]].start, blocks[self.blocks[-1]].stop)

    def begin(self, optimiser: SGD) -> SGD:
        """What this worker updates with, from an optimiser of the whole network: to be called when
        all workers have the weights and velocities with which training begins."""
        return optimiser

    def gather_weights(self):
        """Put all weights into the network, whoever has them."""

    def gather_velocities(self, optimiser: SGD) -> dict[str, np.ndarray]:
        """The velocities, whoever has them, as `SGD.state` gives them."""
        return optimiser.state()

    def step(self, optimiser: SGD, x: Batch, labels: np.ndarray, step: int, count: int,
             ) -> list[Part]:
        """One update of all weights, from everybody's pictures.

        x, labels: this worker's part of a batch of `count` pictures. step: how many updates there
        were before. Returns what `train_step` returns, for this worker's pictures, in parts.
        """
        if self.exact:
            parts = self._add_exactly(x, labels, step, count)
        else:
            with self.sums or contextlib.nullcontext():
                parts = self._gradients(x, labels, step, self.rows(count).start, count)
            self.waited += self.sums.waited if self.sums else 0
        optimiser.step()
        return parts

    def _gradients(self, x, labels, step, first, count) -> list[Part]:
        """The share that these pictures, from number `first` of the batch on, have in the gradient
        of the mean over all."""
        if not len(labels):
            no_gradients(self.network)
            return []
        self.network.set_step(step, first)
        scores = self.network.forward(x, remember=True, drop=True)
        loss, dscores = share_of_loss(self.network, scores, labels, count)
        self.network.backward(dscores, watch=self.sums.add if self.sums else None)
        return [(loss, scores, labels)]

    def _add_exactly(self, x, labels, step, count) -> list[Part]:
        first, tree, parts = self.rows(count).start, Tree(self.world), []
        for block in self.blocks:
            rows = cut(count, BLOCKS)[block]
            here = slice(rows.start - first, rows.stop - first)
            parts += self._gradients(x[here], labels[here], step, rows.start, count)
            tree.add(block, np.concatenate([flat(p) for p in self.network.learning]))
        start = time.perf_counter()
        total = tree.total()
        self.waited += time.perf_counter() - start
        hand_out(total, self.network.learning)
        return parts

    def close(self):
        """End the thread that sums."""
        if self.sums:
            self.sums.close()


def cut(count: int, parts: int) -> list[slice]:
    """0..count in consecutive parts of nearly equal length."""
    ends = [count * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


def in_pieces(network: Network) -> Network:
    """The same network, whose fully connected layers compute BLOCKS pieces of their units each by
    itself."""
    same = copy.copy(network)
    same.stages = [[[InPieces(layer, cut(layer.W_shape[1], BLOCKS)) if isinstance(layer, Linear)
                     else layer for layer in tower] for tower in stage]
                   for stage in network.stages]
    return same


def share_of_loss(network: Network, scores: Array, labels: np.ndarray, count: int,
                  ) -> tuple[Array, Array]:
    """The loss of these pictures, and the share that they have in the gradient of the mean over
    `count`, with respect to their scores."""
    loss, dscores = network.loss_and_gradient(scores, labels)
    if len(labels) < count:
        network.devices[0].run(dscores.__imul__, len(labels) / count).result()
    return loss, dscores


def no_gradients(network: Network):
    """Gradients as of no picture: zeros."""
    for p in network.learning:
        p.layer.grads[p.key] = p.layer.device.put(np.zeros(p.value.shape, p.value.dtype))


def flat(p: Parameter) -> np.ndarray:
    """A parameter's gradient in a row, on the host."""
    return p.layer.device.get(p.grad).reshape(-1)


def hand_out(numbers: np.ndarray, parameters: list[Parameter]):
    """Write what stands there one after the other over the gradients of these parameters."""
    for p in parameters:
        mine, numbers = numbers[: p.value.size], numbers[p.value.size :]
        p.layer.device.put_into(p.grad, mine.reshape(p.value.shape))


class Tree:
    """The sum of the blocks' gradients, along a tree that does not depend on who has which block:

        ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))

    A worker adds up what it can by itself. Then, level by level, whoever has the right one of a
    pair sends it to whoever has the left one; worker 0 ends up with the sum, and sends it to all.
    """

    def __init__(self, world: World):
        self.world = world
        owners = enumerate(cut(BLOCKS, world.size))
        self.owner = [rank for rank, blocks in owners for _ in range(blocks.start, blocks.stop)]
        self.sums: dict[tuple[int, int], np.ndarray] = {}  # by the first block and their number
        self.like = np.empty(0, np.float32)  # an array as they are

    def add(self, block: int, numbers: np.ndarray):
        """The numbers of a block of this worker's. In which order they come makes no difference:
        a + b has the bits of b + a."""
        self.like, first, size = numbers, block, 1
        while (first ^ size, size) in self.sums:  # the other half of a branch
            numbers += self.sums.pop((first ^ size, size))
            first, size = first & ~size, 2 * size
        self.sums[first, size] = numbers

    def total(self) -> np.ndarray:
        """The sum of all blocks of all workers."""
        me, buffer = self.world.rank, None
        for size in (1, 2, 4):
            for left in range(0, BLOCKS, 2 * size):
                right = left + size
                to, sender = self.owner[left], self.owner[right]
                if sender == me != to:
                    self.world.send(self.sums.pop((right, size)), to)
                elif to == me and (left, size) in self.sums:
                    mine = self.sums.pop((left, size))
                    if sender == me:
                        mine += self.sums.pop((right, size))
                    else:
                        buffer = np.empty_like(mine) if buffer is None else buffer
                        self.world.receive(buffer, sender)
                        mine += buffer
                    self.sums[left, 2 * size] = mine
        result = self.sums.pop((0, BLOCKS)) if me == 0 else np.empty_like(self.like)
        self.world.broadcast(result)
        return result


class Bucket:
    """Some parameters, whose gradients are summed as one array."""

    def __init__(self, parameters: list[Parameter]):
        self.parameters = parameters
        self.missing = len(parameters)  # gradients that are still to come
        self.complete = threading.Event()
        self.buffer = np.empty(sum(p.value.size for p in parameters), parameters[0].value.dtype)

    def fill(self, coming: dict[str, Result]):
        """Copy the gradients into the buffer. coming: those that are on their way to the host."""
        np.concatenate([coming.pop(p.name).result().reshape(-1) if p.name in coming else flat(p)
                        for p in self.parameters], out=self.buffer)


class Sums:
    """Sums all workers' gradients while backward goes on:

        with sums:
            ...                                    # forward
            network.backward(dscores, watch=sums.add)

    Behind the block the gradients of the network are the sums.

    The buckets are those of backward's order, the towers' layers side by side. A thread of its own
    begins their sums in that order, which has to be the same for all workers, whichever device was
    faster, and asks MPI to go on with them: left alone, MPI would only do so when they are waited
    for. Between two looks the thread sleeps, so that backward has the core. `waited`: the seconds
    that the last block waited at its end.
    """

    def __init__(self, network: Network, world: World, bucket: int = BUCKET):
        self.world, self.waited, self.failed = world, 0.0, False
        self.buckets = [Bucket(group) for group in _grouped(_as_backward(network), bucket)]
        self.of: dict[Layer, list[tuple[Parameter, Bucket]]] = {}
        for one in self.buckets:
            for p in one.parameters:
                self.of.setdefault(p.layer, []).append((p, one))
        self.coming: dict[str, Result] = {}
        self.lock = threading.Lock()
        self.thread = ThreadPoolExecutor(1, "sums")

    def __enter__(self) -> "Sums":
        for bucket in self.buckets:
            bucket.missing = len(bucket.parameters)
            bucket.complete.clear()
        self.summing = self.thread.submit(self._sum)
        return self

    def add(self, layer: Layer):
        """Backward is done with this layer. Called on the thread of its device."""
        for p, bucket in self.of.get(layer, ()):
            self.coming[p.name] = layer.device.fetch(p.grad)
            with self.lock:  # of two towers' devices
                bucket.missing -= 1
            if not bucket.missing:
                bucket.complete.set()

    def __exit__(self, kind, *_):
        self.failed = kind is not None
        for bucket in self.buckets:  # also where this worker had no pictures
            bucket.complete.set()
        start = time.perf_counter()
        self.summing.result()
        self.waited = time.perf_counter() - start
        for bucket in self.buckets if not self.failed else ():
            hand_out(bucket.buffer, bucket.parameters)

    def _sum(self):
        running: list[Sum] = []
        for bucket in self.buckets:
            while not bucket.complete.wait(PAUSE if running else None):
                running = [one for one in running if not one.done()]
            if self.failed:
                return
            bucket.fill(self.coming)
            running.append(self.world.start_sum(bucket.buffer))
        while running := [one for one in running if not one.done()]:
            time.sleep(PAUSE)

    def close(self):
        self.thread.shutdown()


def _as_backward(network: Network) -> Iterator[Parameter]:
    """The parameters that learn, in the order in which backward is done with them."""
    learning = {(p.layer, p.key): p for p in network.learning}
    for stage in reversed(network.stages):
        for layers in zip_longest(*map(reversed, stage)):
            for layer in filter(None, layers):
                for key in layer.params:
                    if (layer, key) in learning:
                        yield learning[layer, key]


def _grouped(parameters: Iterator[Parameter], most: int) -> Iterator[list[Parameter]]:
    """Neighbours, together until they have so many bytes."""
    group: list[Parameter] = []
    for p in parameters:
        group.append(p)
        if sum(one.value.nbytes for one in group) >= most:
            yield group
            group = []
    if group:
        yield group
