"""Arrays in .npz files that lie.

np.load makes room for the shape that a header announces before it looks whether the numbers are
there, and unpickles what it is told to. What reads files of others must do neither.
"""

import copy
import io
import zipfile

import limits
import numpy as np
import pytest
from runs import assert_same_bits

from tinyalex.support.arrays import Damaged, npz, save_npz, take
from tinyalex.support.arrays import npy as mapped
from tinyalex.support.errors import UserError


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(path, content: bytes, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as file:
        file.writestr("x.npy", content)
    return path


def test_arrays_come_back_as_np_load_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"a": rng.standard_normal((3, 4), np.float32), "fortran": rng.random((4, 3)).T,
              "number": np.array(7), "text": np.array("ü"), "none": np.zeros((0, 3))}
    for save in (np.savez, np.savez_compressed, save_npz):
        path = tmp_path / f"{save.__name__}.npz"
        save(path, **arrays)
        read = {name: stored.read() for name, stored in npz(path).items()}
        assert_same_bits(read, arrays)
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype and npz(path)[name].shape == array.shape


def headed(header: bytes, version=1):
    """The numbers 0 to 5 in two rows, under this header."""
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + np.arange(6.0).tobytes()


PLAIN = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }"


@pytest.mark.parametrize("content", [
    headed(PLAIN), headed(PLAIN + b" " * 9_900 + b"\n"), headed(PLAIN, 2), headed(PLAIN, 3),
    headed(b"{'shape': (2, 3), 'fortran_order': False, 'descr': '<f8'}\n"),
    headed(b'{"descr":"<f8","fortran_order":False,"shape":(2,3)}'),
    headed(b"{\t'descr' :'f8' ,\n'shape':( 2 , 3 , ) ,'fortran_order': False , }"),
    headed(b"{'descr': '=f8', 'fortran_order': False, 'shape': (2L, 3L), }"),
    headed(b"{'descr': 'float64', 'fortran_order': False, 'shape': (2, 3), }")])
@pytest.mark.filterwarnings("ignore:Reading")  # of 2L, which Python 2 wrote
def test_headers_that_numpy_reads_are_read(content, tmp_path):
    """Other programs write them in their own way, and so did NumPy years ago."""
    stored = npz(zipped(tmp_path / "x.npz", content))["x"]
    np.testing.assert_array_equal(stored.read(), np.load(io.BytesIO(content)))
    assert stored.shape == (2, 3)


@pytest.mark.parametrize("header", [
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), 'shape': (2, 3)}",
    b"{'descr': '<f8', 'shape': (2, 3), 'shape': (2, 3)}", b"{'descr': '<f8', 'shape': (2, 3)}",
    b"{'descr': '<f8', 'fortran_order': 0, 'shape': (2, 3)}",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, -3)}",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (1 + 1, 3)}",
    b"{'descr': '<f8' 'fortran_order': False 'shape': (2, 3)}", PLAIN[:-1], PLAIN + b"0",
    PLAIN + b" " * 10_000])
def test_headers_that_are_none_are_refused(header, tmp_path):
    with pytest.raises(Damaged, match="no readable header"):
        npz(zipped(tmp_path / "x.npz", headed(header)))


def test_pickles_are_refused_unread(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("it was unpickled",))

    np.savez(tmp_path / "trap.npz", x=np.array([Trap()], object))
    with pytest.raises(Damaged, match="pickles"):
        npz(tmp_path / "trap.npz")


def test_a_header_that_announces_a_terabyte_takes_no_memory(tmp_path):
    content = npy(np.zeros(4)).replace(b"(4,), }" + b" " * 13, b"(" + b"9" * 12 + b",), }  ", 1)
    path = zipped(tmp_path / "large.npz", content)
    with limits.memory(1e6), pytest.raises(Damaged, match="announces 999,999,999,999 numbers of 8"):
        npz(path)


@pytest.mark.parametrize(("content", "said"), [
    (b"", "not an array"), (b"\x93NUMPY\x01\x00", "not an array"),
    (b"\x93NUMPY\x09\x00vv", "not an array"),
    (b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}", "no readable header"),
    (npy(np.zeros(4))[:-1], "announces 4 numbers of 8 bytes in 31 bytes"),
    (npy(np.zeros(4, "<M8[s]")), "no readable header"), (npy(np.zeros(4, "V8")), "of the kind"),
    (npy(np.zeros(4, [("a", "<f4")])), "no readable header"),
])
def test_members_that_are_no_arrays_are_told_apart(content, said, tmp_path):
    with pytest.raises(Damaged, match=said):
        npz(zipped(tmp_path / "x.npz", content))


