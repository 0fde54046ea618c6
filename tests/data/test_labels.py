"""The classes of the pictures in a val/ without class folders, from the lists that go about.

A list that is read wrongly gives every picture a class, only not its own, and the validation error
stays near 100 % without a word. The worst trap: the devkit's numbers from 1 to 1000 are not the
places of the sorted WNIDs. The table that tells their order is a MATLAB file.
"""

import struct
import zlib

import imagenets
import limits
import pytest

from tinyalex.data import devkit, folder, labels
from tinyalex.support.errors import UserError

WNIDS = tuple(f"n{10_000_000 + i}" for i in range(devkit.CLASSES))
NAMES = [f"ILSVRC2012_val_{i:08}.JPEG" for i in range(1, 5)]
GIVEN = [7, 999, 0, 7]  # the places of the four pictures' classes


def written(tmp_path, text, name="list.txt"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("line", [
    lambda i, label: WNIDS[label],
    lambda i, label: f"{NAMES[i]} {WNIDS[label]}",
    lambda i, label: f"val/{NAMES[i]}\t{WNIDS[label]}",
    lambda i, label: f"{NAMES[i]} {label}",
    lambda i, label: f'{NAMES[i][:-5]},"{WNIDS[label]} 85 1 499 272 {WNIDS[5]} 1 2 3 4 "',
    lambda i, label: f"{NAMES[i][:-5]},{WNIDS[label]} 85 1 499 272 ",
    lambda i, label: f"{NAMES[i]}, {label}",
], ids=["in order", "named", "path and tab", "Caffe", "Kaggle, quoted", "Kaggle", "comma"])
def test_every_list_gives_the_same_classes(line, tmp_path):
    text = "".join(line(i, label) + "\n" for i, label in enumerate(GIVEN))
    assert labels.read(written(tmp_path, text), NAMES, WNIDS) == GIVEN


def test_a_list_with_names_may_have_any_order_a_headline_a_byte_order_mark_and_more(tmp_path):
    rows = [f"{name},{WNIDS[label]} 1 2 3 4" for name, label in zip(NAMES, GIVEN, strict=True)]
    text = "\n".join([rows[3], "ImageId,PredictionString", *rows[2::-1], f"other,{WNIDS[1]} 1 2"])
    assert labels.read(written(tmp_path, "\ufeff" + text), NAMES, WNIDS) == GIVEN


def test_classes_may_have_names_of_several_words(tmp_path):
    path = written(tmp_path, "hot dog\ncat\n")
    assert labels.read(path, ["a.jpg", "b.jpg"], ("cat", "hot dog")) == [1, 0]


PETS = ("cat", "dog", "dog house", "Kätzchen", "house")


@pytest.mark.parametrize(("text", "names", "expected"), [
    ("v1.jpg dog\nv2.jpg dog house\n", "v1.jpg v2.jpg", [1, 2]),
    ("my cat 1.jpg dog house\nmy cat 2.jpg 0 0 9 9", ["my cat 1.jpg", "my cat 2.jpg"], "line 2"),
    ("my cat 1.jpg 5\nmy cat 2.jpg 0", ["my cat 1.jpg", "my cat 2.jpg"], "line 1: 5; 5 classes"),
    ("my cat 1.jpg 2\nmy cat 2.jpg 0", ["my cat 1.jpg", "my cat 2.jpg"], [2, 0]),
    ('"a, b.jpg",dog\nc.jpg,cat', ["a, b.jpg", "c.jpg"], [1, 0]),
    ("img.1 cat\nimg.2 dog", "img.1.jpg img.2.jpg", [0, 1]),
    ("a.jpg cat\na.png dog", "a.jpg a.png", [0, 1]),
    ("a cat\nb.png dog", "a.jpg a.png", "line 1: a may be a.jpg or a.png"),
    ("a.png cat\nb.png dog", "a.jpg b.jpg", [0, 1]),
    ("a.jpg cat\nb.jpg dog\na.jpg dog", "a.jpg b.jpg", "line 3: a.jpg is 'dog', and in line 1"),
    ("a.jpg cat\nb.jpg dog\na.jpg cat", "a.jpg b.jpg", [0, 1]),
    ("a.jpg cat\nb.jpg 1", "a.jpg b.jpg", "line 2: '1', and in line 1 'cat': a name and a number"),
    ("cat\n1", "a.jpg b.jpg", "line 2: '1', and in line 1 'cat'"),
    ("v.JPEG\tdog\t0\t32\t44\t62\nw.JPEG\tcat\t1\t2\t3\t4", "v.JPEG w.JPEG", [1, 0]),
    ("a.jpg Ka\u0308tzchen\nu\u0308.jpg cat", "a.jpg \u00fc.jpg", [3, 0]),
    ("a dog house", ["a.jpg", "a dog.jpg"], "'dog house' may be the class of a, or 'house' that"),
], ids=str)
def test_names_may_have_spaces_and_dots_and_a_list_has_one_way_of_writing(
        text, names, expected, tmp_path):
    path, names = written(tmp_path, text), names.split() if isinstance(names, str) else names
    if isinstance(expected, list):
        assert labels.read(path, names, PETS) == expected
    else:
        with pytest.raises(UserError, match=expected):
            labels.read(path, names, PETS)


def test_where_classes_are_called_by_numbers_a_number_is_a_name(tmp_path):
    names, path = ["a.jpg", "b.jpg", "c.jpg"], written(tmp_path, "a.jpg 1\nb.jpg 10\nc.jpg 2")
    assert labels.read(path, names, ("1", "10", "2")) == [0, 1, 2]
    assert labels.read(written(tmp_path, "1\n10\n2"), names, ("1", "10", "2")) == [0, 1, 2]
    with pytest.raises(UserError, match="line 3: there is no class '2' in train"):
        labels.read(path, names, ("1", "10", "3"))


def test_a_line_without_an_end_is_no_endless_work(tmp_path):
    path = written(tmp_path, "a.jpg cat\n" + "no list, " * 100_000)
    assert labels.read(path, ["a.jpg"], PETS) == [0]


def write_meta(folder, order, *how):
    (folder / "meta.mat").write_bytes(imagenets.meta({wnid: f"the {wnid}" for wnid in order}, *how))


@pytest.mark.parametrize("letters", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_the_devkits_numbers_go_by_the_devkits_order(letters, packed, tmp_path):
    write_meta(tmp_path, WNIDS[::-1], letters, packed)
    path = written(tmp_path, "993\n1\n1000\n993\n", labels.GROUND_TRUTH)
    assert labels.read(path, NAMES, WNIDS) == GIVEN
    (tmp_path / "meta.mat").unlink()
    with pytest.raises(UserError, match=r"but there is no .*meta\.mat"):
        labels.read(path, NAMES, WNIDS)


def test_a_damaged_table_is_named(tmp_path):
    path = written(tmp_path, "1\n" * 4, labels.GROUND_TRUTH)
    write_meta(tmp_path, WNIDS)
    whole = (tmp_path / "meta.mat").read_bytes()
    for content in (whole[:-100], b"", whole[:400] + b"\0" * 100 + whole[500:]):
        (tmp_path / "meta.mat").write_bytes(content)
        with pytest.raises(UserError, match=r"meta\.mat: "):
            labels.read(path, NAMES, WNIDS)
    write_meta(tmp_path, WNIDS[:999], "utf-8", True, 0)
    with pytest.raises(UserError, match="999 classes found in it, 1000 expected"):
        labels.read(path, NAMES, WNIDS)


def test_a_table_that_unpacks_to_far_more_than_it_can_need_is_not_unpacked(tmp_path):
    path = written(tmp_path, "1\n" * 4, labels.GROUND_TRUTH)
    bomb = zlib.compress(bytes(10**8))
    (tmp_path / "meta.mat").write_bytes(
        bytes(126) + b"IM" + struct.pack("<II", 15, len(bomb)) + bomb)
    with limits.memory(4 * devkit.MOST), pytest.raises(UserError, match=r"meta\.mat: cut short"):
        labels.read(path, NAMES, WNIDS)


@pytest.mark.parametrize(("text", "complaint"), [
    (f"{WNIDS[0]}\n" * 3, "3 lines for 4 pictures"),
    (f"{NAMES[0]} {WNIDS[0]}\n", f"does not name {NAMES[1]}, nor 2 others"),
    (f"{NAMES[0]} n99999999\n", "line 1: there is no class 'n99999999'"),
    (f"{NAMES[0]} 1\n{NAMES[1]} 1000\n", "line 2: 1000; 1000 classes have the numbers 0 to 999"),
    (f"elsewhere.JPEG 1000\n{NAMES[1]} 1\n", "line 1: 1000"),
    (f"{WNIDS[0]}\nn99999999\n{WNIDS[0]}\n{WNIDS[0]}\n", "line 2: there is no class"),
    ("", "the file is empty"), (f"{WNIDS[0]}\n", "1 line for 4 pictures"),
    (f"{NAMES[0]} {'9' * 5000}\n", "line 1: there is no class '999"),
    (f'{NAMES[0]}," "\n', "line 1: there is no class ''"),
])
def test_a_list_that_does_not_fit_says_where(text, complaint, tmp_path):
    with pytest.raises(UserError, match=f"list.txt.*{complaint}"):
        labels.read(written(tmp_path, text), NAMES, WNIDS)


def test_what_is_no_list_is_named(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    for name, said in (("photo.jpg", "not a list of classes"), ("nowhere.txt", "no such file"),
                       ("", "not a regular file")):
        path = tmp_path / name
        with pytest.raises(UserError, match=f"{path.name}: {said}"):
            labels.read(path, NAMES, WNIDS)


@pytest.mark.parametrize("place", ["val.txt", "val/LOC_val_solution.csv",
                                   "ILSVRC2012_devkit_t12/data/val.txt"])
def test_a_flat_val_finds_its_list_and_sorts_its_pictures_by_class(place, tmp_path):
    for name in ("train/ant/1.jpg", "train/bee/2.jpg", "val/v1.JPEG", "val/v2.JPEG", "val/v3.JPEG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="no list of the classes") as caught:
        folder.listing(tmp_path)
    assert "--val-labels" in caught.value.hint
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("v1.JPEG,bee\nv2.JPEG,bee\nv3.JPEG,ant\n")
    expected = [("val/v3.JPEG", 0), ("val/v1.JPEG", 1), ("val/v2.JPEG", 1)]
    listed = [(p.name, p.label) for p in folder.listing(tmp_path).splits["val"]]
    assert listed == expected
    (tmp_path / place).rename(tmp_path / "elsewhere.txt")
    named = folder.listing(tmp_path, tmp_path / "elsewhere.txt").splits["val"]
    assert [(p.name, p.label) for p in named] == expected


def test_numbers_that_may_count_from_1_are_refused(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a.jpg 1\nb.jpg 2\n")
    with pytest.raises(UserError, match="does it count from 0 or from 1"):
        labels.read(path, ["a.jpg", "b.jpg"], ("cat", "dog", "emu"))
    path.write_text("a.jpg 1\nb.jpg 2\nelsewhere.jpg 0\n")
    assert labels.read(path, ["a.jpg", "b.jpg"], ("cat", "dog", "emu")) == [1, 2]


def test_what_only_unicode_takes_for_the_end_of_a_line_is_none(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("a\x85.jpg cat\r\nb.jpg dog\rc.jpg cat\n".encode())
    assert labels.read(path, ["a\x85.jpg", "b.jpg", "c.jpg"], ("cat", "dog")) == [0, 1, 0]


@pytest.mark.parametrize(("name", "content"), [
    ("meta.mat", b"of another dataset"), ("LOC_synset_mapping.txt", b"n1 caf\xe9\n")])
def test_words_that_cannot_be_read_are_done_without(name, content, tmp_path):
    """The list names the classes itself, so nothing depends on what they are called."""
    (tmp_path / name).write_bytes(content)
    for split, names in (("train/cat", "a.jpg"), ("train/dog", "b.jpg"), ("val", "c.jpg")):
        (tmp_path / split).mkdir(parents=True)
        (tmp_path / split / names).write_bytes(b"")
    written(tmp_path, "c.jpg dog\n", "val.txt")
    listing = folder.listing(tmp_path)
    assert [picture.label for picture in listing.splits["val"]] == [1] and listing.words == {}
