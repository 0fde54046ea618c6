"""Caffe's other format, HDF5 (.caffemodel.h5), read with the package h5py.

    data/conv1/0    the weights of the layer conv1, as in the blobs of caffe.py
    data/conv1/1    its biases

The order of the layers is not written down: groups list their names alphabetically. But Caffe makes
one group after the other, each at the end of the file, so their addresses give the order.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.support.arrays import Damaged, Stored
from tinyalex.support.errors import UserError

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # the first bytes of a file


def layers(path: Path) -> list[tuple[str, list[Stored]]]:
    """The names of all layers and their blobs. Damaged where there are none in it; UserError where
    h5py is not installed."""
    try:
        import h5py
    except ImportError:
        raise UserError(f"{path}: needs the package h5py, which is not installed",
                        "pip install h5py, or let Caffe write snapshot_format: BINARYPROTO.",
                        ) from None
    try:
        with h5py.File(path) as file:
            data = {name: file["data"][name] for name in _own(file["data"])}
            order = sorted(data, key=lambda name: h5py.h5o.get_info(data[name].id).addr)
            return [(name, [_blob(path, data[name][key]) for key in sorted(_own(data[name]))])
                    for name in order]
    except Damaged:
        raise
    except Exception as error:  # h5py has no one exception for a damaged file
        raise Damaged(f"h5py: {error}") from None


def _own(group: Any) -> list[str]:
    """What is in the group itself: links can lead anywhere, even to other files."""
    import h5py
    return [name for name in group
            if group.get(name, getclass=True, getlink=True) is h5py.HardLink]


def _blob(path: Path, stored: Any) -> Stored:
    """An array whose numbers are in the file uncompressed, so the file must be large enough for
    them."""
    if (stored.dtype.kind != "f" or stored.chunks or stored.is_virtual or stored.external
            or stored.nbytes > path.stat().st_size):
        raise Damaged(f"{stored.name} is not a plain array of floats")
    return Stored(stored.shape, partial(_numbers, path, stored.name))


def _numbers(path: Path, name: str) -> np.ndarray:
    import h5py
    try:
        with h5py.File(path) as file:
            return file[name][()]
    except Exception as error:
        raise Damaged(f"h5py: {error}") from None
