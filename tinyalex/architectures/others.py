"""Networks that other people trained and published, one line a layer, as in alexnet.py.

Each says how it differs from the paper's net. docs/weights.md shows how to read their weights
(see convert/), and --preset trains them from scratch.
"""

from collections.abc import Sequence
from functools import partial

from tinyalex.architectures.alexnet import Size, Tower, build, final_side, paper_tower
from tinyalex.devices import HOST, Device
from tinyalex.layers import (
    AveragePool2D,
    Conv2D,
    Dropout,
    Flatten,
    Linear,
    LocallyConnected2D,
    MaxPool2D,
    OwnMaps,
    ReLU,
    SpatialResponseNorm,
)
from tinyalex.layers import LocalResponseNorm as LRN
from tinyalex.layers.base import Spread
from tinyalex.network import Network

CAFFE = Size(227, 11, 4, 0, 48, 128, 192, 192, 128, 2048, bias=0.1)
TORCHVISION = Size(224, 11, 4, 2, 64, 192, 384, 256, 128, 2048)
QUICK = Size(32, 5, 1, 2, 32, 32, 64, 0, 0, 32)  # no conv4 and conv5
FOUR = Size(32, 5, 1, 2, 16, 16, 32, 0, 0, 32)
LOCAL_13 = Size(24, 5, 1, 2, 64, 64, 32, 32, 0, 0)  # c3 and c4: local, and no hidden layers
LOCAL_11 = Size(24, 5, 1, 2, 64, 64, 64, 32, 0, 0)


def caffe_tower(size: Size, classes: int, towers: int, keep: float, std: Spread) -> Tower:
    """One tower of Caffe's bvlc_alexnet, where towers are called groups.

    Its LRN has k = 1, divides the sum by the window, and runs over the maps of both towers, so they
    meet twice more than in the paper: before each LRN. Pictures are 227×227, biases start with 0.1.
    Caffe rounds the size of pooled maps up, which is the same here: 55 → 27 → 13 → 6.
    """
    c1, c2, c3, c4, bias = size.c1, size.c2, size.c3, size.c4, size.bias
    c5 = 2 * size.c5 // towers
    return [
        [Conv2D(3, c1, size.kernel, size.stride, pad=size.pad, std=std, input_gradient=False,
                name="conv1"),
         ReLU("relu1", inplace=True)],

        [LRN(k=1, alpha=1e-4 / 5, name="lrn1"),
         OwnMaps(towers, name="own1"),
         MaxPool2D(3, 2, name="pool1"),
         Conv2D(c1, c2, 5, pad=2, std=std, bias=bias, name="conv2"),
         ReLU("relu2", inplace=True)],

        [LRN(k=1, alpha=1e-4 / 5, name="lrn2"),
         MaxPool2D(3, 2, name="pool2"),
         Conv2D(towers * c2, c3, 3, pad=1, std=std, name="conv3"),
         ReLU("relu3", inplace=True),
         Conv2D(c3, c4, 3, pad=1, std=std, bias=bias, name="conv4"),
         ReLU("relu4", inplace=True),
         Conv2D(c4, c5, 3, pad=1, std=std, bias=bias, name="conv5"),
         ReLU("relu5", inplace=True),
         MaxPool2D(3, 2, name="pool5"),
         Flatten("flatten")],

        *paper_tower(size, classes, towers, keep, std)[2:],
    ]


def torchvision_tower(size: Size, classes: int, towers: int, keep: float, std: Spread) -> Tower:
    """torchvision's alexnet, which is the net of Krizhevsky's "One weird trick" (2014): one tower
    of 64, 192, 384, 256 and 256 kernels, no LRN, dropout before fc6 and fc7 instead of after them.

    conv1 pads 2 pixels: (224 + 2·2 - 11) / 4 + 1 = 55.25, and the last quarter goes unread. What
    averages its maps to 6×6 before fc6 does nothing here: they are 6×6.
    """
    c1, c2, c3, c4 = size.c1, size.c2, size.c3, size.c4
    c5, hidden = 2 * size.c5 // towers, 2 * size.hidden // towers
    pooled = final_side(size) ** 2 * c5
    return [
        [Conv2D(3, c1, size.kernel, size.stride, pad=size.pad, std=std, input_gradient=False,
                name="conv1"),
         ReLU("relu1", inplace=True),
         MaxPool2D(3, 2, name="pool1"),
         Conv2D(c1, c2, 5, pad=2, std=std, name="conv2"),
         ReLU("relu2", inplace=True),
         MaxPool2D(3, 2, name="pool2")],

        [Conv2D(towers * c2, c3, 3, pad=1, std=std, name="conv3"),
         ReLU("relu3", inplace=True),
         Conv2D(c3, c4, 3, pad=1, std=std, name="conv4"),
         ReLU("relu4", inplace=True),
         Conv2D(c4, c5, 3, pad=1, std=std, name="conv5"),
         ReLU("relu5", inplace=True),
         MaxPool2D(3, 2, name="pool5"),
         Flatten("flatten"),
         Dropout(keep, name="dropout5")],

        [Linear(towers * pooled, hidden, std=std, name="fc6"),
         ReLU("relu6", inplace=True),
         Dropout(keep, name="dropout6")],

        [Linear(towers * hidden, hidden, std=std, name="fc7"),
         ReLU("relu7", inplace=True)],

        [Linear(towers * hidden, classes, std=std, name="fc8")],
    ]


