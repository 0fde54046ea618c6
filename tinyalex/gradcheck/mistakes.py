"""The classic mistakes, kind by kind: name, hint, and the gradient that each would give.

Everything here comes from the definitions, not from the layers' own backward, so that it stays true
when the layer is what's broken.
"""

from collections.abc import Iterator

import numpy as np

from tinyalex.gradcheck.mistakes_maps import average_pool, dropout, flatten, max_pool, relu, tanh
from tinyalex.gradcheck.mistakes_norm import lrn, spatial
from tinyalex.gradcheck.scene import Candidate, Scene
from tinyalex.kernels import loops


def conv(s: Scene, name: str) -> Iterator[Candidate]:
    x, dy, W, (K, S, P) = s.x, s.dy, s.arrays["W"], (s.layer.K, s.layer.S, s.layer.P)
    if name == "W":
        yield from _conv_weights(x, dy, W, K, S, P)
    elif name == "b":
        yield from _missing_sums(dy)
    else:
        yield from _conv_input(x, dy, W, S, P)


def _conv_weights(x, dy, W, K, S, P):
    def dW(S=S, P=P, dy=dy):
        cols = np.empty((*dy.shape[:3], *K, x.shape[3]))
        loops.im2col(x, K, S, P, cols)
        return np.einsum("nhwijc,nhwf->ijcf", cols, dy)

    right, F = dW(), W.shape[3]
    yield ("transposed weight gradient", "dW = cols.T @ dy; this is dy.T @ cols, read as if it had "
           "the shape of W.", right.reshape(-1, F).T.reshape(W.shape))
    yield ("height and width exchanged", "the kernel's rows and columns have changed places.",
           right.swapaxes(0, 1))
    yield ("kernel flipped", "dW comes out upside down and mirrored.", right[::-1, ::-1])
    yield ("stride ignored", "windows move by S: row oh begins at oh·S, not at oh.", dW(S=1))
    yield ("padding ignored", "im2col in backward has to pad as forward does.", dW(P=(0, 0)))
    for n in (0, -1):
        alone = np.zeros_like(dy)
        alone[n] = dy[n]
        yield ("missing sum over the batch", "dW adds up all pictures; here is one of them only.",
               dW(dy=alone))
        alone = np.zeros_like(dy)
        alone[:, n, n] = dy[:, n, n]
        yield ("missing sum over positions", "dW adds up all places of the map; here is one only.",
               dW(dy=alone))


def _missing_sums(dy):
    hint = "every picture and every place adds to db: sum over all axes but the last."
    yield "missing sum over the batch", hint, dy.reshape(len(dy), -1, dy.shape[-1]).sum(1)
    for n in (0, -1):
        yield "missing sum over the batch", hint, dy[n].reshape(-1, dy.shape[-1]).sum(0)
        if dy.ndim == 4:
            yield "missing sum over positions", hint, dy[:, n, n].sum(0)
    if dy.ndim == 4:
        yield "missing sum over positions", hint, dy.sum(0)


def _conv_input(x, dy, W, S, P):
    dcols = np.einsum("nhwf,ijcf->nhwijc", dy, W)

    def dx(dcols=dcols, S=S, P=P, shape=x.shape):
        out = np.empty(shape)
        loops.col2im(dcols, S, P, out)
        return out

    yield ("kernel flipped in col2im", "element (kh, kw) of a column goes back to the pixel that "
           "it came from: no turning round.", dx(dcols[:, :, :, ::-1, ::-1]))
    N, H, W_, C = x.shape
    hint = "the padded border has to be cut off: dx[:, P:P+H, P:P+W]."
    yield "padding not cropped", hint, dx(P=(0, 0), shape=(N, H + sum(P), W_ + sum(P), C))
    yield "padding not cropped", hint, dx(P=(0, 0))
    yield "stride ignored", "window (oh, ow) goes back to the pixels from (oh·S, ow·S) on.", dx(S=1)
    yield ("transposed weights", "dcols = dy @ W.T; this is W reshaped to (F, KH·KW·C), which is "
           "not its transpose.",
           dx((dy.reshape(-1, dy.shape[3]) @ W.reshape(dy.shape[3], -1)).reshape(dcols.shape)))
    for last in ("window", "element"):
        yield ("overlaps overwritten", "a pixel seen by several windows adds up what each sends: "
               "+= and not =.", overwritten(dcols, S, P, x.shape, last))
    for f in (0, -1):
        yield ("missing sum over filters", "every filter that saw the pixel sends something back.",
               dx(np.einsum("nhw,ijc->nhwijc", dy[..., f], W[..., f])))


def overwritten(dcols, S, P, shape, last):
    """col2im whose last addition wins: of the windows, or, where the loop runs over kernel
    elements, of those: then a later element is an earlier window."""
    dx = np.zeros(shape)
    _, OH, OW, KH, KW, _ = dcols.shape
    windows, elements = [*np.ndindex(OH, OW)], [*np.ndindex(KH, KW)]
    order = (((w, e) for w in windows for e in elements) if last == "window" else
             ((w, e) for e in elements for w in windows))
    for (oh, ow), (kh, kw) in order:
        h, w = oh * S + kh - P[0], ow * S + kw - P[0]
        if 0 <= h < shape[1] and 0 <= w < shape[2]:
            dx[:, h, w] = dcols[:, oh, ow, kh, kw]
    return dx


