"""Pictures in folders, one folder a class.

What could go wrong without a word: labels that mean one thing in train/ and another in val/ (a
class folder is missing in one of them, and all later ones move up); a hidden folder that counts as
a class; a part of the picture other than its centre; grey, palette or see-through pictures in
strange colours. And what must not go wrong with a traceback: a picture that is none.
"""

import numpy as np
import pytest
from PIL import Image

from tinyalex.data import folder
from tinyalex.errors import UserError

RED, GREEN = (255, 0, 0), (0, 128, 0)


def put(path, colour=RED, size=(4, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


@pytest.fixture
def pets(tmp_path):
    """Two cats, three dogs and an eel; each picture is grey, of a shade of its own."""
    for split, first in (("train", 10), ("val", 110)):
        names = ["cat/a.png", "cat/b.PNG", "dog/a.png", "dog/b.bmp", "dog/c.png", "eel/a.png"]
        for i, name in enumerate(names):
            put(tmp_path / split / name, colour=(first + i,) * 3)
    return tmp_path


def shades(dataset):
    return dict(zip(dataset.images[:, 0, 0, 0].tolist(), dataset.labels.tolist(), strict=True))


def test_every_picture_comes_once_with_the_label_of_its_folder(pets):
    train, val = folder.load("train", pets, side=4), folder.load("val", str(pets), side=4)
    assert train.classes == val.classes == ("cat", "dog", "eel")
    assert shades(train) == {10: 0, 11: 0, 12: 1, 13: 1, 14: 1, 15: 2}
    assert shades(val) == {110: 0, 111: 0, 112: 1, 113: 1, 114: 1, 115: 2}
    assert train.images.dtype == np.uint8 and train.images.shape == (6, 4, 4, 3)


def test_a_class_that_is_missing_in_val_does_not_move_the_labels_of_the_others(pets):
    (pets / "val" / "cat").rename(pets / "cats, put elsewhere")
    val = folder.load("val", pets, side=4)
    assert val.classes == ("cat", "dog", "eel")
    assert shades(val) == {112: 1, 113: 1, 114: 1, 115: 2}


def test_a_class_that_only_val_has_is_refused(pets):
    put(pets / "val" / "bat" / "a.png")
    with pytest.raises(UserError, match=r"val.bat: there is no such class in .*train"):
        folder.load("val", pets, side=4)


def test_val_alone_has_the_classes_that_it_has(pets):
    (pets / "train").rename(pets / "elsewhere")
    assert shades(folder.load("val", pets, side=4))[112] == 1


def test_a_limit_takes_from_all_classes_alike(pets):
    some = folder.load("train", pets, side=4, limit=4)
    assert sorted(some.labels) == [0, 0, 1, 2] and some.classes == ("cat", "dog", "eel")


def test_what_the_desktop_leaves_behind_is_neither_class_nor_picture(pets):
    put(pets / "train" / ".ipynb_checkpoints" / "a.png")
    (pets / "train" / "cat" / "._a.png").write_bytes(b"macOS")
    (pets / "train" / "cat" / "Thumbs.db").write_bytes(b"Windows")
    (pets / "train" / "readme.txt").write_text("about these pictures")
    train = folder.load("train", pets, side=4)
    assert train.classes == ("cat", "dog", "eel") and len(train) == 6


def test_folders_without_pictures_are_named(tmp_path):
    with pytest.raises(UserError, match=r"train: no such folder"):
        folder.load("train", tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match=r"train: no class folders in it"):
        folder.load("train", tmp_path)
    (tmp_path / "train" / "cat").mkdir()
    with pytest.raises(UserError, match=r"train: no pictures in 1 class folders") as caught:
        folder.load("train", tmp_path)
    assert ".jpeg" in caught.value.hint


def png_cut_short(path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"<html>404 not found</html>"),
    lambda path: path.mkdir(),
    png_cut_short,
    lambda path: path.write_bytes(b"GIF89a"),
], ids=["empty", "html", "folder", "cut short", "only a header"])
def test_a_picture_that_cannot_be_read_is_named(spoil, pets):
    path = pets / "train" / "dog" / "broken.png"
    spoil(path)
    with pytest.raises(UserError, match=r"broken\.png: not a picture") as caught:
        folder.load("train", pets, side=4)
    assert str(path) in caught.value.args[0] and len(str(caught.value).splitlines()) == 2


def test_a_picture_of_gigantic_size_is_refused_and_not_unpacked(pets, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    put(pets / "train" / "dog" / "bomb.png", size=(15, 15))
    with pytest.raises(UserError, match=r"bomb\.png: not a picture"):
        folder.load("train", pets, side=4)


def see_through_palette(path):
    """Colour 0 is half see-through, so the file has an opacity for each colour of the palette."""
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([*GREEN, *RED])
    picture.save(path, transparency=bytes([128, 255]))


@pytest.mark.parametrize(("save", "expected"), [
    (lambda path: put(path, GREEN), GREEN),
    (lambda path: put(path, 77, mode="L"), (77, 77, 77)),
    (lambda path: put(path, 1, mode="1"), (255, 255, 255)),
    (lambda path: put(path, 77 * 256, mode="I;16"), (77, 77, 77)),
    (lambda path: Image.new("RGB", (4, 4), GREEN).quantize(4).save(path), GREEN),
    (lambda path: put(path, (*GREEN, 255), mode="RGBA"), GREEN),
    (lambda path: put(path, (*GREEN, 0), mode="RGBA"), (255, 255, 255)),
    (lambda path: put(path, (0, 128), mode="LA"), (127, 127, 127)),
    (see_through_palette, (127, 191, 127)),
], ids=["RGB", "grey", "black and white", "16 bits", "palette", "RGBA", "see-through",
        "grey see-through", "palette see-through"])
def test_every_kind_of_picture_gives_the_colours_that_one_sees(save, expected, tmp_path):
    save(tmp_path / "a.png")
    picture = folder.read_picture(tmp_path / "a.png", 4)
    assert picture.shape == (4, 4, 3) and picture.dtype == np.uint8
    assert abs(picture.astype(int) - expected).max() <= 1


def test_a_photograph_for_print_becomes_rgb_too(tmp_path):
    put(tmp_path / "a.jpg", (0, 255, 255, 0), (16, 16), mode="CMYK")
    assert abs(folder.read_picture(tmp_path / "a.jpg", 16).astype(int) - RED).max() <= 3


@pytest.mark.parametrize("size", [(48, 24), (24, 48), (24, 24), (36, 24)])
def test_the_centre_is_taken_once_the_shorter_side_is_scaled(size, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    picture = Image.fromarray(noise).resize(size)
    picture.save(tmp_path / "a.png")
    wide, high = size[0] // 2, size[1] // 2
    left, top = (wide - 12) // 2, (high - 12) // 2
    expected = picture.resize((wide, high), Image.Resampling.BICUBIC).crop(
        (left, top, left + 12, top + 12))
    picture = folder.read_picture(tmp_path / "a.png", 12)
    assert abs(picture.astype(int) - np.asarray(expected)).max() <= 1, "but for rounding"


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 4000), (4000, 5)])
def test_the_tiniest_and_the_longest_picture_fit_as_well(size, tmp_path):
    put(tmp_path / "a.png", GREEN, size)
    assert (folder.read_picture(tmp_path / "a.png", 64) == GREEN).all()
