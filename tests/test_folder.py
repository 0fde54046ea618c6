"""Pictures in folders: every kind that Pillow reads comes out as RGB of the right size, and what is
missing or broken is named."""

import numpy as np
import pytest
from PIL import Image

from tinyalex.data import folder, sources
from tinyalex.errors import UserError


@pytest.fixture
def pictures(tmp_path):
    """train and val with the classes cat and dog; two pictures each of different shapes."""
    for split in ("train", "val"):
        for name, colour in (("cat", (250, 10, 10)), ("dog", (10, 10, 250))):
            (tmp_path / split / name).mkdir(parents=True)
            for i, size in enumerate([(40, 20), (15, 30)]):
                Image.new("RGB", size, colour).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


def test_classes_are_the_folders_and_pictures_take_turns(pictures):
    dataset = folder.load("train", pictures, side=16)
    assert dataset.classes == ("cat", "dog")
    assert dataset.images.shape == (4, 16, 16, 3)
    assert list(dataset.labels) == [0, 1, 0, 1]
    assert (dataset.images[0, 8, 8] == (250, 10, 10)).all()
    assert list(folder.load("train", pictures, 16, limit=2).labels) == [0, 1]


def test_the_shorter_side_is_scaled_and_the_centre_taken(tmp_path):
    """A picture 60 wide and 20 high, left third red, middle third green, right third blue: its
    central square is green."""
    image = np.zeros((20, 60, 3), np.uint8)
    for third in range(3):
        image[:, 20 * third : 20 * third + 20, third] = 200
    Image.fromarray(image).save(tmp_path / "flag.png")
    square = folder.read_picture(tmp_path / "flag.png", 40)
    assert square.shape == (40, 40, 3)
    np.testing.assert_allclose(square[:, 5:35], np.broadcast_to([0, 200, 0], (40, 30, 3)), atol=2)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_other_kinds_of_pictures_become_rgb(tmp_path, mode):
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    Image.new("RGB", (12, 12), (255, 255, 255)).convert(mode).save(path)
    square = folder.read_picture(path, 12)
    assert square.shape == (12, 12, 3) and square.dtype == np.uint8
    assert (square > 250).all()


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_a_broken_picture_is_named(pictures, content):
    path = pictures / "train" / "cat" / "0.png"
    path.write_bytes(path.read_bytes()[:50] if content is None else content)
    with pytest.raises(UserError, match=r"cat.0\.png"):
        folder.load("train", pictures, 16)


def test_what_is_missing_is_named(pictures, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        folder.load("test", pictures)
    (tmp_path / "empty" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match="no class folders"):
        folder.load("train", tmp_path / "empty")
    (tmp_path / "empty" / "train" / "cat").mkdir()
    with pytest.raises(UserError, match="no pictures in 1 class"):
        folder.load("train", tmp_path / "empty")


def test_a_folder_is_found_by_its_path(pictures):
    assert len(sources.load(str(pictures), "val", 16)) == 4
    assert len(sources.load(str(pictures), "val", 16, limit=3)) == 3


def test_a_function_of_ones_own_must_give_a_dataset(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def load(split): return split\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="mine:load returned a str"):
        sources.load("mine:load", "train")
    for wrong in ("mine:other", "nothing_there:load", "mine:"):
        with pytest.raises(UserError, match=wrong):
            sources.load(wrong, "train")
