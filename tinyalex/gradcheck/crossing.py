"""Functions for exercises, as in functions.py: of what crosses between towers and workers."""

from functools import partial

import numpy as np

from tinyalex.gradcheck.task import Task, normal


def _crossing(N, maps, itemsize, copies=None):
    others = len(maps) - 1 if copies is None else copies
    one_way = N * itemsize * sum(int(np.prod(shape)) for shape in maps) * others
    return np.array([one_way, one_way], float)


EXCHANGE_BYTES = Task(
    "exchange_bytes(N, maps, itemsize) gives two numbers: forward, backward", _crossing,
    (("two towers", (128, [(13, 13, 128), (13, 13, 128)], 4)),
     ("unequal towers, float64", (2, [(3, 3, 5), (3, 3, 2)], 8)),
     ("three towers", (4, [(100,), (100,), (100,)], 4))),
    (("every tower's maps go to every OTHER device: one fewer than there are towers.",
      lambda N, maps, itemsize: _crossing(N, maps, itemsize, copies=len(maps))),
     ("with three towers each one's maps are copied twice.", partial(_crossing, copies=1)),
     ("a batch has N pictures.", lambda N, maps, itemsize: _crossing(1, maps, itemsize)),
     ("a number takes itemsize bytes.", lambda N, maps, itemsize: _crossing(N, maps, 1)),
     ("the gradients come back too, as many bytes.", lambda *args: _crossing(*args) * [1, 0])))


def _parted_dx(dys, Ws, workers=None, share=1.0, shift=0):
    """workers: how many are asked. share: what is left of each one's part."""
    parts = [share * dy @ W.T for dy, W in zip(dys, np.roll(Ws, shift, axis=0), strict=True)]
    return np.sum(parts[:workers], axis=0)


PARTED_DX = Task(
    "parted_dx(dys, Ws) takes (P, N, U) and (P, D, U) and gives (N, D)", _parted_dx,
    (("two workers", (normal(2, 3, 4), normal(2, 5, 4, seed=1))),
     ("three workers", (normal(3, 2, 2), normal(3, 4, 2, seed=1)))),
    (("all workers have read x: each has a part of its gradient.", partial(_parted_dx, workers=1)),
     ("a sum, not a mean: x acts on the units of all workers.",
      lambda dys, Ws: _parted_dx(dys, Ws, share=1 / len(dys))),
     ("the gradient of a worker's units goes back through that worker's own weights.",
      partial(_parted_dx, shift=1))))


def _crossing_bytes(N, P, reads, classes, copies=-1, scores=None, ways=2, size=4):
    """copies: beyond one for each worker. scores: how many of each cross, if not all but one in P.
    """
    each = (P - 1) / P if scores is None else scores
    return ways * size * N * np.array([sum(reads) * (P + copies), classes * each], float)


CROSSING_BYTES = Task(
    "crossing_bytes(N, P, reads, classes) gives two numbers: of activities, of scores",
    _crossing_bytes,
    (("the paper's net on four", (512, 4, (9216, 4096, 4096), 1000)),
     ("a small one on three", (30, 3, (64, 20), 10))),
    (("the gradients come back too, as many bytes.", partial(_crossing_bytes, ways=1)),
     ("what a worker has itself need not cross: P − 1 copies, not P.",
      partial(_crossing_bytes, copies=0)),
     ("a score goes to one worker only: who has the picture.",
      lambda N, P, reads, classes: _crossing_bytes(N, P, reads, classes, scores=P - 1)),
     ("of P scores one is there already: its worker has the picture as well.",
      partial(_crossing_bytes, scores=1)),
     ("a float32 has four bytes.", partial(_crossing_bytes, size=1))))
