"""Response normalisation: a number is divided by a power of the squares around it, across the maps
of a tower (the paper's) or across the pixels of a map (which the authors ran as well)."""

from math import prod

from tinyalex.layers.base import Layer, expect_maps, whole
from tinyalex.support.errors import UserError


class ResponseNorm(Layer):
    """What both normalisations share: y_i = x_i * s_i**-beta, where s_i is k plus alpha times the
    sum of the squares in a window W(i), n wide.

    A window is symmetric about its middle, so i is in W(j) exactly when j is in W(i), and one
    function adds up over windows in forward and backward: see kernels/norm.py.
    """

    keeps = "x"

    def __init__(self, n: int, k: float, alpha: float, beta: float, name: str):
        super().__init__(name)
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def extra_bytes(self, shape, itemsize):
        return prod(shape) * itemsize

    def _normalise(self, x, y, s):
        raise NotImplementedError

    def _gradient(self, dy, x, s, dx):
        raise NotImplementedError

    def forward(self, x, remember=False):
        y = self._output(x)
        s = self.device.empty(x.shape, x.dtype) if remember else None

        def normalise(pictures):
            xs = x[pictures]
            ss = self.device.empty(xs.shape, x.dtype) if s is None else s[pictures]
            self._normalise(xs, y[pictures], ss)

        self._over(x, normalise)
        self._keep(remember, x, s)
        return y

    def backward(self, dy):
        x, s = self._recall(dy)
        dx = self.device.empty(x.shape, x.dtype)

        def gradient(pictures):
            self._gradient(dy[pictures], x[pictures], s[pictures], dx[pictures])

        self._over(x, gradient)
        return dx


class LocalResponseNorm(ResponseNorm):
    """Local response normalisation across the maps of one tower (paper, section 3.3).

    With W(i) the n maps with map i in their middle, clipped at the first and the last:

        s_i = k + alpha * sum(x_j**2 for j in W(i))
        y_i = x_i * s_i**-beta

    Backward. x_i acts on y_i itself and, through s_j, on every y_j that has i in its window:
    ∂s_j/∂x_i = 2 * alpha * x_i, and ∂y_j/∂s_j = -beta * x_j * s_j**(-beta - 1) = -beta * y_j / s_j.

        dx_i = dy_i * s_i**-beta - 2 * alpha * beta * x_i * sum(dy_j * y_j / s_j for j in W(i))

    y_j need not be kept: it is x_j * s_j**-beta.

    x, y, dy, dx: (N, H, W, C). Kept: x and s. n is odd: a window has a middle.
    """

    def __init__(self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75,
                 name: str = "lrn"):
        (n,) = whole(name, n=n)
        super().__init__(n, k, alpha, beta, name)
        if n % 2 == 0:
            raise UserError(f"{name}: a window of n={n} maps has no middle one", "make n odd.")

    def _normalise(self, x, y, s):
        self.device.kernels.lrn(x, self.n, self.k, self.alpha, self.beta, y, s)

    def _gradient(self, dy, x, s, dx):
        self.device.kernels.lrn_backward(dy, x, s, self.n, self.alpha, self.beta, dx)


class SpatialResponseNorm(ResponseNorm):
    """Response normalisation within each map: over neighbouring pixels, not neighbouring maps.

    The paper does not mention it; the network behind its tables has one after the LRN of the second
    layer (layers-145.cfg, `type=rnorm`; Caffe calls it WITHIN_CHANNEL). With W(i) the size×size
    pixels around pixel i of the same map, clipped at the edges:

        s_i = k + alpha / size**2 * sum(x_j**2 for j in W(i))
        y_i = x_i * s_i**-beta

    At an edge the sum has fewer squares and is still divided by size².

    Backward. As in LocalResponseNorm, with alpha / size**2 in the place of alpha:

        dx_i = dy_i * s_i**-beta
               - 2 * alpha / size**2 * beta * x_i * sum(dy_j * y_j / s_j for j in W(i))

    x, y, dy, dx: (N, H, W, C). Kept: x and s. size is odd: a window has a middle.
    """

    def __init__(self, size: int = 5, k: float = 1.0, alpha: float = 1e-3, beta: float = 0.75,
                 name: str = "rnorm"):
        (size,) = whole(name, size=size)
        super().__init__(size, k, alpha, beta, name)
        if size % 2 == 0:
            raise UserError(f"{name}: a window of {size}×{size} pixels has no middle one",
                            "make size odd.")

    def output_shape(self, shape):
        expect_maps(self, shape)
        return shape

    def window(self):
        return self.n, 1, self.n // 2

    def _normalise(self, x, y, s):
        self.device.kernels.spatial_norm(x, self.n, self.k, self.alpha / self.n**2, self.beta, y, s)

    def _gradient(self, dy, x, s, dx):
        self.device.kernels.spatial_norm_backward(dy, x, s, self.n, self.alpha / self.n**2,
                                                  self.beta, dx)
