"""How fast a learner's layer is, next to the shipped one."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyalex.devices.blas import one_blas_thread
from tinyalex.gradcheck.cases import SHIPPED, Case
from tinyalex.gradcheck.exercise import check, explained, parts_missing
from tinyalex.gradcheck.subjects import as_in_training
from tinyalex.gradcheck.watch import watched
from tinyalex.support.errors import UserError

# 32 pictures, at sizes that the layers of a small network have.
SIZES = {case.kind: case for case in (
    Case("Conv2D", "", (32, 32, 5, 1, 2), (32, 16, 16, 32)),
    Case("MaxPool2D", "", (3, 2), (32, 32, 32, 32)),
    Case("AveragePool2D", "", (3, 2), (32, 16, 16, 32)),
    Case("LocalResponseNorm", "", (5, 2.0, 1e-4, 0.75), (32, 16, 16, 32)),
    Case("Linear", "", (1024, 64), (32, 1024)))}
ROUNDS = 7


def speed(cls: Callable, like: str, seconds: float = 120) -> None:
    """Print how many images/s go forward and backward through a learner's class and through the
    shipped one called `like`, in turn, in float32 and on one core: the middle of 7 rounds, the
    slowest and the fastest. It gives no points. UserError where there is no size for `like`.
    """
    if like not in SIZES:
        raise UserError(f"like={like!r}: there is no size to measure it at",
                        f"choose one of {', '.join(SIZES)}.")
    name = getattr(cls, "__name__", repr(cls))
    if not check(cls, like, seconds).ok:
        print(f"{name} is not right yet, so it is not timed. gradcheck.check says more.")
        return

    def work() -> list[list[float]] | str:
        try:
            return _rates(cls, SIZES[like])
        except Exception as error:  # of what went well with the small arrays of the check
            return explained(error)

    rates = watched(work, seconds)
    if isinstance(rates, str):
        print(f"{name}: {rates}")
        return
    for title, rate in zip((name, f"tinyalex's {like}"), rates, strict=True):
        print(f"{title:<28}{np.median(rate):>9,.0f} images/s "
              f"({min(rate):,.0f} to {max(rate):,.0f})")


def _rates(cls: Callable, case: Case) -> list[list[float]]:
    """Images/s in each round, of the learner's and of ours."""
    ours, theirs = case.make(SHIPPED[case.kind]), case.make(cls)
    parts_missing(theirs, ours)
    x = case.x().astype(np.float32)
    dy = np.ones_like(ours.forward(x))
    with one_blas_thread():
        _seconds(ours, x, dy), _seconds(theirs, x, dy)  # the first one pays for memory
        rounds = [[len(x) / _seconds(layer, x, dy) for layer in (theirs, ours)]
                  for _ in range(ROUNDS)]
    return [[*rates] for rates in zip(*rounds, strict=True)]


def _seconds(layer: Any, x: np.ndarray, dy: np.ndarray) -> float:
    start = time.perf_counter()
    layer.forward(x, **as_in_training(layer))
    layer.backward(dy)
    return time.perf_counter() - start
