"""python -m tinyalex.bench.timeline: a picture of one training step: both towers, and the copies
between them; see --help."""

import sys

from tinyalex.bench import picture
from tinyalex.bench.spans import watch_step, watched_steps
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices
from tinyalex.run import presets
from tinyalex.support.cli import ArgumentParser, number, output, run


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.bench.timeline`; argv without the program's name."""
    parser = ArgumentParser(
        prog="python -m tinyalex.bench.timeline",
        description="Draw when each layer of a training step was working, device by device, and "
                    "when they exchanged what.")
    add = parser.add_argument
    add("--preset", default="paper", metavar="NAME", help=", ".join(presets.PRESETS))
    add("--batch-size", type=number(int, 1), default=128)
    add("--devices", metavar="LIST", default="auto",
        help="cpu, cpu,cpu, cuda:0, cuda:0,cuda:1 or auto")
    add("--out", type=output(".png"), metavar="PNG", default="timeline.png")
    args = parser.parse_args(argv)
    with Devices(args.devices, presets.get(args.preset).towers) as devices:
        workload = Workload(args.preset, devices, args.batch_size)
        steps = watched_steps({"step": watch_step(workload)}, rounds=5)["step"]
        picture.save(picture.of_typical(steps, workload), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
