"""The loader: what is in a batch, and how batches come from the background.

What could go wrong and still train: crops that never reach the last row, a picture with the label
of its neighbour, a mean that is cropped at another place than the picture, pictures that come twice
in an epoch while others never come, other crops after a resume, colour noise that changes the crops
or depends on the number of threads. What could go wrong with time: memory of a batch that is
written over while somebody still reads it, a thread that stays when the caller leaves, and a caller
that waits for ever when the thread has died.
"""

import threading
import time

import numpy as np
import pytest

from tinyalex.data.augment import NOISES, ColourNoise
from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader
from tinyalex.devices import MemoryPool
from tinyalex.support.errors import UserError


def pictures(count: int, height: int = 9, width: int = 8) -> Dataset:
    """Noise, so that no crop is like another; the label of a picture is its index."""
    images = np.random.default_rng(5).integers(0, 256, (count, height, width, 3), np.uint8)
    return Dataset(images, np.arange(count), tuple(map(str, range(count))), "noise")


def loader(dataset: Dataset, side: int = 6, **options) -> Loader:
    options = {"batch_size": 4, "shuffle": True, "augment": True, **options}
    return Loader(dataset, side, dataset.measure().mean, **options)


def joined(batches) -> tuple[np.ndarray, np.ndarray]:
    batches, labels = zip(*batches, strict=True)
    return np.concatenate([batch.pixels for batch in batches]), np.concatenate(labels)


