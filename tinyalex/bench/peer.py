"""The same network in PyTorch, to compare with: built from our layers, with our weights.

Two towers are one network there: what our towers compute side by side are groups of one
convolution, and what reads the maps of all towers is a convolution without groups. The maps of
tower a are the first channels, those of tower b come after them. PyTorch has the channels before
the pixels, (N, C, H, W), and its dropout divides by `keep` in training where ours multiplies by it
at test time: the weights make up for both, see `convert.layout`.

This module needs PyTorch; `speed.load_peer` imports it when it is asked for.
"""

import gc
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from tinyalex import layers
from tinyalex.bench.workload import Workload
from tinyalex.convert.layout import wholes
from tinyalex.layers import Layer
from tinyalex.network import Network
from tinyalex.support.errors import UserError


class Peer:
    """A variant of PyTorch (see `speed.VARIANTS`) with the workload's network, weights, batch and
    recipe, on as many cores or on the same GPU. UserError where it cannot run here."""

    def __init__(self, variant: str, workload: Workload):
        torch.set_num_threads(sum(device.cores for device in workload.devices))
        self.where, optimiser = _place(workload), workload.optimiser
        self.batch_size = workload.batch_size
        layout = torch.contiguous_format if variant == "eager" else torch.channels_last
        module = translate(workload.network, own_lrn="tuned" in variant)
        module.to(self.where, memory_format=layout)  # type: ignore[call-overload]  # not in its stub
        self.x = torch.from_numpy(workload.x).permute(0, 3, 1, 2).to(
            self.where, memory_format=layout)
        self.labels = torch.from_numpy(workload.labels).to(self.where)
        self.optimiser = torch.optim.SGD(
            module.parameters(), optimiser.lr, optimiser.momentum,
            weight_decay=optimiser.weight_decay, fused=True)
        self.loss = nn.CrossEntropyLoss()
        self.module: nn.Module = module
        if "compile" in variant:
            self.module = cast(nn.Module, torch.compile(module))
            self._compile()

    def _compile(self):
        """Compilation happens in the first calls; nothing that it says is of use to our reader."""
        logging.disable(logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.train()
                self.infer()
        except Exception as error:  # a missing compiler shows in many ways
            lines = str(error).strip().splitlines() or [""]
            raise UserError(f"torch.compile failed: {type(error).__name__}: {lines[0][:80]}",
                            "it needs a C++ compiler, such as g++.") from None
        finally:
            logging.disable(logging.NOTSET)

    def train(self) -> torch.Tensor:
        """One training step; returns the loss."""
        self.module.train()
        self.optimiser.zero_grad()
        loss = self.loss(self.module(self.x), self.labels)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def infer(self) -> torch.Tensor:
        """The scores (N, classes) of the batch."""
        self.module.eval()
        with torch.inference_mode():
            return self.module(self.x)

    def wait(self):
        """Until the GPU is done."""
        if self.where.type == "cuda":
            torch.cuda.synchronize(self.where)


def _place(workload: Workload) -> torch.device:
    """Where PyTorch is to compute, with the workload's precision. UserError where it cannot."""
    if not workload.gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("this PyTorch has no CUDA", "install one that has, see pytorch.org.")
    tf32 = workload.precision == "TF32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True  # it tries, at the first step, what is fastest
    return torch.device("cuda", workload.gpus[0].index)


def gpu_memory(variant: str, workload: Workload, steps: int = 3) -> int:
    """Bytes that PyTorch takes from the GPU to train, at the most: of its pool, as ours. Another
    such peer has trained before, so what it took to find the fastest way does not count."""
    gc.collect()
    torch.cuda.empty_cache()
    where = _place(workload)
    before = torch.cuda.memory_reserved(where)
    torch.cuda.reset_peak_memory_stats(where)
    peer = Peer(variant, workload)
    for _ in range(steps):
        peer.train()
    peer.wait()
    return torch.cuda.max_memory_reserved(where) - before


def translate(network: Network, own_lrn: bool = False) -> nn.Sequential:
    """The network as a module for (N, C, H, W), with its weights. UserError for a layer that has no
    counterpart."""
    module = nn.Sequential(*_modules(network, own_lrn))
    weighted = [part for part in module if isinstance(part, nn.Conv2d | nn.Linear)]
    for part, whole in zip(weighted, wholes(network, scale=1.0), strict=True):
        W, b = map(torch.from_numpy, whole.join())
        part.load_state_dict({"weight": W, "bias": b})
    return module


def _modules(network: Network, own_lrn: bool) -> Iterator[nn.Module]:
    """A stage begins with the maps of all towers joined, which every tower reads as a whole; from
    its first weights on each tower has its own, and channels come in groups."""
    for stage in network.stages:
        groups = 1
        for layer in stage[0]:
            if own_lrn and isinstance(layer, layers.LocalResponseNorm):
                yield OwnLRN(layer, groups, network.shapes[layer][0][-1])
            else:
                yield from _counterparts(layer, groups, network.towers)
            if layer.params:
                groups = network.towers


def _counterparts(layer: Layer, groups: int, towers: int) -> list[nn.Module]:
    """What does in PyTorch what this layer does in each tower."""
    match layer:
        case layers.Conv2D(K=K, S=S, P=(before, after)):
            *_, C, F = layer.W_shape
            P = before if before == after else 0
            conv = nn.Conv2d(groups * C, towers * F, K, S, P, groups=groups)
            return [conv] if before == after else [nn.ZeroPad2d((before, after) * 2), conv]
        case layers.Linear() if groups == 1:
            return [nn.Linear(layer.W_shape[0], towers * layer.W_shape[1])]
        case layers.ReLU():
            return [nn.ReLU(layer.inplace)]
        case layers.LocalResponseNorm():
            return [grouped_lrn(layer, groups)]
        case layers.SpatialResponseNorm():
            return [spatial_norm(layer)]
        case layers.MaxPool2D():
            return [nn.MaxPool2d(layer.K, layer.S, ceil_mode=layer.ceil)]
        case layers.Flatten():
            return [nn.Flatten()]
        case layers.Dropout():
            return [nn.Dropout(1 - layer.keep)]
    raise UserError(f"there is no translation of {layer!r}", "compare another preset.")


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.forward = function


def grouped_lrn(layer: layers.LocalResponseNorm, groups: int) -> nn.Module:
    """LRN within each tower: PyTorch's own, on the channels of each. It divides alpha by n."""
    norm = nn.LocalResponseNorm(layer.n, layer.alpha * layer.n, layer.beta, layer.k)
    if groups == 1:
        return norm
    return Apply(lambda x: torch.cat([norm(part) for part in x.chunk(groups, dim=1)], dim=1))


def spatial_norm(layer: layers.SpatialResponseNorm) -> nn.Module:
    """Over the pixels around, of the same channel; at an edge divided by size² too."""
    size, k, alpha, beta = layer.n, layer.k, layer.alpha, layer.beta
    return Apply(lambda x: x * (
        k + alpha * functional.avg_pool2d(x * x, size, 1, size // 2)).pow(-beta))


class OwnLRN(nn.Module):
    """The same numbers sooner, since PyTorch's own is slow: the sums over the channels around are a
    1×1 convolution whose kernels are ones near the diagonal, and s**-0.75 is made of two roots."""

    band: torch.Tensor

    def __init__(self, layer: layers.LocalResponseNorm, groups: int, C: int):
        super().__init__()
        self.k, self.alpha, self.beta, self.groups = layer.k, layer.alpha, layer.beta, groups
        channel = torch.arange(C)
        band = ((channel[:, None] - channel).abs() <= layer.n // 2).float()
        self.register_buffer("band", band.repeat(groups, 1)[:, :, None, None], persistent=False)

    def forward(self, x):
        s = self.k + self.alpha * functional.conv2d(x * x, self.band, groups=self.groups)
        if self.beta != 0.75:
            return x * s.pow(-self.beta)
        root = s.rsqrt()
        return x * (root * root.sqrt())
