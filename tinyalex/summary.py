"""python -m tinyalex.summary: what a network is made of and what it takes; see --help."""

import sys

from tinyalex.data.dataset import MOST_CLASSES
from tinyalex.devices import Devices
from tinyalex.inside.costs import table, training_bytes
from tinyalex.run import presets
from tinyalex.run.recipe import LIMITS
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.text import megabytes


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.summary`; argv without the program's name."""
    parser = ArgumentParser(prog="python -m tinyalex.summary",
                            description="Print what a network is made of and what it takes.")
    add = parser.add_argument
    add("--preset", default="paper", metavar="NAME", help=", ".join(presets.PRESETS))
    add("--classes", type=number(int, 2, MOST_CLASSES),
        help="as many as the preset's own data has, if not given")
    add("--batch-size", type=number(int, 1), default=128)
    add("--devices", default="cpu,cpu", metavar="LIST",
        help="cpu, cpu,cpu, cuda:0, cuda:0,cuda:1 or auto")
    add("--towers", type=number(int, *LIMITS["towers"]), metavar="N", help="as many as the preset "
        "has, if not given")
    args = parser.parse_args(argv)
    preset = presets.get(args.preset)
    towers = args.towers or preset.towers
    with Devices(args.devices, towers) as devices:
        network = preset.network(args.classes, list(devices), towers=towers)
        print(f"{args.preset}, {network.classes:,} classes, {args.batch_size} pictures a step\n")
        print(table(network, args.batch_size))
        print(f"\ntraining takes about {megabytes(training_bytes(network, args.batch_size))}")
        print("kept: between forward and backward; an array that two layers share, as a ReLU in "
              "place\nand what reads it, counts once in the total")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
