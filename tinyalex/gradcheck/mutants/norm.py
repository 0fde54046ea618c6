"""Normalisations that get one step of their backward wrong."""

import numpy as np

from tinyalex.gradcheck.mutants.plant import plant
from tinyalex.layers import LocalResponseNorm, SpatialResponseNorm


class TextbookNorm:
    """The backward of both normalisations in plain steps; they differ in the window."""

    power = 1  # beyond beta, of s in the sum
    sign = -1
    factor = 2

    def backward(self, dy):
        x, s = self._recall()
        through = self.window(self.inside(dy, x, s))
        cross = self.factor * self.alpha / self.divisor * self.beta * x * through
        return (dy * s**-self.beta + self.sign * cross).astype(x.dtype)

    def inside(self, dy, x, s):
        return dy * x * s ** (-self.beta - self.power)


class TextbookLRN(TextbookNorm, LocalResponseNorm):
    """A window of maps."""

    def window(self, a, before=0, after=0):
        half, C = self.n // 2, a.shape[-1]
        sums = [a[..., max(0, i - half - before):i + half + 1 + after].sum(axis=-1)
                for i in range(C)]
        return np.stack(sums, axis=-1)


class TextbookSpatial(TextbookNorm, SpatialResponseNorm):
    """A window of pixels."""

    def window(self, a, before=0, after=0):
        half, sums = self.size // 2, np.empty_like(a)
        for h, w in np.ndindex(a.shape[1:3]):
            rows = slice(max(0, h - half - before), h + half + 1 + after)
            columns = slice(max(0, w - half - before), w + half + 1 + after)
            sums[:, h, w] = a[:, rows, columns].sum(axis=(1, 2))
        return sums


@plant("LocalResponseNorm", "without the cross-channel term")
class LRNDirect(TextbookLRN):
    """the denominator is taken for a constant: dx = dy s^−β"""

    sign = 0


@plant("LocalResponseNorm", "sign of the cross-channel term")
class LRNSign(TextbookLRN):
    """the cross-channel term is added where it should be subtracted"""

    sign = 1


@plant("LocalResponseNorm", "wrong power")
class LRNPower(TextbookLRN):
    """the sum has s^−β where the derivative makes it s^(−β − 1)"""

    power = 0


@plant("LocalResponseNorm", "wrong power")
class LRNOtherPower(TextbookLRN):
    """the sum has s^(−β − 2)"""

    power = 2


@plant("LocalResponseNorm", "factor 2 missing")
class LRNFactor(TextbookLRN):
    """the derivative of x² is taken for x"""

    factor = 1


@plant("LocalResponseNorm", "window off by one")
class LRNShortWindow(TextbookLRN):
    """the window of the backward ends one map early: range(i − n//2, i + n//2)"""

    def window(self, a):
        return super().window(a, after=-1)


@plant("LocalResponseNorm", "window off by one")
class LRNWideWindow(TextbookLRN):
    """the window of the backward begins one map early"""

    def window(self, a):
        return super().window(a, before=1)


@plant("LocalResponseNorm", "own channel only")
class LRNOwnChannel(TextbookLRN):
    """every map is treated as if it were alone in its window"""

    def window(self, a):
        return a


@plant("LocalResponseNorm", "alpha divided by n")
class LRNDividesAlpha(TextbookLRN):
    """backward divides alpha by n, as later libraries do; forward does not"""

    def window(self, a):
        return super().window(a) / self.n


@plant("LocalResponseNorm", "x inside instead of outside the sum")
class LRNXInside(TextbookLRN):
    """x_j in the sum's place of x_i before it"""

    def backward(self, dy):
        x, s = self._recall()
        cross = 2 * self.alpha * self.beta * self.window(x * self.inside(dy, x, s))
        return (dy * s**-self.beta - cross).astype(x.dtype)


@plant("SpatialResponseNorm", "without the cross-pixel term")
class SpatialDirect(TextbookSpatial):
    """the denominator is taken for a constant: dx = dy s^−β"""

    sign = 0


@plant("SpatialResponseNorm", "sign of the cross-pixel term")
class SpatialSign(TextbookSpatial):
    """the cross-pixel term is added where it should be subtracted"""

    sign = 1


@plant("SpatialResponseNorm", "wrong power")
class SpatialPower(TextbookSpatial):
    """the sum has s^−β where the derivative makes it s^(−β − 1)"""

    power = 0


@plant("SpatialResponseNorm", "factor 2 missing")
class SpatialFactor(TextbookSpatial):
    """the derivative of x² is taken for x"""

    factor = 1


@plant("SpatialResponseNorm", "beta missing")
class SpatialWithoutBeta(TextbookSpatial):
    """the power goes down by one and leaves no β before it"""

    def window(self, a):
        return super().window(a) / self.beta


@plant("SpatialResponseNorm", "window off by one")
class SpatialShortWindow(TextbookSpatial):
    """the window of the backward ends one row and one column early"""

    def window(self, a):
        return super().window(a, after=-1)


@plant("SpatialResponseNorm", "window off by one")
class SpatialWideWindow(TextbookSpatial):
    """the window of the backward begins one row and one column early"""

    def window(self, a):
        return super().window(a, before=1)


@plant("SpatialResponseNorm", "own pixel only")
class SpatialOwnPixel(TextbookSpatial):
    """every pixel is treated as if it were alone in its window"""

    def window(self, a):
        return a


@plant("SpatialResponseNorm", "sums along one side only")
class SpatialRowsOnly(TextbookSpatial):
    """the window is a row of pixels, not a square"""

    def window(self, a):
        half = self.size // 2
        sums = [a[:, :, max(0, w - half):w + half + 1].sum(axis=2) for w in range(a.shape[2])]
        return np.stack(sums, axis=2)


@plant("SpatialResponseNorm", "sums over channels instead of pixels")
class SpatialOverChannels(TextbookSpatial):
    """backward is copied from LRN: its window runs over the maps"""

    def window(self, a):
        half, C = self.size // 2, a.shape[-1]
        sums = [a[..., max(0, i - half):i + half + 1].sum(axis=-1) for i in range(C)]
        return np.stack(sums, axis=-1)


@plant("SpatialResponseNorm", "alpha not divided by the window")
class SpatialUndivided(TextbookSpatial):
    """forward divides alpha by size², backward does not"""

    def window(self, a):
        return super().window(a) * self.size**2


@plant("SpatialResponseNorm", "alpha not divided by the window")
class SpatialDividedBySide(TextbookSpatial):
    """backward divides alpha by size, as LRNs across maps do in later libraries"""

    def window(self, a):
        return super().window(a) * self.size


@plant("SpatialResponseNorm", "alpha divided by the clipped window")
class SpatialClippedDivisor(TextbookSpatial):
    """backward takes a mean over the pixels that are there: at an edge fewer than size²"""

    def window(self, a):
        there = super().window(np.ones_like(a))
        return super().window(a) / there * self.size**2


@plant("SpatialResponseNorm", "x inside instead of outside the sum")
class SpatialXInside(TextbookSpatial):
    """x_j in the sum's place of x_i before it"""

    def backward(self, dy):
        x, s = self._recall()
        cross = 2 * self.alpha / self.divisor * self.beta
        cross = cross * self.window(x * self.inside(dy, x, s))
        return (dy * s**-self.beta - cross).astype(x.dtype)
