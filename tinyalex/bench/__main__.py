"""python -m tinyalex.bench: measure the speed of a network; see --help."""

import json
import sys
from pathlib import Path

from tqdm import tqdm

from tinyalex.bench import gpu, layers, measures, memory, peer, picture, report, sweeps
from tinyalex.bench.floor import Floor
from tinyalex.bench.report import OURS, Result
from tinyalex.bench.timing import Clock, in_turn
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices, parse_placement
from tinyalex.run import presets
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.errors import UserError
from tinyalex.support.text import megabytes


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.bench`; argv without the programme's name."""
    args = _parse(argv)
    recipe = presets.get(args.preset)
    on_gpu = parse_placement(args.devices, recipe.towers)[0] != "cpu"
    for path in filter(None, (args.csv, args.out)):
        if not path.parent.is_dir():
            raise UserError(f"{path}: there is no folder {path.parent}", "make it first.")
    if args.against:
        peer.load_torch()
    if on_gpu:
        return gpu.bench(args)
    if args.sweep:
        return _sweep(args)
    mode = (_memory_of if args.memory_of else _watch_memory if args.memory
            else _measures if args.measures else _measure)
    with Devices(args.devices, recipe.towers) as devices:
        return mode(args, devices)


def _parse(argv):
    parser = ArgumentParser(
        prog="python -m tinyalex.bench",
        description="Measure how fast a network trains and infers on made-up pictures: layer by "
                    "layer, and against its floor, the same matrix products alone.")
    add = parser.add_argument
    add("--preset", default="paper", metavar="NAME", help=", ".join(presets.PRESETS))
    add("--batch-size", type=number(int, 1), default=128, help="1 for the latency of one")
    add("--devices", metavar="LIST", default="auto", help="cpu, cpu,cpu, cuda:0, "
        "cuda:0,cuda:1 or auto")
    add("--rounds", type=number(int, 1), default=5, help="how often each is measured, in turn")
    add("--csv", type=Path, metavar="FILE", help="write all figures there")
    add("--out", type=Path, metavar="PNG", help="draw them there")
    modes = parser.add_mutually_exclusive_group()
    add = modes.add_argument
    add("--against", choices=["torch"], help="compare with the same network in PyTorch, in turn")
    add("--sweep", choices=list(sweeps.SWEEPS), help="measure against batch sizes 1 to "
        f"{sweeps.LARGEST_BATCH}, cores, sizes of the pictures, or numbers of towers")
    add("--measures", action="store_true", help="take back, one after the other, what makes the "
        "code fast, and see what it gains")
    add("--memory", type=number(int, 2), metavar="STEPS", help="take so many training steps and "
        "watch what the process has in memory")
    add("--memory-of", choices=["ours", *peer.VARIANTS], help="print, as JSON, what this one has "
        "in memory in training; it has the process to itself")
    return parser.parse_args(argv)


def _measure(args, devices: Devices) -> int:
    workload = Workload(args.preset, devices, args.batch_size)
    print(report.settings(args.preset, workload.network, args.batch_size, devices),
          flush=True)
    result = measure(workload, args.rounds, peers=peer.VARIANTS if args.against else ())
    who = [name for name in result.contenders() if name in peer.VARIANTS]
    for name in tqdm([OURS, *who], "memory", unit="process", disable=None, leave=False):
        result.memory[name] = memory.of("ours" if name == OURS else name, args.preset,
                                        args.batch_size, args.devices)
    _report(result)
    if args.csv:
        report.write_csv(report.layer_rows(result), report.COLUMNS, args.csv)
        print(f"all figures: {args.csv}")
    if args.out:
        picture.draw(result, args.out, f"{args.preset} on {_named(devices)}")
        print(f"as a picture: {args.out}")
    return 0


def measure(workload: Workload, rounds: int, peers=()) -> Result:
    """Training, inference, the floor and the peers, in turn. Peers that cannot run are noted."""
    network, clock = workload.network, Clock()
    floor = Floor(network, workload.batch_size)
    contenders, absent = {"training": workload.train, "inference": workload.infer,
                          "floor": floor.train}, {}
    cores = sum(device.cores for device in dict.fromkeys(network.devices))
    for variant in tqdm(peers, "building", unit="network", disable=None, leave=False):
        try:
            one = peer.Peer(variant, workload, cores)
        except peer.NotAvailable as why:
            absent[variant] = why.args[0]
        else:
            contenders |= {f"{variant} training": one.train, f"{variant} inference": one.infer}
    layers.watch(clock, workload, floor)
    try:
        return Result(network, workload.batch_size, in_turn(contenders, rounds, clock), absent)
    finally:
        clock.stop()


def _report(result: Result):
    print(f"\n{report.layer_table(result)}\n\n{report.work_done(result)}")
    if ours := result.memory[OURS]:
        print(f"memory   {megabytes(ours['peak'])} at the peak of training, of them "
              f"{megabytes(ours['pools'])} of the devices' pools, and "
              f"{megabytes(ours['before'])} before there was a network")
    for mode in report.MODES:
        print(f"\n{report.speed_table(result, mode)}\n"
              f"{mode} takes {report.with_spread(result.above_floor(mode), 2)} times its floor")


def _sweep(args) -> int:
    wanted = sweeps.points(args.sweep, args.preset, args.batch_size, args.devices)
    with Devices(args.devices, presets.get(args.preset).towers) as devices:
        network = Workload(args.preset, devices, 1).network
        print(report.settings(args.preset, network, args.batch_size, devices))
        del network  # the sweep needs the memory
    print(f"sweep    {args.sweep}: {'; '.join(point.label for point in wanted)}\n", flush=True)
    found = sweeps.measure(args.preset, wanted, args.rounds)
    print(sweeps.table(args.sweep, found))
    for point in wanted:
        if point not in found:
            print(f"{point.label}: not available (the network does not fit such pictures)")
    if args.csv:
        report.write_csv(sweeps.csv_rows(args.sweep, found), sweeps.COLUMNS, args.csv)
        print(f"all figures: {args.csv}")
    if args.out:
        title = f"{args.preset}: images/s {sweeps.ABOUT[args.sweep]}"
        picture.draw_sweep(args.sweep, found, args.out, title)
        print(f"as a picture: {args.out}")
    return 0


def _measures(args, devices: Devices) -> int:
    workload = Workload(args.preset, devices, args.batch_size)
    print(report.settings(args.preset, workload.network, args.batch_size, devices), flush=True)
    found = measures.measure(workload, args.rounds)
    print(f"\n{measures.table(found)}")
    if args.csv:
        report.write_csv(measures.csv_rows(found), measures.COLUMNS, args.csv)
        print(f"all figures: {args.csv}")
    return 0


def _watch_memory(args, devices: Devices) -> int:
    workload = Workload(args.preset, devices, args.batch_size)
    print(report.settings(args.preset, workload.network, args.batch_size, devices))
    after = memory.watch(workload, args.memory)
    print("\nin memory", ", ".join(f"after step {step} {megabytes(after[step - 1])}"
                                   for step in sorted({1, len(after) // 2, len(after)})))
    print(f"at the peak {megabytes(memory.peak())}")
    if args.csv:
        report.write_csv([(i, size / 1e6) for i, size in enumerate(after, 1)],
                         ("step", "MB"), args.csv)
        print(f"all figures: {args.csv}")
    return 0


def _memory_of(args, devices: Devices) -> int:
    if args.memory_of != "ours":
        peer.load_torch()
    before = memory.now()
    one = workload = Workload(args.preset, devices, args.batch_size)
    if args.memory_of != "ours":
        cores = sum(device.cores for device in devices)
        one = peer.Peer(args.memory_of, workload, cores)
        del workload
    memory.forget_peak()
    for _ in range(memory.STEPS):
        one.train()
    pools = sum(device.pool.peak for device in devices)
    print(json.dumps({"peak": memory.peak(), "before": before, "pools": pools}))
    return 0


def _named(devices: Devices) -> str:
    return ", ".join(repr(device)[1:-1] for device in devices)


if __name__ == "__main__":
    sys.exit(run(main))
