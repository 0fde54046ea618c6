"""The architectures, one line a layer.

A tower function lists what is in one tower, stage by stage; the paper's figure 2 shows two of
them, one above the other. A new stage begins where a layer reads the maps of all towers: conv3,
fc6, fc7 and fc8. `towers` is how many there are, so that those layers know how much they read.

With one tower the same lines are the paper's one-GPU net (section 3.2): the kernels of one of its
two towers, but conv5 and the hidden layers as wide as in both together, since nearly all parameters
are there. With four towers, each has the kernels of one of the two, and they share among them what
the two had in conv5 and the hidden layers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import sqrt

from tinyalex.devices import HOST, Device
from tinyalex.layers import (
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2D,
    ReLU,
    SpatialResponseNorm,
)
from tinyalex.layers import LocalResponseNorm as LRN
from tinyalex.layers.base import Spread, Weighted
from tinyalex.network import Network
from tinyalex.support.errors import UserError

Tower = list[list[Layer]]


def printed(layer: Weighted) -> float:
    """What the paper prints for all layers (section 5)."""
    return 0.01


def as_run(layer: Weighted) -> float:
    """What the authors' own configuration has."""
    return 0.03 if layer.name.startswith(("conv3", "conv4", "conv5")) else 0.01


def he(layer: Weighted) -> float:
    """Keeps the size of the signal through a layer and its ReLU (He et al., 2015)."""
    return sqrt(2 / layer.inputs)


def lecun(layer: Weighted) -> float:
    """The same for tanh, whose slope is 1 for small numbers (LeCun et al., 1998)."""
    return sqrt(1 / layer.inputs)


def caffe(layer: Weighted) -> float:
    """What Caffe's bvlc_alexnet starts with."""
    return 0.005 if layer.name.startswith(("fc6", "fc7")) else 0.01


def cifar10_quick(layer: Weighted) -> float:
    """What Caffe's cifar10_quick starts with."""
    return {"conv1": 1e-4, "conv2": 0.01, "conv3": 0.01}.get(layer.name[:5], 0.1)


def cuda_convnet(layer: Weighted) -> float:
    """What cuda-convnet's nets for CIFAR-10 with local layers start with."""
    return 0.04 if layer.name.startswith("local") else 1e-4 if layer.name[:5] == "conv1" else 0.01


INITS = {"paper": printed, "original": as_run, "he": he, "lecun": lecun, "caffe": caffe,
         "cifar10-quick": cifar10_quick, "cuda-convnet": cuda_convnet}


@dataclass(frozen=True)
class Size:
    """What differs between the paper's net and the small ones.

    side: of the pictures it reads, in pixels. kernel, stride, pad: of conv1. c1 … c5: kernels in
    conv1 to conv5, and hidden: units in fc6 and in fc7, of each of two towers.
    bias: at the start, where the paper has 1. std1: of the weights of conv1 where they read raw
    pixels; None, for pixels scaled to about 1: as `init` says.
    """

    side: int
    kernel: int
    stride: int
    pad: int | tuple[int, int]
    c1: int
    c2: int
    c3: int
    c4: int
    c5: int
    hidden: int
    bias: float = 0
    std1: float | None = None


# conv1 sees 3 zeros beyond the right and the bottom edge: (224 + 3 - 11) / 4 + 1 = 55.
PAPER = Size(224, 11, 4, (0, 3), 48, 128, 192, 192, 128, 2048, bias=1, std1=0.01)
# Half the pixels, half the kernels: (112 + 3 - 7) / 2 + 1 = 55 again, and the same maps from there.
HALF = Size(112, 7, 2, (0, 3), 24, 64, 96, 96, 64, 512)
TINY = Size(56, 5, 2, 2, 16, 32, 48, 48, 48, 128)
CIFAR = Size(28, 5, 1, 2, 16, 32, 48, 48, 48, 128)
MINI = Size(29, 5, 2, 2, 8, 16, 32, 32, 32, 64)  # 15 → 7 → 3 → 1, whatever the pooling


