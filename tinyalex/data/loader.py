"""Batches for the network, prepared in the background while the devices train (section 4.1)."""

import queue
import threading
import time
from collections.abc import Iterator

import numpy as np

from tinyalex.data.dataset import Dataset
from tinyalex.devices import MemoryPool
from tinyalex.errors import UserError


class Loader:
    """Turns a dataset into batches of crops, minus the mean picture (paper, sections 2 and 4.1).

    dataset: pictures of S×S pixels. side: of the crops that the network reads. mean: (S, S, 3)
    float32, subtracted pixel by pixel. scale: what the difference is multiplied with (1 in the
    paper). shuffle: pictures in random order, else as they come. augment: crops at random
    places, half of them mirrored, else the centre. Both are decided by (seed, epoch) and the
    picture's index alone.

    `waited` adds up the seconds that the caller of `epoch` had to wait for a batch.
    """

    def __init__(self, dataset: Dataset, side: int, mean: np.ndarray, *, scale: float = 1.0,
                 batch_size: int = 128, seed: int = 0, shuffle: bool = False,
                 augment: bool = False):
        height, width = dataset.images.shape[1:3]
        if min(height, width) < side:
            raise UserError(
                f"{dataset.name}: the pictures have {width}×{height} pixels and the network reads "
                f"{side}×{side}", "choose another --preset, or larger pictures.")
        self.dataset, self.side, self.mean, self.scale = dataset, side, mean, scale
        self.batch_size, self.seed = batch_size, seed
        self.shuffle, self.augment = shuffle, augment
        self.waited = 0.0
        self._pool = MemoryPool()

    def __len__(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.batch_size)

    def epoch(self, number: int = 1, first: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches of one epoch: (N, side, side, 3) float32 and their labels (N,).

        first: how many batches to leave out, for a run that resumes in the middle of an epoch.
        What goes wrong while a batch is prepared is raised here. When the caller stops early, the
        background thread ends too.
        """
        order, crops = self._plan(number)
        waiting, wanted, over = queue.Queue(), threading.Semaphore(1), threading.Event()

        def prepare():
            try:
                for batch in range(first, len(self)):
                    wanted.acquire()  # one batch ahead is enough, and takes the least memory
                    if over.is_set():
                        return
                    some = order[batch * self.batch_size : (batch + 1) * self.batch_size]
                    waiting.put((self._batch(some, crops[some]), self.dataset.labels[some]))
            except BaseException as error:
                waiting.put(error)

        thread = threading.Thread(target=prepare, name="loader", daemon=True)
        thread.start()
        try:
            for _ in range(first, len(self)):
                start = time.perf_counter()
                ready = waiting.get()
                self.waited += time.perf_counter() - start
                if isinstance(ready, BaseException):
                    raise ready
                wanted.release()
                yield ready
                del ready  # let go of this batch's memory before waiting for the next one
        finally:
            over.set()
            wanted.release()
            thread.join()

    def _plan(self, epoch):
        """The order of the pictures, and for every picture (top, left, mirrored)."""
        count, (height, width) = len(self.dataset), self.dataset.images.shape[1:3]
        room = height - self.side, width - self.side  # how far a crop can move down, to the right
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(count) if self.shuffle else np.arange(count)
        if self.augment:
            return order, random.integers(0, [room[0] + 1, room[1] + 1, 2], (count, 3))
        return order, np.tile([room[0] // 2, room[1] // 2, 0], (count, 1))

    def _batch(self, indices, crops):
        """(picture - mean) * scale, cropped and mirrored, for each of the pictures."""
        x, side = self._pool.empty((len(indices), self.side, self.side, 3), np.float32), self.side
        for picture, crop, out in zip(self.dataset.images[indices], crops, x, strict=True):
            top, left, mirrored = crop
            here = slice(top, top + side), slice(left, left + side)
            np.subtract(picture[here], self.mean[here], out=out[:, ::-1] if mirrored else out)
        if self.scale != 1:
            x *= np.float32(self.scale)
        return x


def mean_picture(dataset: Dataset) -> np.ndarray:
    """The mean of all pictures, pixel by pixel: (H, W, 3) float32."""
    total = np.zeros(dataset.images.shape[1:], np.int64)
    for start in range(0, len(dataset), 1000):
        total += dataset.images[start : start + 1000].sum(axis=0, dtype=np.int64)
    return (total / len(dataset)).astype(np.float32)
