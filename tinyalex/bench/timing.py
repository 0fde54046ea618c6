"""Measuring in turn.

A machine that does other work besides is fast in one minute and slow in the next, by a third and
more. Two things measured one after the other differ by that, whatever they are. So what is compared
runs in turn, round by round, and is compared within each round: a slow minute then slows all of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil
from statistics import median
from time import perf_counter

from tqdm import tqdm

AT_LEAST = 0.2  # seconds that one measurement takes; what is shorter is repeated

Key = tuple[str, ...]
Round = dict[Key, float]  # seconds: ("training",) of a whole call, ("training", …) of its parts


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


class Clock:
    """Notes how long methods of given objects take, from outside: the objects do not change.

    seconds: by key, since the last `take`. A key must be watched from one thread at a time only.
    """

    def __init__(self):
        self.seconds: Round = {}
        self._watched = []

    def watch(self, thing: object, method: str, key: Key):
        """From now on add the time of each call of thing.method to `key`."""
        inner = getattr(thing, method)
        self.seconds[key] = 0.0

        def timed(*args, **kwargs):
            start = perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[key] += perf_counter() - start

        setattr(thing, method, timed)  # on the instance, where it hides the method of the class
        self._watched.append((thing, method))

    def take(self) -> Round:
        """The seconds since the last time, by key; what was not called is left out."""
        taken = {key: spent for key, spent in self.seconds.items() if spent}
        self.seconds.update(dict.fromkeys(self.seconds, 0.0))
        return taken

    def stop(self):
        """Give the objects their own methods back."""
        for thing, method in self._watched:
            delattr(thing, method)
        self._watched.clear()


def in_turn(contenders: dict[str, Callable[[], object]], rounds: int, clock: Clock | None = None,
            about: str = "measuring") -> list[Round]:
    """Call each of the contenders, then each again, `rounds` times; a Round for each time.

    Two calls beforehand warm up, and show how often one must be called to take `AT_LEAST` seconds;
    what is noted is the time of one call. Every other round goes backwards, so that nobody always
    comes after the same one. clock: what it notes meanwhile is added, by (contender, *key).
    """
    clock = clock or Clock()
    calls, done = {}, []
    with tqdm(total=(rounds + 1) * len(contenders), desc="warming up", unit="run", disable=None,
              leave=False) as bar:
        for name, call in contenders.items():
            calls[name] = warm_up(call)
            bar.update()
        bar.set_description(about)
        for i in range(rounds):
            done.append({})
            for name in list(contenders)[:: -1 if i % 2 else 1]:
                clock.take()
                spent = seconds(contenders[name], calls[name])
                done[-1][name,] = spent
                done[-1] |= {(name, *key): part / calls[name]
                             for key, part in clock.take().items()}
                bar.update()
    return done


def warm_up(call: Callable[[], object]) -> int:
    """Two calls. Returns how many of them take `AT_LEAST` seconds."""
    call()
    return max(1, ceil(AT_LEAST / seconds(call)))


def seconds(call: Callable[[], object], times: int = 1) -> float:
    """How long one call takes, on the average of so many."""
    start = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - start) / times
