"""Whether two datasets are the same: the names of their classes, and their pictures."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyalex.data.dataset import Dataset
from tinyalex.support.errors import UserError
from tinyalex.support.text import plural

SAMPLED = 64  # pictures of a dataset that are compared
CLOSE = 1.0  # of 255: another decoder, or another CPU's sines, round differently


def expect_same_classes(here: Sequence[str], where: str, known: Sequence[str], who: str, hint: str,
                        ) -> None:
    """UserError where two lists of classes do not have the same names in the same order: a label
    is a place in such a list, and in another order it means another class.

    where: the data that have the classes `here`. who: who has the classes `known`, with a verb.
    """
    if len(here) != len(known):
        raise UserError(f"{where} has {_listed(here)}; {who} {_listed(known)}", hint)
    for place, (name, other) in enumerate(zip(here, known, strict=True)):
        if name != other:
            order = " (the same names in another order)" if sorted(here) == sorted(known) else ""
            raise UserError(f"{where} has {name!r} as its class {place}; {who} {other!r} there"
                            f"{order}", hint)


def _listed(names: Sequence[str]) -> str:
    return f"{plural(len(names), 'class')} ({', '.join(names[:3])}{', …' * (len(names) > 3)})"


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """What JSON can hold of a dataset, and `same_pictures` compares: it is the same wherever the
    pictures are. Cheap, since only some of them are read.

    shape: (count, height, width). labels: a digest of all. looks: up to SAMPLED pictures, evenly
    spread, as 4×4 blocks of their mean R, G, B.
    """
    count, labels = len(dataset), np.asarray(dataset.labels).astype("<i8")
    sample = np.linspace(0, count - 1, min(count, SAMPLED)).astype(int).tolist()
    looks = [_blocks(np.asarray(dataset.images[i])) for i in sample]
    return {"shape": list(dataset.images.shape[:3]),
            "labels": hashlib.sha256(labels.tobytes()).hexdigest(),
            "looks": np.round(looks, 1).tolist()}


def _blocks(picture: np.ndarray, count: int = 4) -> list[float]:
    rows = [block for half in np.array_split(picture, min(count, len(picture)))
            for block in np.array_split(half, min(count, picture.shape[1]), axis=1)]
    return np.concatenate([block.mean(axis=(0, 1)) for block in rows]).tolist()


def same_pictures(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether these are fingerprints of the same pictures with the same labels, in the same order,
    up to how decoders round."""
    return (one["shape"] == other["shape"] and one["labels"] == other["labels"]
            and np.allclose(one["looks"], other["looks"], rtol=0, atol=CLOSE))
