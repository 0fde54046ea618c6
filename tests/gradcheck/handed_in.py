"""Layers as learners hand them in: right, in their own words, without a look at the package.

No base class, other names for the settings, no `remember`. The tests make wrong ones of them by
putting another method in the place of one. They share no line with the shipped layers, nor with the
formulas of tinyalex.gradcheck.mistakes.
"""

import numpy as np


class MyLinear:
    def __init__(self, inputs, outputs):
        self.params = {"W": np.zeros((inputs, outputs)), "b": np.zeros(outputs)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dy):
        self.grads["W"] = self.x.T @ dy
        self.grads["b"] = dy.sum(axis=0)
        return dy @ self.params["W"].T


class MyConv:
    """Loops over the elements of the kernel."""

    def __init__(self, channels, filters, kernel, stride=1, pad=0):
        self.size, self.step = kernel, stride
        self.border = pad if isinstance(pad, tuple) else (pad, pad)
        self.params, self.grads = {}, {}

    def padded(self, x):
        return np.pad(x, ((0, 0), self.border, self.border, (0, 0)))

    def seen(self, x, i, j, OH, OW):
        return x[:, i:i + OH * self.step:self.step, j:j + OW * self.step:self.step]

    def forward(self, x):
        self.x = x
        x, W, k = self.padded(x), self.params["W"], self.size
        OH, OW = ((n - k) // self.step + 1 for n in x.shape[1:3])
        y = np.zeros((len(x), OH, OW, W.shape[3]), x.dtype) + self.params["b"]
        for i, j in np.ndindex(k, k):
            y += self.seen(x, i, j, OH, OW) @ W[i, j]
        return y

    def backward(self, dy):
        x, W = self.padded(self.x), self.params["W"]
        dx, dW = np.zeros_like(x), np.zeros_like(W)
        for i, j in np.ndindex(W.shape[:2]):
            dW[i, j] = self.element(self.seen(x, i, j, *dy.shape[1:3]), dy)
            self.put_back(self.seen(dx, i, j, *dy.shape[1:3]), dy @ W[i, j].T)
        self.grads["W"], self.grads["b"] = dW, dy.sum(axis=(0, 1, 2))
        return self.cropped(dx)

    def element(self, pixels, dy):
        return np.tensordot(pixels, dy, ((0, 1, 2), (0, 1, 2)))

    def put_back(self, place, part):
        place += part

    def cropped(self, dx):
        P, (_, H, W, _) = self.border[0], self.x.shape
        return dx[:, P:P + H, P:P + W]


class MyReLU:
    def forward(self, x):
        self.on = x > 0
        return x * self.on

    def backward(self, dy):
        return dy * self.on


class MyTanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


class MyPool:
    """Picture by picture, window by window."""

    def __init__(self, kernel, stride, ceil=False, ties="first"):
        self.size, self.step, self.ceil = kernel, stride, ceil

    def windows(self):
        for n, i, j, c in np.ndindex(self.shape):
            h, w = i * self.step, j * self.step
            yield (n, i, j, c), (n, slice(h, h + self.size), slice(w, w + self.size), c)

    def count(self, side):
        """A window more, if it is to hang over and the last one leaves pixels."""
        whole, left = divmod(side - self.size, self.step)
        return whole + 1 + (self.ceil and left > 0)

    def forward(self, x):
        self.x, (N, H, W, C) = x, x.shape
        self.shape = N, self.count(H), self.count(W), C
        y = np.empty(self.shape, x.dtype)
        for place, window in self.windows():
            y[place] = self.value(x[window])
        return y

    def backward(self, dy):
        dx = np.zeros_like(self.x)
        for place, window in self.windows():
            self.put_back(dx, window, dy[place] * self.share(self.x[window]))
        return dx

    def put_back(self, dx, window, part):
        dx[window] += part

    def value(self, pixels):
        return pixels.max()

    def share(self, pixels):
        return (np.arange(pixels.size) == pixels.argmax()).reshape(pixels.shape)


class MyAverage(MyPool):
    def value(self, pixels):
        return pixels.mean()

    def share(self, pixels):
        return 1 / pixels.size


class MyDropout:
    def __init__(self, keep):
        self.keep, self.rng = keep, np.random.default_rng(0)

    def forward(self, x, drop=True):
        self.mask = self.rng.random(x.shape) < self.keep
        return x * self.mask if drop else self.at_test_time(x)

    def at_test_time(self, x):
        return self.keep * x

    def backward(self, dy):
        return dy * self.mask


class MyLRN:
    """The sum over a window is a product with a matrix of ones near the diagonal."""

    def __init__(self, n, k, alpha, beta):
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def around(self, a):
        i = np.arange(a.shape[-1])
        return a @ (abs(i[:, None] - i) <= self.n // 2)

    def forward(self, x):
        self.x, self.s = x, self.k + self.alpha * self.around(x * x)
        return x / self.s**self.beta

    def backward(self, dy):
        inside = dy * self.x / self.s ** (self.beta + 1)
        return dy / self.s**self.beta - 2 * self.alpha * self.beta * self.x * self.spread(inside)

    def spread(self, a):
        """Back along the same windows."""
        return self.around(a)


class MySpatialNorm(MyLRN):
    def around(self, a):
        p, (_, H, W, _) = self.n // 2, a.shape
        a = np.pad(a, ((0, 0), (p, p), (p, p), (0, 0)))
        return sum(a[:, i:i + H, j:j + W] for i, j in np.ndindex(self.n, self.n)) / self.n**2


class MyLoss:
    def forward(self, x, labels):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.p, self.labels = e / e.sum(axis=1, keepdims=True), labels
        return -np.log(self.p[np.arange(len(x)), labels]).mean()

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(d)), self.labels] -= 1
        return d / len(d)


class MyExchange:
    def __init__(self, *args):
        pass

    def forward(self, xs):
        self.widths = [x.shape[-1] for x in xs]
        return [np.concatenate(xs, axis=-1) for _ in xs]

    def backward(self, dys):
        return np.split(sum(dys), np.cumsum(self.widths)[:-1], axis=-1)


class MySGD:
    def __init__(self, network, lr, momentum, weight_decay):
        self.parameters, self.lr = network.parameters, lr
        self.m, self.decay = momentum, weight_decay
        self.v = [0.0 for _ in self.parameters]

    def step(self):
        for i, p in enumerate(self.parameters):
            self.v[i] = self.m * self.v[i] - self.lr * (p.grad + self.decay * p.value)
            p.value[...] += self.v[i]


RIGHT = {"Linear": MyLinear, "Conv2D": MyConv, "ReLU": MyReLU, "Tanh": MyTanh,
         "MaxPool2D": MyPool, "AveragePool2D": MyAverage, "Dropout": MyDropout,
         "LocalResponseNorm": MyLRN, "SpatialResponseNorm": MySpatialNorm,
         "SoftmaxCrossEntropy": MyLoss, "Exchange": MyExchange, "SGD": MySGD}


def slices(self, a):
    """A window's sum, wrong: a slice from −1 to 2 is empty."""
    half = self.n // 2
    return np.stack([a[..., i - half:i + half + 1].sum(axis=-1) for i in range(a.shape[-1])], -1)


def rolled(self, a):
    """Another: what leaves on one side comes in on the other."""
    half = self.n // 2
    return sum(np.roll(a, shift, axis=-1) for shift in range(-half, half + 1))


def variant(cls, **methods):
    """The class with other methods."""
    return type("Mine", (cls,), methods)
