"""What was measured, as a picture."""

from pathlib import Path

from tinyalex.bench import layers, sweeps
from tinyalex.bench.layers import BACKWARD, FORWARD
from tinyalex.bench.peer import VARIANTS
from tinyalex.bench.report import FLOOR, MODES, OURS, Result
from tinyalex.drawing import DPI, QUIET
from tinyalex.support.files import replacing

# A pass has a colour: full for the products, pale for all else in the layer.
FULL = {FORWARD: "#0072B2", BACKWARD: "#D55E00"}
PALE = {FORWARD: "#9CC9E3", BACKWARD: "#F3BE99"}
THEIRS = "#A0A0A0"


def draw(result: Result, path: Path, title: str):
    """Bars of milliseconds a layer, forward and backward, the floor's part of each in full colour;
    beside them images/s of us, of the floor, and of the peers. Writes a PNG 1500 pixels wide."""
    from matplotlib.figure import Figure

    rows = layers.names(result.network)
    height = 250 + 25 * len(rows)
    figure = Figure(figsize=(1500 / DPI, height / DPI), dpi=DPI, layout="constrained")
    figure.suptitle(title, parse_math=False)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _layers(left, result, rows)
    _speeds(right, result)
    _save(figure, path)


def _layers(axes, result: Result, rows: list[str]):
    parts, floors = result.parts(), result.floors()
    for y, row in enumerate(rows):
        start = 0.0
        for each in (FORWARD, BACKWARD):
            whole = max(0.0, 1000 * parts[row, each].median)
            products = 1000 * floors[row, each].median if (row, each) in floors else 0.0
            products = min(products, whole)  # on a noisy machine the floor can come out higher
            axes.barh(y, products, left=start, color=FULL[each])
            axes.barh(y, whole - products, left=start + products, color=PALE[each])
            start += whole
        axes.text(start, y, f" {start:,.{1 if start >= 1 else 2}f}", va="center", fontsize=7.5,
                  color=QUIET)
    for each in (FORWARD, BACKWARD):
        axes.barh(0, 0, color=FULL[each], label=f"{each}: the products alone (floor)")
        axes.barh(0, 0, color=PALE[each], label=f"{each}: what else the layer does")
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"milliseconds of a training step, batch {result.batch_size}")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9)
    _tidy(axes, "x")


def _speeds(axes, result: Result):
    """Of each contender two bars, training and inference; lines from the lowest to the highest."""
    contenders = result.contenders()
    for i, mode in enumerate(MODES):
        for y, who in enumerate(contenders):
            rate, at = result.rate(who, mode), y + 0.4 * i - 0.2
            colour = FULL[FORWARD] if who == OURS else THEIRS
            axes.barh(at, rate.median, 0.38, color=colour, alpha=1 if i == 0 else 0.55,
                      xerr=[[rate.median - rate.low], [rate.high - rate.median]],
                      error_kw={"ecolor": "black", "elinewidth": 1, "capsize": 2})
            axes.text(rate.high, at, f"  {mode} {rate.median:,.{0 if rate.median >= 100 else 1}f}",
                      va="center", fontsize=8)
    labels = {OURS: OURS, FLOOR: FLOOR.replace(": ", ":\n")}
    axes.set_yticks(range(len(contenders)),
                    [labels.get(who) or VARIANTS[who].replace(", ", ",\n") for who in contenders])
    axes.set_ylim(max(len(contenders), 4) - 0.4, -0.6)  # two of them need not fill the panel
    axes.set_xlim(0, 1.5 * max(axes.dataLim.x1, 1e-9))  # room for the numbers
    axes.set_xlabel("images/s: median, lowest and highest")
    _tidy(axes, "x")


def draw_sweep(sweep: str, found: dict, path: Path, title: str):
    """Images/s of training and inference, a panel each, against what the sweep changes; bands from
    the lowest to the highest. Writes a PNG 1300 pixels wide."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1300 / DPI, 520 / DPI), dpi=DPI, layout="constrained")
    figure.suptitle(title, parse_math=False)
    points = sweeps.speeds(found)
    for axes, mode, colour in zip(figure.subplots(1, 2), MODES, FULL.values(), strict=True):
        rates = [modes[mode] for modes in points.values()]
        (_bars if sweep == "towers" else _curve)(axes, list(points), rates, colour)
        axes.set_title(mode)
        _tidy(axes, "x" if sweep == "towers" else "both")
        if sweep != "towers":
            _scale(axes, sweep, list(points))
    if sweep == "towers":
        figure.axes[1].tick_params(labelleft=False)  # the same as on the left
    _save(figure, path)


def _curve(axes, points, rates, colour):
    values = [point.value for point in points]
    axes.plot(values, [rate.median for rate in rates], "o-", color=colour, markersize=4)
    axes.fill_between(values, [rate.low for rate in rates], [rate.high for rate in rates],
                      color=colour, alpha=0.2, linewidth=0)
    axes.set_ylabel("images/s")
    axes.set_ylim(bottom=0)


def _scale(axes, sweep, points):
    if sweep == "batch":
        axes.set_xscale("log", base=2)
    values = [point.value for point in points]
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.set_xlabel(sweeps.AXES[sweep])


def _bars(axes, points, rates, colour):
    for y, rate in enumerate(rates):
        axes.barh(y, rate.median, 0.6, color=colour,
                  xerr=[[rate.median - rate.low], [rate.high - rate.median]],
                  error_kw={"ecolor": "black", "elinewidth": 1, "capsize": 2})
        axes.text(rate.high, y, f"  {rate.median:,.1f}", va="center", fontsize=8)
    axes.set_yticks(range(len(points)), [point.label for point in points])
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_xlim(0, 1.25 * axes.dataLim.x1)
    axes.set_xlabel("images/s")


def _tidy(axes, grid: str):
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color="#E5E5E5", linewidth=0.8)


def _save(figure, path: Path):
    with replacing(path, suffix=".png") as part:
        figure.savefig(part, dpi=DPI)
