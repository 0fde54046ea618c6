"""A dataset is made by somebody's own function, in whatever types that person likes. What can only
mean one thing is taken; the rest is said at once, not by a checkpoint that cannot be opened or by a
traceback of the loader's, an hour later."""

import numpy as np
import pytest

from tinyalex.data.dataset import Dataset
from tinyalex.support.errors import UserError

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
LABELS = np.array([0, 1, 1])


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


@pytest.mark.parametrize(("images", "labels", "said", "hint"), [
    (PICTURES / 255, LABELS, "the pictures are float64", "astype"),
    (PICTURES.transpose(0, 3, 1, 2), LABELS, r"\(3, 3, 8, 8\)", "transpose"),
    (PICTURES.transpose(0, 3, 1, 2) / 255, LABELS, "the pictures are float64", "transpose"),
    (PICTURES[..., 0], LABELS, r"\(3, 8, 8\)", "Dataset"),
    (PICTURES[..., :1], LABELS, r"\(3, 8, 8, 1\)", "Dataset"),
    (PICTURES[0], LABELS, r"\(8, 8, 3\)", "Dataset"),
    (None, LABELS, "the pictures are object of shape", ""),
    ([PICTURES[0], PICTURES[1, 1:]], [0, 0], "inhomogeneous", ""),
    (PICTURES, [[1], [1, 2]], "inhomogeneous", ""),
    (PICTURES, LABELS[:2], "3 pictures but 2 labels", ""),
    (PICTURES, LABELS[:, None], r"the labels are int64 of shape \(3, 1\)", ""),
    (PICTURES, LABELS / 2, "the labels are float64", ""),
    (PICTURES, [True, False, True], "the labels are bool", ""),
    (PICTURES, ["cat", "dog", "dog"], "the labels are <U3", ""),
    (PICTURES[:0], LABELS[:0], "no pictures", ""),
    (PICTURES, LABELS - 1, "labels run from -1 to 0", ""),
    (PICTURES, LABELS + 1, "labels run from 1 to 2; with 2 classes they must run from 0 to 1", ""),
])
def test_what_does_not_fit_together_is_refused_with_what_to_do(images, labels, said, hint):
    with pytest.raises(UserError, match=f"^mine: .*{said}") as caught:
        Dataset(images, labels, ("cat", "dog"), "mine")
    assert hint in caught.value.hint
