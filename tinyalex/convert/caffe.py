"""Caffe's files: networks with their weights (.caffemodel), and mean pictures (.binaryproto).
Those in HDF5 are hdf5.py's.

The messages, as caffe.proto numbers their fields (only what is needed):

    NetParameter   1 name   100 layers   2 layers as they were written until 2015
    layer          1 name   7 blobs
    … until 2015   4 name   6 blobs      1 a layer as they were written until 2014
    … until 2014   1 name   50 blobs
    BlobProto      5 floats   8 doubles   7 shape { 1 sizes }, which until 2015 was
                   1 num   2 channels   3 height   4 width

A blob is (F, C, KH, KW) for a convolution, (outputs, inputs) for a full connection, and (F,) for
biases; with the old four sizes, those missing in front are 1.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from tinyalex.convert import hdf5
from tinyalex.convert.protobuf import Message, integers, message, parts, text
from tinyalex.support.arrays import Damaged, Stored, contents
from tinyalex.support.errors import UserError

SUFFIXES = (".caffemodel", ".h5")  # of models
MOST_SIZES = 32  # of a blob: Caffe's own limit


@dataclass(frozen=True)
class Model:
    """layers: the names of all layers, in order. blobs: by layer, of those that have some."""

    name: str
    layers: list[str]
    blobs: dict[str, list[Stored]]


def model(path: Path) -> Model:
    """Read a .caffemodel or .caffemodel.h5, whichever its first bytes say it is. UserError where
    there is none, or it is damaged or something else."""
    data, called = contents(path), ""
    blobs: dict[str, list[Stored]] = {}
    try:
        if bytes(data[:8]) == hdf5.SIGNATURE:
            layers = hdf5.layers(path)
        else:
            net = message(data)
            layers = [*map(_layer, parts(net, 100)), *map(_old_layer, parts(net, 2))]
            called = text(net, 1)
        for name, stored in layers:
            if stored and name in blobs:
                raise Damaged(f"two layers are called {name!r}")
            if stored:
                blobs[name] = stored
        return Model(called, [name for name, _ in layers], blobs)
    except Damaged as error:
        raise _not_caffe(path, "model", error) from None


def mean(path: Path) -> np.ndarray:
    """Read a mean picture: (C, H, W), in Caffe's order of colours. UserError as in `model`."""
    data = contents(path)
    try:
        blob = _blob(message(data))
    except Damaged as error:
        raise _not_caffe(path, "mean picture", error) from None
    shape = blob.shape[-3:]
    if len(shape) < 3 or shape[0] != 3 or prod(blob.shape) != prod(shape) or prod(shape) == 0:
        raise UserError(f"{path}: {_sizes(blob.shape)} numbers are not a colour picture",
                        "--mean needs the .binaryproto that belongs to the network.")
    with np.errstate(all="ignore"):  # who asked looks for what is not finite
        return blob.read().reshape(shape).astype(np.float32)


def _not_caffe(path: Path, kind: str, error: Damaged) -> UserError:
    return UserError(f"{path}: not a Caffe {kind}, or a damaged one ({error})",
                     "download it again; and a .prototxt, which is text, holds no numbers.")


def _layer(data: memoryview) -> tuple[str, list[Stored]]:
    layer = message(data)
    return text(layer, 1), _blobs(layer, 7)


def _old_layer(data: memoryview) -> tuple[str, list[Stored]]:
    layer = message(data)
    if 1 in layer:
        oldest = message(parts(layer, 1)[-1])
        return text(oldest, 1), _blobs(oldest, 50)
    return text(layer, 4), _blobs(layer, 6)


def _blobs(layer: Message, number: int) -> list[Stored]:
    return [_blob(message(blob)) for blob in parts(layer, number)]


def _blob(blob: Message) -> Stored:
    shapes = parts(blob, 7)
    if shapes:
        shape = tuple(integers(message(shapes[-1]), 1, MOST_SIZES))
    else:
        shape = tuple((integers(blob, number, MOST_SIZES) or [0])[-1] for number in (1, 2, 3, 4))
    number, dtype = (5, "<f4") if 5 in blob else (8, "<f8")
    chunks = parts(blob, number)
    size = sum(map(len, chunks))
    if prod(shape) * np.dtype(dtype).itemsize != size:
        raise Damaged(f"a blob of {_sizes(shape)} numbers has {size:,} bytes")

    def read() -> np.ndarray:
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return np.frombuffer(data, dtype).reshape(shape)

    return Stored(shape, read)


def _sizes(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "no"
