"""Layers that PyTorch does not have as the paper has them. x, y: (N, C, H, W)."""

import torch
from torch import nn
from torch.nn import functional

from tinyalex import layers


class GroupedLRN(nn.Module):
    """LRN within each tower: PyTorch's own, on the channels of each. It divides alpha by n."""

    def __init__(self, layer: layers.LocalResponseNorm, groups: int, C: int):
        super().__init__()
        self.norm = nn.LocalResponseNorm(layer.n, layer.alpha * layer.n, layer.beta, layer.k)
        self.groups = groups

    def forward(self, x):
        if self.groups == 1:
            return self.norm(x)
        return torch.cat([self.norm(part) for part in x.chunk(self.groups, dim=1)], dim=1)


class TunedLRN(nn.Module):
    """The same numbers sooner: the sums over the channels around are a 1×1 convolution whose
    kernels are ones near the diagonal, and s**-0.75 is made of two roots."""

    def __init__(self, layer: layers.LocalResponseNorm, groups: int, C: int):
        super().__init__()
        self.k, self.alpha, self.beta, self.groups = layer.k, layer.alpha, layer.beta, groups
        channel = torch.arange(C)
        band = (channel[:, None] - channel).abs() <= layer.n // 2
        kernels = band.float().repeat(groups, 1)[:, :, None, None]
        self.register_buffer("band", kernels, persistent=False)

    def forward(self, x):
        squares = functional.conv2d(x * x, self.band, groups=self.groups)
        s = self.k + self.alpha * squares
        if self.beta != 0.75:
            return x * s.pow(-self.beta)
        root = s.rsqrt()
        return x * (root * root.sqrt())


class SpatialNorm(nn.Module):
    """Normalisation over the pixels around, of the same channel; at an edge divided by size² too.
    """

    def __init__(self, layer: layers.SpatialResponseNorm):
        super().__init__()
        self.size, self.k, self.alpha, self.beta = layer.size, layer.k, layer.alpha, layer.beta

    def forward(self, x):
        mean = functional.avg_pool2d(x * x, self.size, 1, self.size // 2)
        return x * (self.k + self.alpha * mean).pow(-self.beta)


class Dropout(nn.Module):
    """The paper's: nothing is rescaled in training, and in the test everything counts by `keep`."""

    def __init__(self, keep: float):
        super().__init__()
        self.keep = keep

    def forward(self, x):
        return self.keep * functional.dropout(x, 1 - self.keep, self.training)
