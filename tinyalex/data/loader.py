"""Batches for the network, prepared in the background while the devices train (section 4.1)."""

import time
from collections.abc import Callable, Generator
from typing import NamedTuple

import numpy as np

from tinyalex.data import augment as augmentation
from tinyalex.data.augment import CENTRE, ColourNoise
from tinyalex.data.dataset import Dataset
from tinyalex.devices import Batch, Mean, MemoryPool, Threads
from tinyalex.support.errors import UserError


class Plan(NamedTuple):
    """What an epoch does with the pictures.

    order: of all pictures. places: (count, views, 3), the crops of each, see `augment.crop_places`.
    shifts: (count, 3), what is added to the colours of each, or None. factor: of all pixels.
    """

    order: np.ndarray
    places: np.ndarray
    shifts: np.ndarray | None
    factor: float


class Loader:
    """Turns a dataset into batches of crops, minus the mean picture (paper, sections 2 and 4.1).

    dataset: pictures of S×S pixels. side: of the crops that the network reads. mean: (S, S, 3)
    float32, subtracted pixel by pixel. scale: what the difference is multiplied by (1 in the
    paper). shuffle: pictures in random order, else as they come. augment: crops at random places,
    half of them mirrored, else the centre. colour: noise to add. Everything random is decided by
    (seed, epoch) and the picture's index alone.

    mean_crop: "same" subtracts from every crop the mean of the same pixels, as the paper has it;
    "centre" always the centre of the mean, never mirrored, as the authors' program did.
    ten_crops: all ten views of each picture, in the order of `augment.ten_crops`, instead of one. A
    batch then has a tenth of the pictures, so that it takes no more memory than without.
    workers: threads that share the pictures of a batch; 0: the caller of `epoch` does it all.
    raw: batches as bytes, of which the device makes the same pictures, see `Batch`.
    rows: which pictures to prepare, given the size of a batch, where other workers have the rest.

    `waited` adds up the seconds that the caller of `epoch` had to wait for a batch.
    """

    def __init__(self, dataset: Dataset, side: int, mean: np.ndarray, *, scale: float = 1.0,
                 batch_size: int = 128, seed: int = 0, shuffle: bool = False,
                 augment: bool = False, colour: ColourNoise | None = None,
                 mean_crop: str = "same", ten_crops: bool = False, workers: int = 1,
                 raw: bool = False, rows: Callable[[int], slice] | None = None):
        height, width = dataset.images.shape[1:3]
        if min(height, width) < side:
            raise UserError(
                f"{dataset.name}: the pictures have {width}×{height} pixels and the network reads "
                f"{side}×{side}", "use larger pictures, or a network that reads smaller ones.")
        if augment and ten_crops:
            raise ValueError("augment takes one crop at random, ten_crops all ten: choose one")
        if mean_crop not in ("same", "centre"):
            raise ValueError(f"mean_crop is 'same' or 'centre', not {mean_crop!r}")
        self.dataset, self.side, self.scale = dataset, side, scale
        self.batch_size = max(1, batch_size // 10) if ten_crops else batch_size  # in pictures
        self.seed, self.shuffle, self.augment = seed, shuffle, augment
        self.colour, self.mean_crop, self.ten_crops = colour, mean_crop, ten_crops
        self.workers, self.waited, self.rows = workers, 0.0, rows
        self._ten = augmentation.ten_crops(height, width, side)
        # Mirrored once, here: reading it backwards for every picture takes much longer.
        self._means = mean, np.ascontiguousarray(mean[:, ::-1])
        self._pool = MemoryPool()
        self._mean = Mean(mean) if raw else None

    def __len__(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.batch_size)

    def epoch(self, number: int = 1, first: int = 0, every: int = 1,
              ) -> Generator[tuple[Batch, np.ndarray], None, None]:
        """The batches of one epoch: pictures (N, side, side, 3) and their labels (N,), or of ten
        crops (10·N, side, side, 3), the ten of a picture one after the other, and labels (N,).

        first: how many batches to leave out, for a run that resumes in the middle of an epoch.
        every: 2 for every second batch from there, where another worker has the rest.
        What goes wrong while a batch is prepared is raised when its turn comes. When the caller
        stops early, the background threads end too.
        """
        plan, threads = self._plan(number), Threads(self.workers, "loader")
        try:
            begun = (self._begin(b, plan, threads) for b in range(first, len(self), every))
            start = time.perf_counter()
            ahead = next(begun, None)
            while ahead:
                (x, labels, parts), ahead = ahead, None
                for part in parts:
                    part.result()
                if self.workers:  # one batch ahead is enough, and takes the least memory
                    ahead = next(begun, None)
                self.waited += time.perf_counter() - start
                yield x, labels
                del x  # let go of this batch's memory before the next one is asked for
                start = time.perf_counter()
                ahead = ahead or next(begun, None)
        finally:
            threads.shutdown()

    def _plan(self, epoch) -> Plan:
        count, (height, width) = len(self.dataset), self.dataset.images.shape[1:3]
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        if self.augment:
            places = augmentation.crop_places(rng, count, height, width, self.side)[:, None]
        else:
            views = self._ten if self.ten_crops else self._ten[[CENTRE]]
            places = np.broadcast_to(views, (count, *views.shape))
        if self.colour is None or not self.colour.active(epoch):
            return Plan(order, places, None, self.scale)
        shifts = self.colour.shifts(self.seed, epoch, count)
        return Plan(order, places, shifts, self.scale / self.colour.divisor)

    def _begin(self, number, plan, threads):
        """Batch number 0, 1, …: its pictures, its labels, and the work on it, which has begun."""
        indices = plan.order[number * self.batch_size : (number + 1) * self.batch_size]
        indices = indices[self.rows(len(indices))] if self.rows else indices
        x = self._pool.empty((len(indices), plan.places.shape[1], self.side, self.side, 3),
                             np.uint8 if self._mean else np.float32)
        fill, shares = self._cut if self._mean else self._fill, max(1, self.workers)
        parts = [threads.submit(fill, x[k::shares], indices[k::shares], plan)
                 for k in range(shares)]
        return (self._batch(x.reshape(-1, *x.shape[2:]), indices, plan),
                self.dataset.labels[indices], parts)

    def _fill(self, x, indices, plan):
        """Prepare the pictures of these indices: x (N, views, side, side, 3)."""
        for i, views in zip(indices.tolist(), x, strict=True):
            picture = self.dataset.images[i]
            for place, out in zip(plan.places[i].tolist(), views, strict=True):
                self.view(picture, place, out)
                if plan.shifts is not None:
                    augmentation.add_colour(out, plan.shifts[i])
                if plan.factor != 1:
                    out *= np.float32(plan.factor)

    def _cut(self, x, indices, plan):
        """Only copy the pixels of these pictures: x (N, views, side, side, 3) uint8."""
        for i, views in zip(indices.tolist(), x, strict=True):
            for (top, left, _), out in zip(plan.places[i].tolist(), views, strict=True):
                out[...] = self.dataset.images[i][top : top + self.side, left : left + self.side]

    def _batch(self, pixels, indices, plan) -> Batch:
        """The pictures of these indices, ready or with what is left to do with their pixels."""
        if self._mean is None:
            return Batch(pixels)
        places = plan.places[indices].reshape(-1, 3)
        where = places
        if self.mean_crop == "centre":
            where = np.broadcast_to([*self._ten[CENTRE][:2], 0], places.shape)
        shifts = np.zeros((len(pixels), 3), np.float32)
        if plan.shifts is not None:
            shifts[...] = np.repeat(plan.shifts[indices], plan.places.shape[1], axis=0)
        return Batch(pixels, np.hstack([where, places[:, 2:]]).astype(np.int32), shifts,
                     self._mean, plan.factor)

    def view(self, picture: np.ndarray, place: tuple[int, int, int], out: np.ndarray):
        """One view of a picture (S, S, 3) minus its mean, into out (side, side, 3) float32."""
        top, left, mirrored = place
        crop = picture[top : top + self.side, left : left + self.side]
        # First made float32, then subtracted: at once, NumPy would convert in small pieces, which
        # takes longer. And reversed pixels, three numbers each, are fastest colour by colour.
        if mirrored:
            for colour in range(3):
                out[..., colour] = crop[:, ::-1, colour]
        else:
            out[...] = crop
        out -= self._mean_crop(*(self._ten[CENTRE] if self.mean_crop == "centre" else place))

    def _mean_crop(self, top, left, mirrored):
        mean = self._means[mirrored]
        if mirrored:
            left = mean.shape[1] - self.side - left
        return mean[top : top + self.side, left : left + self.side]
