"""What still layers give is computed once, and is what they would have given.

A file of other weights, other pictures or other crops, taken for the right one, would train on
numbers that have nothing to do with the pictures, and nobody would see it but by the error.
"""

import errno
from dataclasses import replace

import blobs
import numpy as np
import pytest

from tinyalex import freezing
from tinyalex.devices import CpuDevice
from tinyalex.run import kept, presets
from tinyalex.run.kept import Kept
from tinyalex.support import files
from tinyalex.support.errors import UserError

RECIPE = replace(presets.get("cifar"), batch_size=16, freeze="conv1-conv2", devices="cpu", views=1,
                 data="blobs:load", without="conv4,conv5")
MEAN = np.full((32, 32, 3), 120, np.float32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path))
    return tmp_path / "kept"


def network(recipe=RECIPE, device=None):
    net = recipe.network(3, [device or CpuDevice("test", 1)])
    freezing.freeze(net, recipe.freeze)
    return net


def make(recipe=RECIPE, views=1, shuffle=False, net=None, dataset=None, mean=MEAN):
    stem, _ = freezing.parts(net or network(recipe))
    return Kept(recipe, stem, dataset or blobs.load("train"), mean, views, shuffle)


def test_the_batches_are_what_the_layers_give_of_the_centres_in_the_loader_s_order(cache):
    net = network()
    stem, head = freezing.parts(net)
    loader = kept.assembly.train_loader(replace(RECIPE, augment=False), blobs.load("train"), MEAN,
                                        28)
    ours = make(net=net, shuffle=True)
    assert len(ours) == len(loader) == 3
    for (x, labels), (pixels, theirs) in zip(ours.epoch(2, 1), loader.epoch(2, 1), strict=True):
        np.testing.assert_array_equal(labels, theirs)
        np.testing.assert_allclose(x.pixels, stem.forward(pixels), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(head.forward(x), net.forward(pixels), rtol=1e-4, atol=1e-4)


def test_views_are_the_centre_and_random_crops_and_their_turn_depends_on_the_epoch(cache):
    ours = make(views=3)
    values = ours.values()
    assert values.shape[:2] == (3, 40)
    np.testing.assert_array_equal(values[0], make().values()[0])
    for other in (1, 2):
        assert (values[0] != values[other]).any(axis=tuple(range(1, values.ndim - 1))).mean() > 0.9
    one, two, again = (np.concatenate([x.pixels for x, _ in ours.epoch(n)]) for n in (1, 2, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(("cores", "count"), [(1, 0), (2, 40)])
def test_a_device_of_the_same_kind_gives_the_same_under_any_name(cache, monkeypatch, cores, count):
    """Workers of one machine have a GPU each: the first one's file is for all of them."""
    make().values()
    assert computed(monkeypatch, net=network(device=CpuDevice("cpu7", cores))) == count


def computed(monkeypatch, **other):
    """How many pictures go through the layers."""
    count, forward = 0, kept.Network.forward

    def counting(self, x, *args, **more):
        nonlocal count
        count += len(x)
        return forward(self, x, *args, **more)

    monkeypatch.setattr(kept.Network, "forward", counting)
    make(**other).values()
    monkeypatch.setattr(kept.Network, "forward", forward)
    return count


def test_it_is_computed_once(cache, monkeypatch):
    assert computed(monkeypatch) == 40
    assert computed(monkeypatch) == 0
    for change in ({"lr": 0.5}, {"epochs": 9}, {"seed": 3}):
        recipe = replace(RECIPE, **change)
        assert computed(monkeypatch, recipe=recipe, net=network()) == 0, f"{change} changes nothing"


def other_pictures():
    data = blobs.load("train")
    images = data.images.copy()
    images[39, 16, 16, 0] ^= 1  # one pixel in one picture
    return replace(data, images=images)


def other_weights():
    net = network()
    freezing.layers_called(net, "conv2")[1].params["b"][0] += 1e-3
    return net


@pytest.mark.parametrize(("what", "count"), {
    "weights": (lambda: {"net": other_weights()}, 40),
    "pictures": (lambda: {"dataset": other_pictures()}, 40),
    "mean": (lambda: {"mean": MEAN + 1}, 40),
    "scale": (lambda: {"recipe": replace(RECIPE, scale=0.01)}, 40),
    "views": (lambda: {"views": 2}, 80),
    "layers": (lambda: {"recipe": replace(RECIPE, lrn="none")}, 40),
    "dropout": (lambda: {"recipe": replace(RECIPE, dropout=0.2)}, 40),
    "frozen": (lambda: {"recipe": replace(RECIPE, freeze="conv1-conv3")}, 40),
}.values())
def test_another_one_is_computed_anew(cache, monkeypatch, what, count):
    assert computed(monkeypatch) == 40
    assert computed(monkeypatch, **what()) == count


@pytest.mark.parametrize("damage", [
    lambda content: content[:-1] + bytes([content[-1] ^ 1]),  # one bit in one number
    lambda content: b"", lambda content: content[:-1], lambda content: b"x" + content[1:],
    lambda content: content.replace(b"<f4", b"<i4")])
def test_a_damaged_file_is_computed_anew(cache, monkeypatch, capsys, damage):
    before = np.array(make().values())
    (path,) = cache.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert computed(monkeypatch) == 40
    assert capsys.readouterr().err == f"{path}: damaged, so what was in it is computed once more\n"
    np.testing.assert_array_equal(make().values(), before)


def test_the_file_of_other_numbers_under_this_name_is_not_believed(cache, monkeypatch):
    make().values()
    (path,) = cache.iterdir()
    make(net=other_weights()).values()
    (other,) = {*cache.iterdir()} - {path}
    other.replace(path)
    assert computed(monkeypatch) == 40


def test_a_disk_without_room_is_noticed_before_the_work(cache, monkeypatch, free_space):
    free_space(4000)
    with pytest.raises(UserError, match="kept: what the frozen layers make of the pictures would"):
        computed(monkeypatch)
    assert not [*cache.iterdir()]


def test_an_error_in_the_middle_leaves_nothing(cache, monkeypatch):
    ours = make()
    cache.mkdir()
    monkeypatch.setattr(kept, "np", None)
    with pytest.raises(AttributeError):
        ours._compute(cache, "x")
    assert not [*cache.iterdir()]


def test_a_cache_that_can_only_be_read_serves_all_the_same(cache, monkeypatch):
    make().values()

    def refuse(*args, **more):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(kept.Path, "touch", refuse)
    assert computed(monkeypatch) == 0


def test_what_writers_of_other_files_left_when_they_were_killed_is_removed(cache):
    cache.mkdir()
    left, held = (cache / f".{'0' * 24}.npy.{number:08d}.part" for number in (1, 2))
    left.write_bytes(b"some")
    with files._held(held):
        make().values()
        assert not left.exists() and held.exists()


def test_what_was_not_used_for_the_longest_time_makes_room(cache, monkeypatch):
    import os
    for number, recipe in enumerate((RECIPE, replace(RECIPE, lrn="none"))):
        make(recipe).values()
        newest = max(cache.iterdir(), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (number + 1, number + 1))
    size = newest.stat().st_size
    assert computed(monkeypatch) == 0  # used: it is the younger one now
    monkeypatch.setattr(kept, "MOST", 2 * size + 100)
    make(replace(RECIPE, scale=0.01)).values()
    assert len([*cache.iterdir()]) == 2 and newest not in cache.iterdir()
    assert computed(monkeypatch) == 0
    with pytest.raises(UserError, match="--views 3: what the frozen layers make of blobs"):
        make(views=3)
