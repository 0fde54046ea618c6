"""Which data a run can go on with: the same pictures, wherever they lie; the same classes in order.

The usual slips: a fingerprint with the path or the time of a file in it, so that a copied folder
is another one; one that asks for equal bits, which no two CPUs draw; one of the labels alone, or
of the first pictures; classes that are counted, or compared as sets.
"""

import blobs
import numpy as np
import pytest

from tinyalex.data.dataset import Dataset
from tinyalex.data.identity import expect_same_classes, fingerprint, same_pictures
from tinyalex.data.shards import Shards
from tinyalex.support.errors import UserError

DATA = blobs.load("train")


def changed(images=DATA.images, labels=DATA.labels, name="another"):
    return Dataset(images, labels, DATA.classes, name)


def rounded():
    """As another decoder may have it: a pixel in a hundred one lighter or darker."""
    noise = np.random.default_rng(0).choice([0, 1, -1], DATA.images.shape, p=[0.99, 0.005, 0.005])
    return (DATA.images + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("again", {
    "another name": changed(),
    "another type of labels": changed(labels=DATA.labels.astype(np.uint8)),
    "rounded otherwise": changed(rounded()),
    "in files": changed(Shards([DATA.images[:7], DATA.images[7:]])),
}.items(), ids=lambda pair: pair[0])
def test_the_same_pictures_are_the_same_however_they_are_read(again):
    assert same_pictures(fingerprint(DATA), fingerprint(again[1]))


def moved(array, i, j):
    order = np.arange(len(array))
    order[[i, j]] = j, i
    return array[order]


@pytest.mark.parametrize("other", {
    "another order": changed(DATA.images[::-1], DATA.labels[::-1]),
    "two changed places": changed(moved(DATA.images, 3, 6)),
    "one fewer": changed(DATA.images[:-1], DATA.labels[:-1]),
    "one label": changed(labels=(DATA.labels + (np.arange(40) == 17)) % 3),
    "another size": changed(DATA.images[:, 1:]),
    "turned": changed(DATA.images[:, ::-1, ::-1]),
    "mirrored": changed(DATA.images.transpose(0, 2, 1, 3)),
    "other pictures": blobs.load("val"),
}.items(), ids=lambda pair: pair[0])
def test_other_pictures_are_others(other):
    assert not same_pictures(fingerprint(DATA), fingerprint(other[1]))


@pytest.mark.parametrize(("classes", "message"), [
    (["a", "c"], "val has 2 classes (a, c); train has 3 classes (a, b, c)"),
    (["a", "c", "b"], "val has 'c' as its class 1; train has 'b' there (the same names in another"),
    (["a", "b", "d"], "val has 'd' as its class 2; train has 'c' there"),
])
def test_classes_are_the_same_names_in_the_same_order(classes, message):
    expect_same_classes(("a", "b", "c"), "val", ["a", "b", "c"], "train has", "a hint.")
    with pytest.raises(UserError) as caught:
        expect_same_classes(classes, "val", ("a", "b", "c"), "train has", "a hint.")
    assert message in str(caught.value)
