"""Pictures by whatever name: what is shown must be what was named, and gallery again by its name.

A pattern that matches a text file, a folder whose first hundred pictures are of one class, a number
that counts from 1, a cache that keeps the features of a file that has changed since: none of these
complains, and all of them show something else than was asked for.
"""

import os

import numpy as np
import pytest
from PIL import Image

from tinyalex.data import folder, shapes, sources
from tinyalex.data.dataset import Dataset
from tinyalex.data.gallery import gather
from tinyalex.data.pictures import BrokenPicture
from tinyalex.data.preparation import prepare
from tinyalex.support.errors import UserError


def save(path, colour, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def photos(tmp_path):
    for name, colour in {"cat/1.png": 10, "cat/2.jpg": 20, "cat/3.bmp": 30, "dog/1.gif": 40,
                         "dog/sub/9.tga": 50, ".thumbs/1.png": 60}.items():
        save(tmp_path / "photos" / name, (colour,) * 3)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


def names(gallery, folder):
    return [os.path.relpath(name, folder) for name in gallery.names]


def test_a_folder_gives_the_pictures_of_its_folders_in_turn(photos):
    gallery = gather([str(photos)], 8)
    assert names(gallery, photos) == ["cat/1.png", "dog/1.gif", "dog/sub/9.tga", "cat/2.jpg",
                                    "cat/3.bmp"]
    assert gallery.labels(["dog", "cat"]) == [1, 0, None, 1, 1]
    assert [int(gallery[i].mean().round()) for i in range(len(gallery))] == [10, 40, 50, 20, 30]
    assert len(gather([str(photos)], 8, limit=2)) == 2


def test_a_pattern_gives_the_pictures_that_match_and_nothing_else(photos):
    assert names(gather([f"{photos}/*/*.*p*"], 8), photos) == ["cat/1.png", "cat/2.jpg",
                                                               "cat/3.bmp"]
    assert len(gather([f"{photos}/**/*"], 8)) == 5


def test_a_name_finds_the_same_picture_from_another_folder(photos, monkeypatch):
    monkeypatch.chdir(photos)
    gallery = gather(["cat/2.jpg", "dog"], 8)
    pictures = [gallery[i] for i in range(3)]
    monkeypatch.chdir("/")
    again = gather(gallery.names, 8)
    np.testing.assert_array_equal([again[i] for i in range(3)], pictures)


def test_a_file_may_have_any_ending_and_any_shape(tmp_path):
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 30:60] = 200
    Image.fromarray(wide).save(tmp_path / "wide", "webp", lossless=True)
    gallery = gather([str(tmp_path / "wide")], 30)
    assert gallery.shape == (1, 30, 30, 3)
    assert (gallery[0][5:-5, 5:-5] == 200).all(), "the centre of it"


def test_the_class_is_that_of_the_path_as_written(photos):
    """Links are how people sort pictures that lie elsewhere."""
    (photos / "bird").mkdir()
    os.symlink(photos / "cat" / "1.png", photos / "bird" / "1.png")
    os.symlink(photos / "dog", photos / "wolf")
    os.symlink(photos, photos / "dog" / "loop")
    true = {os.path.relpath(picture.name, photos): picture.true
            for picture in gather([str(photos), str(photos / "wolf" / "1.gif")], 8).pictures}
    assert true == {"cat/1.png": "cat", "cat/2.jpg": "cat", "cat/3.bmp": "cat", "dog/1.gif": "dog",
                    "dog/sub/9.tga": "sub", "bird/1.png": "bird", "wolf/1.gif": "wolf",
                    "wolf/sub/9.tga": "sub"}


def test_all_commands_find_the_same_pictures_of_the_same_classes(photos):
    (photos / "dog" / "sub" / "9.tga").rename(photos / "dog" / "9.tga")
    (photos / "dog" / "sub").rmdir()
    os.symlink(photos / "cat", photos / "Ka\u0308tzchen")
    for i in range(2):
        save(photos / "emu" / "images" / f"{i}.jfif", (9, 9, 9))
    listing = folder.listing(photos)
    listed = {str(photos / picture.name): listing.classes[picture.label]
              for pictures in listing.splits.values() for picture in pictures}
    shown = gather([str(photos)], 8)
    assert {picture.name: picture.true for picture in shown.pictures} == listed
    alone = gather(list(listed), 8)
    assert {picture.name: picture.true for picture in alone.pictures} == listed
    assert None not in shown.labels(listing.classes), "with any spelling"


def test_what_is_passed_over_is_counted_on_one_line(photos, capsys):
    gather([str(photos), f"{photos}/**/*"], 8)
    assert capsys.readouterr().out == ("left out: hidden: 1 (.thumbs); files that are not "
                                       f"pictures: 2 (notes.txt, {photos}/notes.txt)\n")


