"""Training with several workers: each has the whole network and takes its part of every batch.

The gradient is a mean over the pictures of a batch, so it is the sum of what the workers' parts
give, and when all have that sum, all make the same update: their weights stay equal, and nothing
else has to be exchanged. Pictures, crops, noise and dropout masks are those of one worker alone.

There are two ways to add up:

- As soon as backward is done with a layer, its gradient is on its way, while the layers below
  compute theirs: sums.py. The order in which numbers are added is MPI's or NCCL's, which depends on
  how many workers there are, so the last bits do, too.
- Exactly: a batch is cut into BLOCKS blocks, whatever the workers; each block's gradient is
  computed by itself, and they are added up along a fixed tree. Fully connected layers compute
  BLOCKS pieces of their units each by itself, since hybrid.py spreads them over the workers. The
  result has the same bits with any number of workers up to that, and however they share the work.
"""

import contextlib
import copy
import time
from itertools import pairwise

import numpy as np

from tinyalex.devices import Batch
from tinyalex.devices.base import Array
from tinyalex.layers import Linear
from tinyalex.layers.pieces import InPieces
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.sums import BUCKET, Bucket, Sums, choose, flat
from tinyalex.support.errors import UserError
from tinyalex.world import World

BLOCKS = 8  # of a batch that is added up exactly; also how many workers there can be then

Part = tuple[Array, Array, np.ndarray]  # the loss, the scores and the labels of some pictures


class Parallel:
    """The steps of training, made together with the other workers.

    network: what learns. exact: whether the bits of the result must not depend on the number of
    workers; UserError where there are too many of them for that. bucket: bytes, see sums.py.
    `waited` adds up the seconds that this worker waited for the others.
    """

    def __init__(self, network: Network, world: World, exact: bool = False, bucket: int = BUCKET):
        self.network, self.world = in_pieces(network) if exact else network, world
        if exact and world.size > BLOCKS:
            raise UserError(f"--exact cuts batches into {BLOCKS} blocks, and there are {world.size}"
                            " workers", f"start {BLOCKS} at most, or do without.")
        self.exact, self.waited, self.bucket = exact, 0.0, bucket
        self._sums: Sums | None = None
        blocks = cut(BLOCKS, world.size)[world.rank]
        self.blocks = range(blocks.start, blocks.stop)

    @property
    def sums(self) -> Sums | None:
        """What adds up meanwhile, if not exactly. The workers choose it together, where all first
        ask for it."""
        if self._sums is None and not self.exact and self.world.size > 1:
            self._sums = choose(self.network, self.world, self.bucket)
        return self._sums

    def rows(self, count: int) -> slice:
        """Which pictures of a batch of so many are this worker's."""
        if not self.exact:
            return cut(count, self.world.size)[self.world.rank]
        blocks = cut(count, BLOCKS)
        return slice(blocks[self.blocks[0]].start, blocks[self.blocks[-1]].stop)

    def begin(self, optimiser: SGD) -> SGD:
        """What this worker updates with, from an optimiser of the whole network: to be called when
        all workers have the weights and velocities with which training begins. What an earlier
        call returned stays as it is."""
        return optimiser

    def gather_weights(self):
        """Put all weights into the network, whoever has them; after `begin`."""

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
            tree.add(block, flat(self.network))
        start = time.perf_counter()
        total = tree.total()
        self.waited += time.perf_counter() - start
        Bucket(self.network.learning, total).hand_out()
        return parts

    def close(self):
        """End what sums in the background."""
        if self._sums:
            self._sums.close()


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
