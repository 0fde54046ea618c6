"""Golden values of independent origin: what PyTorch computes, in float64, for layers and a net.

Run `python tests/golden/make.py` where torch is installed; it writes golden.npz beside itself,
which the tests read without torch. Nothing of tinyalex is imported here: agreement means something
only between two that did not learn from each other. What has to be minded on the way:

- PyTorch's maps are (N, C, H, W) and its filters (F, C, KH, KW); what is stored is in our order.
- Its LocalResponseNorm divides alpha by the window's size, so it gets alpha times the size.
- A normalisation within each map is no layer of its own there: its sum is an average pool of the
  squares, over zeros beyond the edge too, times alpha.
- Its max pool hands the gradient to one of several equal pixels; for the rule that each gets all of
  it, windows are unfolded, compared with the maximum, and folded back.
- Its SGD keeps the learning rate outside the velocity; the paper's update is written out instead.
- Two towers are one network with grouped convolutions: filters of group t see the maps of tower t.
  LRN must not look across towers, so it normalises each half by itself.
- A local layer is no layer of its own there: windows are unfolded, and multiplied place by place.
- Flattening: ours reads a tower's maps as (H, W, C), and one tower after the other.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

FILE = Path(__file__).with_name("golden.npz")
LR, MOMENTUM, DECAY, STEPS, DROP_AT = 0.05, 0.9, 0.0005, 10, 6
KEEP = 0.5


def maps_out(a):
    """(N, C, H, W) as our (N, H, W, C); anything else as it is."""
    return (a.permute(0, 2, 3, 1) if a.ndim == 4 else a).detach().contiguous().numpy().copy()


def filters_out(a):
    """(F, C, KH, KW) as our (KH, KW, C, F), and (outputs, inputs) as our (inputs, outputs)."""
    return (a.permute(2, 3, 1, 0) if a.ndim == 4 else a.T).detach().contiguous().numpy().copy()


def lrn(x, n, k, alpha, beta):
    return F.local_response_norm(x, n, alpha * n, beta, k)


def spatial(x, size, k, alpha, beta):
    mean = F.avg_pool2d(x * x, size, 1, padding=size // 2, count_include_pad=True)
    return x / (k + alpha * mean) ** beta


def normal(generator, *shape, scale=1.0):
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def local(x, W, b):
    """W (F, C, KH, KW, OH, OW), b (F, OH, OW): padding 1, stride 1."""
    places = W.shape[4:]
    seen = F.unfold(x, W.shape[2:4], padding=1).view(len(x), *W.shape[1:4], *places)
    return torch.einsum("ncijhw,fcijhw->nfhw", seen, W) + b


LAYERS = {  # name: (shape of x in PyTorch's order, shape of W, what the layer computes)
    "conv": ((2, 3, 6, 5), (4, 3, 3, 3), lambda x, W, b: F.conv2d(x, W, b, padding=1)),
    "conv_stride": ((3, 2, 9, 8), (3, 2, 3, 3), lambda x, W, b: F.conv2d(x, W, b, 2)),
    "conv_one_side": ((2, 2, 6, 7), (3, 2, 4, 4),
                      lambda x, W, b: F.conv2d(F.pad(x, (0, 3, 0, 3)), W, b, 3)),
    "linear": ((4, 7), (5, 7), F.linear),
    "relu": ((2, 3, 4, 3), None, F.relu),
    "tanh": ((2, 3, 4, 3), None, torch.tanh),
    "lrn": ((2, 8, 3, 2), None, lambda x: lrn(x, 5, 2.0, 0.3, 0.75)),
    "lrn_few": ((2, 3, 3, 2), None, lambda x: lrn(x, 5, 1.0, 0.2, 0.6)),
    "lrn_paper": ((2, 8, 3, 2), None, lambda x: lrn(x, 5, 2.0, 1e-4, 0.75)),
    "max_pool": ((2, 3, 7, 9), None, lambda x: F.max_pool2d(x, 3, 2)),
    "max_pool_ceil": ((2, 3, 6, 8), None, lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)),
    "max_pool_apart": ((2, 3, 5, 6), None, lambda x: F.max_pool2d(x, 2, 2)),
    "average_pool": ((2, 3, 7, 9), None, lambda x: F.avg_pool2d(x, 3, 2)),
    "average_pool_ceil": ((2, 3, 6, 8), None, lambda x: F.avg_pool2d(
        x, 3, 2, ceil_mode=True, count_include_pad=False)),
    "spatial": ((2, 3, 6, 7), None, lambda x: spatial(x, 3, 2.0, 2.7, 0.75)),
    "spatial_small": ((2, 3, 2, 4), None, lambda x: spatial(x, 5, 1.0, 5.0, 0.6)),
    "spatial_original": ((2, 2, 8, 7), None, lambda x: spatial(x, 5, 1.0, 1e-3, 0.75)),
}


def layer_values():
    """{"conv.x": …, "conv.W", "conv.b", "conv.y", "conv.dy", "conv.dx", "conv.dW", "conv.db", …}"""
    values = {}
    for seed, (name, (shape, W_shape, function)) in enumerate(LAYERS.items()):
        generator = torch.Generator().manual_seed(seed)
        x = normal(generator, *shape).requires_grad_()
        args = [x]
        if W_shape:
            args.append(normal(generator, *W_shape, scale=0.5).requires_grad_())
            args.append(normal(generator, W_shape[0]).requires_grad_())
        y = function(*args)
        dy = normal(generator, *y.shape)
        y.backward(dy)
        put = {"x": maps_out(x), "y": maps_out(y), "dy": maps_out(dy), "dx": maps_out(x.grad)}
        if W_shape:
            _, W, b = args
            put |= {"W": filters_out(W), "b": maps_out(b),
                    "dW": filters_out(W.grad), "db": maps_out(b.grad)}
        values |= {f"{name}.{key}": array for key, array in put.items()}
    return values


def local_values():
    """A local layer, 3×3 with padding: W is (OH, OW, KH, KW, C, F) here, and b (OH, OW, F)."""
    generator = torch.Generator().manual_seed(400)
    x, W, b = (normal(generator, *shape).requires_grad_()
               for shape in ((2, 3, 4, 5), (2, 3, 3, 3, 4, 5), (2, 4, 5)))
    y = local(x, W, b)
    dy = normal(generator, *y.shape)
    y.backward(dy)
    values = {key: maps_out(a) for key, a in {"x": x, "y": y, "dy": dy, "dx": x.grad}.items()}
    for key, a in {"W": W, "dW": W.grad}.items():
        values[key] = a.permute(4, 5, 2, 3, 1, 0).detach().contiguous().numpy().copy()
    for key, a in {"b": b, "db": b.grad}.items():
        values[key] = a.permute(1, 2, 0).detach().contiguous().numpy().copy()
    return {f"local.{key}": array for key, array in values.items()}


def ties_values():
    """Max pooling 3/2 of few different numbers; every pixel that equals the maximum gets dy."""
    generator = torch.Generator().manual_seed(300)
    x = torch.randint(0, 3, (2, 3, 7, 9), generator=generator).double()
    y = F.max_pool2d(x, 3, 2)
    dy = normal(generator, *y.shape)
    seen = F.unfold(x, 3, stride=2).view(2, 3, 9, -1)  # the 9 pixels of each window
    parts = (seen == y.view(2, 3, 1, -1)) * dy.view(2, 3, 1, -1)
    dx = F.fold(parts.view(2, 27, -1), (7, 9), 3, stride=2)
    values = {"x": x, "y": y, "dy": dy, "dx": dx}
    return {f"max_pool_ties.{key}": maps_out(array) for key, array in values.items()}


def dropout_and_loss_values():
    generator = torch.Generator().manual_seed(100)
    x, dy = (normal(generator, 4, 6).requires_grad_() for _ in range(2))
    m = torch.rand(4, 6, generator=generator) < KEEP
    (x * m).backward(dy.detach())
    values = {"dropout.x": maps_out(x), "dropout.m": m.numpy(), "dropout.y": maps_out(x * m),
              "dropout.dy": maps_out(dy), "dropout.dx": maps_out(x.grad)}
    scores = (3 * normal(generator, 5, 4)).requires_grad_()
    labels = torch.randint(4, (5,), generator=generator)
    loss = F.cross_entropy(scores, labels)
    loss.backward()
    return values | {"loss.x": maps_out(scores), "loss.labels": labels.numpy(),
                     "loss.y": loss.detach().numpy(), "loss.dx": maps_out(scores.grad)}


def by_tower(function, x):
    """Apply a function to the maps of each tower by itself."""
    return torch.cat([function(half) for half in x.chunk(2, dim=1)], dim=1)


def flatten(x):
    return by_tower(lambda half: half.permute(0, 2, 3, 1).reshape(len(half), -1), x)


def scores_of(p, x, m):
    """conv1 → ReLU → LRN → max-pool → conv2 (in groups: each tower its own maps) → ReLU |
    conv3 (both towers' maps) → ReLU → max-pool | fc4 → ReLU → dropout | fc5."""
    x = F.relu(F.conv2d(x, p["conv1.W"], p["conv1.b"], stride=2))
    x = by_tower(lambda half: lrn(half, 5, 2.0, 0.3, 0.75), x)
    x = F.max_pool2d(x, 3, 2)
    x = F.relu(F.conv2d(x, p["conv2.W"], p["conv2.b"], padding=2, groups=2))
    x = F.relu(F.conv2d(x, p["conv3.W"], p["conv3.b"], padding=1))
    x = flatten(F.max_pool2d(x, 3, 2, ceil_mode=True))
    x = F.relu(F.linear(x, p["fc4.W"], p["fc4.b"])) * m
    return F.linear(x, p["fc5.W"], p["fc5.b"])


# Both towers together: the first half of the filters is tower a's, the second tower b's.
SHAPES = {"conv1": (8, 3, 3, 3), "conv2": (6, 4, 5, 5), "conv3": (8, 6, 3, 3), "fc4": (10, 32),
          "fc5": (6, 10)}


def network_values():
    """The weights at the start, what goes in, scores, loss and gradients of the first step, the
    loss of ten steps under the paper's update, and the weights after them."""
    g = torch.Generator().manual_seed(200)
    p = {}
    for name, shape in SHAPES.items():
        p[f"{name}.W"] = normal(g, *shape, scale=np.sqrt(2 / np.prod(shape[1:]))).requires_grad_()
        p[f"{name}.b"] = normal(g, shape[0], scale=0.1).requires_grad_()
    x, labels = normal(g, 6, 3, 19, 19), torch.randint(6, (6,), generator=g)
    masks = torch.rand(STEPS, 6, 10, generator=g) < KEEP
    values = {"net.x": maps_out(x), "net.labels": labels.numpy(), "net.masks": masks.numpy()}
    values |= towers(p, "start")
    velocity, losses = {name: torch.zeros_like(w) for name, w in p.items()}, []
    for step in range(STEPS):
        lr = LR if step < DROP_AT else LR / 10
        scores = scores_of(p, x, masks[step])
        loss = F.cross_entropy(scores, labels)
        grads = dict(zip(p, torch.autograd.grad(loss, list(p.values())), strict=True))
        if step == 0:
            values |= {"net.scores": maps_out(scores)} | towers(grads, "grad")
        with torch.no_grad():
            for name, w in p.items():
                velocity[name] = MOMENTUM * velocity[name] - DECAY * lr * w - lr * grads[name]
                w += velocity[name]
        losses.append(loss.item())
    return values | {"net.losses": np.array(losses)} | towers(p, "end")


def towers(arrays, what):
    """{"net.start.conv1a.W": …}: each array cut into the parts of tower a and tower b."""
    parts = {}
    for name, array in arrays.items():
        layer, key = name.split(".")
        for letter, half in zip("ab", array.chunk(2, dim=0), strict=True):
            parts[f"net.{what}.{layer}{letter}.{key}"] = (
                filters_out(half) if key == "W" else maps_out(half))
    return parts


def compute():
    """All golden values by name."""
    return (layer_values() | local_values() | ties_values() | dropout_and_loss_values()
            | network_values())


if __name__ == "__main__":
    np.savez_compressed(FILE, **compute())
    print(f"{FILE}: {FILE.stat().st_size:,} bytes, torch {torch.__version__}, "
          f"numpy {np.__version__}", file=sys.stderr)
