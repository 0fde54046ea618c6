"""Caffe's HDF5 holds the same network as its protocol buffers, and can hold more than arrays: links
to other files, numbers that are nowhere, and no order of its layers."""

import sys

import numpy as np
import pytest
from caffe_writer import QUICK, model, weights
from runs import assert_same_bits

from tinyalex.convert import caffe, published
from tinyalex.convert.__main__ import main
from tinyalex.support.errors import UserError


def hdf5_model(path, layers):
    """What Caffe writes with snapshot_format: HDF5, a group for each layer, in their order."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(path, "w") as file:
        for name, blobs in layers.items():
            group = file.create_group(f"data/{name}")
            for i, array in enumerate(blobs):
                group[str(i)] = array


@pytest.mark.parametrize("name", ["q.caffemodel.h5", "renamed.caffemodel"])
def test_hdf5_holds_the_same_network(name, tmp_path):
    quick = tmp_path / "quick.caffemodel"
    quick.write_bytes(model("quick", weights(QUICK)))
    hdf5_model(tmp_path / name, weights(QUICK))
    assert_same_bits(*(published.start(path).values for path in (tmp_path / name, quick)))


def test_hdf5_that_pools_before_it_normalises_is_noticed(tmp_path):
    hdf5_model(tmp_path / "a.h5", {"pool1": (), "norm1": ()})
    with pytest.raises(UserError, match="pools before it normalises"):
        published.start(tmp_path / "a.h5")
    hdf5_model(tmp_path / "a.h5", {"norm1": (), "pool1": ()})
    with pytest.raises(UserError, match="whose layers with weights are none"):
        published.start(tmp_path / "a.h5")


def test_hdf5_leads_to_no_other_file_and_holds_no_more_than_it_has_room_for(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    np.full(4, 7, "<f4").tofile(tmp_path / "secret")
    for make in (
            lambda data: data.create_dataset("a/0", (1 << 30,), "f4", chunks=(1 << 20,)),
            lambda data: data.create_dataset("a/0", (1 << 30,), "f4"),
            lambda data: data.create_dataset("a/0", (4,), "f4", external=[
                (str(tmp_path / "secret"), 0, 16)]),
            lambda data: data.create_dataset("a/0", (4,), "i4")):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            make(file.create_group("data"))
        with pytest.raises(UserError, match="a/0 is not a plain array of floats"):
            caffe.model(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/a/0"] = h5py.ExternalLink(tmp_path / "other.h5", "/x")
    assert caffe.model(tmp_path / "a.h5").blobs == {}
    (tmp_path / "a.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:600])
    with pytest.raises(UserError, match="not a Caffe model, or a damaged one"):
        caffe.model(tmp_path / "a.h5")


def test_without_h5py_hdf5_says_what_to_do(tmp_path, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.caffemodel").write_bytes(b"\x89HDF\r\n\x1a\n and more")
    error = refused(main, [str(tmp_path / "a.caffemodel"), str(tmp_path / "out.npz")])
    assert "a.caffemodel: needs the package h5py" in error and "pip install h5py" in error
