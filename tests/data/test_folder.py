"""Which pictures a folder has, of which classes, to train on or to validate with.

What could go wrong without a word: labels that mean one thing in train/ and another in val/ (a
class folder is missing in one of them, and all later ones move up); a hidden folder that counts as
a class; a picture that is both trained on and validated with; a class that nobody validates.
"""

import os

import pytest

from tinyalex.data import folder
from tinyalex.support.errors import UserError


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"only the name is looked at")
    return path


@pytest.fixture
def pets(tmp_path):
    """Two cats, three dogs and an eel."""
    for split in ("train", "val"):
        for name in ("cat/a.png", "cat/b.PNG", "dog/a.png", "dog/b.bmp", "dog/c.png", "eel/a.png"):
            put(tmp_path / split / name)
    return tmp_path


def labels(pictures):
    return {picture.name: picture.label for picture in pictures}


def test_every_picture_comes_once_with_the_label_of_its_folder(pets):
    listing = folder.listing(str(pets))
    assert listing.classes == ("cat", "dog", "eel") and len(listing) == 12
    for split in ("train", "val"):
        assert len(listing.splits[split]) == 6
        assert labels(listing.splits[split]) == {
            f"{split}/cat/a.png": 0, f"{split}/cat/b.PNG": 0, f"{split}/dog/a.png": 1,
            f"{split}/dog/b.bmp": 1, f"{split}/dog/c.png": 1, f"{split}/eel/a.png": 2}


def test_any_first_part_takes_from_all_classes_alike(pets):
    listing = folder.listing(pets)
    assert [p.label for p in listing.splits["train"]] == [0, 1, 2, 0, 1, 1]
    assert [p.label for p in listing.first(4).splits["val"]] == [0, 1, 2, 0]


def test_a_class_that_is_missing_in_val_does_not_move_the_labels_of_the_others(pets):
    (pets / "val" / "cat").rename(pets / "cats, put elsewhere")
    listing = folder.listing(pets)
    assert listing.classes == ("cat", "dog", "eel")
    assert {p.label for p in listing.splits["val"]} == {1, 2}


def test_a_class_that_only_val_has_is_refused(pets):
    put(pets / "val" / "bat" / "a.png")
    with pytest.raises(UserError, match=r"val.bat: there is no such class in .*train"):
        folder.listing(pets)


def test_val_alone_is_enough_to_evaluate_on(pets):
    (pets / "train").rename(pets.parent / "elsewhere")
    listing = folder.listing(pets)
    assert listing.splits["train"] == [] and labels(listing.splits["val"])["val/dog/a.png"] == 1


def test_what_the_desktop_leaves_behind_is_neither_class_nor_picture(pets):
    put(pets / "train" / ".ipynb_checkpoints" / "a.png")
    put(pets / "train" / "cat" / "._a.png")
    put(pets / "train" / "cat" / "Thumbs.db")
    put(pets / "train" / "readme.txt")
    put(pets / "train" / "notes" / "readme.txt")
    (pets / "train" / "dog" / "more.jpg").mkdir()
    listing = folder.listing(pets)
    assert listing.classes == ("cat", "dog", "eel") and len(listing.splits["train"]) == 6


def of(listing, split):
    """The pictures' files, each with its class."""
    return {picture.name.removeprefix(f"{split}/"): listing.classes[picture.label]
            for picture in listing.splits[split]}


@pytest.mark.parametrize("name", ["valid", "validation", "dev"])
def test_a_val_folder_may_be_called_otherwise_beside_train(name, pets):
    (pets / "val").rename(pets / name)
    assert of(folder.listing(pets), "val")[f"{name}/cat/a.png"] == "cat"
    (pets / "train").rename(pets / "invalid")  # now they are two classes, and not two splits
    for inside in (name, "invalid"):
        put(pets / inside / "a.png")
    assert folder.listing(pets).classes == tuple(sorted([name, "invalid"]))


def test_what_is_left_out_is_counted_and_the_first_are_named(pets):
    for name in ("train/cat/more/1.png", "train/0.jpg", "0.jpg", "train/cat/a.heic", "notes.txt",
                 "train/.DS_Store", *(f"test/cat/{i}.png" for i in range(1200))):
        put(pets / name)
    said = folder.left_out(folder.listing(pets).left_out)
    assert said == (
        "left out: pictures outside the class folders: 3 (0.jpg, train/cat/more/1.png, train/0.jpg)"
        "; pictures in test/: 1,200 (test/cat/0.png, test/cat/1.png, test/cat/10.png, …); "
        "files that are not pictures: 2 (notes.txt, train/cat/a.heic); hidden: 1 (train/.DS_Store)")
    (pets / "train" / "fox").mkdir()
    put(pets / "valid" / "cat" / "1.png")
    assert "empty folders: 1 (train/fox)" in folder.left_out(folder.listing(pets).left_out)
    assert "pictures in valid/: 1 (valid/cat/1.png)" in folder.left_out(
        folder.listing(pets).left_out)


def test_why_there_is_no_class_is_said_as_well(tmp_path):
    put(tmp_path / "birds" / "heron" / "1.png")
    put(tmp_path / "birds" / "swan" / "1.heic")
    with pytest.raises(UserError, match=r"class folders: 1 \(birds/heron/1\.png\); files that are"):
        folder.listing(tmp_path)


