"""Response normalisation: a number is divided by a power of the squares around it, across the maps
of a tower (the paper's) or across the pixels of a map (what the authors ran besides)."""

import numpy as np

from tinyalex.layers.base import Layer, expect_maps
from tinyalex.support.errors import UserError


class ResponseNorm(Layer):
    """What both normalisations share: y_i = x_i * s_i**-beta, where alpha / divisor times the
    squares of a window W(i) is added to k in s_i.

    A window lies evenly around its middle, so i is in W(j) just when j is in W(i), and one function
    adds up over windows in forward and backward.
    """

    keeps = "x"
    divisor = 1  # of alpha

    def __init__(self, k: float, alpha: float, beta: float, name: str):
        super().__init__(name)
        self.k, self.alpha, self.beta = k, alpha, beta

    def _window_sum(self, x, y):
        """y_i = the sum of x_j over j in W(i)."""
        raise NotImplementedError

    def _apart(self, array):
        """The array cut, along its first axis, into what is normalised without the rest."""
        return array  # pictures

    def extra_bytes(self, shape, itemsize):
        return int(np.prod(shape)) * itemsize

    def _power(self, s, out):
        """out = s**beta. For the paper's 0.75 two square roots are faster than a power."""
        if self.beta != 0.75:
            return np.power(s, self.beta, out=out)
        np.sqrt(s, out=out)
        out *= np.sqrt(out, out=self.device.empty(s.shape, s.dtype))
        return out

    def forward(self, x, remember=False):
        y = self.device.empty(x.shape, x.dtype)
        s = self.device.empty(x.shape, x.dtype) if remember else None
        x_apart, y_apart, s_apart = self._apart(x), self._apart(y), remember and self._apart(s)

        def some(part, worker):
            xs, ys = x_apart[part], y_apart[part]
            ss = s_apart[part] if remember else self.device.empty(xs.shape, x.dtype)
            self._forward(xs, ys, ss)

        self._over(x_apart, some)
        self._keep(remember, x, s)
        return y

    def backward(self, dy):
        x, s = self._recall()
        dx = self.device.empty(x.shape, x.dtype)
        x_apart, s_apart, dy_apart, dx_apart = map(self._apart, (x, s, dy, dx))

        def some(part, worker):
            self._backward(dy_apart[part], x_apart[part], s_apart[part], dx_apart[part])

        self._over(x_apart, some)
        return dx

    def _forward(self, x, y, s):
        np.multiply(x, x, out=y)  # what leads to y is written where y will be: less memory
        self._window_sum(y, s)
        s *= self.alpha / self.divisor
        s += self.k
        np.divide(x, self._power(s, out=y), out=y)

    def _backward(self, dy, x, s, dx):
        direct, through = (self.device.empty(x.shape, x.dtype) for _ in range(2))
        np.divide(dy, self._power(s, out=direct), out=direct)
        np.multiply(direct, x, out=through)
        through /= s
        self._window_sum(through, dx)
        dx *= x
        dx *= -2 * self.alpha / self.divisor * self.beta
        dx += direct


class LocalResponseNorm(ResponseNorm):
    """Local response normalisation across the maps of one tower (paper, section 3.3).

    With W(i) the n maps around map i, clipped at the first and the last:

        s_i = k + alpha * sum(x_j**2 for j in W(i))
        y_i = x_i * s_i**-beta

    Backward. x_i acts on y_i itself and, through s_j, on every y_j that has i in its window:

        dx_i = dy_i * s_i**-beta - 2 * alpha * beta * x_i * sum(dy_j * y_j / s_j for j in W(i))

    where y_j / s_j = x_j * s_j**-beta / s_j, so that y need not be kept.

    x, y, dy, dx: (N, H, W, C). Kept: x and s. n is odd: a window has a middle.
    """

    def __init__(self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75,
                 name: str = "lrn"):
        super().__init__(k, alpha, beta, name)
        if n < 1 or n % 2 == 0:
            raise UserError(f"{name}: a window of n={n} maps has no middle one", "make n odd.")
        self.n = n

    def _apart(self, array):
        return array.reshape(-1, array.shape[-1])  # pixels

    def _window_sum(self, x, y):
        self.device.kernels.window_sum(x, self.n, y)

    def _forward(self, x, y, s):
        # A device may have all of it as one kernel, which reads and writes memory once.
        if at_once := getattr(self.device.kernels, "lrn", None):
            at_once(x, self.n, self.k, self.alpha, self.beta, y, s)
        else:
            super()._forward(x, y, s)

    def _backward(self, dy, x, s, dx):
        if at_once := getattr(self.device.kernels, "lrn_backward", None):
            at_once(dy, x, s, self.n, self.alpha, self.beta, dx)
        else:
            super()._backward(dy, x, s, dx)


class SpatialResponseNorm(ResponseNorm):
    """Response normalisation within each map: over the pixels around, not the maps around.

    The paper does not mention it; the network behind its tables has one after the LRN of the second
    layer (layers-145.cfg, `type=rnorm`; Caffe calls it WITHIN_CHANNEL). With W(i) the size×size
    pixels around pixel i of the same map, clipped at the edges:

        s_i = k + alpha / size**2 * sum(x_j**2 for j in W(i))
        y_i = x_i * s_i**-beta

    At an edge the sum has fewer squares and is still divided by size².

    Backward. As in LocalResponseNorm, x_i acts on y_i and, through s_j, on every y_j that has i in
    its window. ds_j/dx_i = alpha / size**2 * 2 * x_i, and s_j**-beta brings down -beta, so

        dx_i = dy_i * s_i**-beta
               - 2 * alpha / size**2 * beta * x_i * sum(dy_j * y_j / s_j for j in W(i))

    x, y, dy, dx: (N, H, W, C). Kept: x and s. size is odd: a window has a middle.
    """

    def __init__(self, size: int = 5, k: float = 1.0, alpha: float = 1e-3, beta: float = 0.75,
                 name: str = "rnorm"):
        super().__init__(k, alpha, beta, name)
        if size < 1 or size % 2 == 0:
            raise UserError(f"{name}: a window of {size}×{size} pixels has no middle one",
                            "make size odd.")
        self.size, self.divisor = size, size**2

    def output_shape(self, shape):
        expect_maps(self, shape)
        return shape

    def window(self):
        return self.size, 1, self.size // 2

    def _window_sum(self, x, y):
        self.device.kernels.box_sum(x, self.size, y)
