"""From what a user writes after --data to a dataset."""

import hashlib
import importlib
import os
import shlex
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.data import cifar10, folder, shapes, shards
from tinyalex.data.dataset import HINT, Dataset, Pictures
from tinyalex.data.pictures import READER
from tinyalex.data.preparation import SKIPPED, bytes_needed, is_finished, prepare
from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder
from tinyalex.support.text import plural, say, tell

KINDS = (
    "shapes (built in), cifar10, a folder or archive of CIFAR-10, a folder that tinyalex.prepare "
    "made, a folder with train/<class>/ and val/<class>/ pictures (docs/data.md has more layouts), "
    "or module:function for a function of your own"
)

BUILT_IN: dict[str, Callable[[str], Dataset]] = {
    "shapes": partial(shapes.load, tell=tell), "cifar10": cifar10.load}


@lru_cache
def say_if_there(name: str) -> None:
    """Say, once, that a built-in dataset is meant, where there is also a folder of that name."""
    if Path(name).exists():
        print(f"{name} is the built-in dataset; ./{name} would be the one here", flush=True)


def load(source: str, split: str, side: int | None = 256, limit: int | None = None) -> Dataset:
    """The split ("train" or "val") of the dataset that `source` names; see KINDS.

    side: pictures from folders come as side×side pixels; None: prepared ones as they are, others
    with 256. limit: only the first so many. A function of your own is called with the split and
    returns a `Dataset`.

    Raises UserError where there is no such dataset, or it is broken.
    """
    path = Path(source)
    if source in BUILT_IN:
        say_if_there(source)
        dataset = BUILT_IN[source](split)
    elif path.is_dir() and shards.is_prepared(path):
        dataset = shards.load(path, split, side)
    elif path.is_dir() and (folder.has_pictures(path) or not cifar10.find(path)):
        dataset = _photographs(path, split, side or 256, limit)
    elif folder.is_picture(path):
        raise UserError(f"--data {source}: a single picture", f"use {KINDS}.")
    elif path.exists() or ".tar" in path.name:
        dataset = cifar10.load(split, path)
    elif is_code(source):
        dataset = _own(source, split)
    else:
        raise UserError(f"--data {source}: no such dataset, file or folder", f"use {KINDS}.")
    return dataset if limit is None else dataset.first(limit)


def is_code(source: str) -> bool:
    """Whether `load` would import a module and call a function in it: no path or address looks like
    that. Only a command line may ask for that, never a file."""
    module, _, function = source.partition(":")
    return all(map(str.isidentifier, [*module.split("."), function]))


def from_file(source: str, path: Path) -> str:
    """The dataset that the file `path` says it is from, to be loaded without anybody naming it.

    UserError where it is neither built in nor on the disk: a function of the user's own is called
    only if the command line says so, now.
    """
    if source in BUILT_IN or (source and (Path(source).is_dir() or Path(source).is_file())):
        return source
    again = f"--data {shlex.quote(source)}"
    if is_code(source):
        raise UserError(f"{path}: its data is {source!r}, a function, which no file may call",
                        f"if you trust this function, say so: {again}")
    raise UserError(f"{path}: its data is {source!r}, which is no file or folder here",
                    "python -m tinyalex.train and evaluate take other data with --data.")


def _photographs(path: Path, split: str, side: int, limit: int | None) -> Dataset:
    """Pictures in folders, from the cache, where they are prepared on first use."""
    listing, whole = folder.listing(path).first(limit), path.resolve()
    key = f"{listing.digest()}/{side}/{READER}/".encode() + os.fsencode(whole)
    out = cache_folder() / "prepared" / f"{whole.name}-{hashlib.sha256(key).hexdigest()[:12]}"
    if not is_finished(out):
        say(f"preparing {plural(len(listing), 'picture')}, once, in {out}: "
            f"{bytes_needed(len(listing), side) / 1e6:,.0f} MB")
        if listing.left_out:
            say(folder.left_out(listing.left_out))
        prepare(listing, out, side, wait=True)
        if skipped := shards.about(out)["skipped"]:
            say(f"skipped: {plural(skipped, 'picture')}, see {out / SKIPPED}")
    return shards.load(out, split, side, name=str(path / split))


def _place(error: BaseException) -> str:
    """Where in the user's own code it happened."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename != __file__ and "site-packages" not in frame.filename
              and Path(frame.filename).exists()]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _own(source: str, split: str) -> Dataset:
    module, _, function = source.partition(":")
    hint, here = "name it as module:function, with the module on Python's path.", os.getcwd()
    if here not in sys.path:  # where `python -m` looks first, and the command tinyalex not
        sys.path.insert(0, here)
    try:
        load = getattr(importlib.import_module(module), function, None)
        if not callable(load):
            raise UserError(f"--data {source}: {module} has no function {function}", hint)
        dataset = load(split)
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever it is, SystemExit too, it is theirs
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise UserError(f"--data {source}: {error}", hint) from None
        raise _blame(source, error) from error
    finally:
        os.chdir(here)  # where the run's folder is
    if not isinstance(dataset, Dataset):
        raise UserError(f"--data {source} returned a {type(dataset).__name__}",
                        "return a tinyalex.data.dataset.Dataset.")
    return replace(dataset, images=_theirs(dataset.images, source))


def _blame(source: str, error: BaseException) -> UserError:
    return UserError(f"--data {source}: {type(error).__name__}: {error}{_place(error)}",
                     "the error is in your function; TINYALEX_DEBUG=1 shows its traceback.")


def _theirs(images: Pictures, source: str) -> Pictures:
    """These pictures, and where the user's own code reads them later, what goes wrong there as said
    by `_blame`."""
    return images if isinstance(images, np.ndarray) else _Theirs(images, source)


class _Theirs:

    def __init__(self, images: Pictures, source: str):
        self._images, self._source = images, source
        self.shape, self.dtype = images.shape, images.dtype

    def __getitem__(self, key: Any) -> Any:
        try:
            pixels = self._images[key]
        except (UserError, KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            raise _blame(self._source, error) from error
        if isinstance(key, int) and np.shape(pixels) != self.shape[1:]:
            raise UserError(f"--data {self._source}: picture {key} has the shape "
                            f"{np.shape(pixels)}, not {self.shape[1:]}", HINT)
        if isinstance(key, slice) and hasattr(pixels, "shape"):
            return _theirs(pixels, self._source)
        return pixels

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.stack([self[i] for i in range(self.shape[0])]).astype(dtype or self.dtype)