def paper_tower(size: Size, classes: int, towers: int, keep: float, std: Spread) -> Tower:
    """One tower of the paper (section 3.5, figure 2): LRN after ReLU, overlapping pooling.

    Weights ~ N(0, 0.01²); biases 1 in conv2, conv4, conv5, fc6 and fc7, else 0 (section 5). In the
    small nets, a unit reads hundreds of numbers, not thousands, and N(0, 0.01²) would shrink the
    signal at every layer until nothing is left to learn from: they draw from N(0, 2 / inputs).
    """
    c1, c2, c3, c4, bias = size.c1, size.c2, size.c3, size.c4, size.bias
    c5, hidden = 2 * size.c5 // towers, 2 * size.hidden // towers
    pooled = final_side(size) ** 2 * c5
    return [
        [Conv2D(3, c1, size.kernel, size.stride, pad=size.pad, std=size.std1 or std,
                input_gradient=False, name="conv1"),
         ReLU("relu1", inplace=True),
         LRN(name="lrn1"),
         MaxPool2D(3, 2, name="pool1"),
         Conv2D(c1, c2, 5, pad=2, std=std, bias=bias, name="conv2"),
         ReLU("relu2", inplace=True),
         LRN(name="lrn2"),
         MaxPool2D(3, 2, name="pool2")],

        [Conv2D(towers * c2, c3, 3, pad=1, std=std, name="conv3"),
         ReLU("relu3", inplace=True),
         Conv2D(c3, c4, 3, pad=1, std=std, bias=bias, name="conv4"),
         ReLU("relu4", inplace=True),
         Conv2D(c4, c5, 3, pad=1, std=std, bias=bias, name="conv5"),
         ReLU("relu5", inplace=True),
         MaxPool2D(3, 2, name="pool5"),
         Flatten("flatten")],

        [Linear(towers * pooled, hidden, std=std, bias=bias, name="fc6"),
         ReLU("relu6", inplace=True),
         Dropout(keep, name="dropout6")],

        [Linear(towers * hidden, hidden, std=std, bias=bias, name="fc7"),
         ReLU("relu7", inplace=True),
         Dropout(keep, name="dropout7")],

        [Linear(towers * hidden, classes, std=0.01, name="fc8")],
    ]


def original_tower(size: Size, classes: int, towers: int, keep: float, std: Spread) -> Tower:
    """One tower as the authors ran it (their configuration layers-145); docs/original.md says what
    differs from the paper, and where that is written.

    Layer 1 normalises before it pools, and the ReLU comes last. Layer 2 normalises twice. The sums
    of LRN are divided by the window. Of equal pixels each is the largest.
    """
    c1, c2, c3, c4, bias = size.c1, size.c2, size.c3, size.c4, size.bias
    c5 = 2 * size.c5 // towers
    return [
        [Conv2D(3, c1, size.kernel, size.stride, pad=size.pad, std=size.std1 or std,
                input_gradient=False, name="conv1"),
         LRN(alpha=1e-4 / 5, name="lrn1"),
         MaxPool2D(3, 2, ties="all", name="pool1"),
         ReLU("relu1"),
         Conv2D(c1, c2, 5, pad=2, std=std, bias=bias, name="conv2"),
         ReLU("relu2", inplace=True),
         LRN(alpha=1e-4 / 5, name="lrn2"),
         SpatialResponseNorm(5, k=1, alpha=0.001, name="norm2"),
         MaxPool2D(3, 2, ties="all", name="pool2")],

        [Conv2D(towers * c2, c3, 3, pad=1, std=std, name="conv3"),
         ReLU("relu3", inplace=True),
         Conv2D(c3, c4, 3, pad=1, std=std, bias=bias, name="conv4"),
         ReLU("relu4", inplace=True),
         Conv2D(c4, c5, 3, pad=1, std=std, bias=bias, name="conv5"),
         MaxPool2D(3, 2, ties="all", name="pool5"),
         ReLU("relu5"),
         Flatten("flatten")],

        *paper_tower(size, classes, towers, keep, std)[2:],
    ]


