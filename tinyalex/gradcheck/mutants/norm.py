"""Local response normalisations that get one step of their backward wrong."""

import numpy as np

from tinyalex.gradcheck.mutants.plant import plant
from tinyalex.layers import LocalResponseNorm


class TextbookLRN(LocalResponseNorm):
    """The backward of LRN in plain steps."""

    power = 1  # beyond beta, of s in the sum
    sign = -1
    factor = 2

    def backward(self, dy):
        x, s = self._recall()
        through = self.window(self.inside(dy, x, s))
        cross = self.factor * self.alpha * self.beta * x * through
        return (dy * s**-self.beta + self.sign * cross).astype(x.dtype)

    def inside(self, dy, x, s):
        return dy * x * s ** (-self.beta - self.power)

    def window(self, a, before=0, after=0):
        half, C = self.n // 2, a.shape[-1]
        sums = [a[..., max(0, i - half - before):i + half + 1 + after].sum(axis=-1)
                for i in range(C)]
        return np.stack(sums, axis=-1)


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
