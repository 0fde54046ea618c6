"""python -m tinyalex.filters: what a network's first layer has learned to look for; see --help."""

import sys
from pathlib import Path

import numpy as np

from tinyalex import drawing
from tinyalex.inside.colour import NOISE, colour_specificity, first_kernels, tower_specificity
from tinyalex.run import opened
from tinyalex.run.folder import Run
from tinyalex.support.cli import ArgumentParser, add_picture, output, run
from tinyalex.support.text import align


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.filters`; argv without the program's name."""
    args = _parse(argv)
    with opened.open_network(args.checkpoint, "cpu") as net:
        kernels = first_kernels(net.network)
    folder = net.path.parent
    rows = Run.open(folder).rows() if (folder / "config.json").is_file() else []
    print(f"{_table(kernels, rows)}\n\n"
          f"0: light and dark only; 1: colour only; {NOISE:.2f}: noise, as initialised")
    usual, beside = folder / "filters.png", args.out and _beside(args.out)
    add_picture(args.out, usual, lambda path: drawing.filters(kernels, path, net.name),
                "the kernels: ")
    add_picture(beside, _beside(usual),
                lambda path: drawing.colours(rows, kernels, path, net.name),
                "their colour specificity: ")
    return 0


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}-colour.png")


def _parse(argv):
    parser = ArgumentParser(
        prog="python -m tinyalex.filters",
        description="Draw the kernels of the first layer, tower a above tower b (figure 3 of the "
                    "paper), and say how much each tower cares about colour (section 6.1): the "
                    "share of its kernels' energy that is off the grey axis, and its history.")
    parser.add_argument("checkpoint", type=Path, metavar="RUN_OR_CHECKPOINT",
                        help="a run folder, or an .npz file")
    parser.add_argument("--out", type=output(".png"), metavar="PNG", help="where to draw them; "
                        "filters.png beside the checkpoint if not given. The colour specificity is "
                        "drawn beside it, as …-colour.png")
    return parser.parse_args(argv)


def _table(kernels: dict[str, np.ndarray], rows: list[dict]) -> str:
    """A line for each tower: how many kernels, and their colour specificity."""
    lines = [("tower", "kernels", "specificity", "first logged", "below 1/3", "above 2/3")]
    for tower, array in kernels.items():
        each = colour_specificity(array)
        logged = [row[key] for row in rows if row.get(key := f"colour_{tower or 'a'}") is not None]
        lines.append((tower or "–", str(len(each)), f"{tower_specificity(array):.3f}",
                      f"{logged[0]:.3f}" if logged else "–",
                      str((each < 1 / 3).sum()), str((each > NOISE).sum())))
    return align(lines, total=False)


if __name__ == "__main__":
    sys.exit(run(main))
