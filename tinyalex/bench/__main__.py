"""python -m tinyalex.bench: measure the speed of a network; see --help."""

import argparse
import sys
from collections.abc import Iterable

from tinyalex.bench import gpu, measures, memory, picture, report, speed, sweeps
from tinyalex.bench.report import csv_rows, row, speed_rows, with_spread, write_csv
from tinyalex.bench.speed import VARIANTS, Result
from tinyalex.bench.timing import MODES
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices, parse_placement
from tinyalex.run import presets
from tinyalex.support.cli import ArgumentParser, number, output, run
from tinyalex.support.errors import UserError
from tinyalex.support.text import megabytes


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.bench`; argv without the program's name."""
    args = _parse(argv)
    towers = presets.get(args.preset).towers
    on_gpu = parse_placement(args.devices, towers)[0] != "cpu"
    if args.against:
        speed.load_peer()
    modes = {"sweep": _sweep, "measures": _measures, "memory": _watch_memory}
    mode = next((modes[name] for name in modes if getattr(args, name) is not None), None)
    if on_gpu and mode:
        raise UserError("--sweep, --measures and --memory measure the CPU",
                        "leave them out, or name --devices cpu,cpu.")
    with Devices(args.devices, towers) as devices:
        (mode or (_measure_gpu if on_gpu else _measure))(args, devices)
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(
        prog="python -m tinyalex.bench",
        description="Measure how fast a network trains and infers on made-up pictures: layer by "
                    "layer, and against its floor, the same matrix products alone.")
    add = parser.add_argument
    add("--preset", default="paper", metavar="NAME", help=", ".join(presets.PRESETS))
    add("--batch-size", type=number(int, 1), default=128, help="1 for the latency of one")
    add("--devices", metavar="LIST", default="auto", help="cpu, cpu,cpu, cuda:0, "
        "cuda:0,cuda:1 or auto")
    add("--rounds", type=number(int, 1), default=5, help="how many times each is measured, in turn")
    add("--csv", type=output(), metavar="FILE", help="write all numbers there; on GPUs one file "
        "for float32 and one for TF32")
    add("--out", type=output(".png"), metavar="PNG", help="draw them there")
    add = parser.add_mutually_exclusive_group().add_argument
    add("--against", choices=["torch"], help="compare with the same network in PyTorch, in turn")
    add("--sweep", choices=sweeps.SWEEPS, help="measure against batch sizes 1 to "
        f"{sweeps.LARGEST_BATCH}, cores, sizes of the pictures, or numbers of towers")
    add("--measures", nargs="?", const="", metavar="TEXT", type=measures.named, help="take back, "
        "one by one, what makes the code fast, and see what it gains: everything, or whatever has "
        "this text in its name")
    add("--memory", type=number(int, 2), metavar="STEPS", help="take this many training steps and "
        "watch how much memory the process uses")
    args = parser.parse_args(argv)
    if args.measures is not None:
        parser.refuse(["--out"], "--measures draws nothing")
    if args.memory:
        parser.refuse(["--out", "--rounds"], "--memory takes STEPS steps, once, and draws nothing")
    if args.sweep == "batch":
        parser.refuse(["--batch-size"], "--sweep batch takes all sizes")
    return args


def _workload(args: argparse.Namespace, devices: Devices, precision: str = "float32") -> Workload:
    workload = Workload(args.preset, devices, args.batch_size, precision=precision)
    print(report.settings(workload), flush=True)
    return workload


def _measure(args: argparse.Namespace, devices: Devices):
    result = _measured(_workload(args, devices), args, VARIANTS)
    write_csv(args.csv, csv_rows(result))
    if args.out:
        picture.save(picture.of_speed(result), args.out)


def _measure_gpu(args: argparse.Namespace, devices: Devices):
    """In each precision, which has files of its own."""
    for precision in gpu.PRECISIONS:
        with gpu.multiplying(precision):
            result = _measured(_workload(args, devices, precision), args, speed.ON_GPU)
        table, timeline = (path and path.with_stem(f"{path.stem}-{precision.lower()}")
                           for path in (args.csv, args.out))
        write_csv(table, csv_rows(result))
        if timeline:
            picture.save(picture.of_typical(result.steps, result.workload), timeline)
        del result  # the next one needs its memory


def _measured(workload: Workload, args: argparse.Namespace, variants: Iterable[str]) -> Result:
    result = speed.measure(workload, args.rounds, variants if args.against else ())
    memory.weigh_all(result, args.devices)
    print(report.text(result), flush=True)
    return result


def _sweep(args: argparse.Namespace, devices: Devices):
    _workload(args, devices)  # for its settings: the sweep needs the memory
    points = sweeps.points(args.sweep, args.preset, args.batch_size, devices)
    print(f"sweep    {args.sweep}: {'; '.join(point.label for point in points)}", flush=True)
    seconds = sweeps.measure(args.preset, points, args.rounds)
    for mode in MODES:
        print(f"\n{sweeps.table(seconds, mode)}")
    write_csv(args.csv, speed_rows(seconds))
    if args.out:
        picture.save(picture.of_sweep(seconds, f"{args.preset}: --sweep {args.sweep}"), args.out)


def _measures(args: argparse.Namespace, devices: Devices):
    workload = _workload(args, devices)
    head = measures.line("taken back", *(f"{mode} takes" for mode in MODES))
    print("", head, "─" * len(head), sep="\n", flush=True)
    rows = []
    for name in args.measures:
        spreads = measures.measure(workload, name, args.rounds)
        cells = (f"× {with_spread(spreads[mode], 3)}" for mode in MODES)
        print(measures.line(name, *cells), flush=True)
        rows += [row(name, mode, "time without it", "times as long", spreads[mode])
                 for mode in MODES]
    write_csv(args.csv, rows)


def _watch_memory(args: argparse.Namespace, devices: Devices):
    after = memory.watch(_workload(args, devices), args.memory)
    print("\nin memory", ", ".join(f"after step {step} {megabytes(after[step - 1])}"
                                   for step in sorted({1, len(after) // 2, len(after)})))
    print(f"at the peak {megabytes(memory.peak())}")
    write_csv(args.csv, [row("in memory", "training", f"after step {i}", "MB", size / 1e6)
                         for i, size in enumerate(after, 1)])


if __name__ == "__main__":
    sys.exit(run(main))
