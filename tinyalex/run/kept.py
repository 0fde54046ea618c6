"""What still layers make of the pictures, computed once and kept in a file.

Where the lowest layers are frozen (freezing.py), most of the work of every epoch gives the same as
in the last one. Here it is done once for each view of a picture, and training continues from there,
at thousands of pictures a second.

The file is an .npy in the cache folder, (views, pictures, …) float32, mapped into memory. Its name
is a digest of all that its numbers depend on, so that other weights or pictures have another file,
and its own checksum: what is damaged, or of somebody else, is computed once more.
"""

import contextlib
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Generator
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.devices import Batch
from tinyalex.network import Network
from tinyalex.run import assembly
from tinyalex.run.recipe import Recipe
from tinyalex.support import arrays
from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError
from tinyalex.support.files import alone, cache_folder, expect_room, remove_leftovers, replacing
from tinyalex.support.progress import progress
from tinyalex.support.text import megabytes, note, plural, say

MOST = 8 << 30  # bytes that all files together may take
AT_ONCE = 32  # pictures on their way through the layers: more would only take more memory
CHUNK = 256  # pictures that are read at a time for the digest
SHAPING = ("architecture", "towers", "dropout", "activation", "lrn", "pool", "without", "scale",
           "mean_crop", "augment", "colour", "colour_until")  # what they depend on, of a recipe


class Kept:
    """Batches of what the network's still part gives, where a Loader has those of the pictures.

    recipe: of the run. stem: the still part. dataset, mean: as of a Loader. views: how many of each
    picture: the centre, and then crops as the recipe has them; which of them is its turn is decided
    by (seed, epoch). shuffle: as of a Loader. UserError where there would be too much to keep.
    """

    def __init__(self, recipe: Recipe, stem: Network, dataset: Dataset, mean: np.ndarray,
                 views: int = 1, shuffle: bool = False,
                 rows: Callable[[int], slice] | None = None):
        self.recipe, self.stem, self.dataset, self.mean = recipe, stem, dataset, mean
        self.views, self.shuffle, self.batch_size = views, shuffle, recipe.batch_size
        self.shape = (views, len(dataset), *stem.output_shapes[0][:-1], stem.classes)
        self.waited, self.rows = 0.0, rows
        self._values: np.ndarray | None = None
        if (size := 4 * prod(self.shape)) > MOST:
            raise UserError(f"--views {views}: what the frozen layers make of {dataset.name} would "
                            f"take {megabytes(size)}", "keep fewer views, or none (--views 0).")

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def epoch(self, number: int = 1, first: int = 0, every: int = 1,
              ) -> Generator[tuple[Batch, np.ndarray], None, None]:
        """The batches of one epoch, as of a Loader."""
        values, count = self.values(), len(self.dataset)
        rng = np.random.default_rng([self.recipe.seed, number])
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        view = rng.integers(self.views, size=count)
        for batch in range(first, len(self), every):
            start = time.perf_counter()
            mine = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            mine = mine[self.rows(len(mine))] if self.rows else mine
            x = Batch(values[view[mine], mine])
            self.waited += time.perf_counter() - start
            yield x, self.dataset.labels[mine]

    def values(self) -> np.ndarray:
        """(views, pictures, …) float32: read, or computed if there is no file of them yet."""
        if self._values is None:
            folder, digest = cache_folder() / "kept", self._digest()
            there = self._whole(folder, digest)
            if not there:
                folder.mkdir(exist_ok=True)
                with alone(folder, digest, wait=True):  # and it may be there when we have waited
                    there = self._whole(folder, digest) or [self._compute(folder, digest)]
            self._values = arrays.npy(there[0])
        return self._values

    def _whole(self, folder: Path, digest: str) -> list[Path]:
        return [path for path in folder.glob(f"{digest}-*.npy") if self._is_whole(path)]

    def _is_whole(self, path: Path) -> bool:
        with contextlib.suppress(Damaged, UserError):
            if path.stem.endswith(_checksum(path)) and arrays.npy(path).shape == self.shape:
                with contextlib.suppress(OSError):  # a cache that can only be read
                    path.touch()
                return True
        note(f"{path}: damaged, so what was in it is computed once more")
        with contextlib.suppress(OSError):
            path.unlink()
        return False

    def _compute(self, folder: Path, digest: str) -> Path:
        """Write the file; returns where."""
        path, size = folder / f"{digest}.npy", 4 * prod(self.shape)
        _make_room(folder, size)
        expect_room(folder, size, "what the frozen layers make of the pictures")
        say(f"what the frozen layers make of {plural(prod(self.shape[:2]), 'view')} of "
            f"{self.dataset.name}, once, in {folder}: {megabytes(size)}")
        about = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        with (replacing(path) as part, open(part, "wb") as file,
              progress(None, "frozen layers", self.views * len(self.dataset), "picture") as bar):
            np.lib.format.write_array_header_1_0(file, about)
            for view in range(self.views):
                for x, labels in self._loader(view).epoch(view):
                    y = self.stem.devices[0].get(self.stem.forward(x))
                    file.write(np.ascontiguousarray(y, "<f4").data)
                    bar.update(len(labels))
        self.stem.release_memory()
        return path.replace(folder / f"{digest}-{_checksum(path)}.npy")

    def _loader(self, view: int) -> Loader:
        side, first = self.stem.input_shape[0], self.stem.devices[0]
        recipe = replace(self.recipe, batch_size=AT_ONCE)
        if view == 0:
            return assembly.test_loader(recipe, self.dataset, side, self.mean, device=first)
        loader = assembly.train_loader(recipe, self.dataset, self.mean, side, first)
        loader.shuffle = False
        return loader

    def _digest(self) -> str:
        settings = self.recipe.settings()
        about = {name: settings[name] for name in SHAPING} | {
            "shape": self.shape,  # and what the devices are, not which of their kind
            "devices": [repr(device).partition(": ")[2] for device in self.stem.devices],
            "seed": settings["seed"] if self.views > 1 else None}
        digest = hashlib.sha256(json.dumps(about).encode())
        for array in [self.mean, *self.stem.state().values()]:
            digest.update(np.ascontiguousarray(array).data)
        for start in range(0, len(self.dataset), CHUNK):
            digest.update(np.ascontiguousarray(self.dataset.images[start : start + CHUNK]).data)
        return digest.hexdigest()[:24]


def _checksum(path: Path) -> str:
    return f"{zlib.crc32(arrays.contents(path)):08x}"


def _make_room(folder: Path, size: int):
    """Delete what killed writers left, and the files unused for longest, until this many bytes
    fit."""
    remove_leftovers(folder, *(part.name[1:].rsplit(".", 2)[0] for part in folder.glob(".*.part")))
    files = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        size += path.stat().st_size
        if size > MOST:
            path.unlink(missing_ok=True)


Batches = Loader | Kept  # what gives a run its batches
