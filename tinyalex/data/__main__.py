"""python -m tinyalex.data: which datasets there are; fetching one, or published weights; a look at
a dataset, and at what training does to it; how fast the loader is."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tinyalex import drawing
from tinyalex.data import augment_page, cifar10, sources, speed, weights
from tinyalex.data.fetch import URL, fetch, present
from tinyalex.support.cli import ArgumentParser, number, output, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder
from tinyalex.support.text import command, megabytes, plural, say


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.data`; argv without the program's name."""
    parser = ArgumentParser(prog="python -m tinyalex.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (add_list, add_fetch, add_show, augment_page.add, speed.add):
        add(commands)
    args = parser.parse_args(argv)
    return args.run(args)


def add_list(commands: argparse._SubParsersAction) -> None:
    """The command behind `list`."""
    parser = commands.add_parser("list", help="which datasets and weights there are, and where")
    parser.set_defaults(run=_list)


def _list(args: argparse.Namespace) -> int:
    rows = [("name", "present", "where"), ("shapes", "yes", "built in: made on first use"),
            _row("cifar10", cache_folder(), present)]
    rows += [_row(name, weights.folder(), partial(weights.present, name)) for name in weights.NAMES]
    for row in rows:
        say("{:<19} {:<8} {}".format(*row))
    return 0


def _row(name: str, folder: Path, look: Callable[[Path], Path | None]) -> tuple[str, str, object]:
    """A row of the list. look: where it lies in a folder; None where it does not, UserError where
    it is broken."""
    try:
        if where := look(folder):
            return name, "yes", where
        return name, "no", f"would be in {folder}; to fetch it: {command('data', 'fetch', name)}"
    except UserError as error:
        return name, "broken", f"{error.args[0]}; {error.hint}"


def add_fetch(commands: argparse._SubParsersAction) -> None:
    """The command behind `fetch`."""
    # HelpFormatter: the default folder depends on the machine, so the help says it in words.
    parser = commands.add_parser("fetch", help="download a dataset, or published weights",
                                 formatter_class=argparse.HelpFormatter)
    parser.add_argument("name", choices=["cifar10", *weights.NAMES], help="which")
    parser.add_argument("--folder", type=Path, metavar="DIR",
                        help="where to put it (default: $TINYALEX_DATA, else ~/.cache/tinyalex; "
                        "for weights, its folder weights)")
    parser.add_argument("--url", help="another address of the same file (for CIFAR-10, the "
                        "archive, binary or python version)")
    parser.set_defaults(run=_fetch)


def _fetch(args: argparse.Namespace) -> int:
    if args.name in weights.NAMES:
        return _fetch_weights(args)
    folder, url = args.folder or cache_folder(), args.url or URL
    where = present(folder)
    if where:
        if any(folder.glob(".cifar10*")):  # left by one that was killed at its very end
            fetch(folder, url)
        say(f"cifar10 is already there, complete and checked: {where}")
        return 0
    say(f"fetching {url}", f"      to {folder}")
    where = fetch(folder, url)
    train, val = (len(batches) * cifar10.PICTURES_A_BATCH for batches in cifar10.SPLITS.values())
    say(f"cifar10: {train:,} pictures to train on, {val:,} to validate with, in {where}")
    load = f"cifar10.load('train', {str(folder)!r})" if args.folder else "cifar10.load('train')"
    say(f"to read it: from tinyalex.data import cifar10; {load}")
    return 0


def _fetch_weights(args: argparse.Namespace) -> int:
    published = weights.PUBLISHED[args.name]
    folder, url = args.folder or weights.folder(), args.url or published.url
    if not (folder / published.file).exists():
        say(f"fetching {url}", f"      to {folder}")
    where = weights.fetch(args.name, folder, url)
    say(f"{args.name}: {megabytes(where.stat().st_size)}, complete and checked: {where}",
        f"licence: {published.licence}",
        f"to start from it: {command('train', '--from', where, '--data', 'FOLDER')}")
    return 0


def add_show(commands: argparse._SubParsersAction) -> None:
    """The command behind `show`."""
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
    say(f"{plural(len(dataset), 'picture')} of {dataset.name}: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
