"""python -m tinyalex.gradcheck: check every gradient numerically; see --help."""

import secrets
import sys
import textwrap
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinyalex import drawing
from tinyalex.devices import Devices
from tinyalex.gradcheck import numeric
from tinyalex.gradcheck.cases import CASES, SHIPPED
from tinyalex.gradcheck.checks import check_network
from tinyalex.gradcheck.marking import results, submissions
from tinyalex.gradcheck.marking.exercises import EXERCISES
from tinyalex.gradcheck.marking.marks import mark_all
from tinyalex.gradcheck.marking.remote import walls_stand
from tinyalex.gradcheck.mutants import MUTANTS, try_mutant
from tinyalex.gradcheck.report import TOLERANCE, WRONG, Report
from tinyalex.gradcheck.steps import error_by_step
from tinyalex.run import presets
from tinyalex.support.cli import ArgumentParser, number, output, run
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress
from tinyalex.support.text import plural, say

# The flags that choose what is done, and those that it reads besides.
READ = {"--plot": (),
        "--exercises": ("--seed", "--expected", "--seconds", "--csv", "--json", "--feedback"),
        "--show-mutants": ("--seed", "--layer"), "--seeds": ("--layer", "--h")}


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.gradcheck`; argv without the program's name.

    Returns 1 where a gradient is wrong, else 0.
    """
    args = _parse(argv)
    if args.plot:
        drawing.steps(error_by_step(), args.plot, "error of a numeric gradient against its step")
        print(f"error against step size: {args.plot}")
        return 0
    if args.exercises:
        return _exercises(args)
    args.seed = args.seed or 0
    if args.show_mutants:
        return _show_mutants(args)
    return _many_seeds(args) if args.seeds else _check_all(args)


def _parse(argv: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m tinyalex.gradcheck",
        description="Compare what every backward pass says with numeric slopes: each kind of layer "
                    "alone on small arrays, number by number, then a whole network, parameter by "
                    "parameter.")
    add = parser.add_argument
    add("--preset", default="tiny", help=f"the network: {', '.join(presets.PRESETS)}")
    add("--layer", default="",
        help="only names that begin with this: Conv2D, conv2, fc6a.W …; all if empty")
    add("--h", type=number(float, 1e-12, 1), default=numeric.H,
        help="step, relative to the typical size of what is moved")
    add("--seed", type=number(int, 0), help="of inputs, weights, upstream gradients; 0 if not "
        "given, and with --exercises a different one each time")
    add("--seeds", type=number(int, 1), metavar="N",
        help="only check every layer N times, with new numbers each time, and count what fails")
    add("--show-mutants", action="store_true",
        help="plant classic mistakes, one by one, and show how each is caught")
    add("--plot", type=output(".png"), metavar="PNG",
        help="only draw the error against the step, float32 and float64")
    add("--exercises", type=Path, nargs="+", metavar="FOLDER",
        help="only mark exercises, as .ipynb or .py: files, folders with some, or folders that "
        "hold a folder for each student")
    add("--expected", nargs="+", choices=[exercise[:2] for exercise in EXERCISES], default=(),
        help="with --exercises: which are required; if not given, whatever anybody has handed "
        "in")
    add("--seconds", type=number(float, 1), default=120,
        help="with --exercises: for a file; a single statement or call has a tenth of that")
    add("--csv", type=output(".csv"), help="with --exercises: a table of the points")
    add("--json", type=output(".json"), help="with --exercises: all marks and what is wrong")
    add("--feedback", type=Path, metavar="FOLDER",
        help="with --exercises: a folder for a letter to each student")
    args = parser.parse_args(argv)
    if not args.exercises:
        parser.refuse(READ["--exercises"][1:], "it goes with --exercises")
    if mode := next((flag for flag in READ if flag in parser.said), ""):
        parser.refuse(parser.said - {mode, *READ[mode]}, f"it changes nothing beside {mode}")
    presets.get(args.preset)
    return args


def _wanted(name: str, args: Namespace) -> bool:
    return name.lower().startswith(args.layer.lower())


def _check_all(args: Namespace) -> int:
    """Every layer, then a network."""
    start = time.perf_counter()
    print(f"centred differences in float64, h = {args.h:g} times the size of the numbers; a "
          f"relative error above {TOLERANCE:g} is wrong\n")
    reports = [*_layers(args), *_network(args)]
    if not reports:
        raise UserError(f"--layer {args.layer}: no layer has such a name",
                        f"name the beginning of a class or of a parameter of --preset "
                        f"{args.preset}: Conv2D, conv2, fc6a.W …")
    wrong = [report for report in reports if not report.ok]
    for report in wrong:
        print(f"\n{report}")
    count = sum(len(report.findings) for report in reports)
    print(f"\n{plural(count, 'gradient')}, {plural(len(wrong), 'report')} of mistakes, largest "
          f"relative error {max(report.error for report in reports):.1e}, "
          f"{time.perf_counter() - start:.1f} s")
    if not wrong:
        print("next: --show-mutants plants classic mistakes and shows each being caught")
    return 1 if wrong else 0


def _layers(args: Namespace) -> list[Report]:
    cases, reports = [case for case in CASES if _wanted(case.kind, args)], []
    if cases:
        _row("layer", "with respect to", "rel. error", "verdict", "checked")
    for case in cases:
        reports.append(case.check(SHIPPED[case.kind], args.seed, args.h))
        _rows(reports[-1])
    return reports


def _network(args: Namespace) -> list[Report]:
    with Devices("cpu") as devices:
        preset = presets.get(args.preset)
        network = preset.network(10, list(devices), towers=preset.towers, seed=args.seed, init="he",
                                 keep=1 - (preset.dropout or 0.25))  # a check of dropout, too
        if not any(_wanted(p.name, args) for p in network.parameters):
            return []
        pictures = 1 if network.input_shape[0] > 64 else 2
        x = np.random.default_rng(args.seed).standard_normal((pictures, *network.input_shape))
        print(f"\nthe network of preset {args.preset}, {pictures} pictures, all of it at once:")
        report = check_network(network, x, seed=args.seed, h=args.h, only=args.layer,
                               title=f"preset {args.preset}")
    _rows(report)
    return [report]


def _rows(report: Report):
    kind, _, title = report.title.partition(": ")
    for finding in report.findings:
        _row(kind, finding.name, f"{finding.error:.1e}", finding.verdict,
             f"{finding.extent}{'; ' * bool(title)}{title}")
    for problem in report.problems:
        _row(kind, "", "", WRONG, problem)


def _row(kind: str, name: str, error: str, verdict: str, checked: str):
    print(f"{kind:<20} {name:<16} {error:>10}  {verdict:<7}  {checked}", flush=True)


def _show_mutants(args: Namespace) -> int:
    """Plant each mutant, and print what the checks say."""
    mutants = [m for m in MUTANTS if m.way == 0 and _wanted(m.kind, args)]
    if not mutants:
        raise UserError(f"--layer {args.layer}: no mistakes are kept for it",
                        f"choose one of {', '.join(dict.fromkeys(m.kind for m in MUTANTS))}.")
    caught = named = 0
    for i, mutant in enumerate(mutants, 1):
        report, is_named = try_mutant(mutant, args.seed)
        caught, named = caught + (report is not None), named + is_named
        print(f"{i}. {mutant.kind}: {mutant.about}")
        print(textwrap.indent(str(report or "NOT CAUGHT"), "   "), end="\n\n")
    print(f"{len(mutants)} mistakes planted, {caught} caught, {named} named")
    return 0 if caught == len(mutants) else 1


def _many_seeds(args: Namespace) -> int:
    """How often does the check of right code fail? For each kind, the largest error seen."""
    cases = [case for case in CASES if _wanted(case.kind, args)]
    failed, worst = [], dict.fromkeys((case.kind for case in cases), 0.0)
    for seed in progress(range(args.seeds), "checking", unit="seed"):
        for case in cases:
            report = case.check(SHIPPED[case.kind], seed, args.h)
            worst[case.kind] = max(worst[case.kind], report.error)
            failed += [] if report.ok else [f"seed {seed}: {report}"]
    for kind, error in worst.items():
        print(f"{kind:<20} largest relative error {error:.1e}")
    print("\n".join(failed))
    print(f"{plural(args.seeds, 'seed')}, {plural(args.seeds * len(cases), 'check')}, "
          f"{len(failed)} failed")
    return 1 if failed else 0


def _exercises(args: Namespace) -> int:
    """Mark what was handed in; 1 where something is wrong or missing."""
    students = submissions.find(args.exercises)
    expected = [exercise for exercise in EXERCISES
                if (exercise[:2] in args.expected if args.expected else
                    any(exercise in student.files for student in students))]
    if args.feedback:
        args.feedback.mkdir(parents=True, exist_ok=True)  # or complain before there is work
    seed = secrets.randbits(31) if args.seed is None else args.seed
    who = plural(len(students), "student")
    say(f"{who}; {args.seconds:g} s for each file, {_walls()}",
        f"the numbers of the checks are those of --seed {seed}")
    sheets = []
    for sheet in progress(mark_all(students, expected, args.seconds, seed), "marking",
                          total=len(students), unit="student"):
        sheets.append(sheet)
        with tqdm.external_write_mode():
            say(*results.lines(sheet))
    if args.csv:
        results.write_csv(sheets, args.csv)
    if args.json:
        results.write_json(sheets, args.json, seed)
    if args.feedback:
        results.write_letters(sheets, args.feedback)
    points, most = sum(sheet.points for sheet in sheets), sum(sheet.most for sheet in sheets)
    say(f"{who}, {points} of {most} points")
    return 0 if points == most > 0 else 1


def _walls() -> str:
    """What keeps the files from each other."""
    return ("in a process with no network and no files but its own" if walls_stand() else
            "in a process of its own, which this system cannot isolate fully "
            "(docs/teaching.md)")


if __name__ == "__main__":
    sys.exit(run(main))
