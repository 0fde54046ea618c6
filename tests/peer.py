"""A small network of one tower or two, and the same in PyTorch, for what is seen inside."""

import numpy as np
import pytest

from tinyalex.layers import Conv2D, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2D, ReLU
from tinyalex.network import Network


def tower(towers):
    """Inside one tower a ReLU, an LRN and a pooling; its conv3 reads all towers."""
    return [
        [Conv2D(3, 4, 5, 2, pad=1, std=0.3, bias=0.1, input_gradient=False, name="conv1"),
         ReLU("relu1", inplace=True), LocalResponseNorm(3, alpha=0.2, name="lrn1"),
         MaxPool2D(3, 2, name="pool1"),
         Conv2D(4, 5, 3, pad=1, std=0.3, bias=0.1, name="conv2"), ReLU("relu2", inplace=True)],
        [Conv2D(5 * towers, 6, 3, std=0.3, bias=0.1, name="conv3"), ReLU("relu3"),
         MaxPool2D(2, 2, name="pool3"), Flatten("flatten")],
        [Linear(24 * towers, 7, std=0.3, name="fc4"), ReLU("relu4", inplace=True),
         Dropout(0.5, "dropout4")],
        [Linear(7 * towers, 3, std=0.3, name="fc5")],
    ]


def network(towers=2, dtype=np.float64, **options):
    stages = [list(stage) for stage in zip(*(tower(towers) for _ in range(towers)), strict=True)]
    return Network(stages, (27, 27, 3), seed=4, dtype=dtype, **options)


def layer(net, name):
    return next(layer for layer in net.shapes if layer.name == name)


class Peer:
    """The same network in PyTorch, each rule written as what autograd is to hand back."""

    def __init__(self, net, rule="gradient"):
        self.torch = torch = pytest.importorskip("torch", reason="PyTorch is not installed")

        class Rectified(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x.clamp(min=0)

            @staticmethod
            def backward(ctx, up):
                (x,) = ctx.saved_tensors
                if rule != "gradient":
                    up = up.clamp(min=0)
                return up if rule == "deconvnet" else torch.where(x > 0, up, 0)

        self.net, self.relu = net, Rectified.apply

    def forward(self, x, until=None):
        """What the layer called `until` gives, all towers joined, or the scores: (N, C, H, W)."""
        F, net = self.torch.nn.functional, self.net
        self.maps, xs = {}, [x] * net.towers
        for s, stage in enumerate(net.stages):
            if s:
                joined = self.torch.cat(xs, dim=1)
                xs = [joined] * net.towers
            for i in range(len(stage[0])):
                for t in range(net.towers):
                    xs[t] = self.maps[stage[t][i].name] = self.gives(F, stage[t][i], xs[t])
                if until in [tower[i].name for tower in stage]:
                    return self.torch.cat(xs, dim=1)
        return self.torch.cat(xs, dim=1)

    def gives(self, F, layer, x):
        W, b = (self.torch.tensor(layer.params[key]) if layer.params else None for key in "Wb")
        if isinstance(layer, Conv2D):
            return F.conv2d(x, W.permute(3, 2, 0, 1), b, layer.S, layer.P[0])
        if isinstance(layer, Linear):
            return x @ W + b
        if isinstance(layer, LocalResponseNorm):
            return F.local_response_norm(x, layer.n, layer.alpha * layer.n, layer.beta, layer.k)
        if isinstance(layer, MaxPool2D):
            return F.max_pool2d(x, layer.K, layer.S)
        if isinstance(layer, Flatten):
            return x.permute(0, 2, 3, 1).flatten(1)
        return self.relu(x) if isinstance(layer, ReLU) else layer.keep * x

    def picture(self, x):
        return self.torch.tensor(x).permute(0, 3, 1, 2).requires_grad_()

    def back(self, x, dy, until=None):
        picture = self.picture(x)
        y = self.forward(picture, until)
        dy = self.torch.tensor(dy)
        y.backward(dy.permute(0, 3, 1, 2) if dy.ndim == 4 else dy)
        return picture.grad.permute(0, 2, 3, 1).numpy()


def assert_equal(ours, theirs):
    assert np.abs(theirs).max() > 0
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), rtol=1e-5)
