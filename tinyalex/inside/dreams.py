"""What would excite a unit most: a picture that is made for it, by gradient ascent on the pixels.

Activation maximisation (Erhan et al., 2009; Simonyan et al., 2014). The weights stay; the picture
learns. Let s be what a unit adds up, before its ReLU, which has no slope as long as the unit is
off; or the score of a class. With g = ds/dx of the picture x, each step is

    x ← x + step · g / rms(g)
    x ← x + blur · Δx - decay · x          Δx[p] = the sum over p's neighbours q of x[q] - x[p]
    x ← x, cut to what pixels can be

rms(g) is taken over the pixels that count, g ≠ 0, so that one step suits all units and layers.

The first line alone finds what looks like noise: high frequencies to which the network is sensitive
and which no photograph has. The second line is the gradient of two penalties, which ask for as
little contrast, and as small differences between neighbours, as will do:

    -decay/2 · Σ x[p]²                     the slope at x[p]: -decay · x[p]
    -blur/2 · Σ (x[p] - x[q])²             over pairs of neighbours, up to four of which have p in
                                           them: blur · Σ (x[q] - x[p]) = blur · Δx[p]

The latter is total variation, with squares (Mahendran and Vedaldi, 2015). And x + blur · Δx is x,
blurred: with blur = 1/8, half of each pixel stays and an eighth comes from each neighbour. So two
regularisers that are usually listed side by side, the blur of Yosinski et al. (2015) and this one,
are the same. blur is at most 1/8, from where on the finest checkerboard would change its sign.

Climbing also turns off what speaks against the unit, and may so turn off all that it depends on:
then g is 0 everywhere, and no way leads up. Where that happens, a step is taken at random, KICK
times as large.

Jitter (Mordvintsev et al., 2015): before each step the picture is moved by some pixels, and then
back. conv1 looks at every fourth pixel only, and without jitter its grid shows in the picture.
"""

from collections.abc import Sequence

import numpy as np

from tinyalex.freezing import up_to
from tinyalex.inside.backwards import back_to_pixels
from tinyalex.inside.fields import Unit
from tinyalex.inside.units import one_hot
from tinyalex.network import Network
from tinyalex.support.progress import progress

MOST_BLUR = 1 / 8
KICK = 10


def dream(network: Network, units: Sequence[Unit], low: np.ndarray, high: np.ndarray, *,
          steps: int = 120, step: float = 4.0, decay: float = 0.01, blur: float = 0.1,
          jitter: int = 4, seed: int = 0) -> np.ndarray:
    """Pictures (N, H, W, C) that excite these units of one layer, a picture each, as the network
    reads them.

    low, high: (H, W, C), the least and the most that each pixel can be. step: how far an average
    pixel moves, in the units of x. blur: at most 1/8. jitter: by how many pixels, at most. seed: of
    the noise that the pictures begin as and of the jitter, which are the same for all of them: what
    a unit gets does not depend on which others are asked for.
    """
    part, dy = up_to(network, units[0].layer), one_hot(network, units, low.dtype)
    rng = np.random.default_rng(seed)
    noise = step * rng.standard_normal(low.shape)
    x = np.repeat(noise[None].astype(low.dtype), len(units), axis=0)
    for n in progress(range(steps), f"dreaming of {units[0].layer.name}", unit="step"):
        shift = tuple(rng.integers(-jitter, jitter + 1, 2).tolist())
        g = back_to_pixels(part, np.roll(x, shift, (1, 2)), dy)
        g = np.roll(g, (-shift[0], -shift[1]), (1, 2))
        if not (there := g.any(axis=(1, 2, 3), keepdims=True)).all():
            kick = np.random.default_rng([seed, n]).standard_normal(low.shape)
            x += np.where(there, 0, KICK * step * kick).astype(x.dtype)
        x += x.dtype.type(step) * g / _rms(g)
        x += x.dtype.type(blur) * roughness(x) - x.dtype.type(decay) * x
        np.clip(x, low, high, out=x)
    return x


def _rms(g: np.ndarray) -> np.ndarray:
    """Of each picture, over the pixels that count at all; 1 where none does. (N, 1, 1, 1)."""
    axes = (1, 2, 3)
    count = np.count_nonzero(g, axis=axes, keepdims=True)
    return np.sqrt((g * g).sum(axis=axes, keepdims=True) / np.maximum(count, 1)) + (count == 0)


def roughness(x: np.ndarray) -> np.ndarray:
    """Δx, see above, of pictures (N, H, W, C); at the edge a pixel has fewer neighbours."""
    down, right = np.diff(x, axis=1), np.diff(x, axis=2)
    total = np.zeros_like(x)
    total[:, :-1] += down
    total[:, 1:] -= down
    total[:, :, :-1] += right
    total[:, :, 1:] -= right
    return total
