"""Pictures in many memory-mapped files, which must read like one array.

An index that falls into the wrong file gives a picture with another one's label, and nothing but
the training error would tell. So every way to ask is compared with the array that the files were
cut from. And a file that lost its end must be named before training starts, not after a day.
"""

import json

import numpy as np
import pytest

from tinyalex.data import shards
from tinyalex.data.dataset import Dataset
from tinyalex.data.shards import Shards
from tinyalex.data.statistics import Sums
from tinyalex.support.errors import UserError

WHOLE = np.random.default_rng(0).integers(0, 256, (11, 4, 4, 3), np.uint8)
COUNTS = [4, 0, 5, 2]  # a shard may have lost all its pictures


@pytest.fixture
def images():
    return Shards(np.split(WHOLE, np.cumsum(COUNTS)[:-1]))


def test_one_picture_is_a_view_of_the_file(images):
    assert images.shape == WHOLE.shape and len(images) == 11 and images.dtype == np.uint8
    for i in range(-11, 11):
        assert (images[i] == WHOLE[i]).all() and np.shares_memory(images[i], WHOLE)
    assert (images[np.int64(7)] == WHOLE[7]).all()
    for beyond in (11, -12):
        with pytest.raises(IndexError):
            images[beyond]
    assert (np.stack(list(images)) == WHOLE).all(), "and a loop over all of them ends"


@pytest.mark.parametrize("key", [
    slice(3, 6), slice(0, 4), slice(4, 9), slice(None), slice(2, 99), slice(-3, None), slice(5, 5),
    (6, slice(1, 3), slice(0, 2)), (-1, 2),  # a crop: what a loader for a GPU asks for
], ids=str)
def test_any_part_is_what_the_whole_array_has_there(key, images):
    assert images[key].shape == WHOLE[key].shape and len(images[key]) == len(WHOLE[key])
    assert (np.asarray(images[key]) == WHOLE[key]).all()


def test_a_slice_copies_nothing_and_can_be_cut_again(images):
    part = images[2:10]
    assert isinstance(part, Shards) and np.shares_memory(part[0], WHOLE)
    assert (np.asarray(part[1:][2:5]) == WHOLE[5:8]).all()
    with pytest.raises(IndexError, match="consecutive pictures"):
        images[::2]


