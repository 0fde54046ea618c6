"""One weird trick: convolutions data parallel, fully connected layers model parallel.

(A. Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.) Of the
paper's network, fc6 to fc8 have 96 % of the parameters and 8 % of the arithmetic; of the
convolutions it is the other way round. So workers that share a batch (parallel.py) mostly send each
other gradients of layers in which there is little to do. Here all have the convolutions, and of a
fully connected layer each of P workers has the columns of W and b of its share of the units, in
each tower, for the pictures of all:

    y[:, u] = x @ W[:, u] + b[u]        dW[:, u] = x.T @ dy[:, u]

No other worker has a part in dW[:, u]: nothing is summed, and no weights ever cross. What crosses
are activities, as many as the batch has, instead of gradients, as many as there are weights:

    features      that fc6 reads, from the worker who has the picture to all
    activities    of fc6 and fc7, from the worker who has the unit to all, who read them next
    scores        from the worker who has the unit of fc8 to the one who has the picture, and its
                  label: there the loss is computed

and the same way back the gradients of these. What all have read comes back as P parts, dy[:, u] @
W[:, u].T, which are added up where it came from (layers/pieces.py). The gradients of the
convolutions are summed as in parallel.py.

Workers are to the units what towers are to the maps: `Across` is an `Exchange` between them.

The pictures pass through the connected layers in portions, forward and at once backward:

    a    all at once: every worker has the features of the whole batch
    b    those of one worker after the other, who sends them to all
    c    a P-th of everybody's, P times: as many bytes, but all send at the same time

a needs P times the memory of the others, and is not here. The gradients of all portions are added,
and there is one update for a whole batch, as SGD has it. (Krizhevsky can also update the connected
layers after each portion: then their batches are smaller than those of the convolutions, which is
another algorithm. And he sends the next portion while this one is computed; here nothing crosses
meanwhile.)

Exactly (see parallel.py): a portion is a block, and a worker's units are whole pieces, a branch of
the tree along which they are added, so that no bit depends on who has them.
"""

import contextlib
import copy
import time
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np

from tinyalex.across import Across, Messages, columns, to_towers, trunk_and_head
from tinyalex.devices import Batch
from tinyalex.devices.base import Array
from tinyalex.layers import Layer, Linear
from tinyalex.layers.pieces import InPieces, part
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.parallel import BLOCKS, Parallel, Part, Tree, cut, no_gradients, share_of_loss
from tinyalex.sums import BUCKET, Bucket, flat
from tinyalex.world import World

NONE = slice(0, 0)
Rows = list[slice]  # by worker: those in question of its pictures, by their numbers in the batch


@dataclass(frozen=True)
class Task:
    """The arguments of `Parallel.step`. first: the number of x's first picture in the batch."""

    x: Batch
    labels: np.ndarray
    step: int
    count: int
    first: int


