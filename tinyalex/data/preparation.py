"""Photographs become raw pixels of one size, once, so that training never waits for a JPEG.

The work is cut into shards of pictures. All cores read a shard's pictures, then its two files are
written, each under another name until it is whole: first .npy, then .npz, whose presence says that
the shard is done. Killed at any moment, the next run finds whole shards, and makes the others. No
file depends on how often that happened, or on the number of cores.
"""

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tinyalex.data.folder import Listing, Picture
from tinyalex.data.pictures import MAX_PIXELS, BrokenPicture, read_picture
from tinyalex.data.shards import (
    ABOUT,
    FORMAT,
    NUMBERS,
    PLAN,
    allow_open_files,
    open_shard,
    read_npz,
    stem,
)
from tinyalex.data.statistics import Sums
from tinyalex.devices import Threads, available_cores
from tinyalex.support import reading
from tinyalex.support.arrays import Damaged, save_npz
from tinyalex.support.errors import UserError
from tinyalex.support.files import alone, expect_room, remove_leftovers, replacing, write_text
from tinyalex.support.progress import progress
from tinyalex.support.text import plural, shown

SHARD = 1024  # pictures in a file: 200 MB of 256×256
GROUP = 16  # pictures that are added up at a time
MAX_BROKEN = 0.05
SKIPPED = "skipped.txt"


@dataclass(frozen=True)
class Shard:
    """pictures: those listed for it, of which some may turn out to be broken. path: the .npy."""

    path: Path
    pictures: list[Picture]

    def known(self, side: int) -> dict[str, np.ndarray]:
        """What its .npz holds: labels and names; skipped (names) and reasons; pixels and products,
        the sums over its pictures, () where there are none. UserError where it is damaged."""
        path = self.path.with_suffix(".npz")
        count = len(read_npz(path, {"labels": ("iu", (None,))})["labels"])
        skipped = (len(self.pictures) - count,)
        return read_npz(path, {
            "labels": ("iu", (count,)), "names": ("U", (count,)),
            "skipped": ("U", skipped), "reasons": ("U", skipped),
            "pixels": ("i", (side, side, 3) if count else ()),
            "products": ("i", (3, 3) if count else ())})

    def is_done(self, side: int) -> bool:
        """Whether both files are there, and whole."""
        try:
            open_shard(self.path, (len(self.known(side)["labels"]), side, side, 3))
            return True
        except UserError:
            return False

    def skipped(self, side: int) -> list[str]:
        """The pictures that could not be read, each with the reason."""
        known = self.known(side)
        return [f"{name}: {reason}" for name, reason in
                zip(known["skipped"].tolist(), known["reasons"].tolist(), strict=True)]


def prepare(listing: Listing, out: Path, side: int, max_pixels: int = MAX_PIXELS,
            max_broken: float = MAX_BROKEN, workers: int | None = None, wait: bool = False) -> int:
    """Write the pictures of `listing` to the folder `out`, as side×side pixels; see shards.py.

    max_pixels: larger pictures are skipped unread. max_broken: the largest share of pictures that
    may be skipped. workers: threads; all cores if None (Pillow unpacks and scales without the GIL).
    wait: for the end of another process that prepares them in `out`.

    Returns how many pictures were read: what an earlier run has finished is kept. Raises UserError
    where `out` holds something else, or was begun with other settings or pictures; where another
    process is working in it; where the disk is too small; for too many broken pictures. After a
    KeyboardInterrupt all threads have ended, and it has said how to continue.
    """
    if out.resolve().is_relative_to(listing.folder.resolve()):
        raise UserError(f"{out}: inside {listing.folder}, whose pictures are to be prepared",
                        "name a folder beside it.")
    shards, done, todo = _shards(listing, out), list[Shard](), list[Shard]()
    allow_open_files(len(shards))  # or it could not be opened in the end
    out.mkdir(parents=True, exist_ok=True)
    with alone(out, wait=wait):
        _begin(listing, out, side, max_pixels)
        remove_leftovers(out, *(f"{shard.path.stem}{end}" for shard in shards
                                for end in (".npy", ".npz")))
        for shard in shards:
            (done if shard.is_done(side) else todo).append(shard)
        left, total = sum(len(shard.pictures) for shard in todo), len(listing)
        _check_disk(out, left, side)
        skipped = [line for shard in done for line in shard.skipped(side)]
        bar = progress(None, "preparing", total, "pictures", initial=total - left)
        try:
            with bar, _shared_out(workers or available_cores()) as each:
                _check_broken(out, skipped, max_broken, total)
                for shard in todo:
                    _make(shard, side, partial(_read, listing, max_pixels), each)
                    bar.update(len(shard.pictures))
                    skipped += shard.skipped(side)
                    _check_broken(out, skipped, max_broken, total)
        except KeyboardInterrupt:
            kept = sum(len(shard.pictures) for shard in shards if shard.is_done(side))
            print(f"\ndone: {kept:,} of {plural(total, 'picture')}; the same command continues "
                  "from there", flush=True)
            raise
        if todo or not is_finished(out):
            _finish(listing, out, side, shards)
    return left


def is_finished(out: Path) -> bool:
    """Whether the folder is a dataset already."""
    return (out / ABOUT).is_file()


def bytes_needed(pictures: int, side: int) -> int:
    """What this many pictures take on disk: their pixels, and one per cent for the rest."""
    return round(pictures * side * side * 3 * 1.01)