def test_a_dataset_takes_them_for_an_array(images):
    dataset = Dataset(images, np.arange(11), tuple("abcdefghijk"), "shards")
    first = dataset.first(6)
    assert len(first) == 6 and (first.images[5] == WHOLE[5]).all()
    np.testing.assert_allclose(dataset.measure().mean, WHOLE.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(first.measure().mean, WHOLE[:6].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dataset.first(3).measure().mean, WHOLE[:3].mean(axis=0), rtol=1e-6)


def test_statistics_are_added_up_only_once(images, monkeypatch):
    """ImageNet is 250 GB, and a start asks several times."""
    dataset = Dataset(images, np.arange(11), tuple("abcdefghijk"), "shards")
    measured = dataset.measure()
    monkeypatch.setattr(Sums, "of", None)
    assert dataset.measure() is measured


@pytest.fixture
def prepared(tmp_path):
    """A prepared folder by hand: two shards to train on, an empty one to validate with."""
    for i, part in enumerate((WHOLE[:8], WHOLE[8:])):
        np.save(tmp_path / f"train-0000{i}.npy", part)
    np.save(tmp_path / "val-00000.npy", WHOLE[:0])
    np.savez(tmp_path / "prepared.npz", train=np.arange(11), val=np.empty(0, int),
             mean=np.zeros((4, 4, 3), np.float32), covariance=np.eye(3))
    (tmp_path / "prepared.json").write_text(json.dumps({
        "format": shards.FORMAT, "side": 4, "classes": list("abcdefghijk"), "skipped": 0,
        "shards": {"train": [8, 3], "val": [0]}}))
    return tmp_path


def test_a_prepared_folder_opens_with_labels_classes_and_statistics(prepared):
    train = shards.load(prepared, "train", side=4)
    assert (np.asarray(train.images) == WHOLE).all() and (train.labels == np.arange(11)).all()
    assert train.classes == tuple("abcdefghijk") and (train.measure().covariance == np.eye(3)).all()
    assert not train.images[0].flags.writeable and len(shards.load(prepared, "train")) == 11


def test_a_side_that_does_not_fit_tells_how_to_prepare_another(prepared):
    with pytest.raises(UserError, match="pictures of 4×4; 256×256 are needed") as caught:
        shards.load(prepared, "train", side=256)
    assert "--side 256" in caught.value.hint


def test_a_split_without_pictures_is_said_to_be_empty(prepared):
    with pytest.raises(UserError, match="val: no pictures"):
        shards.load(prepared, "val")


@pytest.mark.parametrize("name", ["train-00001.npy", "prepared.npz", "prepared.json"])
@pytest.mark.parametrize("keep", [None, 0, 40, 0.5, -1], ids=str)
def test_a_file_that_is_missing_or_cut_short_is_named(name, keep, prepared):
    content = (prepared / name).read_bytes()
    if keep is None:
        (prepared / name).unlink()
    else:
        short = content[: int(keep * len(content)) if isinstance(keep, float) else keep]
        (prepared / name).write_bytes(short.rstrip() if name.endswith(".json") else short)
    if keep == -1 and name.endswith(".json"):
        (prepared / name).write_bytes(content[:-2])
    with pytest.raises(UserError) as caught:
        shards.load(prepared, "train")
    where = prepared if name.endswith(".json") and keep is None else prepared / name
    assert caught.value.args[0].startswith(f"{where}: ") and "tinyalex.prepare" in caught.value.hint


@pytest.mark.parametrize("change", [
    {"side": "4"}, {"side": 0}, {"side": 10**9}, {"classes": 3}, {"classes": [3]}, {"shards": {}},
    {"shards": {"train": [8, 3]}}, {"shards": {"train": [8, -3], "val": [0]}}, {"skipped": None},
    {"shards": {"train": [8, 4], "val": [0]}}, {"shards": {"train": [11], "val": [0]}},
], ids=str)
def test_a_record_that_says_something_else_is_named(change, prepared):
    record = json.loads((prepared / "prepared.json").read_text())
    (prepared / "prepared.json").write_text(json.dumps(record | change))
    with pytest.raises(UserError, match=r"prepared\.(json|npz)|train-0000"):
        shards.load(prepared, "train")


@pytest.mark.parametrize("change", [
    {"train": np.arange(10)}, {"train": np.arange(11.0)}, {"mean": np.zeros((4, 3))},
    {"mean": np.full((4, 4, 3), np.nan, np.float32)}, {"covariance": np.eye(2)},
    {"covariance": np.array("x")}, {"train": np.array(3)},
], ids=str)
def test_numbers_that_do_not_fit_the_record_are_named(change, prepared):
    with np.load(prepared / "prepared.npz") as file:
        np.savez(prepared / "prepared.npz", **(dict(file) | change))
    with pytest.raises(UserError, match=r"prepared\.npz"):
        shards.load(prepared, "train")


def test_a_shard_that_was_exchanged_for_another_is_named(prepared):
    np.save(prepared / "train-00001.npy", WHOLE[:8])
    with pytest.raises(UserError, match=r"train-00001\.npy: uint8 of shape \(8, 4, 4, 3\)"):
        shards.load(prepared, "train")


def test_a_folder_of_a_later_version_is_refused(prepared):
    about = json.loads((prepared / "prepared.json").read_text())
    (prepared / "prepared.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(UserError, match="format 99; this version reads 1"):
        shards.load(prepared, "train")


@pytest.mark.parametrize(("soft", "hard", "count", "lifted"), [
    (1024, 4096, 1300, 3112), (1024, 2048, 1300, 2048), (512, 512, 400, 512),
    (4096, 4096, 1300, 4096), (256, None, 300, 1112), (None, None, 5000, None),
    (512, 512, 481, "481 shards need 513 open files, and the limit is 512")])
def test_the_limit_of_open_files_is_lifted_as_far_as_it_may_be(
        soft, hard, count, lifted, monkeypatch):
    resource = pytest.importorskip("resource")
    limits = [tuple(resource.RLIM_INFINITY if n is None else n for n in (soft, hard))]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, pair: limits.append(pair))
    if isinstance(lifted, str):
        with pytest.raises(UserError, match=lifted):
            shards.allow_open_files(count)
    else:
        shards.allow_open_files(count)
        assert limits[-1][0] == (resource.RLIM_INFINITY if lifted is None else lifted)


def test_more_shards_than_open_files_are_no_obstacle(tmp_path):
    """Each mapped file counts as open; a process may open 1,024 by default, on some systems 256."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 300
    for i in range(count):
        np.save(tmp_path / f"train-{i:05}.npy", WHOLE[:1])
    np.savez(tmp_path / "prepared.npz", train=np.zeros(count, int), val=np.empty(0, int),
             mean=np.zeros((4, 4, 3), np.float32), covariance=np.eye(3))
    (tmp_path / "prepared.json").write_text(json.dumps({
        "format": shards.FORMAT, "side": 4, "classes": ["a"], "skipped": 0,
        "shards": {"train": [1] * count, "val": [0]}}))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert len(list(shards.load(tmp_path, "train").images)) == count
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
