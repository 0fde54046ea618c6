"""Checkpoints: everything a run needs to go on as if it had never stopped.

A checkpoint is an .npz file, readable with `np.load` alone:

    "tinyalex"            the number of this format
    "about"               JSON: preset, classes, seed, where in which epoch, schedule, settings
    "mean"                the mean picture that is subtracted
    "value/conv1a.W" …    the parameters
    "velocity/conv1a.W" … what SGD remembers of them
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.errors import UserError
from tinyalex.files import open_npz, replacing

FORMAT = 1


@dataclass
class Checkpoint:
    """about: what JSON can hold. mean: (H, W, 3). values, velocities: arrays by parameter name."""

    about: dict[str, Any]
    mean: np.ndarray
    values: dict[str, np.ndarray]
    velocities: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, path: Path):
        """Write it in one move: `path` holds the old checkpoint or the new one, never a part."""
        arrays = {"tinyalex": np.array(FORMAT), "about": np.array(json.dumps(self.about)),
                  "mean": self.mean}
        arrays |= {f"value/{name}": array for name, array in self.values.items()}
        arrays |= {f"velocity/{name}": array for name, array in self.velocities.items()}
        with replacing(path, suffix=".npz") as part:
            np.savez(part, **arrays)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. UserError where it is missing, damaged, or something else."""
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint", "name a run folder or its checkpoint.npz.")
    with open_npz(path, "a checkpoint",
                  "use another checkpoint; a run writes its own in one move.") as file:
        if "tinyalex" not in file:
            raise UserError(f"{path}: an .npz file, but no checkpoint of tinyalex",
                            "name the checkpoint.npz of a run.")
        if file["tinyalex"] != FORMAT:
            raise UserError(f"{path}: a checkpoint of format {file['tinyalex']}; this version "
                            f"reads format {FORMAT}", "use the version that wrote it.")
        about = json.loads(str(file["about"]))
        if missing := {"preset", "classes", "settings"} - about.keys():
            raise KeyError(f"no {min(missing)} in it")
        return Checkpoint(about, file["mean"], _group(file, "value/"), _group(file, "velocity/"))


def _group(file, prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
