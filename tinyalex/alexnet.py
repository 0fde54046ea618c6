"""The architectures, one line a layer.

A tower function lists what stands in one tower, stage by stage; the paper's figure 2 shows two of
them, one above the other. A new stage begins where a layer reads the maps of all towers: conv3,
fc6, fc7 and fc8. `towers` is how many there are, so that those layers know how much they read;
with one tower the same lines are a plain AlexNet.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt

from tinyalex.devices import HOST, CpuDevice
from tinyalex.layers import Conv2D, Dropout, Flatten, Layer, Linear, MaxPool2D, ReLU
from tinyalex.layers import LocalResponseNorm as LRN
from tinyalex.network import Network

Tower = list[list[Layer]]
Spread = Callable[[int], float]  # the standard deviation of a unit's weights, given its inputs


def he(inputs: int) -> float:
    """Keeps the size of the signal through a layer and its ReLU (He et al., 2015)."""
    return sqrt(2 / inputs)


def printed(inputs: int) -> float:
    """What the paper prints for all layers (section 5)."""
    return 0.01


INITS = {"paper": printed, "he": he}


def paper_tower(classes: int, towers: int, keep: float, std: Spread, c1=48, c2=128, c3=192, c4=192,
                c5=128, hidden=2048) -> Tower:
    """One tower of the paper (section 3.5, figure 2), for 224×224 pictures.

    Weights ~ N(0, 0.01²); biases 1 in conv2, conv4, conv5, fc6 and fc7, else 0 (section 5).
    conv1 sees 3 zeros beyond the right and the bottom edge: (224 + 3 - 11) / 4 + 1 = 55.
    """
    return [
        [Conv2D(3, c1, 11, stride=4, pad=(0, 3), input_gradient=False, name="conv1"),
         ReLU("relu1", inplace=True),
         LRN(name="lrn1"),
         MaxPool2D(3, 2, name="pool1"),
         Conv2D(c1, c2, 5, pad=2, std=std(25 * c1), bias=1, name="conv2"),
         ReLU("relu2", inplace=True),
         LRN(name="lrn2"),
         MaxPool2D(3, 2, name="pool2")],

        [Conv2D(towers * c2, c3, 3, pad=1, std=std(9 * towers * c2), name="conv3"),
         ReLU("relu3", inplace=True),
         Conv2D(c3, c4, 3, pad=1, std=std(9 * c3), bias=1, name="conv4"),
         ReLU("relu4", inplace=True),
         Conv2D(c4, c5, 3, pad=1, std=std(9 * c4), bias=1, name="conv5"),
         ReLU("relu5", inplace=True),
         MaxPool2D(3, 2, name="pool5"),
         Flatten("flatten")],

        [Linear(towers * 6 * 6 * c5, hidden, std=std(towers * 36 * c5), bias=1, name="fc6"),
         ReLU("relu6", inplace=True),
         Dropout(keep, name="dropout6")],

        [Linear(towers * hidden, hidden, std=std(towers * hidden), bias=1, name="fc7"),
         ReLU("relu7", inplace=True),
         Dropout(keep, name="dropout7")],

        [Linear(towers * hidden, classes, name="fc8")],
    ]


def small_tower(classes: int, towers: int, keep: float, std: Spread, stride=1, c1=16, c2=32, c3=48,
                c4=48, c5=48, hidden=128) -> Tower:
    """The same net in small: reads 28×28 pixels of 32×32, or with stride=2 in conv1 56×56 of 64×64,
    as the paper reads 224×224 of 256×256.

    Weights ~ N(0, 2 / inputs), biases 0. The paper's N(0, 0.01²) is made for layers that read
    thousands of numbers; where they read hundreds it shrinks the signal at every layer until
    nothing is left to learn from. Twice the inverse of what a unit reads keeps its size through a
    ReLU (He et al., 2015), and with it no bias is needed to keep the units awake.
    """
    return [
        [Conv2D(3, c1, 5, stride, pad=2, std=std(75), input_gradient=False, name="conv1"),
         ReLU("relu1", inplace=True),
         LRN(name="lrn1"),
         MaxPool2D(3, 2, name="pool1"),
         Conv2D(c1, c2, 5, pad=2, std=std(25 * c1), name="conv2"),
         ReLU("relu2", inplace=True),
         LRN(name="lrn2"),
         MaxPool2D(3, 2, name="pool2")],

        [Conv2D(towers * c2, c3, 3, pad=1, std=std(9 * towers * c2), name="conv3"),
         ReLU("relu3", inplace=True),
         Conv2D(c3, c4, 3, pad=1, std=std(9 * c3), name="conv4"),
         ReLU("relu4", inplace=True),
         Conv2D(c4, c5, 3, pad=1, std=std(9 * c4), name="conv5"),
         ReLU("relu5", inplace=True),
         MaxPool2D(3, 2, name="pool5"),
         Flatten("flatten")],

        [Linear(towers * 2 * 2 * c5, hidden, std=std(towers * 2 * 2 * c5), name="fc6"),
         ReLU("relu6", inplace=True),
         Dropout(keep, name="dropout6")],

        [Linear(towers * hidden, hidden, std=std(towers * hidden), name="fc7"),
         ReLU("relu7", inplace=True),
         Dropout(keep, name="dropout7")],

        [Linear(towers * hidden, classes, std=0.01, name="fc8")],
    ]


def paper(classes: int = 1000, devices: Sequence[CpuDevice] = (HOST,), seed: int = 0,
          keep: float = 0.5, init: str = "paper") -> Network:
    """The paper's network, 224×224: two towers, 60,965,224 parameters with 1000 classes."""
    return _build(paper_tower, 2, 224, classes, devices, seed, init, keep=keep)


def one_gpu(classes: int = 1000, devices: Sequence[CpuDevice] = (HOST,), seed: int = 0,
            keep: float = 0.5, init: str = "paper") -> Network:
    """The paper's control for its two towers (section 3.2), 224×224: one tower, with as many
    kernels in conv5 and units in fc6 and fc7 as both had together; 59,798,312 parameters."""
    return _build(paper_tower, 1, 224, classes, devices, seed, init, keep=keep, c5=256, hidden=4096)


def tiny(classes: int = 10, devices: Sequence[CpuDevice] = (HOST,), seed: int = 0,
         keep: float = 0.5, init: str = "he") -> Network:
    """The paper's net in small, for pictures of 64×64: trains in a minute or two on a laptop."""
    return _build(small_tower, 2, 56, classes, devices, seed, init, keep=keep, stride=2)


def cifar(classes: int = 10, devices: Sequence[CpuDevice] = (HOST,), seed: int = 0,
          keep: float = 0.5, init: str = "he") -> Network:
    """The paper's net in small, for the 32×32 pictures of CIFAR-10."""
    return _build(small_tower, 2, 28, classes, devices, seed, init, keep=keep)


def _build(tower: Callable[..., Tower], towers: int, side: int, classes: int,
           devices: Sequence[CpuDevice], seed: int, init: str, **widths) -> Network:
    """A network of `towers` towers, each of which gives the scores of its share of the classes."""
    ends = [round(classes * t / towers) for t in range(towers + 1)]
    built = [tower(classes=last - first, towers=towers, std=INITS[init], **widths)
             for first, last in pairwise(ends)]
    return Network([list(stage) for stage in zip(*built, strict=True)], (side, side, 3), devices,
                   seed)
