"""Checkpoints: everything a run needs to continue as if it had never stopped.

A checkpoint is an .npz file, readable with `np.load` alone:

    "tinyalex"            the number of the format, see formats.py
    "about"               JSON: preset, classes, settings (the recipe), schedule, progress, data
                          (fingerprints of the pictures to train on and to validate with)
    "mean"                the mean picture that is subtracted
    "value/conv1a.W" …    the parameters
    "velocity/conv1a.W" … what SGD remembers of them
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.data.dataset import MOST_CLASSES
from tinyalex.run import formats
from tinyalex.support import arrays, reading
from tinyalex.support.arrays import Damaged, Stored
from tinyalex.support.errors import UserError
from tinyalex.support.text import composed


@dataclass
class Checkpoint:
    """about: what JSON can hold. mean: (H, W, 3). values, velocities: arrays by parameter name."""

    about: dict[str, Any]
    mean: np.ndarray
    values: dict[str, np.ndarray]
    velocities: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, path: Path):
        """Write it in one move: `path` holds the old checkpoint or the new one, never a part."""
        content: dict[str, Any] = {
            "tinyalex": formats.FORMAT, "about": json.dumps(self.about), "mean": self.mean}
        content |= {f"value/{name}": array for name, array in self.values.items()}
        content |= {f"velocity/{name}": array for name, array in self.velocities.items()}
        arrays.save_npz(path, **content)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. UserError where it is missing, damaged, or something else, and where one
    of its numbers is not finite."""
    with _reading(path) as file:
        told = about(file)
        told["settings"] = formats.whole(told["settings"], file["tinyalex"].read())
        saved = Checkpoint(told, _mean(file), _group(file, "value/"), _group(file, "velocity/"))
        arrays.expect_finite(path, {"mean": saved.mean} | saved.values)
        arrays.expect_finite(path, {f"the velocity of {name}": velocity
                                    for name, velocity in saved.velocities.items()})
        return saved


def mean(path: Path) -> np.ndarray:
    """Its mean picture, and no more is read. UserError as in `load`."""
    with _reading(path) as file:
        picture = _mean(file)
        arrays.expect_finite(path, {"mean": picture})
        return picture


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[dict[str, Stored]]:
    """The arrays of a checkpoint, by name; what goes wrong with them in the block is a UserError.
    """
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint", "name a run folder or its checkpoint.npz.")
    try:
        file = arrays.npz(path)
        if "tinyalex" not in file:
            raise UserError(f"{path}: an .npz file, but not a tinyalex checkpoint",
                            "name the checkpoint.npz of a run.")
        formats.expect_known(file["tinyalex"].read(), path)
        yield file
    except ValueError as error:
        raise UserError(f"{path}: not a checkpoint, or a damaged one ({error})",
                        "use another checkpoint; a run writes its own in one move.") from None


def _mean(file: dict[str, Stored]) -> np.ndarray:
    if "mean" not in file or file["mean"].shape[2:] != (3,):
        raise Damaged("there is no mean picture in it")
    return _floats(file, "mean")


def about(file: dict[str, Stored]) -> dict[str, Any]:
    """What the file says of itself, with a preset, classes and settings; Damaged without these."""
    told = reading.parse(str(arrays.take(file, "about", "U", ())))
    match told:
        case {"preset": str(), "classes": [str(), *_] as classes, "settings": dict()} if (
                len(classes) <= MOST_CLASSES and all(isinstance(name, str) for name in classes)):
            return told | {"classes": [*map(composed, classes)]}
    raise Damaged("it does not say which preset, classes and settings it has")


def _group(file: dict[str, Stored], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): _floats(file, name)
            for name in file if name.startswith(prefix)}


def _floats(file: dict[str, Stored], name: str) -> np.ndarray:
    array = file[name].read()
    if array.dtype.kind != "f":
        raise Damaged(f"{name} is not an array of floating-point numbers")
    with np.errstate(all="ignore"):  # what is or becomes infinite is found in `load`
        return array.astype(np.float32, copy=False)