def all_the_same(these, those):
    for ours, theirs in zip(these, those, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def same(these, those):
    assert len(these) == len(those)
    for (x, labels), (other_x, other_labels) in zip(these, those, strict=True):
        all_the_same((x.pixels, labels), (other_x.pixels, other_labels))


def test_every_batch_is_a_crop_of_picture_minus_mean_and_every_crop_is_used():
    dataset, side, scale = pictures(1200), 6, 1 / 64
    x, labels = joined(loader(dataset, side, scale=scale).epoch(3))
    assert x.dtype == np.float32 and x.shape == (1200, side, side, 3)
    whole = (dataset.images - dataset.images.mean(axis=0)) * scale
    used = np.zeros((4, 3, 2), int)  # 9×8 pixels leave 4 places down and 3 across
    for place in np.ndindex(used.shape):
        top, left, mirrored = place
        crops = whole[labels, top : top + side, left : left + side]
        if mirrored:
            crops = crops[:, :, ::-1]
        used[place] = (abs(x - crops).max(axis=(1, 2, 3)) < 1e-4).sum()
    assert used.sum() == 1200, "some picture is none of its 24 crops"
    assert used.min() > 25 and used.max() < 80, f"50 of each are to be expected: {used}"


def test_without_augmentation_the_centre_is_taken_in_order():
    dataset = pictures(10)
    x, labels = joined(loader(dataset, shuffle=False, augment=False).epoch())
    np.testing.assert_array_equal(labels, np.arange(10))
    whole = dataset.images - dataset.images.mean(axis=0)
    np.testing.assert_allclose(x, whole[:, 1:7, 1:7], atol=1e-4)


def test_a_picture_smaller_than_the_crop_is_refused():
    with pytest.raises(UserError, match=r"noise: the pictures have 5×9 pixels and .* reads 6×6"):
        loader(pictures(4, 9, 5))


@pytest.mark.parametrize("count", [1, 4, 5, 11, 12])
def test_every_picture_comes_once_an_epoch(count):
    source = loader(pictures(count))
    batches = list(source.epoch())
    assert len(batches) == len(source) and all(len(labels) == 4 for _, labels in batches[:-1])
    assert sorted(joined(batches)[1]) == list(range(count))


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_a_run_that_resumes_gets_the_batches_that_it_would_have_got(first):
    dataset = pictures(11)
    straight = list(loader(dataset).epoch(2))
    same(list(loader(dataset).epoch(2, first)), straight[first:])


def test_recorded_runs_keep_their_order_and_crops():
    dataset = pictures(30)
    x, labels = joined(loader(dataset, seed=3).epoch(2))
    rng = np.random.default_rng([3, 2])
    np.testing.assert_array_equal(labels, rng.permutation(30))
    whole = dataset.images - dataset.images.mean(axis=0)
    places = rng.integers(0, [4, 3, 2], (30, 3))  # of picture 0, 1, …, whatever their order
    for one, label in zip(x, labels, strict=True):
        top, left, mirrored = places[label]
        crop = whole[label, top : top + 6, left : left + 6]
        np.testing.assert_allclose(one, crop[:, ::-1] if mirrored else crop, atol=1e-4)


@pytest.mark.parametrize("options", [{"workers": 2}, {"workers": 7}, {"batch_size": 7}])
def test_neither_workers_nor_batch_size_change_a_picture(options):
    dataset = pictures(30)
    noise = ColourNoise.original(dataset.measure())
    plain, other = (joined(loader(dataset, colour=noise, **more).epoch(2))
                    for more in ({}, options))
    all_the_same(plain, other)


@pytest.mark.parametrize("form", NOISES)
def test_colour_noise_is_added_after_the_mean_and_leaves_order_and_crops_alone(form):
    dataset = pictures(50)
    noise = NOISES[form](dataset.measure())
    plain, labels = joined(loader(dataset, seed=3, scale=0.5).epoch(2))
    x, noisy_labels = joined(loader(dataset, seed=3, scale=0.5, colour=noise).epoch(2))
    np.testing.assert_array_equal(labels, noisy_labels)
    shifts = noise.shifts(3, 2, 50)[labels][:, None, None]
    assert abs(shifts).max() > 1
    divisor = {"paper": 1, "original": 1.1}[form]
    np.testing.assert_allclose(x, 0.5 * (plain / 0.5 + shifts) / divisor, atol=1e-3)


def test_once_colour_noise_is_off_nothing_is_divided_either():
    dataset = pictures(10)
    noise = ColourNoise.original(dataset.measure(), until=2)
    plain, noisy = loader(dataset), loader(dataset, colour=noise)
    same(list(plain.epoch(3)), list(noisy.epoch(3)))
    last, _ = joined(noisy.epoch(2))
    assert abs(last - joined(plain.epoch(2))[0]).mean() > 1


def test_the_centre_of_the_mean_can_be_subtracted_whatever_the_crop_as_its_authors_did():
    dataset = pictures(60)
    paper, labels = joined(loader(dataset).epoch())
    x, _ = joined(loader(dataset, mean_crop="centre").epoch())
    mean, matched = dataset.images.mean(axis=0), np.zeros(60, int)
    for top, left, mirrored in np.ndindex(4, 3, 2):
        where = slice(top, top + 6), slice(left, left + 6)
        crops, its_mean = dataset.images[labels][(slice(None), *where)], mean[where]
        if mirrored:
            crops, its_mean = crops[:, :, ::-1], its_mean[:, ::-1]
        here = abs(paper - (crops - its_mean)).max(axis=(1, 2, 3)) < 1e-4
        matched += here  # what is subtracted is the unmirrored centre, mirrored crop or not
        np.testing.assert_allclose(x[here], (crops - mean[1:7, 1:7])[here], atol=1e-4)
    assert (matched == 1).all()


def test_ten_crops_of_a_picture_come_one_after_the_other():
    dataset = pictures(7)
    source = loader(dataset, batch_size=25, shuffle=False, augment=False, ten_crops=True, workers=3)
    batches = list(source.epoch())
    assert [x.shape[0] for x, _ in batches] == [20, 20, 20, 10] and len(source) == 4
    x, labels = joined(batches)
    np.testing.assert_array_equal(labels, range(7))
    whole = (dataset.images - dataset.images.mean(axis=0)).astype(np.float32)
    for i, views in enumerate(x.reshape(7, 10, 6, 6, 3)):
        # 9×8 pixels: 3 rows and 2 columns to spare
        five = [whole[i, :6, :6], whole[i, :6, 2:], whole[i, 3:, :6], whole[i, 3:, 2:],
                whole[i, 1:7, 1:7]]
        np.testing.assert_allclose(views, five + [crop[:, ::-1] for crop in five], atol=1e-4)


def test_options_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="augment"):
        loader(pictures(3), augment=True, ten_crops=True)
    with pytest.raises(ValueError, match="'center'"):
        loader(pictures(3), mean_crop="center")


