"""The speed of a network: training and inference of us, of the floor, and of PyTorch, in turn."""

import gc
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType

from tinyalex.bench import gpu, spans
from tinyalex.bench.floor import Floor, bytes_floor, copy_speed
from tinyalex.bench.spans import Span
from tinyalex.bench.timing import Runner, Seconds, Spread, always, in_turn
from tinyalex.bench.work import Part
from tinyalex.bench.workload import Workload
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress

OURS, FLOOR = "tinyalex", "floor: the products alone"
VARIANTS = {
    "eager": "PyTorch",
    "channels_last": "PyTorch, channels_last",
    "compile": "PyTorch, channels_last, compiled",
    "tuned": "PyTorch, channels_last, own LRN",
    "tuned_compile": "PyTorch, channels_last, own LRN, compiled",
}
ON_GPU = ("channels_last", "tuned")


@dataclass
class Result:
    """What the rounds gave.

    seconds: see `timing.in_turn`; who: `OURS`, `FLOOR`, or of `VARIANTS`.
    steps: the spans of training steps. floors: the least seconds of each row and pass, by the name
    of what limits them. limits: what the devices can
    do at best, see `gpu.limits` and `floor.copy_speed`. absent: peers that could not run, and
    why. memory: bytes, by who and what.
    """

    workload: Workload
    seconds: Seconds
    steps: list[list[Span]]
    floors: dict[str, dict[Part, Spread]]
    limits: dict[str, float]
    absent: dict[str, str]
    memory: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def contenders(self) -> list[str]:
        return list(dict.fromkeys(who for who, _ in self.seconds))

    def ratio(self, above: str, below: str, mode: str) -> Spread:
        """The time of the one divided by the other's, within each round."""
        return Spread.ratio(self.seconds[above, mode], self.seconds[below, mode])

    @cached_property
    def parts(self) -> dict[Part, Spread]:
        """Seconds of a training step by row and pass."""
        network = self.workload.network
        return _spreads([spans.breakdown(network, step) for step in self.steps])


def measure(workload: Workload, rounds: int, variants: Iterable[str] = ()) -> Result:
    """Everything that takes time, in turn. Variants of PyTorch that cannot run here are noted. On
    GPUs the batch is already there, ours and PyTorch's: how a training run gets it there is another
    question."""
    runners: dict[str, Runner] = {OURS: workload}
    watches = {OURS: spans.watch_step(workload)}
    limits: dict[str, float]
    floors: dict[str, dict[Part, Spread]]
    if workload.gpus:
        limits = gpu.limits(workload.gpus[0])
        floors = gpu.floors(workload, limits)
        gc.collect()  # what was measured before may still hold memory
        for device in workload.gpus:
            device.pool.forget_peak()
    else:
        runners[FLOOR] = floor = Floor(workload.network, workload.batch_size)
        watches[FLOOR] = spans.watch_floor(floor)
        limits = {gpu.COPY: copy_speed(workload.devices)}
        floors = {"bytes": bytes_floor(workload.network, workload.batch_size, limits[gpu.COPY])}
    absent = {}
    for variant in progress(variants, "building", unit="network"):
        try:
            runners[variant] = load_peer().Peer(variant, workload)
        except UserError as error:
            absent[variant] = error.args[0]
    steps = spans.watched_steps(watches, rounds)
    seconds = in_turn({who: always(runner) for who, runner in runners.items()}, rounds)
    if FLOOR in steps:
        floors = {"floor": _spreads([spans.seconds_by_row(workload.network, step)
                                     for step in steps[FLOOR]])} | floors
    return Result(workload, seconds, steps[OURS], floors, limits, absent)


def _spreads(steps: list[dict[Part, float]]) -> dict[Part, Spread]:
    return {part: Spread.of(step[part] for step in steps) for part in steps[0]}


def load_peer() -> ModuleType:
    """The module `peer`; UserError where PyTorch is not installed.

    Its threads spin while they wait for each other. Where other programs want the cores too, the
    thread that is waited for cannot run meanwhile, and a step takes ten times as long and more. So
    they are set to sleep instead, unless OMP_WAIT_POLICY says otherwise.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the library is loaded
    try:
        from tinyalex.bench import peer
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UserError("--against torch: PyTorch is not installed",
                        'pip install -e ".[peers]" installs it.') from None
    return peer
