"""Writes Caffe's files, for the tests of the reader: nothing of it is shared with the reader."""

import struct

import numpy as np


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += struct.pack("B", number % 128 + 128)
        number //= 128
    return out + struct.pack("B", number)


def field(number: int, value) -> bytes:
    """An integer, or a text or bytes with their length."""
    if isinstance(value, int):
        return varint(number * 8) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number * 8 + 2) + varint(len(value)) + value


def blob(array: np.ndarray, old: bool = False, double: bool = False) -> bytes:
    """A BlobProto. old: with num, channels, height and width instead of a shape."""
    if old:
        sizes = (1,) * (4 - array.ndim) + array.shape
        shape = b"".join(field(i, size) for i, size in enumerate(sizes, 1))
    else:
        shape = field(7, field(1, b"".join(map(varint, array.shape))))
    if double:
        return shape + field(8, array.astype("<f8").tobytes())
    return shape + field(5, array.astype("<f4").tobytes())


def layer_2015(name, kind, blobs):
    return field(100, field(1, name) + field(2, kind) + field(4, name)
                 + b"".join(field(7, blob(b)) for b in blobs) + field(10, 0))


def layer_2014(name, kind, blobs):
    return field(2, field(3, name) + field(4, name) + field(5, 4)
                 + b"".join(field(6, blob(b, old=True)) for b in blobs))


def layer_2013(name, kind, blobs):
    inner = field(1, name) + field(2, kind) + b"".join(field(50, blob(b, old=True)) for b in blobs)
    return field(2, field(1, inner) + field(2, name) + field(3, name))


def model(name: str, layers: dict[str, tuple], layer=layer_2015) -> bytes:
    """A NetParameter. layers: (weights, biases) by name, or () for a layer without any."""
    return field(1, name) + b"".join(
        layer(key, "Something", blobs) for key, blobs in layers.items())


ALEXNET = {  # (F, C, KH, KW) or (outputs, inputs), as the prototxt implies them
    "conv1": (96, 3, 11, 11), "relu1": (), "norm1": (), "pool1": (), "conv2": (256, 48, 5, 5),
    "relu2": (), "norm2": (), "pool2": (), "conv3": (384, 256, 3, 3), "relu3": (),
    "conv4": (384, 192, 3, 3), "relu4": (), "conv5": (256, 192, 3, 3), "relu5": (), "pool5": (),
    "fc6": (4096, 9216), "relu6": (), "drop6": (), "fc7": (4096, 4096), "relu7": (), "drop7": (),
    "fc8": (1000, 4096)}
QUICK = {
    "conv1": (32, 3, 5, 5), "pool1": (), "relu1": (), "conv2": (32, 32, 5, 5), "relu2": (),
    "pool2": (), "conv3": (64, 32, 5, 5), "relu3": (), "pool3": (), "ip1": (64, 1024),
    "ip2": (10, 64)}
FULL = {
    "conv1": (32, 3, 5, 5), "pool1": (), "relu1": (), "norm1": (), "conv2": (32, 32, 5, 5),
    "relu2": (), "pool2": (), "norm2": (), "conv3": (64, 32, 5, 5), "relu3": (), "pool3": (),
    "ip1": (10, 1024)}


def weights(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, tuple]:
    """Random weights and biases that keep the size of the signal, by layer."""
    rng, made = np.random.default_rng(seed), {}
    for name, shape in shapes.items():
        if shape:
            W = rng.standard_normal(shape, np.float32)
            W *= np.float32(np.sqrt(2 / np.prod(shape[1:])))
            made[name] = W, rng.standard_normal(shape[0], np.float32)
        else:
            made[name] = ()
    return made
