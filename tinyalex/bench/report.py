"""What was measured, as tables and as CSV."""

import csv
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from tinyalex.bench import layers
from tinyalex.bench.layers import BACKWARD, FORWARD, PASSES, Part
from tinyalex.bench.peer import VARIANTS
from tinyalex.bench.timing import Round, Spread
from tinyalex.devices import Devices, available_cores
from tinyalex.inside import costs
from tinyalex.network import Network
from tinyalex.support.files import replacing
from tinyalex.support.text import align, megabytes

MODES = ("training", "inference")
OURS, FLOOR = "tinyalex", "floor: the products alone"
COLUMNS = ("name", "pass", "quantity", "unit", "median", "lowest", "highest")
CsvRow = tuple[str, str, str, str, float, float, float]


@dataclass
class Result:
    """What the rounds gave.

    rounds: by ("training",), ("inference",), ("floor",) and, of a peer, ("eager training",) …
    absent: peers that could not run, and why. memory: see `memory.of`, by OURS and the peers.
    """

    network: Network
    batch_size: int
    rounds: list[Round]
    absent: dict[str, str] = field(default_factory=dict)
    memory: dict[str, dict[str, int]] = field(default_factory=dict)

    def contenders(self) -> list[str]:
        peers = [name for name in VARIANTS if (f"{name} training",) in self.rounds[0]]
        return [OURS, FLOOR, *peers]

    def times(self, who: str, mode: str) -> list[float]:
        """Seconds that a batch took, round by round."""
        inference = ("floor", "all", FORWARD)
        key = {OURS: (mode,), FLOOR: inference if mode == "inference" else ("floor",)}.get(
            who, (f"{who} {mode}",))
        return [one[key] for one in self.rounds]

    def rate(self, who: str, mode: str) -> Spread:
        """Pictures a second."""
        return Spread.of(self.batch_size / spent for spent in self.times(who, mode))

    def speed_against(self, who: str, mode: str) -> Spread:
        """Our speed divided by theirs, within each round: above 1 we are faster."""
        pairs = zip(self.times(who, mode), self.times(OURS, mode), strict=True)
        return Spread.of(theirs / ours for theirs, ours in pairs)

    def above_floor(self, mode: str) -> Spread:
        """Our time divided by the floor's, within each round."""
        pairs = zip(self.times(OURS, mode), self.times(FLOOR, mode), strict=True)
        return Spread.of(ours / floor for ours, floor in pairs)

    def parts(self) -> dict[Part, Spread]:
        """Seconds of a training step by row and pass."""
        return _spreads(layers.breakdown(self.network, one, "training") for one in self.rounds)

    def floors(self) -> dict[Part, Spread]:
        """Seconds of the products alone by layer and pass."""
        return _spreads(layers.floors(self.network, one) for one in self.rounds)

    def passes(self) -> dict[str, Spread]:
        """Seconds of a training step until the loss, and from there on."""
        sums = [layers.breakdown(self.network, one, "training") for one in self.rounds]
        return {each: Spread.of(sum(spent for (_, of), spent in parts.items() if of == each)
                                for parts in sums) for each in PASSES}


def _spreads(rounds: Iterable[dict[Part, float]]) -> dict[Part, Spread]:
    rounds = list(rounds)
    return {part: Spread.of(one[part] for one in rounds) for part in rounds[0]}


def settings(preset: str, network: Network, batch_size: int, devices: Devices) -> str:
    """What is going to run, and where."""
    total = costs.totals(network)
    blas = [f"{one['internal_api']} {one['version']} ({one.get('architecture')}), "
            f"threads a call: {one['num_threads']}"
            for one in threadpool_info() if one["user_api"] == "blas"]
    lines = {
        "network": f"{preset}: {network.towers} tower{'s' * (network.towers > 1)}, "
                   f"{total['parameters']:,} parameters, "
                   f"{total['multiply_adds']:,} multiply-adds a picture",
        "machine": f"{_processor()}, {available_cores()} cores, {platform.system()}",
        "busy": _load(),
        "numpy": f"{np.__version__}; BLAS: {'; '.join(blas) or 'not known'}",
        "devices": ", ".join(repr(device)[1:-1] for device in devices),
        "batch": f"{batch_size} pictures, float32",
    }
    return "\n".join(f"{name:<8} {text}" for name, text in lines.items() if text)


