"""The pictures of the page: all intervals in one, and curves where an experiment is about them."""

from pathlib import Path

from tinyalex.drawing import page
from tinyalex.reproduce.comparing import Finding, Results, runs
from tinyalex.reproduce.experiments import CURVES

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
    ours = c.outcome if c.other_outcome else f"{c.outcome}, {c.arm}"
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


def _words(column: str) -> str:
    return {"train": "training", "val": "validation"}[column.partition("_")[0]] + " error"