def _begin(listing: Listing, out: Path, side: int, max_pixels: int) -> None:
    """Put the plan into the folder. UserError where another one, or anything else, is there."""
    plan = {"format": FORMAT, "side": side, "max_pixels": max_pixels, **(listing.split or {}),
            "pictures": len(listing), "listing": listing.digest()}
    path = out / PLAN
    if path.exists():
        try:
            before = reading.record(path)
        except Damaged as error:
            raise UserError(f"{path}: damaged ({error})",
                            f"remove {out}, and start again.") from None
        if before != plan:
            raise UserError(f"{out}: begun with {_difference(before, plan)}",
                            "continue as it was begun, or name a new folder.")
        return
    if not all(name.startswith(".") for name in os.listdir(out)):
        raise UserError(f"{out}: not empty, and not begun by tinyalex.prepare",
                        "name a new folder.")
    _check_disk(out, len(listing), side)
    write_text(path, json.dumps(plan, indent=2) + "\n")


def _difference(before: dict, now: dict) -> str:
    for name in {**now, **before}:
        if name != "listing" and before.get(name) != now.get(name):
            return f"{name} {before.get(name)}, and now it is {now.get(name)}"
    return "other pictures: some have been added, removed or changed since"


def _shards(listing: Listing, out: Path) -> list[Shard]:
    return [Shard(out / f"{stem(split, i)}.npy", pictures[i * SHARD : (i + 1) * SHARD])
            for split, pictures in listing.splits.items()
            for i in range(-(-len(pictures) // SHARD))]


def _check_disk(out: Path, pictures: int, side: int) -> None:
    expect_room(out, bytes_needed(pictures, side),
                f"{plural(pictures, 'picture')} of {side}×{side}")


def _check_broken(out: Path, skipped: list[str], max_broken: float, total: int) -> None:
    """UserError, and the report, where too many are broken; one is not, unless none may be."""
    if len(skipped) <= max(max_broken * total, max_broken > 0):
        return
    _report(out, skipped)
    raise UserError(f"{len(skipped)} of {plural(total, 'picture')} cannot be used, more than "
                    f"{max_broken:.1%}: {'; '.join(skipped[:3])}{'; …' * (len(skipped) > 3)}",
                    f"{out / SKIPPED} lists them; repair them, or allow more: python -m "
                    "tinyalex.prepare --max-broken.")


def _report(out: Path, skipped: list[str]) -> None:
    write_text(out / SKIPPED, "".join(f"{shown(line)}\n" for line in skipped))


@contextlib.contextmanager
def _shared_out(workers: int) -> Iterator[Callable[..., Iterator]]:
    """Like `map`, but with the work shared out to this many threads, which stop after a picture
    each when the block is left early. One worker is the calling thread."""
    threads = Threads(workers if workers > 1 else 0, "prepare")
    # Pillow warns about odd files, in any thread; those that are too odd get into the report. And
    # all cores are taken: a matrix product in a thread must not ask for more.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        try:
            yield threads.map
        finally:
            threads.shutdown()


def _make(shard: Shard, side: int, read: Callable[[Picture, np.ndarray], str],
          each: Callable[..., Iterator]) -> None:
    """Read the shard's pictures, and write its files."""
    images = np.empty((len(shard.pictures), side, side, 3), np.uint8)
    reasons = list(each(read, shard.pictures, images))
    good = [i for i, reason in enumerate(reasons) if not reason]
    bad = [i for i, reason in enumerate(reasons) if reason]
    if bad:
        images = images[good]
    groups = [images[at : at + GROUP] for at in range(0, len(images), GROUP)]
    sums = sum(each(Sums.of, groups), start=Sums())
    names = [picture.name for picture in shard.pictures]
    with replacing(shard.path) as part, open(part, "wb") as file:
        np.save(file, images)
    save_npz(shard.path.with_suffix(".npz"),
             labels=np.array([shard.pictures[i].label for i in good], np.int64),
             names=np.array([names[i] for i in good], np.str_),
             skipped=np.array([names[i] for i in bad], np.str_),
             reasons=np.array([reasons[i] for i in bad], np.str_),
             pixels=sums.pixels, products=sums.products)


def _read(listing: Listing, max_pixels: int, picture: Picture, image: np.ndarray) -> str:
    """Read a picture into `image`; returns what is wrong with it ("": nothing)."""
    try:
        image[:] = read_picture(listing.source(picture), len(image), max_pixels)
        return ""
    except BrokenPicture as error:
        return error.reason


def _finish(listing: Listing, out: Path, side: int, shards: list[Shard]) -> None:
    """The files of the dataset as a whole: statistics, labels, report; prepared.json last."""
    total, labels = Sums(), {split: [np.empty(0, np.int64)] for split in listing.splits}
    counts: dict[str, list[int]] = {split: [] for split in listing.splits}
    for shard in shards:
        known, split = shard.known(side), shard.path.name.split("-")[0]
        count = len(known["labels"])
        labels[split].append(known["labels"])
        counts[split].append(count)
        if split == "train":
            total += Sums(count, known["pixels"], known["products"])
    numbers = {split: np.concatenate(parts) for split, parts in labels.items()}
    if total.count:
        statistics = total.statistics()
        numbers |= {"mean": statistics.mean, "covariance": statistics.covariance}
    save_npz(out / NUMBERS, **numbers)
    skipped = [line for shard in shards for line in shard.skipped(side)]
    if skipped:
        _report(out, skipped)
    about = {"format": FORMAT, "side": side, "classes": listing.classes, "shards": counts,
             "skipped": len(skipped), "split": listing.split}
    write_text(out / ABOUT, json.dumps(about, indent=1) + "\n")
