"""python -m tinyalex.data: which datasets there are; fetching one; a look at one."""

import argparse
import sys
from pathlib import Path

from tinyalex import plots
from tinyalex.data import cifar10, sources
from tinyalex.data.fetch import URL, fetch, present
from tinyalex.errors import ArgumentParser, UserError, number, run
from tinyalex.files import cache_folder


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.data`; argv without the programme's name."""
    parser = ArgumentParser(prog="python -m tinyalex.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the datasets there are, and where they lie")
    # HelpFormatter: the default folder depends on the machine, so the help says it in words.
    add = commands.add_parser("fetch", help="download a dataset",
                              formatter_class=argparse.HelpFormatter)
    add.add_argument("dataset", choices=["cifar10"], help="which one")
    add.add_argument("--folder", type=Path, metavar="DIR",
                     help="where to put it (default: $TINYALEX_DATA, else ~/.cache/tinyalex)")
    add.add_argument("--url", default=URL,
                     help="its archive, binary or python version (default: %(default)s)")
    add = commands.add_parser("show", help="draw some of a dataset's pictures")
    add.add_argument("dataset", nargs="?", default="shapes", metavar="DATA", help=sources.KINDS)
    add.add_argument("--split", choices=["train", "val"], default="val")
    add.add_argument("--count", type=number(int, 1, 1000), default=40, help="how many pictures")
    add.add_argument("--out", type=Path, default=Path("pictures.png"), help="the PNG to write")
    args = parser.parse_args(argv)
    if args.command == "list":
        return _list()
    if args.command == "show":
        return _show(args.dataset, args.split, args.count, args.out)
    return _fetch_cifar10(args.folder, args.url)


def _show(source: str, split: str, count: int, out: Path) -> int:
    some = sources.load(source, split, side=None, limit=count)
    plots.samples(some.images, [some.classes[label].replace(" ", "\n") for label in some.labels],
                  out)
    print(f"{len(some)} pictures of {some.name}: {out}")
    return 0


def _list() -> int:
    print(f"{'dataset':<9} {'present':<8} where")
    print(f"{'shapes':<9} {'yes':<8} built in: made on first use")
    folder = cache_folder()
    try:
        where = present(folder)
    except UserError as error:
        print(f"{'cifar10':<9} {'broken':<8} {error.args[0]}; {error.hint}")
        return 0
    missing = f"would be in {folder}; to fetch it: python -m tinyalex.data fetch cifar10"
    print(f"{'cifar10':<9} {'yes' if where else 'no':<8} {where or missing}")
    return 0


def _fetch_cifar10(folder: Path | None, url: str) -> int:
    load = "cifar10.load('train')" if folder is None else f"cifar10.load('train', {str(folder)!r})"
    folder = folder or cache_folder()
    where = present(folder)
    if where:
        print(f"cifar10 is already there, complete and checked: {where}")
        return 0
    print(f"fetching {url}\n      to {folder}", flush=True)
    where = fetch(folder, url)
    train, val = (len(batches) * cifar10.PICTURES_A_BATCH for batches in cifar10.SPLITS.values())
    print(f"cifar10: {train:,} pictures to train on, {val:,} to validate with, in {where}")
    print(f"to read it: from tinyalex.data import cifar10; {load}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
