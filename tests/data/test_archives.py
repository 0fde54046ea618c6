"""Archives that are damaged, or made to do damage, are refused by name.

An archive that was cut short, or has a hole, may look like one that ends there: then pictures and
classes are missing, and nothing says so. And archives are other people's: a name that leads out of
the folder, a link, a device, a size that nobody has room for, some kilobytes that unpack to
gigabytes. Python's own tarfile, which takes the former for the end, writes the tars here.
"""

import gzip
import io
import stat
import tarfile
import zipfile

import imagenets
import limits
import numpy as np
import pytest
from imagenets import flags, tars

from tinyalex.data import imagenet, preparation
from tinyalex.data.pictures import BrokenPicture
from tinyalex.prepare import main
from tinyalex.support.errors import UserError


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
        with pytest.raises(UserError, match=r"short\.tar.*: (the file is e|cut short|not a tar)"):
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


@pytest.mark.parametrize("at", [2**40, 2**62, 2**64 - 1])
def test_a_zip_whose_files_lie_outside_it_is_named(at, tmp_path, refused):
    """Such places have 64 bits, and no disk can be asked for the last of these."""
    path = tmp_path / "kaggle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("LOC_val_solution.csv", "b,n1 1 2 3 4\n")
        archive.writestr("LOC_synset_mapping.txt", "n1 tench\n")
        archive.writestr("ILSVRC/Data/CLS-LOC/val/b.JPEG", b"1")
        archive.infolist()[-1].header_offset = at
    said = refused(main, [str(path), str(tmp_path / "out")])
    assert said.startswith(f"error: {path}: damaged: its parts lie outside it")
    assert not (tmp_path / "out").exists()


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
    with limits.memory(2**20):
        assert preparation._read(listing, 10**6, picture, np.empty((8, 8, 3), np.uint8)) == (
            "it is not what the archive says that it is")
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
        with pytest.raises(UserError, match=r"short\.zip: (the file is e|cut short, damaged)"):
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
