"""From what a user writes after --data to a dataset."""

import importlib
from pathlib import Path

from tinyalex.data import cifar10, folder, shapes
from tinyalex.data.dataset import Dataset
from tinyalex.errors import UserError

KINDS = (
    "shapes (built in), cifar10, a folder or archive of CIFAR-10, a folder with train/<class>/ and "
    "val/<class>/ pictures, or module:function for a function of your own"
)


def load(source: str, split: str, side: int = 256, limit: int | None = None) -> Dataset:
    """The split ("train" or "val") of the dataset that `source` names; see KINDS.

    side: pictures from folders come as side×side pixels. limit: only the first so many. A function
    of your own is called with the split and returns a `Dataset`.

    Raises UserError where there is no such dataset, or it is broken.
    """
    path = Path(source)
    if source == "shapes":
        dataset = shapes.load(split)
    elif source == "cifar10":
        dataset = cifar10.load(split)
    elif path.is_dir() and any((path / s).is_dir() for s in ("train", "val")):
        dataset = folder.load(split, path, side, limit)
    elif path.is_dir() and cifar10.find(path) is None:
        raise UserError(f"--data {source}: neither train/ and val/ folders with pictures in this "
                        "folder, nor the batch files of CIFAR-10", f"use {KINDS}.")
    elif path.exists() or ".tar" in path.name:
        dataset = cifar10.load(split, path)
    elif ":" in source:
        dataset = _own(source, split)
    else:
        raise UserError(f"--data {source}: no such dataset, file or folder", f"use {KINDS}.")
    return dataset if limit is None else dataset.first(limit)


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
