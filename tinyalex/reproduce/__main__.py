"""python -m tinyalex.reproduce: measure the paper's claims again; see --help."""

import sys
from pathlib import Path
from statistics import median

from tinyalex.reproduce import report, results
from tinyalex.reproduce.experiments import ARMS, EXPERIMENTS
from tinyalex.reproduce.kinds import PHOTOGRAPHS, Arm
from tinyalex.reproduce.results import Result
from tinyalex.reproduce.running import Places, work_through
from tinyalex.reproduce.statistics import ENOUGH
from tinyalex.support.cli import ArgumentParser, run
from tinyalex.support.errors import UserError
from tinyalex.support.text import say

RESULTS, PAGE = Path("docs/reproduction"), Path("docs/reproduction.md")
TEXT = "text.md"  # of the page, in the folder of the results


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.reproduce`; argv without the program's name."""
    args = _parse(argv)
    if args.action == "report":
        if not (args.results / TEXT).exists():
            raise UserError(f"{args.results}: there is no {TEXT}, from which the page is made",
                            "run it in a clone of the project, or say --results.")
        text = (args.results / TEXT).read_text("utf-8")
        report.write(results.read_all(args.results), text, args.page)
        say(f"written: {args.page}")
        return 0
    arms = _arms(args.names)
    places = Places(args.results, args.work, args.photographs, args.devices)
    if args.action == "list":
        _list(arms, places)
        return 0
    if not Path(args.photographs).is_dir() and any(not arm.recipe(0).data for arm in arms):
        raise UserError(f"--photographs {args.photographs}: there is no such folder",
                        "docs/reproduction.md says where they come from, and what to call them.")
    args.work.mkdir(parents=True, exist_ok=True)
    runs = sorted(((arm, seed) for arm in arms for seed in range(arm.seeds)),
                  key=lambda one: one[1] >= ENOUGH)  # first of everything as much as is needed
    work_through(runs, places)
    return 0


def _parse(argv):
    parser = ArgumentParser(
        prog="python -m tinyalex.reproduce",
        description="Measure the paper's claims again: list says what there is, run makes what is "
                    "missing (stop it at any time; the next one continues from there, and several "
                    "share the work), report writes the page from the results.",
        epilog="; ".join(f"{name}: {e.title}" for name, e in EXPERIMENTS.items()))
    add = parser.add_argument
    add("action", choices=["list", "run", "report"])
    add("names", nargs="*", metavar="NAME", help="experiments, or single configurations; all if "
        "not given")
    add("--photographs", default=PHOTOGRAPHS, metavar="FOLDER", help="the ten classes: train/ and "
        "val/; see docs/reproduction.md")
    add("--devices", metavar="LIST", default="auto", help="cpu, cuda:0 or auto")
    add("--results", type=Path, metavar="FOLDER", default=RESULTS, help="where results are kept, "
        "and the text of the page")
    add("--work", type=Path, metavar="FOLDER", default=Path("reproduce-work"), help="where runs "
        "have their folders")
    add("--page", type=Path, metavar="MD", default=PAGE, help="where report writes the page")
    args = parser.parse_args(argv)
    if args.action != "report":
        parser.refuse(["--page"], "only report writes the page")
    elif args.names:
        parser.error(f"report {args.names[0]}: the page is made of all results, whatever is named")
    return args


def _arms(names: list[str]) -> list[Arm]:
    """Those that the named experiments need, in the order in which they are best run."""
    wanted = set()
    for name in names or EXPERIMENTS:
        if name in EXPERIMENTS:
            wanted |= set(EXPERIMENTS[name].arms)
        elif name in ARMS:
            wanted.add(name)
        else:
            raise UserError(f"there is no experiment {name!r}",
                            f"choose from {', '.join([*EXPERIMENTS, *ARMS])}.")
    return [arm for arm in ARMS.values() if arm.name in wanted]


def _list(arms: list[Arm], places: Places) -> None:
    """What is done, what is missing, how long that will take, as far as runs like it tell."""
    done, code = results.read_all(places.results), results.code()
    say(f"{'configuration':<32} {'done':>4} {'missing':>7} {'hours left':>10}  used by")
    for arm in arms:
        mine = [done[name] for seed in range(arm.seeds)
                if (name := f"{arm.name}-{seed}") in done]
        missing, hours = arm.seeds - len(mine), _hours(arm, done)
        left = f"{missing * hours:.1f}" if hours is not None else "?"
        used = ", ".join(name for name, e in EXPERIMENTS.items() if arm.name in e.arms)
        older = sum(result.about["code"] != code for result in mine)
        say(f"{arm.name:<32} {len(mine):>4} {missing:>7} {left:>10}  {used}"
            + f" ({older} made by other code)" * bool(older))


def _hours(arm: Arm, done: dict[str, Result]) -> float | None:
    """What a run takes: the median of those like it that are done."""
    like = [result.hours for name, result in done.items()
            if name.rpartition("-")[0] in ARMS
            and ARMS[name.rpartition("-")[0]].preset == arm.preset]
    return median(like) if like else None


if __name__ == "__main__":
    sys.exit(run(main))
