"""What `python -m tinyalex.train --from` begins with, whoever trained it."""

from dataclasses import replace
from pathlib import Path

from tinyalex.convert import published
from tinyalex.data import weights
from tinyalex.run import opened
from tinyalex.run.start import Start, from_checkpoint
from tinyalex.support.errors import UserError


def read(source: str) -> Start:
    """A run folder, a checkpoint, someone else's file, or the name of fetched weights.
    UserError where it is none of these."""
    path = weights.find(source) if source in weights.NAMES else opened.find(Path(source))
    if Path(source).is_dir() and not path.exists():
        raise UserError(f"--from {source}: there is no checkpoint in this folder",
                        "name a run's folder, or a file of weights; photographs go with --data.")
    if published.is_checkpoint(path):
        return from_checkpoint(path)
    start = published.start(path)
    return replace(start, about=f"{path} ({start.about})")
