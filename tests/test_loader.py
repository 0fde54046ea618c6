"""The loader: each picture once an epoch, cut where it should be, prepared in time, nothing left over.

Crops go wrong by one pixel and nobody sees it; a mirror that flips rows instead of columns trains
too. So every batch is compared with a straight definition, made from the loader's own plan.
"""

import gc
import threading

import numpy as np
import pytest

from tinyalex.data.dataset import Dataset
from tinyalex.data.loader import Loader, mean_picture
from tinyalex.errors import UserError


def pictures(count=10, side=8):
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)
    return Dataset(images, np.arange(count) % 3, ("a", "b", "c"), "noise")


def loader(count=10, side=5, **more):
    dataset = pictures(count)
    return Loader(dataset, side, mean_picture(dataset), batch_size=4, **more)


def test_the_centre_crop_minus_the_mean_in_order():
    ours = loader(side=6, scale=0.5)
    x = np.concatenate([x for x, _ in ours.epoch()])
    images = ours.dataset.images.astype(np.float64)
    np.testing.assert_allclose(x, (images - images.mean(axis=0))[:, 1:7, 1:7] * 0.5, atol=1e-4)
    labels = np.concatenate([labels for _, labels in ours.epoch()])
    np.testing.assert_array_equal(labels, ours.dataset.labels)


def test_random_crops_and_mirrors_against_a_straight_definition():
    ours = loader(count=40, shuffle=True, augment=True, seed=3)
    order, crops = ours._plan(2)
    x = np.concatenate([x for x, _ in ours.epoch(2)])
    for i, n in enumerate(order):
        top, left, mirrored = crops[n]
        part = np.s_[top : top + 5, left : left + 5]
        expected = ours.dataset.images[n][part] - ours.mean[part]
        np.testing.assert_allclose(x[i], expected[:, ::-1] if mirrored else expected, atol=1e-4)
    assert set(crops[:, 0]) == set(crops[:, 1]) == {0, 1, 2, 3}, "every corner can be reached"
    assert 10 < crops[:, 2].sum() < 30


def test_every_picture_comes_once_an_epoch_in_another_order_each_time():
    ours = loader(count=30, shuffle=True)
    ours.dataset.labels[...] = 0
    orders = [ours._plan(epoch)[0] for epoch in (1, 2)]
    for order in orders:
        assert sorted(order) == list(range(30))
    assert (orders[0] != orders[1]).any()
    np.testing.assert_array_equal(orders[0], loader(count=30, shuffle=True)._plan(1)[0])


def test_an_epoch_that_starts_later_gives_the_same_batches():
    whole = list(loader(shuffle=True, augment=True).epoch(5))
    rest = list(loader(shuffle=True, augment=True).epoch(5, first=1))
    assert len(whole) == 3 and len(rest) == 2
    for (x, labels), (x2, labels2) in zip(whole[1:], rest, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(labels, labels2)


def test_a_batch_stays_as_it_is_while_the_caller_holds_it():
    """The loader uses memory again; not that of a batch which somebody still has."""
    dataset = pictures(12, 96)
    ours = Loader(dataset, 96, mean_picture(dataset), batch_size=2)
    assert ours._batch([0, 1], np.zeros((2, 3), int)).nbytes > ours._pool.SMALL
    held = [(x, x.copy()) for x, _ in ours.epoch()]
    for x, copy in held:
        np.testing.assert_array_equal(x, copy)
    del held, x, copy
    gc.collect()
    before = ours._pool.held
    for _ in ours.epoch():
        pass
    assert ours._pool.held == before


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "loader"]


def test_no_thread_is_left_when_the_caller_stops_early():
    batches = loader(count=100).epoch()
    next(batches)
    assert threads()
    batches.close()
    assert not threads()


def test_what_goes_wrong_in_the_background_is_raised_in_the_caller():
    class Broken:
        shape, dtype = (10, 8, 8, 3), np.dtype(np.uint8)

        def __getitem__(self, indices):
            raise UserError("picture.jpg is broken", "remove it.")

    dataset = Dataset(Broken(), np.zeros(10, int), ("a",), "broken")
    with pytest.raises(UserError, match=r"picture\.jpg is broken"):
        list(Loader(dataset, 5, np.zeros((8, 8, 3), np.float32)).epoch())
    assert not threads()


def test_pictures_smaller_than_the_crop_are_refused():
    with pytest.raises(UserError, match="8×8 pixels and the network reads 9×9"):
        loader(side=9)


def test_the_mean_is_taken_over_all_pictures_pixel_by_pixel():
    dataset = pictures(2500, 4)
    np.testing.assert_allclose(mean_picture(dataset), dataset.images.mean(axis=0), rtol=1e-6)