class Hybrid(Parallel):
    """Steps as of `Parallel`, with the fully connected layers of `network` spread over the workers.

    at_once: scheme c, else b. The rest as of `Parallel`. UserError unless the network's fully
    connected layers are at its end.

    `trunk` is what each worker has whole, `head` its part of the rest. The network itself keeps
    whole layers, with the weights of the last `gather_weights`: to measure with, and for
    checkpoints. `messages` counts what crosses between them.
    """

    def __init__(self, network: Network, world: World, exact: bool = False, at_once: bool = False,
                 bucket: int = BUCKET):
        self.trunk, top = trunk_and_head(network)
        super().__init__(self.trunk, world, exact, bucket)
        self.at_once = at_once
        self.messages = Messages(world, exact)
        self.pairs: list[tuple[Linear, Linear]] = []  # a whole layer, and this worker's part of it
        self.head = self._part(top)
        self.mine = copy.copy(network)
        self.mine.stages = [*self.trunk.stages, *self.head.stages]

    def _part(self, top: Network) -> Network:
        """This worker's part of the fully connected layers, and what joins it to the others'."""
        units = [[self._units(top.shapes[tower[0]][1][0]) for tower in stage]
                 for stage in top.stages]
        head, rank = copy.copy(top), self.world.rank
        head.stages = [[[self._part_of(layer, each) for layer in tower]
                        for tower, each in zip(*pair, strict=True)]
                       for pair in zip(top.stages, units, strict=True)]
        head.exchanges = [Across(exchange, self.messages, each)
                          for exchange, each in zip(top.exchanges, units[:-1], strict=True)]
        head.output_shapes = [(_size(each[rank]),) for each in units[-1]]
        self.columns = columns(units[-1])  # of the scores, by worker
        self.reads = top.stages[0][0][0].name.removesuffix(top.letter(0))
        return head

    def _units(self, count: int) -> list[slice]:
        """Which of a layer's units each worker has."""
        if not self.exact:
            return cut(count, self.world.size)
        pieces = cut(count, BLOCKS)
        return [slice(pieces[branch][0].start, pieces[branch][-1].stop)
                for branch in branches(BLOCKS, self.world.size)]

    def _part_of(self, layer: Layer, units: list[slice]) -> Layer:
        rank, count = self.world.rank, units[-1].stop
        mine = part(layer, count, units[rank])
        if not isinstance(layer, Linear) or not isinstance(mine, Linear):
            return mine
        self.pairs.append((layer, mine))
        if not self.exact:
            return mine
        pieces, start = cut(count, BLOCKS), units[rank].start
        return InPieces(mine, [slice(piece.start - start, piece.stop - start) for piece in
                               pieces[branches(BLOCKS, self.world.size)[rank]]])

    def begin(self, optimiser: SGD) -> SGD:
        if optimiser.network is self.mine:  # an earlier call made it
            return optimiser
        velocity, own = dict(optimiser.velocity), copy.copy(optimiser)
        for whole, mine in self.pairs:
            for key, value in mine.params.items():
                mine.device.put_into(value, self._own(whole, whole.params[key]))
                if (name := f"{mine.name}.{key}") in velocity:
                    velocity[name] = mine.device.put(self._own(whole, velocity[name]))
        own.network, own.velocity = self.mine, velocity
        return own

    def _own(self, whole: Layer, array: Array) -> np.ndarray:
        """This worker's part of what the whole layer has, on the host."""
        return whole.device.get(array)[..., self._units(array.shape[-1])[self.world.rank]].copy()

    def gather_weights(self):
        for whole, mine in self.pairs:
            for key, value in mine.params.items() if not mine.frozen else ():
                whole.device.put_into(whole.params[key], self._gather(mine.device.get(value)))

    def gather_velocities(self, optimiser: SGD) -> dict[str, np.ndarray]:
        divided = {p.name for p in self.head.learning}
        return {name: self._gather(v) if name in divided else v
                for name, v in optimiser.state().items()}

    def _gather(self, array: np.ndarray) -> np.ndarray:
        return np.concatenate(self.world.gather(array), axis=-1)

    def step(self, optimiser: SGD, x: Batch, labels: np.ndarray, step: int, count: int,
             ) -> list[Part]:
        task = Task(x, labels, step, count, self.rows(count).start)
        self.messages.waited = 0.0
        if self.exact:
            parts = self._add_exactly_in_turns(task)
        else:
            with self.sums or contextlib.nullcontext():
                parts = self._in_portions(task)
            self.waited += self.sums.waited if self.sums else 0
        self.waited += self.messages.waited
        optimiser.step()
        return parts

    def _in_portions(self, task: Task) -> list[Part]:
        rows, parts = cut(task.count, self.world.size), []
        total: dict[str, Array] = {}
        mine = rows[self.world.rank]
        features = self._features(task, mine)
        dfeatures = np.empty_like(features)
        for portion in together(rows) if self.at_once else one_by_one(rows):
            inside = _within(portion[self.world.rank], mine.start)
            parts += self._connected(task, portion, features[inside], dfeatures[inside])
            for p in self.head.learning:
                if p.name in total:
                    p.layer.device.run(total[p.name].__iadd__, p.grad).result()
                else:
                    total[p.name] = p.grad
        for p in self.head.learning:
            p.layer.grads[p.key] = total[p.name]
        self._below(mine, dfeatures)
        return parts

    def _add_exactly_in_turns(self, task: Task) -> list[Part]:
        """In each turn every worker computes the convolutions of one of its blocks, and then all
        compute the connected layers of one block after the other."""
        blocks, shares, parts = cut(task.count, BLOCKS), cut(BLOCKS, self.world.size), []
        below, top = Tree(self.world), Tree(World())
        for turn in zip_longest(*(range(BLOCKS)[share] for share in shares)):
            rows = [NONE if block is None else blocks[block] for block in turn]
            mine, own = rows[self.world.rank], turn[self.world.rank]
            features = self._features(task, mine)
            dfeatures = np.empty_like(features)
            for block, portion in zip(turn, one_by_one(rows), strict=True):
                if block is None:
                    continue
                inside = _within(portion[self.world.rank], mine.start)
                parts += self._connected(task, portion, features[inside], dfeatures[inside])
                top.add(block, flat(self.head))
            if own is not None:
                self._below(mine, dfeatures)
                below.add(own, flat(self.trunk))
        Bucket(self.head.learning, top.total()).hand_out()
        start = time.perf_counter()
        Bucket(self.trunk.learning, below.total()).hand_out()
        self.waited += time.perf_counter() - start
        return parts

    def _features(self, task: Task, rows: slice) -> np.ndarray:
        """What the connected layers read of these pictures, on the host."""
        if not _size(rows):
            W = self.pairs[0][1].params["W"]
            return np.empty((0, W.shape[0]), W.dtype)
        x = task.x[_within(rows, task.first)]
        if not self.trunk.stages:
            return x.pixels
        self.trunk.set_step(task.step, rows.start)
        return self.head.devices[0].get(self.trunk.forward(x, remember=True, drop=True))

    def _below(self, rows: slice, dfeatures: np.ndarray):
        """Backward through what each worker has whole."""
        if not _size(rows):
            no_gradients(self.trunk)
        elif self.trunk.learning:
            widths = [shape[-1] for shape in self.trunk.output_shapes]
            self.trunk.backward_towers(to_towers(dfeatures, widths, self.trunk.devices),
                                       self.sums.add if self.sums else None)

    def _connected(self, task: Task, rows: Rows, features: np.ndarray, dfeatures: np.ndarray,
                   ) -> list[Part]:
        """Forward and backward through the connected layers, of a portion. features: of this
        worker's pictures in it. dfeatures: where their gradient is written."""
        sizes, device = [_size(theirs) for theirs in rows], self.head.devices[0]
        if not any(sizes):
            no_gradients(self.head)
            return []
        ends, own, parts = np.cumsum([0, *sizes]), rows[self.world.rank], []
        places = [(slice(first, last),) for first, last in pairwise(ends)]
        hand, classes = self.messages.hand, sum(len(mine) for _, mine in self.columns)

        x = hand("forward", self.reads, [features] * len(rows), places,
                 (sum(sizes), features.shape[1]))
        drawn: Any = tuple((theirs.start, _size(theirs)) for theirs in rows)  # see DropoutPart
        self.head.set_step(task.step, drawn)
        y = device.get(self.head.forward(x, remember=True, drop=True))
        dscores = scores = hand("forward", "scores", [y[place] for place in places], self.columns,
                                (_size(own), classes))
        if _size(own):
            there, labels = device.put(scores), task.labels[_within(own, task.first)]
            loss, gradient = share_of_loss(self.head, there, labels, task.count)
            dscores, parts = device.get(gradient), [(loss, there, labels)]
        dy = hand("backward", "scores", [dscores[mine] for mine in self.columns], places, y.shape)
        dxs = self.head.backward(device.put(dy))
        if self.trunk.learning:
            dfeatures[...] = self.messages.collect(self.reads, dxs, self.head.devices, places)
        return parts


def _size(rows: slice) -> int:
    return rows.stop - rows.start


def _within(rows: slice, first: int) -> slice:
    """Where these rows of a batch are among those from number `first` on."""
    return slice(rows.start - first, rows.stop - first) if _size(rows) else NONE


def one_by_one(rows: Rows) -> list[Rows]:
    """Portions as of scheme b."""
    return [[theirs if worker == sender else NONE for worker, theirs in enumerate(rows)]
            for sender in range(len(rows))]


def together(rows: Rows) -> list[Rows]:
    """Portions as of scheme c."""
    pieces = [[slice(theirs.start + piece.start, theirs.start + piece.stop)
               for piece in cut(_size(theirs), len(rows))] for theirs in rows]
    return [list(portion) for portion in zip(*pieces, strict=True)]


def branches(size: int, workers: int, first: int = 0) -> list[slice]:
    """A tree's leaves in as many branches as there are workers, cut where `add_up` cuts."""
    if workers == 1:
        return [slice(first, first + size)]
    left, half = (workers + 1) // 2, size // 2
    return branches(half, left, first) + branches(half, workers - left, first + half)
