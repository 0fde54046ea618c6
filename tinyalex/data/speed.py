"""How fast the loader feeds pictures, and what limits it: python -m tinyalex.data speed."""

import time
from argparse import ArgumentTypeError
from statistics import median

import numpy as np

from tinyalex.data.augment import add_colour, crop_places
from tinyalex.data.loader import Loader
from tinyalex.support.cli import number

ROUNDS = 7  # the numbers of workers take turns, so that other work on the machine hits them alike


def counts(text: str) -> tuple[int, ...]:
    """An argparse type: numbers of workers, "1,2"."""
    values = tuple(number(int, 1, 256)(part) for part in text.split(","))
    if len(set(values)) < len(values):
        raise ArgumentTypeError(f"{text!r} has a number twice")
    return values


def rates(loaders: dict[int, Loader], pictures: int) -> dict[int, list[float]]:
    """Pictures a second by number of workers, ROUNDS figures for each.

    A round is at least `pictures` pictures, or an epoch; each batch is dropped as soon as it comes.
    """
    measured = {n: [] for n in loaders}
    for epoch in range(1, ROUNDS + 1):
        for n, loader in loaders.items():
            measured[n].append(_rate(loader, epoch, pictures))
    return measured


def _rate(loader: Loader, epoch: int, pictures: int) -> float:
    start, fed = time.perf_counter(), 0
    for x, labels in loader.epoch(epoch):
        fed += len(labels)
        spent = time.perf_counter() - start
        del x
        if fed >= pictures:
            break
    return fed / spent


def parts(loader: Loader, count: int) -> dict[str, float]:
    """Microseconds that each part of the loader's work takes for one picture, by name: medians of
    ROUNDS times `count` pictures in one thread."""
    dataset, side, colour = loader.dataset, loader.side, loader.colour
    count, (height, width) = min(count, len(dataset)), dataset.images.shape[1:3]
    rng = np.random.default_rng(0)
    places = crop_places(rng, count, height, width, side).tolist()
    some = rng.permutation(len(dataset)).tolist()
    pictures = np.zeros((count, height, width, 3), np.uint8)
    x = np.zeros((count, side, side, 3), np.float32)

    def read(k):
        pictures[k] = dataset.images[some[k]]

    def view(k, mirrored):
        loader.view(pictures[k], (*places[k][:2], mirrored), x[k])

    work = {"read": read, "crop - mean": lambda k: view(k, 0),
            "same, mirrored": lambda k: view(k, 1)}
    if colour is not None:
        shifts = colour.shifts(0, 1, count)
        work["colour noise"] = lambda k: add_colour(x[k], shifts[k])
    factor = np.float32(loader.scale / (colour.divisor if colour else 1))
    if factor != 1:
        work["scale"] = lambda k: np.multiply(x[k], factor, out=x[k])
    took = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, do in work.items():
            start = time.perf_counter()
            for k in range(count):
                do(k)
            took[name].append(1e6 * (time.perf_counter() - start) / count)
    return {name: median(times) for name, times in took.items()}


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