def test_memory_that_the_caller_lets_go_is_used_again():
    source = loader(pictures(64 * 6, 20, 20), side=16, batch_size=64)
    for _ in source.epoch(1):
        pass
    before = source._pool.held
    for _ in source.epoch(2):
        pass
    assert 0 < source._pool.held == before


def test_memory_of_which_the_caller_holds_a_view_is_not_written_over():
    dataset = pictures(64 * 6, 20, 20)
    held, copies = [], []
    for batch, _ in loader(dataset, side=16, batch_size=64).epoch():
        assert batch.pixels.nbytes > MemoryPool.SMALL, "so small that the pool would not be asked"
        held.append(batch.pixels[3:5].reshape(-1))
        copies.append(held[-1].copy())
        del batch
    np.testing.assert_array_equal(held, copies)


class Slow:
    """Ten batches of four pictures that note who is asked for, take `nap` seconds each time, and of
    which one can fail. They come one at a time: pictures on a disk are not all copied at once."""

    shape, dtype = (40, 8, 8, 3), np.dtype(np.uint8)

    def __init__(self, broken: int | None, nap: float):
        self.broken, self.nap, self.asked = broken, nap, []

    def __getitem__(self, index):
        assert type(index) is int
        self.asked.append(index)
        time.sleep(self.nap)
        if index == self.broken:
            raise OSError(5, "the disk has gone", "shard-7")
        return np.zeros((8, 8, 3), np.uint8)


def slow(broken: int | None = None, nap: float = 0, workers: int = 1) -> tuple[Slow, Loader]:
    images = Slow(broken, nap)
    dataset = Dataset(images, np.zeros(40, int), ("one",), "slow")
    mean = np.zeros((8, 8, 3), np.float32)
    return images, Loader(dataset, 6, mean, batch_size=4, workers=workers)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def within(seconds: float, work):
    """Call work() in a thread, so that a caller who would wait for ever fails instead."""
    outcome = []
    caller = threading.Thread(target=lambda: outcome.append(work()), daemon=True)
    caller.start()
    caller.join(seconds)
    assert not caller.is_alive(), f"still waiting after {seconds} seconds"
    return outcome[0]


def wait_until(condition) -> bool:
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("broken", [12, 13, 15])
def test_an_error_in_the_background_is_raised_in_the_caller(workers, broken):
    def work():
        seen = []
        try:
            for x, _ in slow(broken, workers=workers)[1].epoch():
                seen.append(len(x))
        except OSError as error:
            return seen, error.strerror, error.filename

    assert within(5, work) == ([4, 4, 4], "the disk has gone", "shard-7")
    assert threads() == []


def test_one_batch_is_prepared_ahead_and_no_more():
    images, source = slow()
    batches = source.epoch()
    for taken in range(1, 4):
        next(batches)
        due = list(range(4 * (taken + 1)))
        assert wait_until(lambda due=due: images.asked == due), "nothing in background"
        time.sleep(0.02)
        assert images.asked == due, "each batch ahead takes memory"
    within(5, batches.close)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("taken", [0, 1, 3, 10])
def test_no_thread_stays_when_the_caller_stops_early(taken, workers):
    _, source = slow(workers=workers)
    batches = source.epoch()
    for _ in range(taken):
        next(batches)
    within(5, batches.close)
    assert threads() == []


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_no_thread_stays_when_the_callers_own_work_ends_badly(error):
    def work():
        try:
            for _ in slow(workers=2)[1].epoch():
                raise error
        except error:
            return "raised"

    assert within(5, work) == "raised" and wait_until(lambda: threads() == [])


def test_workers_share_a_batch():
    images, source = slow(workers=2)
    both = threading.Barrier(2, timeout=5)  # breaks unless two pictures are asked for at once
    images.__class__ = type("Meeting", (Slow,), {
        "__getitem__": lambda self, index: (both.wait(), Slow.__getitem__(self, index))[1]})
    assert len(list(source.epoch())) == 10


@pytest.mark.parametrize("workers", [0, 1])
def test_the_time_spent_waiting_is_added_up(workers):
    _, source = slow(nap=0.005, workers=workers)
    start = time.perf_counter()
    list(source.epoch())
    assert 0.1 < source.waited <= time.perf_counter() - start
