"""A trained network, opened from its checkpoint to be shown pictures."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinyalex.data.dataset import Dataset
from tinyalex.data.gallery import Gallery
from tinyalex.data.loader import Loader
from tinyalex.devices import Devices
from tinyalex.network import Network
from tinyalex.run import assembly, checkpoint
from tinyalex.run.folder import Settings
from tinyalex.support.cli import ArgumentParser, number, png_path
from tinyalex.support.errors import UserError


@dataclass(frozen=True)
class OpenedNetwork:
    """path: of the checkpoint. classes: their names. mean: (H, W, 3), of the training pictures,
    which were of H×W pixels. network: with its weights, on its devices."""

    path: Path
    settings: Settings
    classes: list[str]
    mean: np.ndarray
    network: Network

    @property
    def name(self) -> str:
        """What to call it in titles: the run's folder, or the file."""
        return (self.path.resolve().parent.name if self.path.name == "checkpoint.npz"
                else self.path.stem)

    @property
    def side(self) -> int:
        """H = W of the pictures that it was trained on, which are larger than its crops. UserError
        where they were not square."""
        height, width = self.mean.shape[:2]
        if height != width:
            raise UserError(f"{self.path}: trained on pictures of {width}×{height}",
                            "only networks of square pictures can be shown others.")
        return height

    def loader(self, dataset: Dataset, batch_size: int | None = None,
               ten_crops: bool = False) -> Loader:
        """Batches of the dataset, as in a test: the centre of each picture, or ten crops."""
        return assembly.test_loader(self.settings, dataset, self.network.input_shape[0], self.mean,
                                    batch_size, ten_crops)

    def batches(self, gallery: Gallery, what: str, batch_size: int | None = None,
                ten_crops: bool = False) -> Iterator[np.ndarray]:
        """What the network reads of these pictures, (N, side, side, 3) float32 at a time, with a
        progress bar that says `what`."""
        unknown = np.zeros(len(gallery), np.int64)
        loader = self.loader(Dataset(gallery, unknown, tuple(self.classes), "the pictures"),
                             batch_size, ten_crops)
        for x, _ in tqdm(loader.epoch(), what, len(loader), unit="batch", disable=None,
                         leave=False):
            yield x


def find(path: Path) -> Path:
    """The checkpoint that is meant: of a run's folder the one in it."""
    return path / "checkpoint.npz" if path.is_dir() else path


@contextlib.contextmanager
def open_network(path: Path, placement: str = "auto") -> Iterator[OpenedNetwork]:
    """The network of this checkpoint, or of the run in this folder, while the block runs.

    UserError where the file is missing, damaged, or something else.
    """
    path = find(path)
    saved = checkpoint.load(path)
    settings, classes = Settings.of(saved.about["settings"], path), saved.about["classes"]
    with Devices(placement, settings.towers) as devices:
        network = assembly.network(settings, len(classes), devices)
        network.load_state(saved.values, str(path))
        yield OpenedNetwork(path, settings, classes, saved.mean, network)


def parser(command: str, description: str) -> ArgumentParser:
    """The parser of a command that opens a network: with its checkpoint, and the flags that all of
    them have."""
    made = ArgumentParser(prog=f"python -m tinyalex.{command}", description=description)
    made.add_argument("checkpoint", type=Path, metavar="RUN_OR_CHECKPOINT",
                      help="a run folder, or an .npz file")
    made.add_argument("--names", type=Path, metavar="FILE", help="how to call the classes: a line "
                      "for each with its folder's name and, after a space, another (ImageNet's "
                      "synset_words.txt)")
    made.add_argument("--devices", metavar="LIST", default="auto", help="cpu, cpu,cpu, cuda:0, "
                      "cuda:0,cuda:1 or auto")
    made.add_argument("--batch-size", type=number(int, 1), default=64)
    made.add_argument("--out", type=png_path, metavar="PNG", help="where to draw it; "
                      f"{command}.png beside the checkpoint if not given")
    return made


def spoken_names(path: Path | None) -> dict[str, str]:
    """What a file of --names says: "n01440764 tench, Tinca tinca" gives {"n01440764": "tench"}.

    UserError where it is no such file.
    """
    if path is None:
        return {}
    try:
        lines = [line.split(None, 1) for line in path.read_text("utf-8-sig").splitlines()
                 if line.strip()]
        return {name: words.split(",")[0].strip() for name, words in lines}
    except ValueError as error:
        raise UserError(f"{path}: not a list of names ({error})",
                        "a line is a class's folder, a space, and its name.") from None
