"""What each measure gains: the same network with the measure taken back, in turn with all of them.

The fast form of a layer is the plain one with a few twists, each for a reason that can be put into
a sentence and a number. Here are the plain forms again: they compute the same.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
from numpy.lib.stride_tricks import as_strided
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from tinyalex.bench.report import with_spread
from tinyalex.bench.timing import Spread, seconds, warm_up
from tinyalex.bench.workload import Workload
from tinyalex.devices import CpuDevice
from tinyalex.kernels import numpy as kernels
from tinyalex.layers import Conv2D, LocalResponseNorm, ReLU
from tinyalex.optim import SGD
from tinyalex.support.text import align

COLUMNS = ("taken back", "training", "lowest", "highest", "inference", "lowest", "highest")


def im2col_by_numbers(x, K, S, P, cols):
    padded = np.pad(x, ((0, 0), P, P, (0, 0)))
    n, h, w, c = padded.strides
    cols[...] = as_strided(padded, cols.shape, (n, S * h, S * w, h, w, c))


def col2im_by_places(cols, S, P, dx):
    N, OH, OW, KH, KW, C = cols.shape
    padded = np.zeros((N, dx.shape[1] + sum(P), dx.shape[2] + sum(P), C), dx.dtype)
    for kh in range(KH):
        for kw in range(KW):
            padded[:, kh : kh + S * OH : S, kw : kw + S * OW : S] += cols[:, :, :, kh, kw]
    dx[...] = padded[:, P[0] : P[0] + dx.shape[1], P[0] : P[0] + dx.shape[2]]


def max_pool_by_places(x, K, S, y, where=None):
    y[...] = -np.inf
    if where is not None:
        where[...] = 0
    for place, pixels, windows in kernels._shifts(K, S, *y.shape[1:3], *x.shape[1:3]):
        if where is not None:
            np.copyto(where[windows], place, where=x[pixels] > y[windows])
        np.maximum(y[windows], x[pixels], out=y[windows])


def window_sum_by_additions(x, n, y):
    y[...] = x
    for d in range(1, n // 2 + 1):
        y[..., d:] += x[..., :-d]
        y[..., :-d] += x[..., d:]


def power_by_pow(layer, s, out):
    return np.power(s, layer.beta, out=out)


def fresh_memory(pool, shape, dtype):
    return np.empty(shape, dtype)


def sum_rows(x, y):
    np.sum(x, axis=0, out=y)


def _biases_then_relus(workload: Workload):
    return patch.object(workload.network, "_before_relus", [])


@contextmanager
def _relus_into_new_arrays(workload: Workload) -> Iterator[None]:
    relus = [layer for layer in workload.network.shapes if isinstance(layer, ReLU)]
    with _biases_then_relus(workload), _attributes(relus, inplace=False):
        yield


@contextmanager
def _attributes(layers: list, **values) -> Iterator[None]:
    with ExitStack() as stack:
        for layer in layers:
            for name, value in values.items():
                stack.enter_context(patch.object(layer, name, value))
        yield


def _first_layers(workload: Workload) -> list:
    return [tower[0] for tower in workload.network.stages[0]]


@dataclass(frozen=True)
class Measure:
    """name: what is done without it. without: a context in which the workload lacks it."""

    name: str
    without: Callable[[Workload], object]


MEASURES = [
    Measure("memory from the system for every array",
            lambda w: patch.object(type(w.network.devices[0].pool), "empty", fresh_memory)),
    Measure("arrays of at most 128 KiB a call",
            lambda w: patch.object(CpuDevice, "chunk_bytes", 1 << 17)),
    Measure("arrays of 16 MiB a call",
            lambda w: patch.object(CpuDevice, "chunk_bytes", 1 << 24)),
    Measure("im2col number by number",
            lambda w: patch.object(kernels, "im2col", im2col_by_numbers)),
    Measure("col2im one place of the kernel after the other",
            lambda w: patch.object(kernels, "col2im", col2im_by_places)),
    Measure("dW picture by picture", lambda w: patch.object(Conv2D, "places", 1)),
    Measure("a first layer that makes its dx",
            lambda w: _attributes(_first_layers(w), input_gradient=True)),
    Measure("LRN's window sum by additions",
            lambda w: patch.object(kernels, "window_sum", window_sum_by_additions)),
    Measure("LRN's s**0.75 by np.power",
            lambda w: patch.object(LocalResponseNorm, "_power", power_by_pow)),
    Measure("max pooling over the 9 places of a window",
            lambda w: patch.object(kernels, "max_pool", max_pool_by_places)),
    Measure("biases and ReLU one after the other", _biases_then_relus),
    Measure("the same, ReLU into a new array", _relus_into_new_arrays),
    Measure("biases' gradients by np.sum", lambda w: patch.object(kernels, "sum_rows", sum_rows)),
    Measure("SGD over whole arrays", lambda w: patch.object(SGD, "PIECE", 1 << 40)),
    Measure("as many BLAS threads a call as cores",
            lambda w: threadpool_limits(sum(d.cores for d in set(w.network.devices)), "blas")),
]

Found = dict[str, dict[str, list[float]]]  # what is taken back; mode; slowdown, round by round


def measure(workload: Workload, rounds: int) -> Found:
    """How many times as long a step takes without each measure as with all, round by round. Right
    before each, the step with all measures is timed."""
    found = {one.name: {"training": [], "inference": []} for one in MEASURES}
    calls = {"training": workload.train, "inference": workload.infer}
    times = {mode: warm_up(call) for mode, call in calls.items()}
    with tqdm(total=rounds * len(MEASURES), desc="measuring", unit="run", disable=None,
              leave=False) as bar:
        for _ in range(rounds):
            for one in MEASURES:
                for mode, call in calls.items():
                    whole = seconds(call, times[mode])
                    with one.without(workload):
                        call()
                        found[one.name][mode].append(seconds(call, times[mode]) / whole)
                bar.update()
    return found


def table(found: Found) -> str:
    """A line for each measure: how many times as long a step takes without it."""
    rows = [("taken back", "training takes", "inference takes")]
    for name, modes in found.items():
        rows.append((name, *("× " + with_spread(Spread.of(modes[mode]), 3)
                             for mode in ("training", "inference"))))
    return align(rows, total=False)


def csv_rows(found: Found) -> list[tuple]:
    """For each measure a row of COLUMNS."""
    rows = []
    for name, modes in found.items():
        spreads = [Spread.of(modes[mode]) for mode in ("training", "inference")]
        rows.append((name, *(v for s in spreads for v in (s.median, s.low, s.high))))
    return rows
