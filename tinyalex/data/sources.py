"""From what a user writes after --data to a dataset."""

import hashlib
import importlib
import os
from pathlib import Path

from tinyalex.data import cifar10, folder, shapes, shards
from tinyalex.data.dataset import Dataset
from tinyalex.data.preparation import SKIPPED, bytes_needed, is_finished, prepare
from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder

KINDS = (
    "shapes (built in), cifar10, a folder or archive of CIFAR-10, a folder that tinyalex.prepare "
    "made, a folder with train/<class>/ and val/<class>/ pictures (docs/data.md has more layouts), "
    "or module:function for a function of your own"
)


def load(source: str, split: str, side: int | None = 256, limit: int | None = None) -> Dataset:
    """The split ("train" or "val") of the dataset that `source` names; see KINDS.

    side: pictures from folders come as side×side pixels; None: prepared ones as they are, others
    with 256. limit: only the first so many. A function of your own is called with the split and
    returns a `Dataset`.

    Raises UserError where there is no such dataset, or it is broken.
    """
    path = Path(source)
    if source == "shapes":
        dataset = shapes.load(split)
    elif source == "cifar10":
        dataset = cifar10.load(split)
    elif path.is_dir() and shards.is_prepared(path):
        dataset = shards.load(path, split, side)
    elif path.is_dir() and (any((path / s).is_dir() for s in ("train", "val"))
                            or folder.class_names(path)):
        dataset = _photographs(path, split, side or 256, limit)
    elif path.is_dir() and cifar10.find(path) is None:
        raise UserError(f"--data {source}: neither folders with pictures in this folder, nor the "
                        "batch files of CIFAR-10", f"use {KINDS}.")
    elif path.exists() or ".tar" in path.name:
        dataset = cifar10.load(split, path)
    elif ":" in source:
        dataset = _own(source, split)
    else:
        raise UserError(f"--data {source}: no such dataset, file or folder", f"use {KINDS}.")
    return dataset if limit is None else dataset.first(limit)


def _photographs(path: Path, split: str, side: int, limit: int | None) -> Dataset:
    """Pictures in folders, from the cache, where they are prepared on first use."""
    listing, whole = folder.listing(path).first(limit), path.resolve()
    key = f"{listing.digest()}/{side}/".encode() + os.fsencode(whole)
    out = cache_folder() / "prepared" / f"{whole.name}-{hashlib.sha256(key).hexdigest()[:12]}"
    if not is_finished(out):
        print(f"preparing {len(listing):,} pictures, once, in {out}: "
              f"{bytes_needed(len(listing), side) / 1e6:,.0f} MB", flush=True)
        prepare(listing, out, side, wait=True)
        if skipped := shards.about(out)["skipped"]:
            print(f"{skipped} pictures were skipped: see {out / SKIPPED}")
    return shards.load(out, split, side, name=str(path / split))


def _own(source: str, split: str) -> Dataset:
    module, _, function = source.partition(":")
    try:
        load = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"--data {source}: {error}",
                        "name it as module:function, with the module on Python's path.") from None
    dataset = load(split)
    if not isinstance(dataset, Dataset):
        raise UserError(f"--data {source} returned a {type(dataset).__name__}",
                        "return a tinyalex.data.dataset.Dataset.")
    return dataset
