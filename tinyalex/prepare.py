"""python -m tinyalex.prepare: turn photographs, in folders or archives, into a dataset; see
--help."""

import argparse
import sys
import time
from collections.abc import Mapping, Sized
from math import inf
from pathlib import Path

import numpy as np
from PIL import Image

from tinyalex import drawing
from tinyalex.data import folder, imagenet, labels, shards
from tinyalex.data.dataset import Dataset
from tinyalex.data.pictures import MAX_PIXELS
from tinyalex.data.preparation import MAX_BROKEN, SKIPPED, bytes_needed, prepare
from tinyalex.run.presets import PRESETS
from tinyalex.support import reading
from tinyalex.support.cli import ArgumentParser, add_picture, number, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import write_text
from tinyalex.support.text import command, plural, say, shown

NAMES = "synset_words.txt"  # what ImageNet's classes are called; --names of predict reads it
LOOK = 39  # prepared pictures in look.png; the mean picture makes forty


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.prepare`; argv without the program's name."""
    parser = _parser(argv)
    args = parser.parse_args(argv)
    listing = _listing(args, parser)
    if not listing.split:
        parser.refuse(["--val-share", "--seed"],
                      f"{listing.folder} says itself which pictures are for validation")
    say(f"source   {listing.folder}: {_counts(listing.splits)} in "
        f"{plural(len(listing.classes), 'class')}",
        f"layout   {listing.layout}")
    if isinstance(listing, imagenet.Packed) and any(
            len(pictures) not in (0, imagenet.COUNTS[split])
            for split, pictures in listing.splits.items()):
        say("         all of ImageNet has {train:,} to train on, {val:,} to validate with".format(
            **imagenet.COUNTS))
    if listing.left_out:
        say(folder.left_out(listing.left_out))
    say(f"out      {args.out}: {bytes_needed(len(listing), args.side) / 1e6:,.0f} MB of "
        f"{args.side}×{args.side} pictures")
    start = time.perf_counter()
    done = prepare(listing, args.out, args.side, args.max_pixels, args.max_broken, args.workers)
    seconds = time.perf_counter() - start
    print(f"read     {plural(done, 'picture')} in {seconds:.1f} s, {done / seconds:,.0f} images/s"
          if done else "read     nothing: everything was already done")
    if listing.words:
        lines = [shown(f"{name} {listing.words[name]}") for name in listing.classes
                 if name in listing.words]
        write_text(args.out / NAMES, "\n".join(lines) + "\n")
    return _farewell(args.out)


def _listing(args: argparse.Namespace, parser: ArgumentParser) -> folder.Listing:
    """The pictures that the command line names."""
    archives = {split: path for split in imagenet.PUBLISHED if (path := getattr(args, split))}
    if not archives and args.source.is_dir():
        archives = imagenet.beside(args.source)
    if args.verify and not archives:
        raise UserError(f"--verify: {args.source} has none of the archives whose checksums are "
                        "published", "leave it out.")
    if archives or args.source.is_file():
        parser.refuse(["--val-labels", "--val-share", "--seed"], "ImageNet's archives say "
                      "themselves which pictures are for validation, and of which classes")
    if archives and not archives.keys() >= {"val", "devkit"}:
        raise UserError(f"without {imagenet.PUBLISHED['val'].what} and "
                        f"{imagenet.PUBLISHED['devkit'].what}, nothing can be validated",
                        "name all archives, with --train, --val and --devkit.")
    if args.verify:
        imagenet.verify(archives)
    if archives:
        return imagenet.from_tars(**archives)
    if args.source.is_file():
        if args.source.suffix.lower() == imagenet.ZIP:
            return imagenet.from_kaggle(args.source)
        raise UserError(f"{args.source}: neither a folder nor Kaggle's .zip",
                        "name ImageNet's tars with --train, --val and --devkit.")
    return folder.listing(args.source, args.val_labels, args.val_share, args.seed)


def _parser(argv: list[str] | None) -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m tinyalex.prepare",
        usage="%(prog)s [options] SOURCE OUT\n       %(prog)s [options] [--train TAR] --val TAR "
              "--devkit TAR.GZ OUT",
        description="Turn photographs into a dataset that opens at once: each "
                    "scaled and cut to a square (paper, section 2), as raw pixels in files that "
                    "are mapped into memory. Run it again to continue after a stop or a kill.",
        epilog="docs/data.md shows the layouts, the files, and the disk and time that it takes; "
               "docs/imagenet.md, the way from ImageNet's archives to the paper's table.")
    add = parser.add_argument
    words = {word.partition("=")[0] for word in (sys.argv[1:] if argv is None else argv)}
    if words & {f"--{split}" for split in imagenet.PUBLISHED}:
        parser.set_defaults(source=None)
    else:
        add("source", type=Path, metavar="SOURCE", help="a folder with train/<class>/ and "
            "val/<class>/, with train/<class>/ and a val/ without classes, or with <class>/ alone; "
            "a folder with ImageNet's three archives; Kaggle's ImageNet as a .zip, or unpacked")
    add("out", type=Path, metavar="OUT", help="the folder to write")
    for split, published in imagenet.PUBLISHED.items():
        add(f"--{split}", type=Path, metavar="FILE", help=f"ImageNet's {published.what}, which is "
            "read without unpacking it")
    add("--verify", action="store_true", help="compare these archives with their published MD5 "
        "sums first")
    add("--side", type=number(int, 1, 4096), default=256, help="pixels of a prepared picture")
    add("--val-labels", type=Path, metavar="FILE", help="the classes of a val/ without class "
        f"folders; {', '.join(labels.NAMES)} are found without it")
    add("--val-share", type=number(float, 0, 0.9), default=folder.VAL_SHARE,
        help="share of each class to validate with, where there is no val/")
    add("--seed", type=number(int, 0, 2**63), default=0, help="which pictures these are")
    add("--max-broken", type=number(float, 0, 1), default=MAX_BROKEN,
        help="share of pictures that may be skipped because they cannot be read")
    add("--max-pixels", type=number(int, 1, Image.MAX_IMAGE_PIXELS or inf), default=MAX_PIXELS,
        help="larger pictures are skipped, unread")
    add("--workers", type=number(int, 1, 1024), help="threads; all cores if not given")
    return parser


def _counts(splits: Mapping[str, Sized]) -> str:
    words = {"train": "to train on", "val": "to validate with"}
    return ", ".join(f"{len(pictures):,} {words[split]}" for split, pictures in splits.items())


def _farewell(out: Path) -> int:
    """Say what is there now, and what to try next. Returns the exit status: 1 where pictures were
    skipped."""
    about, labels = shards.about(out), shards.numbers(out)
    classes = about["classes"]
    say(f"classes  {len(classes):,}: {', '.join(classes[:5])}{', …' * (len(classes) > 5)}")
    print(f"pictures {_counts({split: labels[split] for split in about['shards']})}")
    if about["skipped"]:
        lines = reading.content(out / SKIPPED, 1 << 30).decode("utf-8", "replace").splitlines()
        say(f"skipped  {about['skipped']:,}: see {out / SKIPPED}",
            " " * 9 + "; ".join(lines[:3]) + "; …" * (len(lines) > 3))
    print(f"disk     {sum(p.stat().st_size for p in out.iterdir()) / 1e6:,.0f} MB")
    sets = [shards.load(out, split) for split, counts in about["shards"].items() if sum(counts)]
    if not sets:
        raise UserError(f"{out}: none of the pictures could be read",
                        f"see {out / SKIPPED}, and prepare others.")
    _look(sets[0].first(LOOK), out / "look.png")
    if len(sets) < 2:
        print("one of the splits is empty: training needs both (two pictures of a class do)")
        return int(about["skipped"] > 0)
    sides = {preset.recipe.picture: name for name, preset in reversed(PRESETS.items())}
    if about["side"] in sides:
        preset = sides[about["side"]]
        say("next:", f"    {command('train', '--preset', preset, '--data', out)}")
    else:
        read = ", ".join(map(str, sorted(sides)))
        print(f"no preset reads pictures of this side: they want {read}")
    return int(about["skipped"] > 0)


def _look(dataset: Dataset, path: Path) -> None:
    """Draw the pictures, and say what was measured over all those to train on, if there are any."""
    images = list(np.asarray(dataset.images))
    captions = [dataset.classes[label].replace(" ", "\n") for label in dataset.labels]
    if (statistics := dataset.statistics) is not None:
        print("mean     {:.2f}, {:.2f}, {:.2f} (R, G, B; 0 to 255)".format(
            *statistics.mean.mean(axis=(0, 1), dtype=np.float64)))
        print("√λ       {:.2f}, {:.2f}, {:.2f} (standard deviation along the principal colours)"
              .format(*np.sqrt(statistics.principal_colours()[0])))
        images.append(statistics.mean.round().astype(np.uint8))
        captions.append("mean picture")
    add_picture(None, path, lambda path: drawing.samples(np.stack(images), captions, path),
                "a look   ")


if __name__ == "__main__":
    sys.exit(run(main))
