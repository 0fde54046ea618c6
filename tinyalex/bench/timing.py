"""Measuring in turn.

A machine that does other work besides is fast in one minute and slow in the next, by a third and
more. Two things measured one after the other differ by that, whatever they are. So what is compared
runs in turn, round by round, and is compared within each round: a slow minute then slows all of it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from time import perf_counter
from typing import TypeVar

from tqdm import tqdm

AT_LEAST = 0.2  # seconds that one measurement takes; what is shorter is repeated

Key = TypeVar("Key")


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
    def ratio(cls, above: Sequence[float], below: Sequence[float]) -> "Spread":
        """Of above / below, each divided within its own round."""
        return cls.of(a / b for a, b in zip(above, below, strict=True))


def in_turn(contenders: dict[Key, Callable[[], object]], rounds: int,
            wait: Callable[[], object] = lambda: None, about: str = "measuring",
            ) -> dict[Key, list[float]]:
    """Call each of the contenders, then each again, `rounds` times. Returns, for each of them, the
    seconds that one call took, round by round.

    Two calls beforehand warm up, and show how often one must be called to take `AT_LEAST` seconds.
    Every other round goes backwards, so that nobody always comes after the same one. wait: returns
    when all is done that the calls have started, where they return before that.
    """
    calls, spent = {}, {key: [] for key in contenders}
    with tqdm(total=(rounds + 1) * len(contenders), desc="warming up", unit="run", disable=None,
              leave=False) as bar:
        for key, call in contenders.items():
            calls[key] = warm_up(call, wait)
            bar.update()
        bar.set_description(about)
        for i in range(rounds):
            for key in list(contenders)[:: -1 if i % 2 else 1]:
                spent[key].append(seconds(contenders[key], calls[key], wait))
                bar.update()
    return spent


def warm_up(call: Callable[[], object], wait: Callable[[], object] = lambda: None) -> int:
    """Two calls. Returns how many of them take `AT_LEAST` seconds."""
    call()
    return max(1, ceil(AT_LEAST / seconds(call, 1, wait)))


def seconds(call: Callable[[], object], times: int = 1,
            wait: Callable[[], object] = lambda: None) -> float:
    """How long one call takes, on the average of so many in a row."""
    wait()
    start = perf_counter()
    for _ in range(times):
        call()
    wait()
    return (perf_counter() - start) / times
