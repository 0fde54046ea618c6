"""A trained network, opened from its checkpoint to be shown pictures."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyalex.data import pictures
from tinyalex.data.dataset import Dataset
from tinyalex.data.gallery import Gallery
from tinyalex.data.loader import Loader
from tinyalex.devices import Devices
from tinyalex.inside.fields import Unit
from tinyalex.inside.patches import Excited, most_exciting
from tinyalex.network import Network
from tinyalex.run import assembly, checkpoint
from tinyalex.run.recipe import Recipe
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress


@dataclass(frozen=True)
class OpenedNetwork:
    """path: of the checkpoint. recipe: that it was trained by. classes: their names. mean:
    (H, W, 3), of the training pictures, which were of H×W pixels. network: with its weights, on its
    devices."""

    path: Path
    recipe: Recipe
    classes: list[str]
    mean: np.ndarray
    network: Network

    @property
    def name(self) -> str:
        """What to call it in titles: the run's folder, or the file."""
        return (self.path.resolve().parent.name if self.path.name in ("checkpoint.npz", "best.npz")
                else self.path.stem)

    @property
    def side(self) -> int:
        """H = W of the pictures that it was trained on, which are larger than its crops. UserError
        where they were not square."""
        height, width = self.mean.shape[:2]
        if height != width:
            raise UserError(f"{self.path}: trained on pictures of {width}×{height}",
                            "only networks that read square pictures can be shown others.")
        return height

    def centre(self, picture: np.ndarray) -> np.ndarray:
        """What the network reads of a picture (side, side, C) at test time."""
        return pictures.centre(picture, self.network.input_shape[0])

    def expect_finite(self, numbers: np.ndarray | Sequence[float], layer: str = "its last layer"):
        """UserError where one of these, which the layer gave, is NaN or infinite."""
        if not np.isfinite(numbers).all():
            raise UserError(f"{self.path}: {layer} gives numbers that are not finite",
                            "its weights are too large: use another checkpoint.")

    def loader(self, dataset: Dataset, batch_size: int | None = None,
               ten_crops: bool = False) -> Loader:
        """Batches of the dataset, as at test time: the centre of each picture, or ten crops."""
        return assembly.test_loader(self.recipe, dataset, self.network.input_shape[0], self.mean,
                                    batch_size, ten_crops)

    def batches(self, gallery: Gallery, title: str, batch_size: int | None = None,
                ten_crops: bool = False) -> Iterator[np.ndarray]:
        """What the network reads of these pictures, (N, side, side, 3) float32 at a time, with a
        progress bar of this title."""
        unknown = np.zeros(len(gallery), np.int64)
        loader = self.loader(Dataset(gallery, unknown, tuple(self.classes), "the pictures"),
                             batch_size, ten_crops)
        for batch, _ in progress(loader.epoch(), title, len(loader), unit="batch"):
            yield batch.pixels

    def most_exciting(self, units: Sequence[Unit], gallery: Gallery,
                      batch_size: int | None = None) -> dict[Unit, list[Excited]]:
        """For the map of each unit, the pictures that excite it most; broken ones do not count."""
        return most_exciting(self.network, units,
                             self.batches(gallery, "looking for the most exciting", batch_size),
                             broken=gallery.broken)


def find(path: Path) -> Path:
    """The checkpoint that is meant: of a run's folder the one in it."""
    return path / "checkpoint.npz" if path.is_dir() else path


@contextlib.contextmanager
def open_network(path: Path, placement: str = "auto", worker: tuple[int, int] = (0, 1),
                 ) -> Iterator[OpenedNetwork]:
    """The network of this checkpoint, or of the run in this folder, while the block runs.

    placement, worker: see `Devices`. UserError where the file is missing, damaged, or something
    else.
    """
    path = find(path)
    saved = checkpoint.load(path)
    recipe, classes = Recipe.of(saved.about["settings"], path), saved.about["classes"]
    with Devices(placement, recipe.towers, worker=worker) as devices:
        network = recipe.network(len(classes), list(devices))
        network.load_state(saved.values, str(path))
        yield OpenedNetwork(path, recipe, classes, saved.mean, network)
