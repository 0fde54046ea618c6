"""CIFAR-10 read from the files its author publishes, and fetched from a server.

What could go wrong: height and width swapped, or the colours in planes read as if side by side (a
network learns from such pictures too, only less well, so nobody notices); the batches in the order
of the archive instead of their own; a pickle that runs what it likes; a download cut short that
stays and looks complete. The real files have 10,000 pictures a batch, ours have three, and the
server is a thread in here.
"""

import errno
import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import tarfile
from pathlib import Path

import limits
import numpy as np
import pytest

from tinyalex.data import cifar10, download, fetch
from tinyalex.data.__main__ import main
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError
from tinyalex.support.files import HAS_LOCKS

COUNT = 3
BATCHES = [*cifar10.SPLITS["train"], *cifar10.SPLITS["val"]]
RNG = np.random.default_rng(0)
ROWS = {batch: RNG.integers(0, 256, (COUNT, 3072), np.uint8) for batch in BATCHES}
LABELS = {batch: RNG.integers(0, 10, COUNT, np.uint8) for batch in BATCHES}


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(cifar10, "PICTURES_A_BATCH", COUNT)
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path / "cache"))


def binary(rows, labels) -> bytes:
    return b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels, rows, strict=True))


def python2_pickle(rows, labels) -> bytes:
    """What Python 2 and its NumPy wrote, opcode by opcode; Python 3 would write it differently."""
    def text(s):
        return b"U" + bytes([len(s)]) + s

    raw = rows.tobytes()
    array = (b"cnumpy.core.multiarray\n_reconstruct\n" b"cnumpy\nndarray\n" b"K\0\x85" + text(b"b")
             + b"\x87R(K\1K" + bytes([len(rows)]) + b"M\0\x0c\x86" b"cnumpy\ndtype\n" + text(b"u1")
             + b"K\0K\1\x87R(K\3" + text(b"|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\0tb\x89"
             b"T" + struct.pack("<I", len(raw)) + raw + b"tb")
    return (b"\x80\2}(" + text(b"batch_label") + text(b"a batch") + text(b"labels") + b"]("
            + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
            + text(b"data") + array + b"u.")


def write_folder(parent: Path, version: str) -> Path:
    folder = parent / f"cifar-10-batches-{version}"
    folder.mkdir(parents=True)
    for batch in BATCHES:
        if version == "bin":
            (folder / f"{batch}.bin").write_bytes(binary(ROWS[batch], LABELS[batch]))
        else:
            (folder / batch).write_bytes(python2_pickle(ROWS[batch], LABELS[batch]))
    return folder


def pack(folder: Path, extra=()) -> bytes:
    """A .tar.gz of `folder`, in a jumbled order as the official ones, and of `extra` members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file in sorted(folder.iterdir(), reverse=True):
            archive.add(file, f"{folder.name}/{file.name}")
        for member, content in extra:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize("version", ["bin", "py"])
@pytest.mark.parametrize("place", ["the folder", "the folder above", "the archive"])
def test_every_pixel_is_where_the_description_of_the_format_puts_it(version, place, tmp_path):
    folder = write_folder(tmp_path, version)
    (tmp_path / "cifar.tar.gz").write_bytes(pack(folder))
    path = {"the folder": folder, "the folder above": str(tmp_path),
            "the archive": tmp_path / "cifar.tar.gz"}[place]
    train, val = cifar10.load("train", path), cifar10.load("val", path)
    assert train.images.shape == (5 * COUNT, 32, 32, 3) and val.images.shape == (COUNT, 32, 32, 3)
    assert train.images.dtype == np.uint8 and train.images.flags.c_contiguous
    for i, batch in enumerate(BATCHES[:5]):
        part = slice(i * COUNT, (i + 1) * COUNT)
        np.testing.assert_array_equal(train.labels[part], LABELS[batch])
        for y, x, colour in [(0, 0, 0), (0, 31, 1), (31, 0, 2), (7, 20, 1), (20, 7, 2)]:
            np.testing.assert_array_equal(
                train.images[part, y, x, colour], ROWS[batch][:, colour * 1024 + y * 32 + x])
    np.testing.assert_array_equal(val.labels, LABELS["test_batch"])
    assert train.classes[3] == "cat"


@pytest.mark.parametrize("order", ["C", "F"])
def test_batches_saved_again_by_the_python_of_today_read_the_same(order, tmp_path):
    folder = write_folder(tmp_path, "py")
    before = cifar10.load("val", folder)
    again = {b"data": np.array(ROWS["test_batch"], order=order),
             b"labels": LABELS["test_batch"].tolist()}
    (folder / "test_batch").write_bytes(pickle.dumps(again, protocol=2))
    after = cifar10.load("val", folder)
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.labels, before.labels)


@pytest.mark.parametrize("call", [os.mkdir, np.save], ids=["os", "numpy"])
def test_a_pickle_cannot_make_anything_happen(call, tmp_path):
    # NumPy as a whole is no safer than os: it writes files too.
    class Evil:
        def __reduce__(self):
            return call, (str(tmp_path / "evil.npy"), *([1] if call is np.save else []))

    folder = write_folder(tmp_path, "py")
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(UserError, match=r"test_batch: .* asks for .*, which no batch needs"):
        cifar10.load("val", folder)
    assert not (tmp_path / "evil.npy").exists()


GOOD_BIN = binary(ROWS["test_batch"], LABELS["test_batch"])
GOOD_PY = python2_pickle(ROWS["test_batch"], LABELS["test_batch"])


@pytest.mark.parametrize(("name", "content", "complaint"), [
    ("test_batch.bin", GOOD_BIN[:-1], "9,218 bytes; 3 pictures of 3,073 bytes are 9,219"),
    ("test_batch.bin", GOOD_BIN + b"x", "9,220 bytes"),
    ("test_batch.bin", b"", "the file is empty"),
    ("test_batch.bin", GOOD_BIN[:3073] + b"\x0a" + GOOD_BIN[3074:], "picture 1 has label 10"),
    ("test_batch", GOOD_PY[:-1], "cut short"),
    ("test_batch", GOOD_PY[:5000], "cut short"),
    ("test_batch", b"", "the file is empty"),
    ("test_batch", b"<html>404</html>", "not a CIFAR-10 batch"),
    ("test_batch", python2_pickle(ROWS["test_batch"], [1, 2, 255]), "picture 2 has label 255"),
    ("test_batch", python2_pickle(ROWS["test_batch"], [1, 2]), "with 2 labels"),
    ("test_batch", python2_pickle(ROWS["test_batch"][:2], [1, 2]), r"data of shape \(2, 3072\)"),
    ("test_batch", GOOD_PY.replace(b"u1", b"i1"), "no array of bytes"),
    ("test_batch", pickle.dumps({"labels": [1, 2, 3], "data": 0}), "no array of bytes"),
    ("test_batch", pickle.dumps([1, 2, 3]), "not a CIFAR-10 batch"),
])
def test_a_broken_batch_is_named_with_what_is_wrong(name, content, complaint, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        cifar10.load("val", tmp_path)
    assert str(tmp_path / name) in caught.value.args[0] and "\n" not in caught.value.args[0]
    assert "fetch cifar10" in caught.value.hint


def dumped(labels) -> bytes:
    return pickle.dumps({"data": ROWS["test_batch"], "labels": labels}, protocol=2)


def doubled(times: int) -> list:
    """A list in a list in a list, each of them twice: 2**times numbers, in a few bytes."""
    return doubled(times - 1) * 2 if times else [1]


def in_hexadecimal(times: int) -> bytes:
    """A text that has its own digits written out, again and again."""
    digits = b"c_codecs\nencode\n(" * (times + 1) + b"X\1\0\0\0aX\6\0\0\0latin1tR"
    return b"\x80\2}(X\4\0\0\0data" + digits + b"X\3\0\0\0hextR" * times + b"u."


@pytest.mark.parametrize("content", [
    b"\x80\2}r\0\0\0\x04.", dumped([[doubled(20)] * 3]), in_hexadecimal(24),
], ids=["a far place", "nested labels", "hexadecimal"])
def test_a_small_pickle_cannot_take_much_memory(content, tmp_path):
    (tmp_path / "test_batch").write_bytes(content)
    said = r"test_batch: (not a CIFAR-10 batch|data of shape)"
    with limits.memory(10e6), pytest.raises(UserError, match=said):
        cifar10.load("val", tmp_path)


def test_an_archive_cannot_unpack_to_more_than_cifar_is(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "MOST_BYTES", 1_000_000)
    for name in ("test_batch.bin", "another.bin"):
        zeros = pack(write_folder(tmp_path / name, "bin"), [(tarfile.TarInfo(name), bytes(10**8))])
        (tmp_path / "bomb.tar.gz").write_bytes(zeros)
        with limits.memory(10e6), pytest.raises(UserError, match=r"bomb\.tar\.gz: cut short, dam"):
            cifar10.load("val", tmp_path / "bomb.tar.gz")


@pytest.mark.parametrize("header", [
    {"GNU.sparse.map": "x"}, {"GNU.sparse.size": "9" * 5000},
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
    {"GNU.sparse.realsize": "99999999999", "GNU.sparse.map": "0,0"},  # a hole of 100 GB
], ids=str)
def test_an_archive_with_numbers_that_are_none_is_named(header, tmp_path):
    member = tarfile.TarInfo("test_batch.bin")
    member.size, member.pax_headers = len(GOOD_BIN), header
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(GOOD_BIN))
    with pytest.raises(UserError, match=r"a\.tar\.gz: cut short, damaged"):
        cifar10.load("val", tmp_path / "a.tar.gz")


def test_missing_batches_are_named(tmp_path):
    folder = write_folder(tmp_path, "bin")
    (folder / "data_batch_2.bin").unlink()
    (folder / "data_batch_4.bin").unlink()
    with pytest.raises(UserError, match="there is no data_batch_2, data_batch_4 "):
        cifar10.load("train", folder)
    assert len(cifar10.load("val", folder)) == COUNT


def test_what_is_not_cifar_at_all_is_said_so(tmp_path):
    (tmp_path / "train.bin").write_bytes(b"CIFAR-100 calls its files so")
    with pytest.raises(UserError, match="no CIFAR-10 in this folder"):
        cifar10.load("train", tmp_path)
    with pytest.raises(UserError, match="nowhere: there is no such file or folder"):
        cifar10.load("train", tmp_path / "nowhere")
    with pytest.raises(UserError, match="no split 'test'"):
        cifar10.load("test", tmp_path)
    with pytest.raises(UserError, match="not here yet") as caught:
        cifar10.load("train")
    assert "python -m tinyalex.data fetch cifar10" in caught.value.hint


def test_an_archive_that_is_cut_short_or_changed_or_none_is_refused(tmp_path):
    good, path = pack(write_folder(tmp_path, "bin")), tmp_path / "a.tar.gz"
    stored = bytearray(gzip.compress(gzip.decompress(good), compresslevel=0))
    stored[stored.index(GOOD_BIN) + 100] ^= 1  # one pixel: only the checksum at the end can tell
    beginnings = [good[:n] for n in (0, 1, 100, len(good) // 2, len(good) - 1)]
    nonsense = gzip.compress(gzip.decompress(good)[:15_000]) + good[:10] + b"\xff" * 100
    for content in [*beginnings, bytes(stored), nonsense, b"no gzip", gzip.compress(b"no tar")]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.tar\.gz: (the file is e|cut short, damaged)"):
            cifar10.load("train", path)


@pytest.fixture
def archive(tmp_path):
    return pack(write_folder(tmp_path / "original", "bin"))


@pytest.fixture
def target(tmp_path):
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def command(*argv) -> int:
    return run(lambda: main([str(word) for word in argv]))


@pytest.mark.parametrize("version", ["bin", "py"])
def test_what_is_fetched_is_what_load_reads(version, server, target, tmp_path):
    original = write_folder(tmp_path / "original", version)
    content = pack(original)
    url = server.url("/cifar.tar.gz", content)
    where = fetch.fetch(target, url, {md5(content): original.name})
    assert where == target / original.name and os.listdir(target) == [original.name]
    for file in original.iterdir():
        assert (where / file.name).read_bytes() == file.read_bytes()
    assert len(cifar10.load("train", target)) == 5 * COUNT


def test_fetching_again_downloads_nothing(server, archive, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(fetch.CHECKSUMS, md5(archive), "cifar-10-batches-bin")
    url = server.url("/cifar.tar.gz", archive)
    assert command("list") == 0 and "cifar10             no " in capsys.readouterr().out
    assert command("fetch", "cifar10", "--url", url) == 0
    (tmp_path / "cache" / ".cifar10-of_a_killed_one.part").mkdir()
    assert command("fetch", "cifar10", "--url", url) == 0
    assert "already there" in capsys.readouterr().out and server.asked == ["/cifar.tar.gz"]
    assert os.listdir(tmp_path / "cache") == ["cifar-10-batches-bin"] or not HAS_LOCKS
    assert command("list") == 0
    assert str(tmp_path / "cache" / "cifar-10-batches-bin") in capsys.readouterr().out


@pytest.mark.parametrize(("case", "complaint"), [
    ("endless", "sends more than CIFAR-10 has"),
    ("a file", "not a page to download from"),
    ("silent", "no answer from the server for 0.1 seconds"),
    ("refused", "refused"),
    ("full", "no space left"),
])
def test_a_fetch_that_fails_says_why_and_leaves_nothing(
        case, complaint, server, archive, target, monkeypatch, capsys):
    monkeypatch.setitem(fetch.CHECKSUMS, md5(archive), "cifar-10-batches-bin")
    url = {
        # No length is announced, and nothing but the published one ends it.
        "endless": server.url("/endless", bytes(1_000_000), length=-1),
        "a file": "file:///etc/passwd",
        "silent": server.url("/silent"),
        "refused": "http://127.0.0.1:1/cifar.tar.gz",
        "full": server.url("/good", archive),
    }[case]
    if case == "endless":
        monkeypatch.setattr(fetch, "LARGEST", 100_000)
    if case == "silent":
        monkeypatch.setattr(download, "TIMEOUT", 0.1)
    if case == "full":
        monkeypatch.setattr(fetch, "_unpack", half_unpacked(OSError(errno.ENOSPC, "no space left")))
    assert command("fetch", "cifar10", "--folder", target, "--url", url) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert complaint in first and second.startswith("HINT: ") and str(target) in first + second
    assert os.listdir(target) == []


def half_unpacked(error: BaseException):
    def unpack(archive, folder):
        folder.mkdir()
        (folder / "data_batch_1.bin").write_bytes(b"half")
        raise error

    return unpack


def test_ctrl_c_leaves_nothing(server, archive, target, monkeypatch):
    monkeypatch.setitem(fetch.CHECKSUMS, md5(archive), "cifar-10-batches-bin")
    monkeypatch.setattr(fetch, "_unpack", half_unpacked(KeyboardInterrupt()))
    url = server.url("/cifar.tar.gz", archive)
    assert command("fetch", "cifar10", "--folder", target, "--url", url) == 130
    assert os.listdir(target) == []


def link(name: str, to: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    return member


def test_nothing_but_the_batches_leaves_an_archive(server, target, tmp_path):
    original = write_folder(tmp_path / "original", "bin")
    content = pack(original, [(tarfile.TarInfo("../evil"), b"evil"),
                              (tarfile.TarInfo(str(tmp_path / "evil")), b"evil"),
                              (link("cifar-10-batches-bin/evil", "/etc/passwd"), b"")])
    where = fetch.fetch(target, server.url("/evil", content), {md5(content): original.name})
    assert sorted(os.listdir(where)) == sorted(os.listdir(original))
    assert not list(tmp_path.rglob("evil")) and os.listdir(target) == [original.name]


def test_a_link_in_the_place_of_a_batch_is_refused(server, target, tmp_path):
    original = write_folder(tmp_path / "original", "bin")
    outside = shutil.move(original / "test_batch.bin", tmp_path / "outside")
    content = pack(original, [(link("cifar-10-batches-bin/test_batch.bin", str(outside)), b"")])
    with pytest.raises(UserError, match="there is no test_batch"):
        fetch.fetch(target, server.url("/link", content), {md5(content): original.name})
    assert os.listdir(target) == []


def test_a_broken_copy_is_left_to_the_user(server, target, refused):
    folder = write_folder(target, "bin")
    (folder / "data_batch_5.bin").write_bytes(b"half")
    argv = ["fetch", "cifar10", "--folder", str(target), "--url", server.url("/never")]
    first, second = refused(main, argv).splitlines()
    assert "data_batch_5.bin: 4 bytes" in first and f"delete {folder}" in second
    assert (folder / "data_batch_5.bin").read_bytes() == b"half" and server.asked == []
