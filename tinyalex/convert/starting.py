"""What `python -m tinyalex.train --from` begins with, whoever trained it."""

from pathlib import Path

from tinyalex.convert import published, statedict
from tinyalex.run import opened
from tinyalex.run.start import Start, from_checkpoint

NAMES = ("alexnet-torchvision", "alexnet-caffe")


def read(weights: str) -> Start:
    """A run folder, a checkpoint, a file of others, or a name. UserError where it is none."""
    path = opened.find(Path(weights))
    if path.suffix == ".npz" and "tinyalex" in statedict.npz(path):
        return from_checkpoint(path)
    return published.start(path)
