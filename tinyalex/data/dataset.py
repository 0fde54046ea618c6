"""What a dataset is: pictures, labels, and the names of the classes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from tinyalex.data.statistics import Statistics, Sums
from tinyalex.support.errors import UserError


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

    images: (count, H, W, 3) uint8, RGB.
    labels: (count,) integers, 0 <= label < len(classes).
    classes: the names of the classes, in the order of their labels.
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
        shape, hint = self.images.shape, "see Dataset in tinyalex/data/dataset.py."
        if len(shape) != 4 or shape[3] != 3 or self.images.dtype != np.uint8:
            raise UserError(
                f"{self.name}: the pictures are {self.images.dtype} of shape {shape}; "
                "uint8 of shape (count, height, width, 3) is needed", hint)
        if self.labels.ndim != 1 or self.labels.dtype.kind not in "iu":
            raise UserError(
                f"{self.name}: the labels are {self.labels.dtype} of shape {self.labels.shape}; "
                "integers of shape (count,) are needed", hint)
        if len(self.labels) != shape[0]:
            raise UserError(f"{self.name}: {shape[0]} pictures but {len(self.labels)} labels", hint)
        if len(self.labels) == 0:
            raise UserError(f"{self.name}: there are no pictures", hint)
        low, high = self.labels.min(), self.labels.max()
        if low < 0 or high >= len(self.classes):
            raise UserError(
                f"{self.name}: labels run from {low} to {high}; with {len(self.classes)} classes "
                f"they must run from 0 to {len(self.classes) - 1}", hint)

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
