"""python -m tinyalex.bench.timeline: a picture of one training step: both towers, and the copies
between them; see --help."""

import sys
from pathlib import Path

from tinyalex.bench.layers import BACKWARD, EXCHANGES, FORWARD, LOSS, UPDATE
from tinyalex.bench.picture import FULL
from tinyalex.bench.spans import COPIES, Span, watched_steps
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices
from tinyalex.drawing import DPI
from tinyalex.run import presets
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing

COLOURS = {EXCHANGES: "#E69F00", COPIES: "#000000", LOSS: "#009E73", UPDATE: "#CC79A7"}


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.bench.timeline`."""
    parser = ArgumentParser(
        prog="python -m tinyalex.bench.timeline",
        description="Draw when each layer of a training step was at work, device by device, and "
                    "when they exchanged what.")
    add = parser.add_argument
    add("--preset", default="paper", metavar="NAME", help=", ".join(presets.PRESETS))
    add("--batch-size", type=number(int, 1), default=128)
    add("--devices", metavar="LIST", default="auto",
        help="cpu, cpu,cpu, cuda:0, cuda:0,cuda:1 or auto")
    add("--out", type=Path, metavar="PNG", default=Path("timeline.png"))
    args = parser.parse_args(argv)
    if not args.out.parent.is_dir():
        raise UserError(f"{args.out}: there is no folder {args.out.parent}", "make it first.")
    with Devices(args.devices, presets.get(args.preset).towers) as devices:
        workload = Workload(args.preset, devices, args.batch_size)
        steps = watched_steps(workload, 5)
        named = [repr(device)[1:-1] for device in devices]
        title = f"a training step of {args.preset}, {args.batch_size} pictures"
        draw(typical(steps), args.out, named, title)
    print(f"drawn: {args.out}")
    return 0


def typical(steps: list[list[Span]]) -> list[Span]:
    """Of some steps the one of median length: an average would blur who waits for whom."""
    return sorted(steps, key=lambda spans: max(span.end for span in spans))[len(steps) // 2]


def draw(spans: list[Span], path: Path, devices: list[str], title: str):
    """A lane a device: forward, backward, update in their colours, and exchanges; below them the
    copies that the device received. Writes a PNG 1600 pixels wide."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    lanes = len(devices)
    figure = Figure(figsize=(1600 / DPI, (190 + 130 * lanes) / DPI), dpi=DPI, layout="constrained")
    figure.suptitle(title, parse_math=False)
    axes = figure.subplots()
    whole = max(span.end for span in spans)
    for span in spans:
        if span.name != "all":
            _draw(axes, span, whole)
    axes.set_yticks(range(lanes), devices, parse_math=False)
    axes.set_ylim(lanes - 0.3, -0.6)
    axes.set_xlim(0, whole)
    axes.set_xlabel("milliseconds")
    axes.spines[["top", "right"]].set_visible(False)
    legend = {FORWARD: FULL[FORWARD], BACKWARD: FULL[BACKWARD], LOSS: COLOURS[LOSS],
              UPDATE: COLOURS[UPDATE], "exchange": COLOURS[EXCHANGES], "copy": COLOURS[COPIES]}
    axes.legend([Patch(color=colour) for colour in legend.values()], legend, frameon=False,
                ncols=len(legend), loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
    with replacing(path, suffix=".png") as part:
        figure.savefig(part, dpi=DPI)


def _draw(axes, span: Span, whole: float):
    special = span.name in COLOURS
    colour = COLOURS[span.name] if special else FULL[span.part]
    top, height = (0.36, 0.1) if span.name == COPIES else (-0.35, 0.66)
    width = max(span.end - span.start, 0.002 * whole)  # what is shorter would not be seen
    edge = "none" if special else "white"
    axes.broken_barh([(span.start, width)], (span.device + top, height), facecolor=colour,
                     edgecolor=edge, linewidth=0.3)
    if not special and span.end - span.start > 0.02 * whole:
        axes.text((span.start + span.end) / 2, span.device - 0.02, span.name, fontsize=7.5,
                  ha="center", va="center", rotation=90, color="white", parse_math=False)


if __name__ == "__main__":
    sys.exit(run(main))