def test_brackets_in_the_name_of_a_folder_are_no_pattern(photos, monkeypatch):
    dataset = Dataset(*shapes.make(5, seed=1), shapes.CLASSES, "five")
    monkeypatch.setattr(sources, "load", lambda *about, side: dataset)
    monkeypatch.chdir(photos.rename(photos.with_name("set[1]")).parent)
    assert len(gather(["set[1]/cat/*.*p*"], 8)) == len(gather(["set[1]/c*/*.*p*"], 8)) == 3
    assert gather(["set[1]/val/3"], 8).names == ["set[1]/val/3"]
    assert len(gather(["set[1]/val"], 8)) == 5


def test_a_folder_with_the_name_of_a_dataset_is_read_where_it_is_written_as_a_folder(
        photos, monkeypatch, capsys):
    sources.say_if_there.cache_clear()
    monkeypatch.setattr(shapes, "SPLITS", {"train": (20, 1), "val": (10, 2)})
    monkeypatch.setenv("TINYALEX_DATA", str(photos.parent / "cache"))
    monkeypatch.chdir(photos.rename(photos.with_name("shapes")).parent)
    assert len(sources.load("shapes", "val")) == len(gather(["shapes/val"], 64)) == 10
    said = "shapes is the built-in dataset; ./shapes would be the one here\n"
    assert capsys.readouterr().out.count(said) == 1
    with pytest.raises(UserError, match="a dataset has two splits") as caught:
        gather(["shapes"], 8)
    assert "./shapes is the folder" in caught.value.hint
    assert len(gather(["./shapes"], 8)) == 5


def test_the_look_at_a_prepared_folder_is_no_photograph(photos, tmp_path):
    out = tmp_path / "album" / "out"
    prepare(folder.listing(photos), out, 8)
    save(out / "look.png", (1, 1, 1))
    with pytest.raises(UserError, match="out: a dataset has two splits") as caught:
        gather([str(out)], 8)
    assert f"{out}/val" in caught.value.hint and len(gather([f"{out}/train"], 8)) == 3
    with pytest.raises(UserError, match=r"no pictures .*; left out: prepared folders: 1 \(out\)"):
        gather([str(out.parent)], 8)


def test_a_broken_picture_does_not_keep_the_others(photos, capsys):
    (photos / "cat" / "2.jpg").write_text("<html>")
    gallery = gather([str(photos / "cat")], 8)
    pictures = np.stack([gallery[i] for i in range(3)])
    good = gallery.good()
    assert good == [0, 2] and pictures[good].mean(axis=(1, 2, 3)).tolist() == [10, 30]
    assert capsys.readouterr().err == (
        f"skipped {photos}/cat/2.jpg: not a picture that can be read\n")
    assert names(gallery.only(good), photos) == ["cat/1.png", "cat/3.bmp"]
    alone = gather([str(photos / "cat" / "2.jpg")], 8)
    alone[0]
    with pytest.raises(BrokenPicture, match=r"2\.jpg: not a picture"):
        alone.good()


def test_pictures_of_a_dataset_go_by_number_from_0(monkeypatch):
    dataset, loads = Dataset(*shapes.make(5, seed=1), shapes.CLASSES, "five"), []
    monkeypatch.setattr(sources, "load",
                        lambda *about, side: (loads.append(about), dataset)[1])
    gallery = gather(["shapes/val/1-3", "shapes/val/0"], 64)
    assert gallery.names == [f"shapes/val/{i}" for i in (1, 2, 3, 0)]
    for i, n in enumerate((1, 2, 3, 0)):
        np.testing.assert_array_equal(gallery[i], dataset.images[n])
    assert gallery.labels(dataset.classes) == dataset.labels[[1, 2, 3, 0]].tolist()
    assert len(gather(["shapes/val"], 64)) == 5
    gather([f"shapes/val/{i}" for i in range(5)], 64)
    assert loads == [("shapes", "val")] * 3, "once for each gallery"
    assert gather(["shapes/val/4"], 32)[0].shape == (32, 32, 3)
    with pytest.raises(UserError, match="has the pictures 0 to 4, not 5"):
        gather(["shapes/val/5"], 64)


@pytest.mark.parametrize(("wanted", "said"), [
    ("nowhere.jpg", "no such picture, folder or dataset"), ("nothing/val/3", "no such picture"),
    ("*.xyz", "no picture matches"), ("empty", "no pictures in this folder"),
    ("shapes", "a dataset has two splits"), ("no.module:load/val", "no.module:load"),
])
def test_what_names_nothing_is_named(wanted, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match=said) as caught:
        gather([wanted], 8)
    assert wanted.split("/")[0] in caught.value.args[0] and caught.value.hint
    assert "CIFAR" not in caught.value.hint


def test_the_digest_changes_with_every_picture(photos):
    before = gather([str(photos)], 8).digest()
    assert gather([str(photos)], 8).digest() == before
    save(photos / "cat" / "1.png", (11, 11, 11), (9, 9))
    changed = gather([str(photos)], 8).digest()
    (photos / "cat" / "1.png").unlink()
    assert len({before, changed, gather([str(photos)], 8).digest()}) == 3
