"""The published networks whose weights can be read, and what is special about each."""

from dataclasses import dataclass

import numpy as np

from tinyalex.data import cifar10
from tinyalex.run.recipe import Recipe
from tinyalex.support.arrays import Stored

Layers = dict[str, tuple[Stored, Stored]]  # weights and biases, by our names of the layers
HEAD = ("fc6", "fc7", "fc8")  # what a file may lack: whoever reuses a network retrains it


@dataclass(frozen=True)
class Published:
    """Someone else's network.

    preset: the same network here. about: what to call it. layers: their names for our layers.
    mean: what is subtracted from R, G and B (0 to 255) where no mean picture is given. std: what
    its authors then divide them by, or None. bgr: whether it reads B, G, R. classes: their names,
    where they are known. recipe: where it is ours, and the file says how it was trained.
    """

    preset: str
    about: str
    layers: dict[str, str]
    mean: tuple[float, float, float] | np.ndarray
    std: tuple[float, float, float] | None = None
    bgr: bool = False
    classes: tuple[str, ...] | None = None
    recipe: Recipe | None = None


def _same(*names: str) -> dict[str, str]:
    return dict(zip(names, names, strict=True))


# The means: of the mean picture that Caffe's authors took from ImageNet; of CIFAR-10's training
# pictures; and what torchvision prints, for pixels from 0 to 1.
CAFFE = [
    Published("caffe", "Caffe's bvlc_alexnet", _same(
        "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"),
        mean=(122.679, 116.669, 104.007), bgr=True),
    Published("cifar10-quick", "Caffe's cifar10_quick", _same(
        "conv1", "conv2", "conv3", "ip1", "ip2"),
        mean=(125.3, 123.0, 113.9), classes=cifar10.CLASSES),
    Published("cifar10-full", "Caffe's cifar10_full", _same("conv1", "conv2", "conv3", "ip1"),
        mean=(125.3, 123.0, 113.9), classes=cifar10.CLASSES),
]
TORCHVISION = Published(
    "torchvision", "torchvision's alexnet",
    {"conv1": "features.0", "conv2": "features.3", "conv3": "features.6", "conv4": "features.8",
     "conv5": "features.10", "fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"},
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), std=(0.229 * 255, 0.224 * 255, 0.225 * 255))
