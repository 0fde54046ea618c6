"""What was measured, as text and as CSV."""

import csv
import platform
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from tinyalex.bench import work
from tinyalex.bench.spans import COPIES
from tinyalex.bench.speed import FLOOR, OURS, VARIANTS, Result
from tinyalex.bench.timing import MODES, Seconds, Spread
from tinyalex.bench.work import BACKWARD, FORWARD, PASSES, STEP, UPDATE
from tinyalex.bench.workload import Workload
from tinyalex.devices import available_cores, python_version
from tinyalex.inside import costs
from tinyalex.layers import AveragePool2D, LocalResponseNorm, MaxPool2D
from tinyalex.support.files import replacing
from tinyalex.support.text import align, megabytes, plural, say

COLUMNS = ("name", "pass", "quantity", "unit", "median", "lowest", "highest")
Row = tuple[str | float, ...]  # of COLUMNS


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.{1 if seconds >= 0.01 else 2}f}"


def with_spread(spread: Spread, digits: int | None = None) -> str:
    """ "16.2 (15.1–17.0)": the median, the lowest and the highest."""
    if digits is None:
        digits = 0 if spread.median >= 1000 else 1
    return "{:,.{d}f} ({:,.{d}f}–{:,.{d}f})".format(
        spread.median, spread.low, spread.high, d=digits)


def speed_cells(seconds: list[float], pictures: int = 1) -> tuple[str, str]:
    """Milliseconds that so many pictures take, and pictures a second."""
    return (milliseconds(pictures * Spread.of(seconds).median), with_spread(Spread.rate(seconds)))


def settings(workload: Workload) -> str:
    """What is going to run, and where."""
    network, total = workload.network, costs.totals(workload.network)
    blas = [f"{library['internal_api']} {library['version']} ({library.get('architecture')}), "
            f"threads a call: {library['num_threads']}"
            for library in threadpool_info() if library["user_api"] == "blas"]
    lines = {
        "network": f"{workload.preset}: {plural(network.towers, 'tower')}, "
                   f"{total['parameters']:,} parameters, "
                   f"{total['multiply_adds']:,} multiply-adds a picture",
        "machine": f"{_processor()}, {plural(available_cores(), 'core')}, {platform.system()}",
        "python": python_version(),
        "numpy": f"{np.__version__}; BLAS: {'; '.join(blas) or 'not known'}",
        "devices": ", ".join(workload.places),
        "batch": f"{plural(workload.batch_size, 'picture')}, {workload.precision}",
    }
    return "\n".join(f"{name:<8} {text}" for name, text in lines.items())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def text(result: Result) -> str:
    """All of it: layer by layer, how much work was done, memory, and how fast each contender is."""
    lines = ["", layer_table(result), "", *_totals(result)]
    for mode in MODES:
        lines += ["", speed_table(result, mode)]
        if FLOOR in result.contenders:
            lines.append(f"{mode} takes {with_spread(result.ratio(OURS, FLOOR, mode), 2)} times "
                         "its floor")
    return "\n".join(lines)


def layer_table(result: Result) -> str:
    """A line a layer: milliseconds, GFLOP/s and floors of each pass, share of the step."""
    network = result.workload.network
    operations = work.operations(network, result.workload.batch_size)
    heads = ["GFLOP/s", *(f"{limit} ms" for limit in result.floors)]
    table = [("layer", *(head for part in PASSES for head in (f"{part} ms", *heads)), "share")]
    whole = sum(result.parts[STEP, part].median for part in PASSES)
    for name in work.rows(network):
        cells = []
        for part in PASSES:
            time, done = result.parts[name, part].median, operations[name, part]
            cells += [milliseconds(time), f"{done / time / 1e9:,.1f}" if done and time else ""]
            for floor in result.floors.values():
                least = floor.get((name, part))
                cells.append(milliseconds(least.median) if least else "")
        share = sum(result.parts[name, part].median for part in PASSES) / whole
        table.append((name, *cells, f"{share:.1%}"))
    return align(table)


def above_bytes(result: Result) -> float:
    """How many times as long normalisation, pooling and the update take in training as what they
    must read and write."""
    network = result.workload.network
    names = {work.row(network, layer.name) for layer in network.shapes
             if isinstance(layer, (LocalResponseNorm, MaxPool2D, AveragePool2D))} | {UPDATE}
    parts = [part for part in result.floors["bytes"] if part[0] in names]
    taken, least = (sum(times[part].median for part in parts)
                    for times in (result.parts, result.floors["bytes"]))
    return taken / least


