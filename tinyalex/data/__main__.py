"""python -m tinyalex.data: which datasets there are; fetching one; a look at one, and at what
training does to it; how fast it is fed."""

import argparse
import os
import sys
from pathlib import Path

from tinyalex import drawing
from tinyalex.data import augment_page, cifar10, sources, speed
from tinyalex.data.augment import NOISES
from tinyalex.data.fetch import URL, fetch, present
from tinyalex.data.loader import Loader
from tinyalex.run import presets
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder


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
    add = commands.add_parser("augment", help="draw what training and testing do to some pictures")
    add.add_argument("--data", default="shapes", metavar="WHAT", help=sources.KINDS)
    add.add_argument("--limit", type=number(int, 1), help="read only the first LIMIT pictures")
    add.add_argument("--seed", type=number(int, 0, 2**63), default=0,
                     help="of the choice of pictures, crops and colours")
    add.add_argument("--pictures", type=number(int, 1, 20), default=1, help="how many")
    add.add_argument("--out", type=Path, default=Path("augment.png"), help="the PNG to write")
    add = commands.add_parser("speed", help="measure how many pictures a second are fed")
    add.add_argument("--preset", metavar="NAME", default="tiny",
                     help=f"whose crops, scale and batches: {', '.join(presets.PRESETS)}")
    add.add_argument("--data", metavar="WHAT", help=f"{sources.KINDS}; the preset's if not given")
    add.add_argument("--limit", type=number(int, 1), help="read only the first LIMIT pictures")
    add.add_argument("--workers", type=speed.counts, default="1,2", metavar="LIST",
                     help="numbers of threads to compare")
    add.add_argument("--colour", choices=["none", *NOISES], default="none",
                     help="colour noise, as the paper prints it or as its authors ran it")
    args = parser.parse_args(argv)
    if args.command == "list":
        return _list()
    if args.command == "show":
        return _show(args.dataset, args.split, args.count, args.out)
    if args.command == "augment":
        return _augment(args.data, args.limit, args.seed, args.pictures, args.out)
    if args.command == "speed":
        return _speed(args.preset, args.data, args.limit, args.workers, args.colour)
    return _fetch_cifar10(args.folder, args.url)


def _show(source: str, split: str, count: int, out: Path) -> int:
    some = sources.load(source, split, side=None, limit=count)
    drawing.samples(some.images, [some.classes[label].replace(" ", "\n") for label in some.labels],
                  out)
    print(f"{len(some)} pictures of {some.name}: {out}")
    return 0


def _augment(source: str, limit: int | None, seed: int, pictures: int, out: Path) -> int:
    dataset = sources.load(source, "train", limit=limit)
    augment_page.draw(dataset, out, seed, pictures)
    print(f"what becomes of a picture of {dataset.name}: {out}")
    return 0


def _speed(preset: str, source: str | None, limit: int | None, workers: tuple[int, ...],
           colour: str) -> int:
    chosen = presets.get(preset)
    if not (source or chosen.data):
        raise UserError(f"--preset {preset} needs to know the data", "name it with --data WHAT.")
    dataset = sources.load(source or chosen.data, "train", chosen.picture, limit)
    side, statistics = chosen.network().input_shape[0], dataset.measure()
    noise = NOISES[colour](statistics) if colour in NOISES else None
    loaders = {n: Loader(dataset, side, statistics.mean, scale=chosen.scale, shuffle=True,
                         batch_size=chosen.batch_size, augment=True, colour=noise, workers=n)
               for n in workers}
    height, width = dataset.images.shape[1:3]
    print(f"{len(dataset):,} pictures of {width}×{height}, {dataset.name}\n"
          f"crops of {side}×{side}, colour noise: {colour}, batch {chosen.batch_size}, "
          f"{os.cpu_count()} cores\n", flush=True)
    print(speed.report(speed.rates(loaders, pictures=2048),
                       speed.parts(loaders[workers[0]], count=200)))
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
