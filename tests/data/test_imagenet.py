"""Pictures read from where they lie in ImageNet's archives.

What could go wrong: bytes that are not those of the unpacked folder; a label of another picture; an
order of the files that is relied on; a picture of an odd kind in strange colours. The archives here
are small, and written by Python's own tarfile, which is not what reads them.
"""

import errno
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import imagenets
import numpy as np
import pytest
from imagenets import CLASSES, ODD, flags, tars
from PIL import Image

from tinyalex.data import archives, devkit, folder, imagenet, preparation
from tinyalex.data.download import PublishedFile
from tinyalex.data.pictures import read_picture
from tinyalex.prepare import main

SAFELY = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # the default from 3.14 on
SOME = ("--side", "8", "--max-broken", "0.2")


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(preparation, "SHARD", 4)


def unpacked(packed, place):
    """What somebody has who unpacks everything: the devkit beside train/ and val/."""
    with tarfile.open(packed["train"]) as outer:
        for member in outer:
            with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                inner.extractall(place / "train" / member.name.removesuffix(".tar"), **SAFELY)
    for split, to in (("val", place / "val"), ("devkit", place)):
        with tarfile.open(packed[split]) as archive:
            archive.extractall(to, **SAFELY)
    return place


def digests(out):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


@pytest.mark.slow
def test_archives_give_the_bytes_of_the_unpacked_folder(packed, tmp_path, capsys):
    place, out, same = unpacked(packed, tmp_path / "all"), tmp_path / "out", tmp_path / "same"
    assert main([*flags(packed), str(out), *SOME]) == 1, "two are broken"
    said = capsys.readouterr().out
    assert "17 to train on, 6 to validate with in 3 classes\nlayout   ImageNet's archives\n" in said
    assert "all of ImageNet has 1,281,167 to train on, 50,000 to validate with" in said
    assert main([str(place), str(same), *SOME]) == 1
    assert f"a list for val/: {place / 'ILSVRC2012_devkit_t12'}" in capsys.readouterr().out
    assert digests(out) == digests(same), "plan.json as well: tar has kept the times"
    assert {line.split(":")[0] for line in (out / "skipped.txt").read_text().splitlines()} == {
        "train/n01440764/half a picture.JPEG", "train/n02105855/no picture.JPEG"}


@pytest.mark.slow
def test_kaggles_zip_gives_the_same_bytes_zipped_and_unpacked(packed, tmp_path, capsys):
    place, kept = tmp_path / "all", {}
    with zipfile.ZipFile(packed["zip"]) as archive:
        archive.extractall(place)
    for source, layout in ((packed["zip"], "layout   Kaggle's ImageNet, zipped\n"),
                           (place, "LOC_val_solution.csv (Kaggle's ImageNet)\n"), (None, "")):
        out = tmp_path / f"out{len(kept)}"
        main([*([str(source)] if source else flags(packed)), str(out), *SOME])
        assert layout in capsys.readouterr().out
        kept[source] = digests(out)
        kept[source].pop("plan.json")  # a .zip has other times than the files
    assert len({tuple(sorted(of.items())) for of in kept.values()}) == 1


def test_labels_and_words_are_those_of_the_devkit(packed, photos, tmp_path):
    """Its numbers are not in the order of the names; `pack` counts backwards."""
    listing = imagenet.from_tars(**tars(packed))
    named = sorted((photos / "val").glob("*/*"), key=lambda path: path.name)
    assert {picture.name: listing.classes[picture.label] for picture in listing.splits["val"]} == {
        f"val/ILSVRC2012_val_{i:08}.JPEG": path.parent.name for i, path in enumerate(named, 1)}
    assert [p.label for p in listing.first(6).splits["train"]] == [0, 1, 2, 0, 1, 2], "in turn"
    main([*flags(packed), str(tmp_path / "out"), *SOME])
    assert (tmp_path / "out" / "synset_words.txt").read_text() == "".join(
        f"{name} {name} in words, and in others\n" for name in CLASSES)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_what_is_odd_in_imagenet_is_read(packed, photos):
    listing = imagenet.from_tars(**tars(packed))
    odd = [p for p in listing.splits["train"] if Path(p.name).stem in ODD]
    assert len(odd) == len(ODD)
    for picture in odd:
        with Image.open(photos / picture.name) as whole:
            expected = np.asarray(whole.convert("RGB").resize((8, 8), Image.Resampling.BICUBIC,
                                                              box=(1, 0, 11, 10)))
        assert (read_picture(listing.source(picture), 8) == expected).all(), picture.name


def test_a_disk_that_fails_says_in_which_archive_and_at_which_picture(packed, monkeypatch):
    listing = imagenet.from_tars(**tars(packed))
    picture = listing.splits["val"][0]

    def stretch(*where):
        raise OSError(errno.EIO, "Input/output error")  # `read` names no file

    monkeypatch.setattr(archives, "stretch", stretch)
    with pytest.raises(OSError, match="Input/output") as caught:
        listing.source(picture)
    assert caught.value.filename == f"{packed['val']}/{picture.name}"