def final_side(size: Size) -> int:
    """H = W of pool5's maps: three times pooled by 3/2, otherwise kept from conv1 on."""
    pad = size.pad if isinstance(size.pad, tuple) else (size.pad, size.pad)
    side = (size.side + sum(pad) - size.kernel) // size.stride + 1
    for _ in ("pool1", "pool2", "pool5"):
        side = (side - 3) // 2 + 1
    return side


def build(tower: Callable[..., Tower], size: Size, classes: int = 10,
          devices: Sequence[Device] = (HOST,), *, towers: int = 2, seed: int = 0,
          keep: float = 0.5, init: str = "he", edit: Callable[..., Tower] | None = None,
          side: int | None = None, draw: bool = True) -> Network:
    """A network with this many towers, each of which gives the scores of its share of the classes.

    keep: share of the units that dropout leaves on. init: one of INITS. edit: changes a tower, for
    experiments; see ablations.py. side: of the pictures, if it is not the size's. draw: see
    `Network`. UserError where nothing is left of the pictures after the last pooling, and where so
    many towers cannot share a layer evenly.
    """
    if init not in INITS:
        raise UserError(f"--init {init}: there is no such choice",
                        f"choose one of {', '.join(INITS)}.")
    size = replace(size, side=side or size.side)
    if final_side(size) < 1:
        raise UserError(f"pictures of {size.side}×{size.side} are too small for this network",
                        "nothing is left of them after three poolings: use larger ones.")
    for part, count in ("maps of conv5", 2 * size.c5), ("units of a hidden layer", 2 * size.hidden):
        if count % towers:
            raise UserError(f"--towers {towers}: that many cannot share the {count} {part} evenly",
                            "choose 1, 2 or 4.")
    ends = [round(classes * t / towers) for t in range(towers + 1)]
    built = [tower(size, last - first, towers, keep, INITS[init]) for first, last in pairwise(ends)]
    if edit:
        built = [edit(layers, size.side, towers) for layers in built]
    return Network([list(stage) for stage in zip(*built, strict=True)], (size.side, size.side, 3),
                   devices, seed, draw=draw)


def paper(classes: int = 1000, devices: Sequence[Device] = (HOST,), init: str = "paper",
          **options) -> Network:
    """The paper's network, 224×224: 60,965,224 parameters with 1000 classes. With towers=1 it is
    the one-GPU net of section 3.2: 59,798,312. options: see `build`."""
    return build(paper_tower, PAPER, classes, devices, init=init, **options)


def original(classes: int = 1000, devices: Sequence[Device] = (HOST,), init: str = "original",
             **options) -> Network:
    """The network that the authors ran, 224×224. options: see `build`."""
    return build(original_tower, PAPER, classes, devices, init=init, **options)


def half(classes: int = 10, devices: Sequence[Device] = (HOST,), **options) -> Network:
    """The paper's net with half the pixels and half the kernels, 112×112. options: see `build`."""
    return build(paper_tower, HALF, classes, devices, **options)


def tiny(classes: int = 10, devices: Sequence[Device] = (HOST,), **options) -> Network:
    """The paper's net on a small scale, for crops of pictures of 64×64: trains in less than a
    minute on a laptop. options: see `build`."""
    return build(paper_tower, TINY, classes, devices, **options)


def cifar(classes: int = 10, devices: Sequence[Device] = (HOST,), **options) -> Network:
    """The paper's net on a small scale, for crops of the 32×32 pictures of CIFAR-10. options: see
    `build`."""
    return build(paper_tower, CIFAR, classes, devices, **options)


def mini(classes: int = 10, devices: Sequence[Device] = (HOST,), **options) -> Network:
    """The paper's net at its smallest, 29×29, for experiments that take many runs. options: see
    `build`."""
    return build(paper_tower, MINI, classes, devices, **options)


def mini_ones(classes: int = 10, devices: Sequence[Device] = (HOST,), **options) -> Network:
    """The same with the paper's biases: 1 in conv2, conv4, conv5, fc6 and fc7. options: see
    `build`."""
    return build(paper_tower, replace(MINI, bias=1), classes, devices, **options)
