"""What a dataset is: pictures, labels, and the names of the classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from tinyalex.data.statistics import Statistics, Sums
from tinyalex.support.errors import UserError
from tinyalex.support.text import composed, plural

MOST_CLASSES = 1 << 15  # ImageNet has 21,841 in all; the weights of a class are 16 KB in "paper"
HINT = "see Dataset in tinyalex/data/dataset.py."


class Pictures(Protocol):
    """An array, or what can be asked for a picture or a slice as if it were one (see shards.py)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True)
class Dataset:
    """Pictures with their labels: the one form in which every dataset reaches the loader.

    images: (count, H, W, 3) uint8, RGB; a list of pictures will do.
    labels: (count,) integers, 0 <= label < len(classes); a list will do.
    classes: the names of the classes, in the order of their labels, all different; numbers, such as
    range(10), become texts.
    name: what to call it in messages.
    statistics: of the training pictures, where they have been measured already.

    Raises UserError where these do not fit together.
    """

    images: Pictures
    labels: np.ndarray
    classes: tuple[str, ...]
    name: str
    statistics: Statistics | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "labels", np.asarray(self.labels))
            if not hasattr(self.images, "shape"):
                object.__setattr__(self, "images", np.asarray(self.images))
        except ValueError as error:
            raise UserError(f"{self.name}: {error}", HINT) from None
        object.__setattr__(self, "classes", _names(self.name, self.classes))
        shape = self.images.shape
        if len(shape) != 4 or shape[3] != 3 or self.images.dtype != np.uint8:
            raise UserError(
                f"{self.name}: the pictures are {self.images.dtype} of shape {shape}; "
                "uint8 of shape (count, height, width, 3) is needed", _how(self.images))
        if self.labels.ndim != 1 or self.labels.dtype.kind not in "iu":
            raise UserError(
                f"{self.name}: the labels are {self.labels.dtype} of shape {self.labels.shape}; "
                "integers of shape (count,) are needed", HINT)
        if len(self.labels) != shape[0]:
            raise UserError(f"{self.name}: {plural(shape[0], 'picture')} but "
                            f"{plural(len(self.labels), 'label')}", HINT)
        if len(self.labels) == 0:
            raise UserError(f"{self.name}: there are no pictures", HINT)
        low, high = self.labels.min(), self.labels.max()
        if low < 0 or high >= len(self.classes):
            raise UserError(
                f"{self.name}: labels run from {low} to {high}; with "
                f"{plural(len(self.classes), 'class')} "
                f"they must run from 0 to {len(self.classes) - 1}", HINT)

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Dataset":
        """The first `count` pictures, for a quick try."""
        return Dataset(self.images[:count], self.labels[:count], self.classes, self.name,
                       self.statistics)

    def measure(self) -> Statistics:
        """The statistics that came with it, else those of its pictures, added up only once."""
        return self._measured if self.statistics is None else self.statistics

    @cached_property
    def _measured(self) -> Statistics:
        total = Sums()
        for start in range(0, len(self), 100):
            total += Sums.of(np.asarray(self.images[start : start + 100]))
        return total.statistics()


def _how(images: Pictures) -> str:
    """How to turn these numbers into pictures."""
    if len(images.shape) == 4 and images.shape[1] == 3:
        return "channels come last: images.transpose(0, 2, 3, 1)."
    if images.dtype.kind == "f":
        return "for floats from 0 to 1: (images * 255).round().astype(np.uint8)."
    return HINT


def _names(dataset: str, classes: Any) -> tuple[str, ...]:
    """The names of the classes as text. UserError where they are not names, or not all
    different."""
    if isinstance(classes, str) or not isinstance(classes, Sequence | np.ndarray):
        raise UserError(f"{dataset}: the classes are a {type(classes).__name__}; their names, in "
                        "the order of their labels, are needed as a tuple or a list", HINT)
    for name in classes:
        if not isinstance(name, str | int | np.integer) or not str(name).strip():
            raise UserError(f"{dataset}: {name!r} is not a class name", HINT)
    names = tuple(composed(str(name)) for name in classes)
    if len(names) > MOST_CLASSES:
        raise UserError(f"{dataset}: {len(names):,} classes; a network has up to {MOST_CLASSES:,}",
                        HINT)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"{dataset}: two classes are called {twice[0]!r}",
                        "names must differ: they say which class is which.")
    return names
