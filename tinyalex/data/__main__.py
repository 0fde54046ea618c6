"""python -m tinyalex.data: which datasets there are; fetching one; a look at one, and at what
training does to it; how fast it is fed."""

import argparse
import sys
from pathlib import Path

import numpy as np

from tinyalex import drawing
from tinyalex.data import augment_page, cifar10, sources, speed
from tinyalex.data.fetch import URL, fetch, present
from tinyalex.support.cli import ArgumentParser, number, output, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder
from tinyalex.support.text import say


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.data`; argv without the program's name."""
    parser = ArgumentParser(prog="python -m tinyalex.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (add_list, add_fetch, add_show, augment_page.add, speed.add):
        add(commands)
    args = parser.parse_args(argv)
    return args.run(args)


def add_list(commands: argparse._SubParsersAction) -> None:
    """The door to `list`."""
    parser = commands.add_parser("list", help="the datasets there are, and where they lie")
    parser.set_defaults(run=_list)


def _list(args: argparse.Namespace) -> int:
    folder = cache_folder()
    try:
        where = present(folder)
        there = "yes" if where else "no"
        about = where or f"would be in {folder}; to fetch it: python -m tinyalex.data fetch cifar10"
    except UserError as error:
        there, about = "broken", f"{error.args[0]}; {error.hint}"
    for row in (("dataset", "present", "where"), ("shapes", "yes", "built in: made on first use"),
                ("cifar10", there, about)):
        say("{:<9} {:<8} {}".format(*row))
    return 0


def add_fetch(commands: argparse._SubParsersAction) -> None:
    """The door to `fetch`."""
    # HelpFormatter: the default folder depends on the machine, so the help says it in words.
    parser = commands.add_parser("fetch", help="download a dataset",
                                 formatter_class=argparse.HelpFormatter)
    parser.add_argument("dataset", choices=["cifar10"], help="which one")
    parser.add_argument("--folder", type=Path, metavar="DIR",
                        help="where to put it (default: $TINYALEX_DATA, else ~/.cache/tinyalex)")
    parser.add_argument("--url", default=URL,
                        help="its archive, binary or python version (default: %(default)s)")
    parser.set_defaults(run=_fetch)


def _fetch(args: argparse.Namespace) -> int:
    folder = args.folder or cache_folder()
    where = present(folder)
    if where:
        if any(folder.glob(".cifar10*")):  # left by one that was killed at its very end
            fetch(folder, args.url)
        say(f"cifar10 is already there, complete and checked: {where}")
        return 0
    say(f"fetching {args.url}", f"      to {folder}")
    where = fetch(folder, args.url)
    train, val = (len(batches) * cifar10.PICTURES_A_BATCH for batches in cifar10.SPLITS.values())
    say(f"cifar10: {train:,} pictures to train on, {val:,} to validate with, in {where}")
    load = f"cifar10.load('train', {str(folder)!r})" if args.folder else "cifar10.load('train')"
    say(f"to read it: from tinyalex.data import cifar10; {load}")
    return 0


def add_show(commands: argparse._SubParsersAction) -> None:
    """The door to `show`."""
    parser = commands.add_parser("show", help="draw some of a dataset's pictures")
    parser.add_argument("dataset", nargs="?", default="shapes", metavar="DATA", help=sources.KINDS)
    parser.add_argument("--split", choices=["train", "val"], default="val")
    parser.add_argument("--count", type=number(int, 1, 1000), default=40, help="how many pictures")
    parser.add_argument("--out", type=output(".png"), default="pictures.png",
                        help="the PNG to write")
    parser.set_defaults(run=_show)


def _show(args: argparse.Namespace) -> int:
    dataset = sources.load(args.dataset, args.split, side=None, limit=args.count)
    captions = [dataset.classes[label].replace(" ", "\n") for label in dataset.labels]
    drawing.samples(np.asarray(dataset.images), captions, args.out)
    say(f"{len(dataset)} pictures of {dataset.name}: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
