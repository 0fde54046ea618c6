"""The same network in PyTorch, to compare with: built from our layers, with our weights.

Two towers are one network there: what our towers compute side by side are groups of one
convolution, and what reads the maps of all towers is a convolution without groups. The maps of
tower a are the first channels, those of tower b come after them. PyTorch has the channels before
the pixels, (N, C, H, W), so the rows of the first full connection stand in another order.

PyTorch is imported when it is asked for: nothing else here needs it.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tinyalex.bench.workload import RATE, Workload
from tinyalex.layers import (
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool2D,
    ReLU,
    SpatialResponseNorm,
)
from tinyalex.network import Network
from tinyalex.support.errors import UserError

if TYPE_CHECKING:
    import torch

# "tuned" writes the normalisation by hand, since nn.LocalResponseNorm is slow on the CPU.
VARIANTS = {
    "eager": "PyTorch",
    "channels_last": "PyTorch, channels_last",
    "compile": "PyTorch, channels_last, compiled",
    "tuned": "PyTorch, channels_last, own LRN",
    "tuned_compile": "PyTorch, channels_last, own LRN, compiled",
}


class NotAvailable(UserError):
    """A variant that this installation of PyTorch cannot run, and why."""


def load_torch():
    """PyTorch; UserError where it is not installed.

    Its threads spin while they wait for each other. Where other programmes want the cores too, the
    thread that is waited for cannot run meanwhile, and a step takes ten times as long and more. So
    they are told to sleep instead, unless OMP_WAIT_POLICY says otherwise.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when the library is loaded
    try:
        import torch
    except ImportError:
        raise UserError("--against torch: PyTorch is not installed",
                        'pip install -e ".[peers]" installs it.') from None
    return torch


class Peer:
    """A variant of PyTorch with the workload's network, weights, batch and recipe, on so many
    cores. NotAvailable where it cannot run here."""

    def __init__(self, variant: str, workload: Workload, cores: int):
        torch = load_torch()
        torch.set_num_threads(cores)
        tuned, compiled = variant.startswith("tuned"), variant.endswith("compile")
        module = translate(workload.network, tuned)
        x = torch.from_numpy(workload.x).permute(0, 3, 1, 2)
        if variant == "eager":
            x = x.contiguous()
        else:
            module = module.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        self.x, self.labels = x, torch.from_numpy(workload.labels)
        self.module = torch.compile(module) if compiled else module
        optimiser = workload.optimiser
        self.optimiser = torch.optim.SGD(
            module.parameters(), RATE, optimiser.momentum, weight_decay=optimiser.weight_decay,
            fused=True)
        self.loss, self.inference = torch.nn.CrossEntropyLoss(), torch.inference_mode
        if compiled:
            self._compile()

    def _compile(self):
        """Compilation happens in the first calls; all it can say is of no use to our reader."""
        logging.disable(logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.train()
                self.infer()
        except Exception as error:  # a compiler that is missing shows in many ways
            lines = str(error).strip().splitlines() or [""]
            raise NotAvailable(
                f"torch.compile failed: {type(error).__name__}: {lines[0][:80]}",
                "it needs a C++ compiler, such as g++.") from None
        finally:
            logging.disable(logging.NOTSET)

    def train(self) -> float:
        """One training step; returns the loss."""
        self.module.train()
        self.optimiser.zero_grad()
        loss = self.loss(self.module(self.x), self.labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def infer(self) -> torch.Tensor:
        """The scores (N, classes) of the batch."""
        self.module.eval()
        with self.inference():
            return self.module(self.x)


def translate(network: Network, tuned: bool = False) -> torch.nn.Sequential:
    """The network as a module for (N, C, H, W), with its weights. UserError for a layer that has no
    counterpart. tuned: with our own way to compute the normalisation."""
    torch = load_torch()
    modules = torch.nn.Sequential()
    for layers, groups in _together(network):
        for module in _modules(layers, groups, network, tuned):
            modules.append(module)
    with torch.no_grad():
        for mine, given in zip(modules.parameters(), arrays(network, "params"), strict=True):
            mine.copy_(torch.from_numpy(np.ascontiguousarray(given)))
    return modules


def _together(network: Network) -> Iterator[tuple[tuple[Layer, ...], int]]:
    """(the layers that stand at the same place of all towers, in how many groups the channels are
    that they read). A stage begins with the maps of all towers joined, which every tower reads as a
    whole; from its first weights on each tower has its own."""
    for stage in network.stages:
        groups = 1
        for layers in zip(*stage, strict=True):
            yield layers, groups
            if layers[0].params:
                groups = network.towers


def arrays(network: Network, kind: str) -> list[np.ndarray]:
    """The network's "params" or "grads" in PyTorch's order and layout: (F, C, KH, KW) of a
    convolution, (outputs, inputs) of a full connection, each followed by its biases."""
    found, flattened = [], None
    for layers, groups in _together(network):
        if isinstance(layers[0], Flatten):
            flattened = groups, *network.shapes[layers[0]][0]
        if layers[0].params:
            Ws = [_reordered(getattr(layer, kind)["W"], flattened) for layer in layers]
            bs = [getattr(layer, kind)["b"] for layer in layers]
            found += [np.concatenate(Ws), np.concatenate(bs)]
            flattened = None
    return found


def _reordered(W: np.ndarray, flattened: tuple | None) -> np.ndarray:
    """One tower's W as PyTorch has it. flattened: (towers, H, W, C) of the maps that it reads in a
    row, where it does: ours has C as the last of them, theirs as the second."""
    if W.ndim == 4:
        return W.transpose(3, 2, 0, 1)
    if flattened:
        W = W.reshape(*flattened, -1).transpose(0, 3, 1, 2, 4).reshape(W.shape)
    return W.T


def _modules(layers: tuple[Layer, ...], groups: int, network: Network, tuned: bool) -> list:
    """What does in PyTorch what these layers do side by side."""
    from torch import nn

    from tinyalex.bench import torch_layers

    layer = layers[0]
    units = sum(one.W_shape[-1] for one in layers) if layer.params else 0
    match layer:
        case Conv2D():
            conv = nn.Conv2d(groups * layer.W_shape[2], units, layer.K, layer.S, groups=groups)
            if layer.P[0] == layer.P[1]:
                conv.padding = layer.P  # before and after; here it means along H and along W
                return [conv]
            return [nn.ZeroPad2d(2 * layer.P), conv]
        case Linear() if groups == 1:
            return [nn.Linear(layer.W_shape[0], units)]
        case ReLU():
            return [nn.ReLU(layer.inplace)]
        case LocalResponseNorm():
            norm = torch_layers.TunedLRN if tuned else torch_layers.GroupedLRN
            return [norm(layer, groups, network.shapes[layer][0][-1])]
        case SpatialResponseNorm():
            return [torch_layers.SpatialNorm(layer)]
        case MaxPool2D():
            return [nn.MaxPool2d(layer.K, layer.S, ceil_mode=layer.ceil)]
        case Flatten():
            return [nn.Flatten()]
        case Dropout():
            return [torch_layers.Dropout(layer.keep)]
    raise UserError(f"--against torch: there is no translation of {layer!r}",
                    "compare another preset.")
