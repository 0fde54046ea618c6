"""What each measure gains: the same network with that measure taken back, in turn with all of them.

The fast form of a layer is the plain one with a few tricks, each for a reason that a sentence and a
number can give. Here are the plain forms again: they compute the same.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
from numpy.lib.stride_tricks import as_strided
from threadpoolctl import threadpool_limits

from tinyalex.bench.timing import MODES, Spread, always, in_turn
from tinyalex.bench.workload import Workload
from tinyalex.devices import CpuDevice, Device
from tinyalex.kernels import norm
from tinyalex.kernels import numpy as kernels
from tinyalex.layers import Layer, ReLU
from tinyalex.network import Parameter
from tinyalex.optim import SGD


def im2col_by_numbers(x, K, S, P, cols):
    padded = np.pad(x, ((0, 0), P, P, (0, 0)))
    n, h, w, c = padded.strides
    cols[...] = as_strided(padded, cols.shape, (n, S * h, S * w, h, w, c))


def col2im_by_places(cols, S, P, dx):
    _, OH, OW, KH, KW, _ = cols.shape
    dx[...] = 0
    for kh in range(KH):
        rows, from_h = kernels._clip(kh - P[0], S, OH, dx.shape[1])
        for kw in range(KW):
            columns, from_w = kernels._clip(kw - P[0], S, OW, dx.shape[2])
            dx[:, rows, columns] += cols[:, from_h, from_w, kh, kw]


def max_pool_by_places(x, K, S, y, where=None):
    y[...] = -np.inf
    if where is not None:
        where[...] = 0
    for place, pixels in kernels._places(kernels._whole(x, K, S, y, -np.inf), K, S, y):
        if where is not None:
            np.copyto(where, place, where=pixels > y)
        np.maximum(y, pixels, out=y)


def window_sum_by_additions(x, n, y):
    y[...] = x
    for d in range(1, n // 2 + 1):
        y[..., d:] += x[..., :-d]
        y[..., :-d] += x[..., d:]


@contextmanager
def _attributes(layers: Iterable[Layer], **values) -> Iterator[None]:
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(patch.multiple(layer, **values))
        yield


def update_whole_arrays(sgd: SGD, device: Device, parameters: list[Parameter]):
    for p in parameters:
        device.kernels.sgd_update(p.value, sgd.velocity[p.name], p.grad, sgd.rate(p), sgd.momentum,
                                  sgd.decay(p))


# What is done without the measure: a context in which the workload lacks it.
MEASURES: dict[str, Callable[[Workload], AbstractContextManager]] = {
    "memory from the system for every array":
        lambda w: patch.object(type(w.network.devices[0].pool), "empty",
                               lambda pool, shape, dtype: np.empty(shape, dtype)),
    "arrays of at most 128 KiB a call":
        lambda w: patch.object(CpuDevice, "chunk_bytes", 1 << 17),
    "arrays of 16 MiB a call":
        lambda w: patch.object(CpuDevice, "chunk_bytes", 1 << 24),
    "im2col number by number":
        lambda w: patch.object(kernels, "im2col", im2col_by_numbers),
    "col2im one place of the kernel after the other":
        lambda w: patch.object(kernels, "col2im", col2im_by_places),
    "dW in pieces as small as y's":
        lambda w: patch.object(CpuDevice, "sum_bytes", CpuDevice.chunk_bytes),
    "a first layer that makes its dx":
        lambda w: _attributes([tower[0] for tower in w.network.stages[0]], input_gradient=True),
    "LRN's window sum by additions":
        lambda w: patch.object(kernels, "window_sum", window_sum_by_additions),
    "LRN's s**0.75 by np.power":
        lambda w: patch.object(norm, "power", lambda s, beta, out: np.power(s, beta, out=out)),
    "max pooling over the 9 places of a window":
        lambda w: patch.object(kernels, "max_pool", max_pool_by_places),
    "ReLU into a new array":
        lambda w: _attributes([layer for layer in w.network.shapes if isinstance(layer, ReLU)],
                              inplace=False),
    "biases' gradients by np.sum":
        lambda w: patch.object(kernels, "sum_rows", lambda x, y: np.sum(x, axis=0, out=y)),
    "SGD over whole arrays":
        lambda w: patch.object(SGD, "_update", update_whole_arrays),
    "as many BLAS threads a call as cores":
        lambda w: threadpool_limits(sum(device.cores for device in w.devices), "blas"),
}


def named(text: str) -> list[str]:
    """An argparse type: the names of the measures that have this text in them."""
    names = [name for name in MEASURES if text.lower() in name.lower()]
    if not names:
        raise ArgumentTypeError(f"no measure has {text!r} in its name; there is "
                                f"{', '.join(MEASURES)}")
    return names


def measure(workload: Workload, name: str, rounds: int) -> dict[str, Spread]:
    """How many times as long training and inference take without this measure, compared within
    each round."""
    @contextmanager
    def without() -> Iterator[Workload]:
        with MEASURES[name](workload):
            workload.infer()  # what belongs to the other way is not in the cache yet
            yield workload

    spent = in_turn({"all": always(workload), name: without}, rounds)
    return {mode: Spread.ratio(spent[name, mode], spent["all", mode]) for mode in MODES}


def line(name: str, *cells: str) -> str:
    """A line of the table, printed as soon as it is measured."""
    width = max(map(len, MEASURES))
    return "  ".join([name.ljust(width), *(cell.rjust(21) for cell in cells)])
