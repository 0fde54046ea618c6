"""Measuring in turn.

A machine that does other work too is fast in one minute and slow in the next, by a third or more.
Two things measured one after the other differ by that much, whatever they are. So what is compared
runs in turn, round by round, and is compared within each round: a slow minute then slows
everything.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import ceil
from statistics import median
from time import perf_counter
from typing import Protocol

from tinyalex.support.progress import progress

AT_LEAST = 0.2  # seconds that one measurement takes; what is shorter is repeated
MODES = ("training", "inference")


class Runner(Protocol):
    """What is measured. train, infer: start one step, or one batch; wait: until all started is
    done, which on a GPU is later."""

    batch_size: int

    def train(self) -> object: ...
    def infer(self) -> object: ...
    def wait(self) -> object: ...


Seconds = dict[tuple[str, str], list[float]]  # that a picture took, by (who, mode), round by round


@dataclass(frozen=True)
class Spread:
    """What several rounds gave: the median, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        values = list(values)
        return cls(median(values), min(values), max(values))

    @classmethod
    def rate(cls, seconds: Iterable[float]) -> "Spread":
        """In pictures a second, where each takes this long."""
        return cls.of(1 / spent for spent in seconds)

    @classmethod
    def ratio(cls, above: Sequence[float], below: Sequence[float]) -> "Spread":
        """Of above / below, each divided within its own round."""
        return cls.of(a / b for a, b in zip(above, below, strict=True))


Contender = Callable[[], AbstractContextManager[Runner]]  # makes a runner ready for its turn


def always(runner: Runner) -> Contender:
    """A contender that stays ready."""
    return lambda: nullcontext(runner)


def in_turn(contenders: dict[str, Contender], rounds: int, fresh: bool = False) -> Seconds:
    """Let each of the contenders train and infer, then each again, `rounds` times.

    A contender warms up the first time, or each time if it is `fresh`. Every other round goes
    backwards, so that none always follows the same one.
    """
    spent: Seconds = {(who, mode): [] for who in contenders for mode in MODES}
    calls: dict[tuple[str, str], int] = {}
    with progress(None, "measuring", rounds * len(contenders), "run") as bar:
        for i in range(rounds):
            for who in list(contenders)[:: -1 if i % 2 else 1]:
                with contenders[who]() as runner:
                    for mode, call in zip(MODES, (runner.train, runner.infer), strict=True):
                        if (who, mode) not in calls or fresh:
                            calls[who, mode] = warm_up(call, runner.wait)
                        batch = seconds(call, calls[who, mode], runner.wait)
                        spent[who, mode].append(batch / runner.batch_size)
                bar.update()
    return spent


def warm_up(call: Callable[[], object], wait: Callable[[], object] = lambda: None) -> int:
    """Two calls. Returns how many of them take `AT_LEAST` seconds."""
    call()
    return max(1, ceil(AT_LEAST / seconds(call, 1, wait)))


def seconds(call: Callable[[], object], times: int, wait: Callable[[], object]) -> float:
    """How long one call takes, averaged over this many in a row."""
    wait()
    start = perf_counter()
    for _ in range(times):
        call()
    wait()
    return (perf_counter() - start) / times