def test_tiny_imagenet_is_read_as_it_comes(tmp_path):
    for wnid in ("n1", "n2"):
        put(tmp_path / "train" / wnid / f"{wnid}_boxes.txt")
        put(tmp_path / "train" / wnid / "images" / f"{wnid}_0.JPEG")
    for i in range(2):
        put(tmp_path / "val" / "images" / f"val_{i}.JPEG")
    put(tmp_path / "test" / "images" / "test_0.JPEG")
    (tmp_path / "val" / "val_annotations.txt").write_text(
        "val_0.JPEG\tn2\t0\t32\t44\t62\nval_1.JPEG\tn1\t52\t55\t57\t59\n")
    listing = folder.listing(tmp_path)
    assert of(listing, "train") == {"n1/images/n1_0.JPEG": "n1", "n2/images/n2_0.JPEG": "n2"}
    assert of(listing, "val") == {"images/val_0.JPEG": "n2", "images/val_1.JPEG": "n1"}
    assert listing.left_out["pictures in test/"] == ["test/images/test_0.JPEG"]


@pytest.mark.parametrize("inside", [".", "ILSVRC", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_imagenet_is_read_as_it_comes(inside, tmp_path):
    data = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    for name in ("train/n1/a.JPEG", "train/n2/b.JPEG", "val/v1.JPEG", "val/v2.JPEG"):
        put(data / name)
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nv1,n2 1 2 3 4 \n"
                                                   "v2,n1 1 2 3 4 n1 5 6 7 8 \n")
    listing = folder.listing(tmp_path / inside)
    assert of(listing, "train") == {"n1/a.JPEG": "n1", "n2/b.JPEG": "n2"}
    assert of(listing, "val") == {"v1.JPEG": "n2", "v2.JPEG": "n1"}


def test_images_is_a_class_like_any_other_where_it_is_one_of_several(tmp_path):
    for name in ("images/1.png", "tables/1.png"):
        put(tmp_path / name)
    os.symlink("itself", tmp_path / "itself")
    assert folder.listing(tmp_path).classes == ("images", "tables")


def test_a_class_whose_umlaut_is_written_in_two_ways_is_one_class(tmp_path):
    for name in ("train/Ka\u0308tzchen", "train/K\u00e4tzchen", "val/K\u00e4tzchen", "train/dog"):
        put(tmp_path / name / "1.png")
    listing = folder.listing(tmp_path)
    assert listing.classes == ("K\u00e4tzchen", "dog") and len(listing) == 4


def test_linked_folders_count_and_a_link_to_above_is_no_endless_way(pets):
    elsewhere = put(pets.parent / "elsewhere" / "emus" / "1.png").parent
    os.symlink(elsewhere, pets / "train" / "emu")
    os.symlink(pets, pets / "train" / "loop")
    os.symlink(pets / "nowhere", pets / "train" / "cat" / "gone.png")
    for itself in ("train/cat/it.png", "train/itself", "itself"):  # the system gives up on these
        os.symlink(pets / itself, pets / itself)
    listing = folder.listing(pets)
    assert of(listing, "train")["emu/1.png"] == "emu" and len(listing) == 13
    assert listing.left_out["links that lead nowhere"] == [
        "itself", "train/cat/gone.png", "train/cat/it.png", "train/itself"]


def many(tmp_path, inside):
    for name, count in (("ant", 1), ("bee", 2), ("cow", 30)):
        for i in range(count):
            put(tmp_path / inside / name / f"{i:02}.jpg")
    return tmp_path


@pytest.mark.parametrize("inside", [".", "train"])
def test_classes_without_a_val_folder_are_split_and_each_is_in_both(inside, tmp_path):
    listing = folder.listing(many(tmp_path, inside))
    train, val = (labels(listing.splits[split]) for split in ("train", "val"))
    assert not train.keys() & val.keys() and len(train) + len(val) == 33
    assert sorted(val.values()) == [1, 2, 2, 2], "a tenth, and one at least"
    assert sorted(set(train.values())) == [0, 1, 2], "a class of one picture is trained on"
    assert listing.split == {"val_share": 0.1, "seed": 0}


def test_the_seed_decides_which_and_the_share_how_many(tmp_path):
    def val(**how):
        return set(labels(folder.listing(many(tmp_path, "."), **how).splits["val"]))

    assert val() == val(seed=0) != val(seed=1)
    assert len(val(val_share=0.5)) == 16 and len(val(val_share=0.9)) == 28
    assert val(val_share=0) == set()
    cows = {name for name in val(val_share=0.5) if "cow" in name}
    assert cows != {f"cow/{i:02}.jpg" for i in range(15)}, "not simply the first ones"


def test_folders_without_pictures_are_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        folder.listing(tmp_path / "nowhere")
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(UserError, match=r"train: no class folders with pictures") as caught:
        folder.listing(tmp_path)
    assert ".jpeg" in caught.value.hint
    put(tmp_path / "train" / "cat" / "a.jpg")
    (tmp_path / "val").mkdir()
    with pytest.raises(UserError, match=r"val: no pictures in it"):
        folder.listing(tmp_path)


def test_the_digest_notices_every_kind_of_change(pets):
    picture, seen = pets / "train" / "cat" / "a.png", [folder.listing(pets).digest()]
    assert folder.listing(str(pets)).digest() == seen[0]

    def changed():
        seen.append(folder.listing(pets).digest())
        return seen[-1] not in seen[:-1]

    os.utime(picture, ns=(0, 1))
    assert changed(), "written anew"
    picture.write_bytes(b"longer or shorter")
    os.utime(picture, ns=(0, 1))
    assert changed(), "of another size"
    picture.rename(picture.with_name("z.png"))
    assert changed(), "renamed"
    (pets / "train" / "cat" / "z.png").rename(pets / "train" / "eel" / "z.png")
    assert changed(), "of another class"
    (pets / "train" / "eel" / "z.png").rename(pets / "val" / "eel" / "z.png")
    assert changed(), "of another split"
    assert folder.listing(pets).first(2).digest() not in seen, "a part of them"
    assert folder.listing(pets).first(99).digest() == seen[-1]
