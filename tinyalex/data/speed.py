"""How fast the loader delivers pictures, and what limits it: python -m tinyalex.data speed."""

import argparse
import os
import time
from collections.abc import Callable
from statistics import median
from timeit import repeat

import numpy as np

from tinyalex.data import sources
from tinyalex.data.augment import NOISES, add_colour, crop_places
from tinyalex.data.loader import Loader
from tinyalex.run import presets
from tinyalex.support.cli import number
from tinyalex.support.errors import UserError
from tinyalex.support.text import plural, say

ROUNDS = 7  # the numbers of workers take turns, so that other work on the machine hits them alike
A_ROUND = 2048  # pictures, or an epoch
IN_PARTS = 200  # pictures whose way through the loader is taken apart


def add(commands: argparse._SubParsersAction) -> None:
    """The command behind `speed`."""
    parser = commands.add_parser("speed", help="measure the loader's pictures a second")
    parser.add_argument("--preset", metavar="NAME", default="tiny",
                        help=f"whose crops, scale and batches: {', '.join(presets.PRESETS)}")
    parser.add_argument("--data", metavar="WHAT",
                        help=f"{sources.KINDS}; the preset's if not given")
    parser.add_argument("--limit", type=number(int, 1), help="read only the first LIMIT pictures")
    parser.add_argument("--workers", type=counts, default="1,2", metavar="LIST",
                        help="numbers of threads to compare")
    parser.add_argument("--colour", choices=["none", *NOISES], default="none",
                        help="colour noise, as the paper prints it or as its authors ran it")
    parser.set_defaults(run=run)


def counts(text: str) -> tuple[int, ...]:
    """An argparse type: numbers of workers, "1,2"."""
    values = tuple(int(number(int, 1, 256)(part)) for part in text.split(","))
    if len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"{text!r} has a number twice")
    return values


def run(args: argparse.Namespace) -> int:
    """Measure, and print both tables."""
    preset = presets.get(args.preset)
    source = args.data or preset.data
    if not source:
        raise UserError(f"--preset {args.preset} needs to know the data",
                        "name it with --data WHAT.")
    dataset = sources.load(source, "train", preset.picture, args.limit)
    side, statistics = preset.network().input_shape[0], dataset.measure()
    noise = NOISES[args.colour](statistics) if args.colour in NOISES else None
    loaders = {n: Loader(dataset, side, statistics.mean, scale=preset.scale, shuffle=True,
                         batch_size=preset.batch_size, augment=True, colour=noise, workers=n)
               for n in args.workers}
    height, width = dataset.images.shape[1:3]
    say(f"{plural(len(dataset), 'picture')} of {width}×{height}, {dataset.name}",
        f"crops of {side}×{side}, colour noise: {args.colour}, batch {preset.batch_size}, "
        f"{plural(os.cpu_count() or 1, 'core')}", "")
    print(report(rates(loaders), parts(loaders[args.workers[0]])))
    return 0


def rates(loaders: dict[int, Loader]) -> dict[int, list[float]]:
    """Pictures a second by number of workers, ROUNDS numbers for each; a batch is dropped as soon
    as it arrives."""
    measured: dict[int, list[float]] = {n: [] for n in loaders}
    for epoch in range(1, ROUNDS + 1):
        for n, loader in loaders.items():
            start, fed = time.perf_counter(), 0
            for x, labels in loader.epoch(epoch):
                fed += len(labels)
                spent = time.perf_counter() - start
                del x
                if fed >= A_ROUND:
                    break
            measured[n].append(fed / spent)
    return measured


def parts(loader: Loader) -> dict[str, float]:
    """Microseconds that each part of the loader's work takes for one picture, by name: medians of
    ROUNDS times IN_PARTS pictures in one thread."""
    dataset, side, colour = loader.dataset, loader.side, loader.colour
    count, (height, width) = min(IN_PARTS, len(dataset)), dataset.images.shape[1:3]
    rng = np.random.default_rng(0)
    places = crop_places(rng, count, height, width, side).tolist()
    order = rng.permutation(len(dataset)).tolist()
    pictures = np.zeros((count, height, width, 3), np.uint8)
    x = np.zeros((count, side, side, 3), np.float32)

    def read(k: int) -> None:
        pictures[k] = dataset.images[order[k]]

    def view(k: int, mirrored: int) -> None:
        loader.view(pictures[k], (*places[k][:2], mirrored), x[k])

    work: dict[str, Callable[[int], object]] = {
        "read": read, "crop - mean": lambda k: view(k, 0), "same, mirrored": lambda k: view(k, 1)}
    if colour is not None:
        shifts = colour.shifts(0, 1, count)
        work["colour noise"] = lambda k: add_colour(x[k], shifts[k])
    factor = np.float32(loader.scale / (colour.divisor if colour else 1))
    if factor != 1:
        work["scale"] = lambda k: np.multiply(x[k], factor, out=x[k])
    return {name: _microseconds(do, count) for name, do in work.items()}


def _microseconds(do: Callable[[int], object], count: int) -> float:
    rounds = repeat(lambda: [do(k) for k in range(count)], number=1, repeat=ROUNDS)
    return median(rounds) * 1e6 / count


def report(measured: dict[int, list[float]], took: dict[str, float]) -> str:
    """Both as text: a line for each number of workers, then one for each part."""
    lines = [f"workers  images/s   (lowest to highest of {ROUNDS} rounds)"]
    lines += [f"{n:>7} {median(rounds):>9,.0f}   ({min(rounds):,.0f} to {max(rounds):,.0f})"
              for n, rounds in measured.items()]
    lines += ["", "of one picture    µs"]
    lines += [f"{name:<14} {time_:>5.0f}" for name, time_ in took.items()]
    # Half of the pictures are mirrored. A crop is taken from where it lies, without a copy of all.
    spent = sum(took.values()) - took["read"] - (took["crop - mean"] + took["same, mirrored"]) / 2
    lines.append(f"{'on average':<14} {spent:>5.0f}   without reading: {1e6 / spent:,.0f} images/s "
                 "for one thread")
    return "\n".join(lines)
