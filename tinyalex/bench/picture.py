"""What was measured, as pictures."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from tinyalex.bench import spans, work
from tinyalex.bench.spans import COPIES, SUMS, Span
from tinyalex.bench.speed import OURS, VARIANTS, Result
from tinyalex.bench.timing import MODES, Seconds, Spread
from tinyalex.bench.work import BACKWARD, EXCHANGES, FORWARD, LOSS, PASSES, UPDATE
from tinyalex.bench.workload import Workload
from tinyalex.drawing import QUIET, page
from tinyalex.support.text import plural, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A pass has a colour: full for the products, pale for the rest of the layer.
FULL = {FORWARD: "#0072B2", BACKWARD: "#D55E00"}
PALE = {FORWARD: "#9CC9E3", BACKWARD: "#F3BE99"}
THEIRS = "#A0A0A0"
LINE = {"ecolor": "black", "elinewidth": 1, "capsize": 2}  # at the end of a bar
COLOURS = {LOSS: "#009E73", UPDATE: "#CC79A7", EXCHANGES: "#E69F00", COPIES: "#000000",
           SUMS: "#56B4E9"}

BELOW = (COPIES, SUMS)  # the lanes of the devices


def save(figure: Figure, path: Path):
    """The picture as a PNG, and a line that says so."""
    page.save(figure, path)
    say(f"as a picture: {path}")


def _page(width: int, height: int, title: str) -> Figure:
    figure = page.figure(width, height, layout="constrained")
    figure.suptitle(title, parse_math=False)
    return figure


@page.our_style()
def of_speed(result: Result) -> Figure:
    """Bars of milliseconds a layer, forward and backward, the floor's part of each in full colour;
    beside them images/s of us, of the floor, and of the peers. 1500 pixels wide."""
    workload = result.workload
    rows = work.rows(workload.network)[:-1]
    figure = _page(1500, 250 + 25 * len(rows),
                   f"{workload.preset} on {', '.join(workload.places)}")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _layers(left, result, rows)
    _speeds(right, result)
    return figure


def _layers(axes: Axes, result: Result, rows: list[str]):
    for y, row in enumerate(rows):
        start = 0.0
        for part in PASSES:
            whole = max(0.0, 1000 * result.parts[row, part].median)
            floor = result.floors["floor"].get((row, part))
            # On a noisy machine the floor can come out higher.
            products = min(1000 * floor.median, whole) if floor else 0.0
            axes.barh(y, products, left=start, color=FULL[part])
            axes.barh(y, whole - products, left=start + products, color=PALE[part])
            start += whole
        axes.text(start, y, f" {start:,.{1 if start >= 1 else 2}f}", va="center", fontsize=7.5,
                  color=QUIET)
    for part in PASSES:
        axes.barh(0, 0, color=FULL[part], label=f"{part}: the products alone (floor)")
        axes.barh(0, 0, color=PALE[part], label=f"{part}: what else the layer does")
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"milliseconds of a training step, batch {result.workload.batch_size}")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
    _lines(axes, rows)


def _speeds(axes: Axes, result: Result):
    """For each contender two bars, training and inference, as long as the median, with a line from
    the lowest to the highest."""
    contenders = result.contenders
    colours = [FULL[FORWARD] if who == OURS else THEIRS for who in contenders]
    for i, mode in enumerate(MODES):
        rates = [Spread.rate(result.seconds[who, mode]) for who in contenders]
        bars = axes.barh([y + 0.4 * i - 0.2 for y in range(len(rates))],
                         [rate.median for rate in rates], xerr=_errors(rates), error_kw=LINE,
                         height=0.38, color=colours, alpha=0.55 if i else 1)
        axes.bar_label(bars, [f"{mode} {rate.median:,.{0 if rate.median >= 100 else 1}f}"
                              for rate in rates], padding=6, fontsize=8)
    labels = [VARIANTS.get(who, who) for who in contenders]
    _lines(axes, [label.replace(", ", ",\n").replace(": ", ":\n") for label in labels], at_least=4)
    axes.set_xlim(0, 1.5 * max(axes.dataLim.x1, 1e-9))  # room for the numbers
    axes.set_xlabel("images/s: median, lowest and highest")


def _errors(rates: list[Spread]) -> list[list[float]]:
    """How far the lowest and the highest are from the median, as Matplotlib wants it."""
    return [[rate.median - rate.low for rate in rates], [rate.high - rate.median for rate in rates]]


def _lines(axes: Axes, labels: list[str], at_least: int = 0):
    """A line of the picture for each label, from the top; fewer need not fill all of it."""
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    page.plain(axes, "x", ylim=(max(len(labels), at_least) - 0.4, -0.6))


@page.our_style()
def of_sweep(seconds: Seconds, title: str) -> Figure:
    """Images/s of training and inference, a panel each, a bar a point as long as the median, with a
    line from the lowest to the highest. 1300 pixels wide."""
    figure = _page(1300, 520, title)
    points = list(dict.fromkeys(point for point, _ in seconds))
    for axes, mode, colour in zip(figure.subplots(1, 2), MODES, FULL.values(), strict=True):
        rates = [Spread.rate(seconds[point, mode]) for point in points]
        axes.bar([fill(point, 8) for point in points], [rate.median for rate in rates],
                 yerr=_errors(rates), error_kw=LINE, color=colour)
        axes.tick_params(axis="x", labelsize=7)
        page.plain(axes, "y", title=mode, ylabel="images/s")
    return figure


@page.our_style()
def of_step(step: list[Span], title: str, lanes: list[str]) -> Figure:
    """The timeline of a step, a lane a device: forward, backward, update in their colours, and
    exchanges; below them the copies that the device received, and sums. 1600 pixels wide."""
    from matplotlib.patches import Patch

    figure = _page(1600, 190 + 130 * len(lanes), title)
    axes = figure.subplots()
    for span in step:
        _span(axes, span, spans.length(step))
    _lines(axes, lanes)
    axes.set_xlim(0, 1000 * spans.length(step))
    axes.set_xlabel("milliseconds")
    names = {span.name for span in step}
    legend = FULL | {name: colour for name, colour in COLOURS.items() if name in names}
    axes.legend([Patch(color=colour) for colour in legend.values()], legend, frameon=False,
                ncols=len(legend), loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
    return figure


def of_typical(steps: list[list[Span]], workload: Workload) -> Figure:
    """The timeline of a typical one of these steps."""
    return of_step(spans.typical(steps), f"a training step of {workload.preset}, "
                   f"{plural(workload.batch_size, 'picture')}, {workload.precision}",
                   workload.places)


def _span(axes: Axes, span: Span, whole: float):
    special = span.name in COLOURS
    top, height = (0.36, 0.1) if span.name in BELOW else (-0.35, 0.66)
    width = max(span.end - span.start, 0.002 * whole)  # anything shorter would not be seen
    axes.broken_barh([(1000 * span.start, 1000 * width)], (span.device + top, height),
                     facecolor=COLOURS[span.name] if special else FULL[span.part],
                     edgecolor="none" if special else "white", linewidth=0.3)
    if not special and span.end - span.start > 0.02 * whole:
        axes.text(500 * (span.start + span.end), span.device - 0.02, span.name, fontsize=7.5,
                  ha="center", va="center", rotation=90, color="white", parse_math=False)
