"""python -m tinyalex.summary: what a network is made of and what it takes; see --help."""

import sys
from argparse import Namespace
from collections.abc import Callable

from tinyalex import drawing
from tinyalex.data.dataset import MOST_CLASSES
from tinyalex.devices import Devices
from tinyalex.inside import scaling
from tinyalex.inside.costs import record, table, training_bytes
from tinyalex.run import presets
from tinyalex.run.recipe import LIMITS
from tinyalex.support.cli import ArgumentParser, add_json, number, output, run
from tinyalex.support.text import megabytes, plural, print_json
from tinyalex.world import World, find


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.summary`; argv without the program's name."""
    with find().together() as world:
        _main(_parse(argv), world)
    return 0


def _main(args: Namespace, world: World) -> None:
    preset = presets.get(args.preset)
    args.batch_size = args.batch_size or preset.batch_size
    towers = args.towers or preset.towers
    with Devices(args.devices, towers) as devices:
        link = (scaling.measured(world) if args.network == "measured"
                else scaling.NETWORKS[args.network])
        network = preset.network(args.classes, list(devices), towers=towers,
                                 draw=not args.workers)
        if args.workers:
            numbers = _model(args, scaling.parts(network), link)
        else:
            numbers = record(network, args.batch_size) | {
                "training_bytes": training_bytes(network, args.batch_size)}
        if args.json:
            print_json({"preset": args.preset, "classes": network.classes,
                        "batch_size": args.batch_size, **numbers})
            return
        print(f"{args.preset}, {plural(network.classes, 'class')}, "
              f"{plural(args.batch_size, 'picture')} a step\n")
        if args.workers:
            _print_workers(args, scaling.parts(network), link, world)
            return
        print(table(network, args.batch_size))
        print(f"\ntraining takes about {megabytes(numbers['training_bytes'])}")
        print("kept: between forward and backward; an array that two layers share, as a ReLU in "
              "place\nand what reads it, counts once in the total")


def _parse(argv: list[str] | None) -> Namespace:
    parser = ArgumentParser(prog="python -m tinyalex.summary", shares=True,
                            description="Print what a network is made of and what it takes.")
    add = parser.add_argument
    add("--preset", default="paper", metavar="NAME", help=", ".join(presets.PRESETS))
    add("--classes", type=number(int, 2, MOST_CLASSES),
        help="as many as the preset's own data has, if not given")
    add("--batch-size", type=number(int, 1), help="as large as the preset's, if not given")
    add("--devices", default="cpu,cpu", metavar="LIST",
        help="cpu, cpu,cpu, cuda:0, cuda:0,cuda:1 or auto")
    add("--towers", type=number(int, *LIMITS["towers"]), metavar="N", help="as many as the preset "
        "has, if not given")
    add_json(parser)
    _worker_flags(parser.add_argument_group("many workers: how long a step takes, by a model")
                  .add_argument)
    args = parser.parse_args(argv)
    if (args.workers is None) != (args.images_per_s is None):
        parser.error("--workers and --images-per-s go together")
    if not args.workers:
        parser.refuse(["--network", "--plot"], "it goes with --workers and --images-per-s")
    if args.json and args.plot:
        parser.error("--json prints numbers only; leave out --plot")
    return args


def _worker_flags(add: Callable):
    add("--workers", type=number(int, 1), metavar="N", help="1, 2, 4, … up to N of them, who share "
        "the pictures of a step")
    add("--images-per-s", type=number(float, 1e-9), metavar="R", help="what one worker trains in a "
        "second: python -m tinyalex.bench measures it")
    add("--network", choices=[*scaling.NETWORKS, "measured"], default="10g", help="between them; "
        "measured: what the processes of an mpiexec are joined by")
    add("--plot", type=output(".png"), metavar="PNG", help="draw it")


def _counts(args: Namespace) -> list[int]:
    return [2**i for i in range(args.workers.bit_length()) if 2**i <= args.batch_size]


def _model(args: Namespace, layers: list[scaling.Part], link: scaling.Link) -> dict:
    """The model in numbers: seconds of a step by each scheme, one for each number of workers."""
    counts, each = _counts(args), 1 / args.images_per_s
    return {"latency_s": link.latency, "bytes_per_s": link.bandwidth, "workers": counts,
            "step_s": {scheme: [scaling.step(scheme, layers, each, link, workers, args.batch_size)
                                for workers in counts] for scheme in scaling.SCHEMES}}


def _print_workers(args: Namespace, layers: list[scaling.Part], link: scaling.Link, world: World):
    """The model's table, and its picture."""
    counts = _counts(args)
    asked = layers, 1 / args.images_per_s, link, counts, args.batch_size
    print(f"between workers: {link.latency * 1e6:.3g} µs and {link.bandwidth / 1e6:,.0f} MB/s\n")
    print(scaling.table(*asked))
    for scheme in scaling.SCHEMES:
        print(f"{scheme}: fastest with {scaling.best(scheme, *asked)}")
    if args.plot and world.rank == 0:
        drawing.speed_ups(counts, {scheme: scaling.speed_ups(scheme, *asked)
                                   for scheme in scaling.SCHEMES}, args.plot)
        print(f"as a picture: {args.plot}")


if __name__ == "__main__":
    sys.exit(run(main))