def _totals(result: Result) -> list[str]:
    """Work, traffic and memory of a step, and what the machine can do at best."""
    workload, lines = result.workload, []
    operations = work.operations(workload.network, workload.batch_size)
    forward, backward = (operations[STEP, part] / 1e9 for part in (FORWARD, BACKWARD))
    step = (forward + backward) / (
        workload.batch_size * Spread.of(result.seconds[OURS, "training"]).median)
    lines.append(f"work     {forward:,.1f} GFLOP forward, {backward:,.1f} backward; the step as a "
                 f"whole does {step:,.1f} GFLOP/s")
    lines += [f"limit    {speed:,.4g} {name}" for name, speed in result.limits.items()]
    if "bytes" in result.floors:
        lines.append(f"bytes    normalisation, pooling and the update take "
                     f"{above_bytes(result):.2f} times what their bytes need")
    crossed = sum(costs.traffic(workload.network, workload.batch_size).values())
    if crossed:
        took = Spread.of(sum(span.end - span.start for span in step if span.name == COPIES)
                         for step in result.steps).median
        lines.append(f"copies   {megabytes(crossed)} a step between devices, in "
                     f"{milliseconds(took)} ms of their time")
    if ours := result.memory.get(OURS):
        lines.append(f"memory   {megabytes(ours['peak'])} at the peak of training"
                     + (f", of them {megabytes(ours['pools'])} of the devices' pools, and "
                        f"{megabytes(ours['before'])} before there was a network"
                        if "pools" in ours else ""))
    return lines


def speed_table(result: Result, mode: str) -> str:
    """A line for us, the floor, and each peer: a batch's milliseconds, images/s, how our speed
    compares."""
    memory = mode == "training" and any(result.memory.values())
    table = [(mode, "ms a batch", "images/s", "ours / theirs", *["memory"] * memory)]
    for who in result.contenders:
        speed = speed_cells(result.seconds[who, mode], result.workload.batch_size)
        ratio = with_spread(result.ratio(who, OURS, mode), 2) if who != OURS else ""
        taken = result.memory.get(who)
        table.append((VARIANTS.get(who, who), *speed, ratio,
                      *[megabytes(taken["peak"]) if taken else ""] * memory))
    reasons = [f"{VARIANTS[who]}: not available ({why})" for who, why in result.absent.items()]
    return "\n".join([align(table, total=False), *reasons])


def csv_rows(result: Result) -> list[Row]:
    """What was measured, a row a quantity."""
    operations = work.operations(result.workload.network, result.workload.batch_size)
    rows = [row(*part, "work", "GFLOP", count / 1e9) for part, count in operations.items()]
    for quantity, parts in {"time": result.parts, **result.floors}.items():
        rows += [row(*part, quantity, "ms", spread, 1000) for part, spread in parts.items()]
    rows += speed_rows(result.seconds)
    rows += [row(who, mode, "our speed / theirs", "", result.ratio(who, OURS, mode))
             for who, mode in result.seconds if who != OURS]
    for who, taken in result.memory.items():
        rows += [row(who, "training", f"memory {quantity}", "MB", size / 1e6)
                 for quantity, size in taken.items()]
    return rows + [row("limit", "", name, "", speed) for name, speed in result.limits.items()]


def speed_rows(seconds: Seconds) -> list[Row]:
    """How long each contender takes, and how fast it is."""
    rows = [row(*key, "time a picture", "ms", Spread.of(spent), 1000)
            for key, spent in seconds.items()]
    return rows + [row(*key, "speed", "images/s", Spread.rate(spent))
                   for key, spent in seconds.items()]


def row(name: str, part: str, quantity: str, unit: str, spread: Spread | float,
        times: float = 1) -> Row:
    """A row of the CSV: all of it multiplied by `times`."""
    if not isinstance(spread, Spread):
        spread = Spread.of([spread])
    figures = (spread.median, spread.low, spread.high)
    return name, part, quantity, unit, *(times * figure for figure in figures)


def write_csv(path: Path | None, rows: Iterable[Row]):
    """The rows as CSV, numbers to six digits, and a line that says so; nothing without a path."""
    if path is None:
        return
    with replacing(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([[f"{value:.6g}" if isinstance(value, float) else value for value in row]
                          for row in rows])
    say(f"all figures: {path}")
