"""A dataset is made by somebody's own function, in whatever types that person likes. What can only
mean one thing is taken; the rest is said at once, not by a checkpoint that cannot be opened or by a
traceback of the loader's, an hour later."""

import numpy as np
import pytest

from tinyalex.data.dataset import Dataset
from tinyalex.support.errors import UserError

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)


@pytest.mark.parametrize("labels", [[0, 1, 1], (0, 1, 1), np.array([0, 1, 1], np.uint8)])
def test_labels_of_any_kind_become_an_array(labels):
    labels = Dataset(PICTURES, labels, ("cat", "dog"), "mine").labels
    assert isinstance(labels, np.ndarray) and labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(("classes", "names"), [
    (["cat", "dog"], ("cat", "dog")), (np.array(["cat", "dog"]), ("cat", "dog")),
    ((0, 1), ("0", "1")), (range(2), ("0", "1")), (np.arange(2), ("0", "1"))])
def test_names_of_any_kind_become_texts(classes, names):
    """(0, 1) trained, and then the checkpoint could not be opened."""
    dataset = Dataset(PICTURES, [0, 1, 1], classes, "mine")
    assert dataset.classes == dataset.first(1).classes == names
    assert {type(name) for name in dataset.classes} == {str}


@pytest.mark.parametrize(("classes", "said"), [
    (("cat", "cat"), "two classes are called 'cat'"), ((1, "1"), "two classes are called '1'"),
    (("cat", ""), "'' is not a class"), (("cat", " \t"), "is not a class"),
    (("cat", None), "None is not"), ((0.5, 1.5), "0.5 is not a class"), ("ab", "classes are a str"),
    ({"cat", "dog"}, "are a set"), ({"cat": 0, "dog": 1}, "are a dict"), (None, "are a NoneType")])
def test_what_is_no_list_of_names_is_refused(classes, said):
    with pytest.raises(UserError, match=f"^mine: .*{said}"):
        Dataset(PICTURES, [0, 1, 1], classes, "mine")


@pytest.mark.parametrize(("images", "hint"), [
    (PICTURES / 255, "astype"), (PICTURES.transpose(0, 3, 1, 2), "transpose"),
    (PICTURES.transpose(0, 3, 1, 2) / 255, "transpose"), (PICTURES[..., 0], "Dataset")])
def test_who_gives_other_pictures_is_told_what_to_do(images, hint):
    with pytest.raises(UserError, match=r"^mine: the pictures are") as caught:
        Dataset(images, [0, 1, 1], ("cat", "dog"), "mine")
    assert hint in caught.value.hint


@pytest.mark.parametrize("labels", [[True, False, True], [0.0, 1.0, 1.0], ["cat", "dog", "dog"]])
def test_labels_that_are_no_whole_numbers_are_refused(labels):
    with pytest.raises(UserError, match=r"^mine: the labels are"):
        Dataset(PICTURES, labels, ("cat", "dog"), "mine")
