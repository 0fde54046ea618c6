"""Networks, one line a layer; a recipe names the function that builds its own."""

from collections.abc import Callable

from tinyalex.architectures import alexnet, others
from tinyalex.network import Network

# Files keep these names: what a name builds does not change.
ARCHITECTURES: dict[str, Callable[..., Network]] = {
    "tiny": alexnet.tiny,
    "cifar": alexnet.cifar,
    "mini": alexnet.mini,
    "mini-ones": alexnet.mini_ones,
    "half": alexnet.half,
    "paper": alexnet.paper,
    "original": alexnet.original,
    "caffe": others.caffe,
    "torchvision": others.torchvision,
    "cifar10-quick": others.cifar10_quick,
    "cifar10-full": others.cifar10_full,
    "four-layers": others.four_layers,
    "13pct": others.local_13,
    "11pct": others.local_11,
}