def test_archives_of_the_published_names_are_found_in_a_folder(packed, tmp_path, capsys, refused):
    main([str(packed["val"].parent), str(tmp_path / "out"), *SOME])
    assert "layout   ImageNet's archives\n" in capsys.readouterr().out
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "ILSVRC2012_img_train.tar").touch()
    assert "--devkit" in refused(main, [str(tmp_path / "few"), str(tmp_path / "new")])
    assert "--train" in refused(main, [str(packed["train"]), str(tmp_path / "new")])
    assert "say themselves which pictures" in refused(main, [
        *flags(packed), "--val-labels", "val.txt", str(tmp_path / "new")])


def test_without_the_train_archive_the_classes_are_the_devkits(packed):
    listing = imagenet.from_tars(packed["val"], packed["devkit"])
    assert listing.splits["train"] == [] and len(listing.classes) == devkit.CLASSES
    whole = imagenet.from_tars(**tars(packed))
    assert ({p.name: listing.classes[p.label] for p in listing.splits["val"]}
            == {p.name: whole.classes[p.label] for p in whole.splits["val"]})


def test_published_checksums_are_compared_when_asked_for(packed, tmp_path, monkeypatch, capsys,
                                                         refused):
    for split, path in tars(packed).items():
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        monkeypatch.setitem(imagenet.PUBLISHED, split, PublishedFile(path.name, (md5,), 1))
    main([*flags(packed), str(tmp_path / "out"), *SOME, "--verify"])
    assert capsys.readouterr().out.count("verified ") == 3
    monkeypatch.undo()
    assert "ILSVRC2012_img_train.tar has 1d675b47d978889d74fa0da5fadfb00e" in refused(
        main, [*flags(packed), str(tmp_path / "new"), "--verify"])
    assert "--verify" in refused(main, [str(tmp_path), str(tmp_path / "new"), "--verify"])


def test_names_may_be_long_and_have_notes_of_pax(packed, tmp_path):
    """As other tars than the first one write them: Python's notes a time to the microsecond."""
    name = f"ILSVRC2012_val_{'0' * 200}.JPEG"
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        with tarfile.open(tmp_path / "val.tar", "w", format=kind) as archive:
            for i, content in enumerate(["one", "two", "three", "four", "five", "six"]):
                of_ustar = kind == tarfile.USTAR_FORMAT
                long = f"{'b' * 90}/{i}{name[-80:]}" if of_ustar else f"{i}{name}"
                member = tarfile.TarInfo(f"./{long}" if i % 2 else f"{i}0.JPEG" if i == 4 else long)
                member.mtime, member.size = 10.5, len(content)
                archive.addfile(member, io.BytesIO(content.encode()))
        listing = imagenet.from_tars(**tars(packed) | {"val": tmp_path / "val.tar"})
        read = {p.name: listing.source(p).read() for p in listing.splits["val"]}
        assert len(read) == 6 and b"three" in read.values()
        assert all(name.startswith("val/") and name.endswith("0.JPEG") for name in read)


@pytest.mark.parametrize("days", [-1, -20_000, 2**33])
def test_a_picture_may_be_of_any_day(days, tmp_path):
    """A camera whose clock was never set; octal digits have no place for a day before 1970."""
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo("a.JPEG")
        member.mtime = 86_400 * days
        archive.addfile(member)
    with open(tmp_path / "a.tar", "rb") as file:
        (member,) = archives.tar(file, tmp_path / "a.tar")
    assert member.mark == 86_400 * days * 10**9


def test_what_is_no_picture_is_counted_as_in_a_folder(packed, tmp_path):
    with tarfile.open(packed["val"]) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive}
    (tmp_path / "val.tar").write_bytes(imagenets.tar(files | {
        "._a.JPEG": b"", "readme.txt": b"", ".DS_Store": b""}))
    listing = imagenet.from_tars(**tars(packed) | {"val": tmp_path / "val.tar"})
    assert folder.left_out(listing.left_out) == (
        "left out: hidden: 2 (val/._a.JPEG, val/.DS_Store); files that are not pictures: 1 "
        "(val/readme.txt)")


@pytest.mark.slow
def test_a_table_as_scipy_writes_it_is_read(tmp_path):
    """By somebody else, with all columns of the real one, in another order of the rows."""
    scipy = pytest.importorskip("scipy.io")
    words = {f"n{i:08}": f"class {i}, café" for i in range(devkit.CLASSES)}
    columns = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children",
               "wordnet_height", "num_train_images")
    rows = np.zeros((devkit.CLASSES + 1, 1), [(name, object) for name in columns])
    for i, (name, text) in enumerate([*words.items(), ("n90000000", "a group")]):
        rows[i, 0] = (float(i + 1), name, text, f"what {text} is", 0.0, np.arange(i // 1000 * 2.0),
                      1.0, 1300.0)
    for compressed in (False, True):
        file = io.BytesIO()
        scipy.savemat(file, {"first": np.arange(3.0), "synsets": rows[::-1]},
                      do_compression=compressed)
        assert list(devkit.synsets(file.getvalue()).items()) == list(words.items())


def test_the_command_measures_archives_against_folders(photos, capsys):
    assert imagenets.main(["speed", str(photos), "--rounds", "1", "--side", "8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["folders", "tars", "Kaggle's zip"]