def packed(path, size: int, names: int = 1, compresslevel: int = 9):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=compresslevel) as file:
        for i in range(names):
            file.writestr(f"{i}.npy", npy(np.zeros(size, np.uint8)))
    return path


def test_what_unpacks_to_far_more_than_it_is_is_refused_unpacked(tmp_path):
    assert npz(packed(tmp_path / "zeros.npz", 10**7))["0"].read().sum() == 0, "which is harmless"
    for path in (packed(tmp_path / "one.npz", 10**8), packed(tmp_path / "many.npz", 10**7, 10)):
        said = r"bytes that unpack to 1..,...,...: write it again"
        with limits.memory(1e6), pytest.raises(Damaged, match=said):
            npz(path)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """A thousand names for the same place, and a thousand times the memory."""
    path = tmp_path / "shared.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("0.npy", npy(np.zeros(1000)))
        for i in range(1, 9):
            file.filelist.append(copy.copy(file.filelist[0]))
            file.filelist[-1].filename = f"{i}.npy"
    with pytest.raises(Damaged, match=r"arrays overlap|broken"):
        [stored.read() for stored in npz(path).values()]


def test_texts_without_letters_take_no_place_and_are_refused(tmp_path):
    """As many of them as there are atoms would fit into the file."""
    content = npy(np.zeros(0)).replace(b"<f8", b"<U0").replace(b"(0,), }" + b" " * 6,
                                                                b"(9999999,), }")
    with pytest.raises(Damaged, match="announces 9,999,999 numbers of 0 bytes"):
        npz(zipped(tmp_path / "x.npz", content))


def test_an_array_is_taken_only_if_it_is_of_the_right_kind_and_shape(tmp_path):
    save_npz(tmp_path / "x.npz", a=np.zeros((2, 3)), text=np.array("ü"))
    file = npz(tmp_path / "x.npz")
    assert take(file, "a", "f", (None, 3)).shape == (2, 3)
    assert str(take(file, "text", "U", ())) == "ü"
    for name, kinds, shape in (("b", "f", ()), ("a", "iu", (2, 3)), ("a", "f", (3, None)),
                               ("a", "f", (None,)), ("text", "f", ())):
        with pytest.raises(Damaged, match=name):
            take(file, name, kinds, shape)


def test_an_npy_file_is_mapped_and_held_against_what_it_says(tmp_path):
    array, path = np.arange(12.0).reshape(3, 4), tmp_path / "x.npy"
    for stored in (array, array.T, array[:0]):
        np.save(path, stored)
        np.testing.assert_array_equal(mapped(path), stored)
        assert not mapped(path).flags.writeable
    np.save(path, array)
    content = path.read_bytes()
    for damaged in (content[:-1], content + b"x", content[:50], b"x" * 200,
                    content.replace(b"(3, 4)", b"(0, 9)"), content.replace(b"<f8", b"|O8"),
                    content.replace(b"<f8", b"<f7")):
        path.write_bytes(damaged)
        with pytest.raises(Damaged):
            mapped(path)


def test_a_packing_that_numpy_does_not_use_is_refused(tmp_path):
    """The one of LZMA says itself how much memory it wants, up to 4 GB."""
    path = zipped(tmp_path / "x.npz", npy(np.zeros(4)), zipfile.ZIP_LZMA)
    with pytest.raises(Damaged, match="packed in a way"):
        npz(path)


def test_a_file_cut_anywhere_is_damaged(tmp_path):
    path = tmp_path / "x.npz"
    save_npz(path, a=np.arange(3.0), b=np.zeros(2))
    content = path.read_bytes()
    for end in range(1, len(content), 3):
        path.write_bytes(content[:end])
        with pytest.raises(Damaged):
            [stored.read() for stored in npz(path).values()]


def test_no_file_and_no_content_are_the_users_to_mend(tmp_path):
    for path, said in ((tmp_path / "nowhere.npz", "no such file"), (tmp_path, "not a regular")):
        with pytest.raises(UserError, match=said):
            npz(path)
    (tmp_path / "empty.npz").touch()
    with pytest.raises(UserError, match="is empty"):
        npz(tmp_path / "empty.npz")


def test_a_python_without_memory_maps_reads_the_file(tmp_path, monkeypatch):
    def unavailable(*args, **more):
        raise OSError("mmap is unavailable")

    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "b.npy", np.arange(3))
    monkeypatch.setattr(np, "memmap", unavailable)
    np.testing.assert_array_equal(npz(path)["x"].read(), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(mapped(tmp_path / "b.npy"), [0, 1, 2])
