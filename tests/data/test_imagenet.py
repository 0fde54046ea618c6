"""Pictures read from where they lie in ImageNet's archives.

What could go wrong: a picture or a class that is missing without a word, since an archive was cut
short or has a hole; bytes that are not those of the unpacked folder; a label of another picture.
And archives are other people's: a name that leads out of the folder, a link, a device, a size that
nobody has room for. The archives here are small, and written by Python's own tarfile and zipfile,
which are not what reads them.
"""

import gzip
import hashlib
import io
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import imagenets
import numpy as np
import pytest
from PIL import Image

from tinyalex.data import devkit, folder, imagenet, preparation
from tinyalex.data.download import PublishedFile
from tinyalex.data.pictures import BrokenPicture, read_picture
from tinyalex.prepare import main
from tinyalex.support.errors import UserError

CLASSES = ("n01440764", "n02105855", "n02979186")
COUNTS = {"train": (5, 4, 3), "val": (2, 3, 1)}
DEFECTS = ["a PNG", "CMYK", "broken EXIF", "half a picture", "no picture"]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(preparation, "SHARD", 4)


def packed_picture(rng, kind="JPEG", mode="RGB", **how):
    """A picture's file: a gradient of one colour, so that pictures differ, and JPEG keeps them."""
    grey = np.linspace(0, 1, 12 * 10).reshape(10, 12, 1)
    image = Image.fromarray((grey * rng.integers(64, 255, 3)).astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve pictures to train on and six to validate with, among them what ImageNet really has: a
    PNG called .JPEG, CMYK, notes of the camera that are damaged; and two that are broken."""
    top, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split, counts in COUNTS.items():
        for name, count in zip(CLASSES, counts, strict=True):
            (top / split / name).mkdir(parents=True)
            for i in range(count):
                (top / split / name / f"{i}_{name}_{split}.JPEG").write_bytes(packed_picture(rng))
    for number, content in enumerate([
            packed_picture(rng, "PNG"), packed_picture(rng, mode="CMYK"),
            packed_picture(rng, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"),
            packed_picture(rng)[:300], b"<html>"]):
        (top / "train" / CLASSES[number % 3] / f"{DEFECTS[number]}.JPEG").write_bytes(content)
    return top


@pytest.fixture(scope="module")
def packed(photos, tmp_path_factory):
    """The archives with them."""
    return imagenets.pack(photos, tmp_path_factory.mktemp("archives"))


def tars(packed):
    return {split: packed[split] for split in ("train", "val", "devkit")}


def flags(packed):
    return [word for split, path in tars(packed).items() for word in (f"--{split}", str(path))]


def unpacked(packed, place):
    """What somebody has who unpacks everything: the devkit beside train/ and val/."""
    with tarfile.open(packed["train"]) as outer:
        for member in outer:
            with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                inner.extractall(place / "train" / member.name.removesuffix(".tar"))
    for split, to in (("val", place / "val"), ("devkit", place)):
        with tarfile.open(packed[split]) as archive:
            archive.extractall(to)
    return place


def digests(out):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


SOME = ("--side", "8", "--max-broken", "0.2")


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
    odd = [p for p in listing.splits["train"] if Path(p.name).stem in DEFECTS[:3]]
    assert len(odd) == 3
    for picture in odd:
        with Image.open(photos / picture.name) as whole:
            expected = np.asarray(whole.convert("RGB").resize((8, 8), Image.Resampling.BICUBIC,
                                                              box=(1, 0, 11, 10)))
        assert (read_picture(listing.source(picture), 8) == expected).all(), picture.name


def test_archives_of_the_published_names_are_found_in_a_folder(packed, tmp_path, capsys, refused):
    main([str(packed["val"].parent), str(tmp_path / "out"), *SOME])
    assert "layout   ImageNet's archives\n" in capsys.readouterr().out
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "ILSVRC2012_img_train.tar").touch()
    assert "--devkit" in refused(main, [str(tmp_path / "few"), str(tmp_path / "new")])
    assert "--train" in refused(main, [str(packed["train"]), str(tmp_path / "new")])
    assert "list of their own" in refused(main, [
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


def cut(path, to, size):
    to.write_bytes(path.read_bytes()[:size])
    return to


@pytest.mark.parametrize("split", ["train", "val", "devkit"])
def test_an_archive_that_is_cut_short_anywhere_is_named(split, packed, tmp_path):
    size = packed[split].stat().st_size
    content = packed[split].read_bytes().rstrip(b"\0") if split != "devkit" else bytes(size)
    ends = {*range(0, len(content), 512 if split != "devkit" else 97), len(content) - 1, 700}
    for end in sorted(ends):
        paths = tars(packed) | {split: cut(packed[split], tmp_path / "short.tar", end)}
        with pytest.raises(UserError, match=r"short\.tar.*: (cut short|not a tar)"):
            imagenet.from_tars(**paths)


def test_a_hole_in_an_archive_is_no_end(packed, tmp_path):
    """As a broken download leaves one. A tar ends with zeros, and Python's tarfile believes it."""
    for split in ("train", "val"):
        content = bytearray(packed[split].read_bytes())
        with tarfile.open(packed[split]) as archive:
            third = archive.getmembers()[2].offset
        content[third : third + 512] = bytes(512)
        (tmp_path / "hole.tar").write_bytes(content)
        with pytest.raises(UserError, match=r"hole\.tar: damaged: a hole, after"):
            imagenet.from_tars(**tars(packed) | {split: tmp_path / "hole.tar"})


def test_a_bit_that_has_flipped_in_a_header_is_noticed(packed, tmp_path):
    """Python's tarfile takes what follows for the end: one of five pictures, and no word."""
    content = bytearray(packed["val"].read_bytes())
    with tarfile.open(packed["val"]) as archive:
        second = archive.getmembers()[1].offset
    for place in (0, 130, 140, 150, 156, 260):
        content[second + place] ^= 1
        (tmp_path / "bad.tar").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.tar: damaged, after ILSVRC2012_val_00000006"):
            imagenet.from_tars(**tars(packed) | {"val": tmp_path / "bad.tar"})
        content[second + place] ^= 1


def crafted(name, content=b"", **how):
    """A tar with one member such as no honest one has."""
    file, member = io.BytesIO(), tarfile.TarInfo(name)
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member.size = len(content)
        for key, value in how.items():
            setattr(member, key, value)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def sized(size):
    """A tar whose one member says that it has so many bytes."""
    member = tarfile.TarInfo("a.JPEG")
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def zeros(size):
    """Writes a tar whose one member really has so many bytes, all zero: they take no room."""
    def write(path):
        member = tarfile.TarInfo("a.JPEG")
        member.size = size
        with open(path, "wb") as file:
            file.write(member.tobuf(tarfile.GNU_FORMAT))
            file.truncate(512 + size + 1024)
    return write


def twice():
    one = crafted("a.JPEG", b"1")
    return one[:1024] + crafted("a.JPEG", b"2")


HOSTILE = {
    "up": (crafted("../a.JPEG"), "the name ../a.JPEG leads out"),
    "up and up": (crafted("b/../../a.JPEG"), "the name b/../../a.JPEG leads out"),
    "absolute": (crafted("/etc/a.JPEG"), "the name /etc/a.JPEG is absolute"),
    "a drive": (crafted("C:\\a.JPEG"), "is absolute"),
    "up in a long name": (crafted("../" + 200 * "a" + ".JPEG"), "leads out"),
    "no name": (crafted("..."), "a file is called '...'"),
    "a link": (crafted("a.JPEG", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
               "a.JPEG: a link"),
    "a hard link": (crafted("a.JPEG", type=tarfile.LNKTYPE, linkname="../b"), "a.JPEG: a link"),
    "a device": (crafted("a.JPEG", type=tarfile.CHRTYPE), "a.JPEG: a device"),
    "a pipe": (crafted("a.JPEG", type=tarfile.FIFOTYPE), "a.JPEG: a pipe"),
    "holes": (crafted("a.JPEG", type=tarfile.GNUTYPE_SPARSE), "a.JPEG: a file with holes"),
    "unknown": (crafted("a.JPEG", type=b"Q"), "a.JPEG: of a kind b'Q'"),
    "10 GB": (sized(10**10), "a.JPEG says that it has 10,000.0 MB, and 0.0 MB are left"),
    "10 GB of zeros": (zeros(10**10), "a.JPEG: says that it has 10,000.0 MB, as no picture"),
    "less than nothing": (sized(-600), "not a tar"),
    "a tar in it": (crafted("a.tar", b"1"), "a.tar: an archive, where a picture is expected"),
    "twice": (twice(), "a.JPEG is there twice"),
    "packed": (gzip.compress(crafted("a.JPEG", bytes(range(256)) * 4)) + bytes(500),
               "not a tar (a compressed one"),
    "long notes": (crafted("a.JPEG", b"1" * 70_000, type=tarfile.XHDTYPE), "has a name, or notes"),
    "odd notes": (crafted("a.JPEG", b"99 path=x\n", type=tarfile.XHDTYPE), "notes of pax"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_tar_is_refused_by_name_and_nothing_is_written(kind, packed, tmp_path, refused):
    content, complaint = HOSTILE[kind]
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / "bad.tar"
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    before = sorted(tmp_path.rglob("*"))
    said = refused(main, [*flags(packed | {"val": path}), str(tmp_path / "here" / "out")])
    assert said.startswith(f"error: {path}") and complaint in said
    if isinstance(content, bytes):
        (tmp_path / "here" / "train.tar").write_bytes(imagenets.tar({"n01440764.tar": content}))
        path = tmp_path / "here" / "train.tar"
        said = refused(main, [*flags(packed | {"train": path}), str(tmp_path / "here" / "out")])
        assert said.startswith(f"error: {path / 'n01440764.tar'}") and complaint in said
        path.unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_tar_of_tars_has_tars_each_once(packed, tmp_path):
    path = tmp_path / "train.tar"
    for members, complaint in (({"a.JPEG": b"1"}, r"a\.JPEG: not the tar of a class"),
                               ({"a.tar": imagenets.tar({}), "b/a.tar": imagenets.tar({})},
                                r"b/a\.tar is there twice")):
        path.write_bytes(imagenets.tar(members))
        with pytest.raises(UserError, match=complaint):
            imagenet.from_tars(**tars(packed) | {"train": path})


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


def test_what_is_no_picture_is_counted_as_in_a_folder(packed, tmp_path):
    with tarfile.open(packed["val"]) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive}
    (tmp_path / "val.tar").write_bytes(imagenets.tar(files | {
        "._a.JPEG": b"", "readme.txt": b"", ".DS_Store": b""}))
    listing = imagenet.from_tars(**tars(packed) | {"val": tmp_path / "val.tar"})
    assert folder.left_out(listing.left_out) == (
        "left out: hidden: 2 (val/._a.JPEG, val/.DS_Store); files that are not pictures: 1 "
        "(val/readme.txt)")


def zipped(path, name="ILSVRC/Data/CLS-LOC/val/b.JPEG", content=b"1", mode=0, twice=False, **how):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for text in ("LOC_val_solution.csv", "LOC_synset_mapping.txt"):
            archive.writestr(text, "a,n1 1 2 3 4\n" if "csv" in text else "n1 tench\n")
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
        for key, value in how.items():
            setattr(info, key, value)
        archive.writestr(info, content)
        if twice:
            info = zipfile.ZipInfo(f"./{name}"[2:])
            archive.writestr(info, content)


@pytest.mark.parametrize(("how", "complaint"), [
    ({"name": "../a.JPEG"}, "the name ../a.JPEG leads out"),
    ({"name": "/etc/a.JPEG"}, "the name /etc/a.JPEG is absolute"),
    ({"mode": stat.S_IFLNK | 0o777}, "b.JPEG: a link"),
    ({"mode": stat.S_IFIFO}, "b.JPEG: not a file"),
    ({"compress_type": zipfile.ZIP_BZIP2}, "b.JPEG: encrypted, or packed in a way"),
    ({"name": "ILSVRC/Data/CLS-LOC/val/b.tar"}, "b.tar: an archive"),
    ({"name": "imagenet.tar.gz"}, "no pictures to validate with"),
])
def test_a_hostile_zip_is_refused_by_name(how, complaint, tmp_path, refused):
    path = tmp_path / "kaggle.zip"
    zipped(path, **how)
    before = sorted(tmp_path.rglob("*"))
    said = refused(main, [str(path), str(tmp_path / "out")])
    assert said.startswith(f"error: {path}") and complaint in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_has_each_picture_once(tmp_path):
    zipped(tmp_path / "kaggle.zip", twice=True)
    with pytest.raises(UserError, match=r"b\.JPEG is there twice"):
        imagenet.from_kaggle(tmp_path / "kaggle.zip")


def test_a_picture_that_unpacks_to_more_than_it_says_is_broken(packed, tmp_path, monkeypatch):
    """A bomb: 20 MB of zeros in 20 KB, said to have 1,000 bytes. It is not unpacked."""
    path = tmp_path / "bomb.zip"
    zipped(path, "ILSVRC/Data/CLS-LOC/val/a.JPEG", bytes(2 * 10**7))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\1\2")  # the last file in the list at the end
    content[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    listing = imagenet.from_kaggle(path)
    (picture,) = listing.splits["val"]
    tracemalloc.start()
    assert preparation._read(listing, 10**6, picture, np.empty((8, 8, 3), np.uint8)) == (
        "it is not what the archive says that it is")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    monkeypatch.setattr(imagenet, "MOST_PICTURE", 10**7)
    zipped(path, "ILSVRC/Data/CLS-LOC/val/a.JPEG", bytes(2 * 10**7))
    with pytest.raises(UserError, match=r"a\.JPEG: says that it has 20\.0 MB, as no picture"):
        imagenet.from_kaggle(path)


def test_a_picture_that_was_damaged_in_a_zip_is_skipped_and_named(packed, tmp_path):
    """Its checksum is there, so that even pixels are not wrong."""
    whole = packed["zip"].read_bytes()
    with zipfile.ZipFile(packed["zip"]) as archive:
        info = next(info for info in archive.infolist() if "/val/" in info.filename)
    for place in (0, 8, 26, 180):  # in its header: how it begins, is packed, its name; its content
        at = info.header_offset + place
        (tmp_path / "bad.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        listing = imagenet.from_kaggle(tmp_path / "bad.zip")
        bad = [picture.name for picture in listing.splits["val"] if preparation._read(
            listing, 10**6, picture, np.empty((8, 8, 3), np.uint8))]
        assert bad == [info.filename.removeprefix("ILSVRC/Data/CLS-LOC/")]
    zipped(tmp_path / "bad.zip", "ILSVRC/Data/CLS-LOC/val/a.JPEG", b"pixels",
           compress_type=zipfile.ZIP_STORED)
    content = (tmp_path / "bad.zip").read_bytes()
    (tmp_path / "bad.zip").write_bytes(content.replace(b"pixels", b"Pixels"))
    listing = imagenet.from_kaggle(tmp_path / "bad.zip")
    with pytest.raises(BrokenPicture, match="it is not what the archive says that it is"):
        listing.source(listing.splits["val"][0])


def test_a_zip_that_is_cut_short_or_none_is_named(packed, tmp_path):
    size = packed["zip"].stat().st_size
    for end in (0, 100, size // 2, size - 30, size - 1):
        with pytest.raises(UserError, match=r"short\.zip: cut short, damaged, or not a \.zip"):
            imagenet.from_kaggle(cut(packed["zip"], tmp_path / "short.zip", end))


def test_a_devkit_that_is_a_bomb_or_another_archive_is_named(packed, tmp_path, monkeypatch):
    path, paths = tmp_path / "devkit.tar.gz", tars(packed) | {"devkit": tmp_path / "devkit.tar.gz"}
    monkeypatch.setattr(imagenet, "MOST_DEVKIT", 10**6)
    for content, complaint in (
            (gzip.compress(bytes(10**7)), "cut short, or it unpacks to more than 1.0 MB"),
            (imagenets.tar({"../meta.mat": b"1"}, "w:gz"), "the name ../meta.mat leads out"),
            (imagenets.tar({"a/meta.mat": b"1"}, "w:gz"), "no ILSVRC2012_validation_ground_truth"),
            (b"\x1f\x8b" + bytes(100), "damaged"), (b"<html>", "cut short")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"devkit.tar.gz: {complaint}"):
            imagenet.from_tars(**paths)


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