def _load() -> str:
    """How much else the machine was doing, where the system tells; nothing if it was little."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    if load < 0.25 * available_cores():
        return ""
    return f"in the last minute {load:.1f} threads wanted a core: times will vary, and be too long"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def layer_table(result: Result) -> str:
    """A line a layer: milliseconds, GFLOP/s and the floor of each pass, share of the step."""
    parts, floors, passes = result.parts(), result.floors(), result.passes()
    work = layers.operations(result.network, result.batch_size)
    whole = sum(spread.median for spread in passes.values())
    rows = [("layer", *("forward ms", "GFLOP/s", "floor ms", "backward ms", "GFLOP/s", "floor ms"),
             "share")]
    for name in layers.names(result.network):
        cells = []
        for each in PASSES:
            cells += _cells(parts[name, each], work.get((name, each), 0), floors.get((name, each)))
        share = sum(parts[name, each].median for each in PASSES) / whole
        rows.append((name, *cells, f"{share:.1%}"))
    cells = []
    for each in PASSES:
        done = sum(count for (_, of), count in work.items() if of == each)
        floor = Spread.of(one["floor", "all", each] for one in result.rounds)
        cells += _cells(passes[each], done, floor)
    return align([*rows, ("step", *cells, "100.0%")])


def _cells(time: Spread, work: int, floor: Spread | None) -> tuple[str, str, str]:
    return (milliseconds(time.median), f"{work / time.median / 1e9:.1f}" if work else "",
            milliseconds(floor.median) if floor else "")


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.{1 if seconds >= 0.01 else 2}f}"


def with_spread(spread: Spread, digits: int | None = None) -> str:
    """ "16.2 (15.1–17.0)": the median, the lowest and the highest."""
    if digits is None:
        digits = 0 if spread.median >= 1000 else 1
    return "{:,.{d}f} ({:,.{d}f}–{:,.{d}f})".format(
        spread.median, spread.low, spread.high, d=digits)


def speed_table(result: Result, mode: str) -> str:
    """A line for us, the floor, and each peer: a batch's milliseconds, images/s, how our speed
    compares."""
    memory = mode == "training" and any(result.memory.values())
    rows = [(mode, "ms a batch", "images/s", "ours / theirs", *["memory"] * memory)]
    for who in result.contenders():
        time = Spread.of(result.times(who, mode))
        ratio = with_spread(result.speed_against(who, mode), 2) if who != OURS else ""
        rows.append((VARIANTS.get(who, who), milliseconds(time.median),
                     with_spread(result.rate(who, mode)), ratio,
                     *[_memory(result.memory.get(who))] * memory))
    table = align(rows, total=False)
    reasons = [f"{VARIANTS[who]}: not available ({why})" for who, why in result.absent.items()]
    return "\n".join([table, *reasons])


def _memory(taken: dict[str, int] | None) -> str:
    return megabytes(taken["peak"]) if taken else ""


def layer_rows(result: Result) -> list[CsvRow]:
    """What was measured, a row a quantity."""
    work, rows = layers.operations(result.network, result.batch_size), []
    for what, found in (("time", result.parts()), ("floor", result.floors())):
        for (name, each), spread in found.items():
            rows.append(_row(name, each, what, "ms", spread, 1000))
            if what == "time" and work.get((name, each)):
                rows.append((name, each, "work", "GFLOP", *[work[name, each] / 1e9] * 3))
    for mode in MODES:
        for who in result.contenders():
            rows.append(_row(who, mode, "time", "ms", Spread.of(result.times(who, mode)), 1000))
            rows.append(_row(who, mode, "speed", "images/s", result.rate(who, mode)))
            if who != OURS:
                rows.append(_row(who, mode, "our speed / theirs", "",
                                 result.speed_against(who, mode)))
    for who, taken in result.memory.items():
        rows += [(who, "training", f"memory {what}", "MB", *[size / 1e6] * 3)
                 for what, size in taken.items()]
    return rows


def _row(name: str, each: str, quantity: str, unit: str, spread: Spread, times=1) -> CsvRow:
    return (name, each, quantity, unit, times * spread.median, times * spread.low,
            times * spread.high)


def write_csv(rows: list[tuple], columns: tuple[str, ...], path: Path):
    """The rows as CSV, numbers to six digits."""
    with replacing(path) as part, open(part, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([[f"{value:.6g}" if isinstance(value, float) else value for value in row]
                          for row in rows])


def work_done(result: Result) -> str:
    """Floating point operations of a step, in one line."""
    work = layers.operations(result.network, result.batch_size)
    forward, backward = (sum(count for (_, of), count in work.items() if of == each) / 1e9
                         for each in (FORWARD, BACKWARD))
    step = (forward + backward) / Spread.of(result.times(OURS, "training")).median
    return (f"work     {forward:,.1f} GFLOP forward, {backward:,.1f} backward; the step as a whole "
            f"does {step:,.1f} GFLOP/s")
