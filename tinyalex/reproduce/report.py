"""The page of the results: tables and pictures, from the results alone."""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev

from tinyalex.reproduce import pictures
from tinyalex.reproduce.comparing import Finding, Results, findings, runs
from tinyalex.reproduce.experiments import ARMS, EXPERIMENTS
from tinyalex.reproduce.kinds import Experiment
from tinyalex.support.files import write_text
from tinyalex.support.text import plural

HEAD = ("| claim | the paper | here, with its 95 % interval | seeds | verdict | command | hours |\n"
        "| --- | --- | --- | --- | --- | --- | --- |")


def write(results: Results, text: str, page: Path) -> None:
    """Write the page, and beside it, in a folder of its name, the pictures.

    text: of the page, with names in braces where the results go.
    """
    found = list(findings(results))
    drawn = pictures.draw(results, found, page.with_suffix(""))
    filled = {
        "claims": "\n".join([HEAD, *(_row(f) for f in found if f.interval is not None)]),
        "intervals": _picture(drawn, "intervals", page),
        "experiments": "\n\n".join(filter(None, (
            _experiment(e, results, drawn, page) for e in EXPERIMENTS.values()
            if any(f.interval for f in found if f.experiment is e)))),
        "missing": _missing(found, results), "made by": _made_by(results)}
    for name, part in filled.items():
        text = text.replace(f"{{{name}}}", part)
    write_text(page, text)


def _row(f: Finding) -> str:
    c, count = f.comparison, f.interval.count if f.interval else 0
    verdict = f"**{f.verdict}**" if f.verdict == "reproduced" else f.verdict
    return (f"| {c.claim} ({f.experiment.section}) | {c.paper} | {_measured(f)} | {count} "
            f"| {verdict} | `run {f.experiment.name}` | {f.hours:.2f} |")


def _measured(f: Finding) -> str:
    if (ends := f.ends()) is None:
        return f"{_number(f.interval.mean)} (one seed)" if f.interval else ""
    if f.comparison.is_factor:
        return "× {} ({} to {})".format(
            *(f"{end:.2f}" if end < 100 else f"{end:,.0f}" for end in ends))
    return f"{_number(ends[0])} ({_number(ends[1])} to {_number(ends[2])})"


def _number(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _picture(drawn: dict[str, str], name: str, page: Path) -> str:
    return f"![{drawn[name]}]({page.stem}/{name}.png)" if name in drawn else ""


def _experiment(e: Experiment, results: Results, drawn: dict[str, str], page: Path) -> str:
    table = ["| configuration | flags | seeds | epochs | training error | validation error |",
             "| --- | --- | --- | --- | --- | --- |",
             *(row for name in e.arms for row in _arm_rows(name, results))]
    parts = [f"## {e.title} (section {e.section})", e.about.strip(), "\n".join(table),
             _picture(drawn, e.name, page)]
    return "\n\n".join(filter(None, parts))


def _arm_rows(name: str, results: Results) -> Iterator[str]:
    """A row of the table of configurations, if there is a result."""
    mine = list(runs(results, name).values())
    if not mine:
        return
    ends = [result.end for result in mine]
    training = [100 * end.get("still_error", end["train_error"]) for end in ends]
    validation = [100 * end["val_error"] for end in ends]
    epochs = fmean(end["epoch"] for end in ends)
    flags = mine[0].about["flags"].rpartition(" --seed")[0]
    yield (f"| {name} | `{flags}` | {len(mine)} | {epochs:.3g} | {_spread(training)} "
           f"| {_spread(validation)} |")


def _spread(values: list[float]) -> str:
    """Mean and standard deviation, in percent."""
    return f"{fmean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "") + " %"


def _missing(found: list[Finding], results: Results) -> str:
    lines = [f"- {f.comparison.claim} ({f.experiment.section}): "
             f"{f.interval.count if f.interval else 0} of the seeds that it takes"
             for f in found if f.verdict in ("missing", "too few")]
    undone = [f"`{name}` ({arm.seeds - done} of {arm.seeds})" for name, arm in ARMS.items()
              if (done := len(runs(results, name))) < arm.seeds]
    if undone:
        lines.append(f"- runs: {', '.join(undone)}")
    return "\n".join(lines)


def _made_by(results: Results) -> str:
    """What the results were made with: each machine, each state of the code."""
    made: dict[tuple[str, ...], int] = {}
    for result in results.values():
        what = tuple(result.about[key] for key in ("code", "versions", "machine", "devices"))
        made[what] = made.get(what, 0) + 1
    rows = [f"| {count} | {' | '.join(what)} |" for what, count in sorted(made.items())]
    hours = sum(result.hours for result in results.values())
    return "\n".join([f"{plural(len(results), 'run')}, {hours:.1f} hours:\n",
                      "| runs | code | versions | machine | devices |",
                      "| --- | --- | --- | --- | --- |", *rows])
