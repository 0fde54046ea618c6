"""The pictures of the page: all intervals in one, and curves where an experiment is about them."""

from math import nan
from pathlib import Path
from statistics import fmean
from string import ascii_lowercase

from tinyalex.drawing import page
from tinyalex.reproduce.comparing import Finding, Results, runs
from tinyalex.reproduce.experiments import CURVES, EXPERIMENTS

SIGNALS = {"activity": "mean activity", "dead": "units always 0 (%)",
           "gradient": "|gradient| / |weights|"}
VERDICTS = {"reproduced": "#009E73", "opposite": page.VALIDATION}


def draw(results: Results, found: list[Finding], folder: Path) -> dict[str, str]:
    """Draw what there are results for, as PNGs in this folder; gives the text for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    in_points = [f for f in found if f.ends() and not f.comparison.is_factor
                 and "loss" not in f.comparison.outcome]
    if in_points:
        _intervals(in_points, folder / "intervals.png")
        drawn["intervals"] = "the differences with their intervals, claim by claim"
    for name, (arms, column, level) in CURVES.items():
        there = [arm for arm in arms if runs(results, arm)]
        if len(there) > 1:
            _curves(results, there, column, level, folder / f"{name}.png")
            drawn[name] = f"{_words(column)} against epochs: {', '.join(there)}"
    for name, (draw_them, what) in OTHERS.items():
        if there := [arm for arm in EXPERIMENTS[name].arms if runs(results, arm)]:
            draw_them(results, there, folder / f"{name}.png")
            drawn[name] = f"{what}: {', '.join(there)}"
    return drawn


def _intervals(found: list[Finding], path: Path) -> None:
    """A line for each: the interval, a dot at the mean, turned so that the paper's sign is left."""
    figure = page.figure(1200, 110 + 30 * len(found), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=page.QUIET, linewidth=1)
    for y, f in enumerate(reversed(found)):
        turn = -f.comparison.expected
        mean, low, high = (turn * value for value in f.ends() or ())
        colour = VERDICTS.get(f.verdict, page.QUIET)
        axes.plot([low, high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(mean, y, "o", color=colour, markersize=6)
    axes.set_yticks(range(len(found)), [
        f"{f.experiment.section.partition(',')[0]}  {_short(f)}" for f in reversed(found)],
        fontsize=8)
    page.plain(axes, xlabel="points; to the left of 0: as the paper has it",
               ylim=(-0.7, len(found) - 0.3))
    page.save(figure, path)


def _short(f: Finding) -> str:
    c = f.comparison
    usual = c.other_outcome and c.arm == "mini"  # compared with itself
    ours = c.outcome if usual else f"{c.outcome}, {c.arm}"
    return f"{ours} − {c.other_outcome or c.other}"


def _curves(results: Results, arms: list[str], column: str, level: float | None,
            path: Path) -> None:
    """A thin line for each seed, in the colour of its configuration."""
    figure = page.figure(900, 520, layout="constrained")
    axes = figure.subplots()
    for colour, arm in zip(page.COLOURS, arms, strict=False):
        for i, result in enumerate(runs(results, arm).values()):
            axes.plot([row["epoch"] for row in result.rows],
                      [100 * row[column] for row in result.rows], color=colour, linewidth=1.3,
                      marker="o", markersize=2.5, label=None if i else arm)
    if level is not None:
        axes.axhline(level, color=page.QUIET, linestyle=":", linewidth=1.2)
    page.plain(axes, xlabel="epoch", ylabel=f"{_words(column)} (%)", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, fontsize=9)
    page.save(figure, path)


def _colours(results: Results, arms: list[str], path: Path) -> None:
    """A panel for each configuration; in it a thin line for each seed and tower, in the colour of
    the tower."""
    figure = page.figure(70 + 270 * len(arms), 320, layout="constrained")
    for axes, arm in zip(figure.subplots(1, len(arms), sharey=True, squeeze=False)[0], arms,
                         strict=True):
        for result in runs(results, arm).values():
            for letter, colour in zip(ascii_lowercase, page.COLOURS, strict=False):
                known = [(row["epoch"], row[key]) for row in result.rows
                         if (key := f"colour_{letter}") in row]
                if known:
                    axes.plot(*zip(*known, strict=True), color=colour, linewidth=1)
        page.plain(axes, title=arm, xlabel="epoch", xlim=(0, None))
    figure.axes[0].set_ylabel("colour specificity of a tower")
    page.save(figure, path)


def _signals(results: Results, arms: list[str], path: Path) -> None:
    """A column for each configuration, a line for each layer, the mean over the seeds; at epoch 0
    what it was before training."""
    from matplotlib import colormaps

    figure = page.figure(110 + 360 * len(arms), 780, layout="constrained")
    panels = figure.subplots(len(SIGNALS), len(arms), sharey="row", sharex=True, squeeze=False)
    for column, arm in enumerate(arms):
        for row, (kind, words) in enumerate(SIGNALS.items()):
            axes, mine = panels[row][column], list(runs(results, arm).values())
            layers = [key.removeprefix(f"{kind}_") for key in mine[0].end
                      if key.startswith(f"{kind}_") and not key.endswith("start")]
            for depth, layer in enumerate(layers):
                key, scale = f"{kind}_{layer}", 100 if kind == "dead" else 1
                history = [[result.end.get(f"{key}_at_start", nan),
                            *(epoch.get(key, nan) for epoch in result.rows)] for result in mine]
                means = [scale * fmean(values) for values in zip(*history, strict=False)]
                axes.plot(means, linewidth=1.5, label=layer,
                          color=colormaps["viridis"](0.9 * depth / (len(layers) - 1)))
            page.plain(axes, title=arm if row == 0 else "",
                       xlabel="epoch" if row == len(SIGNALS) - 1 else "",
                       ylabel=words if column == 0 else "",
                       yscale="linear" if kind == "dead" else "log")
    panels[-1][-1].legend(frameon=False, fontsize=8, ncols=2)
    page.save(figure, path)


def _words(column: str) -> str:
    return {"train": "training", "val": "validation"}[column.partition("_")[0]] + " error"


# What of other experiments is drawn, and what the picture is of.
OTHERS = {"colour": (_colours, "colour specificity of each tower against epochs"),
          "signals": (_signals, "activities, units that never fire and gradients against epochs")}