def cifar10_quick_tower(size: Size, classes: int, towers: int, keep: float, std: Spread) -> Tower:
    """Caffe's cifar10_quick: 32×32 pixels, the first pooling by maxima, the others by means, and
    windows that hang over the edge (32 → 16 → 8 → 4). Between ip1 and ip2 there is no ReLU."""
    c1, c2, c3, hidden = size.c1, size.c2, size.c3, 2 * size.hidden // towers
    return [
        [Conv2D(3, c1, size.kernel, size.stride, pad=size.pad, std=std, input_gradient=False,
                name="conv1"),
         MaxPool2D(3, 2, ceil=True, name="pool1"),
         ReLU("relu1"),
         Conv2D(c1, c2, 5, pad=2, std=std, name="conv2"),
         ReLU("relu2", inplace=True),
         AveragePool2D(3, 2, ceil=True, name="pool2")],

        [Conv2D(towers * c2, c3, 5, pad=2, std=std, name="conv3"),
         ReLU("relu3", inplace=True),
         AveragePool2D(3, 2, ceil=True, name="pool3"),
         Flatten("flatten")],

        [Linear(towers * 16 * c3, hidden, std=std, name="ip1")],

        [Linear(towers * hidden, classes, std=std, name="ip2")],
    ]


def cifar10_full_tower(size: Size, classes: int, towers: int, keep: float, std: Spread) -> Tower:
    """Caffe's cifar10_full: cifar10_quick with a normalisation within each map where the maps are
    16×16 and where they are 8×8, and without ip1's hidden units."""
    first, second, *_ = cifar10_quick_tower(size, classes, towers, keep, std)
    norm1, norm2 = (SpatialResponseNorm(3, k=1, alpha=5e-5, name=name)
                    for name in ("norm1", "norm2"))
    return [[*first[:3], norm1, *first[3:], norm2],
            second,
            [Linear(towers * 16 * size.c3, classes, std=0.01, name="ip1")]]


def local_tower(size: Size, classes: int, towers: int, keep: float, std: Spread) -> Tower:
    """cuda-convnet's net for CIFAR-10 with 13 % error: crops of 24×24, and two layers whose places
    do not share their kernels (24 → 12 → 6 pixels)."""
    c1, c2, c3, c4, side = size.c1, size.c2, size.c3, size.c4, size.side // 4
    return [
        [Conv2D(3, c1, size.kernel, size.stride, pad=size.pad, std=std, input_gradient=False,
                name="conv1"),
         ReLU("relu1", inplace=True),
         MaxPool2D(3, 2, ceil=True, name="pool1"),
         Conv2D(c1, c2, 5, pad=2, std=std, name="conv2"),
         ReLU("relu2", inplace=True),
         MaxPool2D(3, 2, ceil=True, name="pool2")],

        [LocallyConnected2D((side, side, towers * c2), c3, 3, pad=1, std=std, name="local3"),
         ReLU("relu3", inplace=True),
         LocallyConnected2D((side, side, c3), c4, 3, pad=1, std=std, name="local4"),
         ReLU("relu4", inplace=True),
         Flatten("flatten")],

        [Linear(towers * side**2 * c4, classes, std=std, name="fc10")],
    ]


def local_lrn_tower(size: Size, classes: int, towers: int, keep: float, std: Spread) -> Tower:
    """The same for 11 %: LRN after pool1, and before pool2, over 9 maps."""
    first, *rest = local_tower(size, classes, towers, keep, std)
    *front, pool2 = first
    lrn1, lrn2 = (LRN(9, k=1, alpha=0.001 / 9, name=name) for name in ("lrn1", "lrn2"))
    return [[*front[:3], lrn1, *front[3:], lrn2, pool2], *rest]


def caffe(classes: int = 1000, devices: Sequence[Device] = (HOST,), init: str = "caffe",
          **options) -> Network:
    """Caffe's bvlc_alexnet, 227×227: 60,965,224 parameters with 1000 classes, as the paper's.
    options: see `alexnet.build`."""
    return build(caffe_tower, CAFFE, classes, devices, init=init, **options)


def torchvision(classes: int = 1000, devices: Sequence[Device] = (HOST,), towers: int = 1,
                **options) -> Network:
    """torchvision's alexnet, 224×224: 61,100,840 parameters with 1000 classes. options: see
    `alexnet.build`."""
    return build(torchvision_tower, TORCHVISION, classes, devices, towers=towers, **options)


# Nets for CIFAR-10; they too take (classes, devices, …). With 10 classes, cifar10_quick has 145,578
# parameters, cifar10_full 89,578; four_layers, for figure 1, whose layers the paper does not name,
# is cifar10_quick with half the kernels; cuda-convnet's with 13 and 11 % error have 1,116,490 and
# 2,112,970.
cifar10_quick = partial(build, cifar10_quick_tower, QUICK, towers=1, init="cifar10-quick")
cifar10_full = partial(build, cifar10_full_tower, QUICK, towers=1, init="cifar10-quick")
four_layers = partial(build, cifar10_quick_tower, FOUR, towers=1, init="cifar10-quick")
local_13 = partial(build, local_tower, LOCAL_13, towers=1, init="cuda-convnet")
local_11 = partial(build, local_lrn_tower, LOCAL_11, towers=1, init="cuda-convnet")