def linear(s: Scene, name: str) -> Iterator[Candidate]:
    x, dy, W = s.x, s.dy, s.arrays["W"]
    if name == "W":
        right, hint = x.T @ dy, "dW = x.T @ dy has the shape of W: (inputs, outputs)."
        yield "transposed weight gradient", hint, right.T
        yield "transposed weight gradient", hint, right.T.reshape(W.shape)
        for n in (0, -1):
            yield ("missing sum over the batch", "dW adds up all pictures; here is one only.",
                   np.outer(x[n], dy[n]))
    elif name == "b":
        yield from _missing_sums(dy)
        yield "missing sum over the batch", "db is the sum of dy over the pictures.", dy
    else:
        hint = "dx = dy @ W.T: W the other way round."
        if W.shape[0] == W.shape[1]:
            yield "transposed weights", hint, dy @ W
        yield "transposed weights", hint, dy @ W.reshape(W.shape[::-1])


def softmax(s: Scene, name: str) -> Iterator[Candidate]:
    x, labels = s.x, s.subject.labels
    p = np.exp(x - x.max(axis=1, keepdims=True))
    e, p = p, p / p.sum(axis=1, keepdims=True)
    N, K = x.shape
    onehot = np.eye(K)[labels]
    yield ("without the one-hot", "dx = (p − onehot) / N: the label's own 1 is missing.", p / N)
    yield ("one-hot only", "dx = (p − onehot) / N: the probabilities are missing.", -onehot / N)
    for wrong in ((p - onehot), (onehot - p)):
        yield ("forgotten ÷N", "the loss is a mean over N pictures, so each counts 1/N.", wrong)
    yield ("divided by K", "the mean is over the N pictures, not over the K classes.",
           (p - onehot) / K)
    yield ("divided by K", "the mean is over the N pictures, not over all N·K scores.",
           (p - onehot) / (N * K))
    yield ("scores instead of probabilities", "p = softmax(x) belongs there, not x.",
           (x - onehot) / N)
    yield ("softmax not normalised", "exp(x) has to be divided by its sum.", (e - onehot) / N)
    yield ("÷N of one part only", "both p and the one-hot are divided by N.", p / N - onehot)
    yield ("÷N of one part only", "both p and the one-hot are divided by N.", p - onehot / N)
    yield ("derivative of another loss", "that is the derivative of −p_label, without the log.",
           -p * (onehot - (p * onehot).sum(1, keepdims=True)) / N)


def exchange(s: Scene, name: str) -> Iterator[Candidate]:
    xs = [*s.arrays.values()]
    t = list(s.arrays).index(name)
    first = [sum(x.shape[-1] for x in xs[:i]) for i in range(len(xs) + 1)]
    own = slice(first[t], first[t + 1])
    other = (t + 1) % len(xs)
    theirs = slice(first[other], first[other + 1])
    hint = "every tower read these maps: add up what all of them hand back."
    yield "forgets to add", hint, s.dys[t][..., own]
    yield "forgets to add", hint, s.dys[other][..., own]
    yield ("part taken from the other tower", "tower t's maps stand at its own channels.",
           sum(dy[..., theirs] for dy in s.dys))
    width = own.stop - own.start
    for wrong in (slice(0, width), slice(first[-1] - width, first[-1])):
        yield ("part taken from the other tower", "tower t's maps stand at its own channels.",
               sum(dy[..., wrong] for dy in s.dys))
    yield ("averaged over the readers", "the readers' gradients are added, not averaged.",
           sum(dy[..., own] for dy in s.dys) / len(xs))
    yield ("one reader counted twice", "each reader counts once.", 2 * s.dys[t][..., own])
    yield ("one reader counted twice", "each reader counts once.", 2 * s.dys[other][..., own])
    yield ("one reader subtracted", "each reader's part is added.",
           s.dys[t][..., own] - s.dys[other][..., own])
    yield ("each reader's own part added", "all readers' gradients are cut at the same channels, "
           "those of the tower that wrote them.", _own_parts(s.dys, first, width))


def _own_parts(dys, first, width):
    parts = [dy[..., first[r]:first[r] + width] for r, dy in enumerate(dys)]
    same = all(p.shape == parts[0].shape for p in parts)
    return sum(parts) if same else np.empty(0)


MISTAKES = {
    "Conv2D": conv, "Linear": linear, "SoftmaxCrossEntropy": softmax, "Exchange": exchange,
    "ReLU": relu, "Tanh": tanh, "LocalResponseNorm": lrn, "SpatialResponseNorm": spatial,
    "MaxPool2D": max_pool, "AveragePool2D": average_pool, "Flatten": flatten, "Dropout": dropout,
}
