"""Local response normalisation."""

import numpy as np

from tinyalex.errors import UserError
from tinyalex.layers.base import Layer


class LocalResponseNorm(Layer):
    """Local response normalisation across the maps of one tower (paper, section 3.3).

    With W(i) the n maps around map i, clipped at the first and the last:

        s_i = k + alpha * sum(x_j**2 for j in W(i))
        y_i = x_i * s_i**-beta

    Backward. x_i acts on y_i itself and, through s_j, on every y_j that has i in its window:

        dx_i = dy_i * s_i**-beta - 2 * alpha * beta * x_i * sum(dy_j * y_j / s_j for j in W(i))

    where y_j / s_j = x_j * s_j**-beta / s_j, so that y need not be kept.

    x, y, dy, dx: (N, H, W, C). Kept: x and s. n is odd: a window has a middle.
    """

    keeps = "x"

    def __init__(self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75,
                 name: str = "lrn"):
        super().__init__(name)
        if n < 1 or n % 2 == 0:
            raise UserError(f"{name}: a window of n={n} maps has no middle one", "make n odd.")
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def extra_bytes(self, shape, itemsize):
        return int(np.prod(shape)) * itemsize

    def _power(self, s):
        """s**beta. For the paper's 0.75 two square roots are several times faster than a power."""
        if self.beta != 0.75:
            return s**self.beta
        root = np.sqrt(s)
        root *= np.sqrt(root)
        return root

    def forward(self, x, train=False):
        y, s = (self.device.empty(x.shape, x.dtype) for _ in range(2))

        def some(pictures, worker):
            xs, ss = x[pictures], s[pictures]
            self.device.kernels.window_sum(xs * xs, self.n, ss)
            ss *= self.alpha
            ss += self.k
            np.divide(xs, self._power(ss), out=y[pictures])

        self._over(x, some)
        self._keep(train, x, s)
        return y

    def backward(self, dy):
        x, s = self._recall()
        dx = self.device.empty(x.shape, x.dtype)

        def some(pictures, worker):
            xs, ss, dxs = x[pictures], s[pictures], dx[pictures]
            direct = dy[pictures] / self._power(ss)
            through = direct * xs
            through /= ss
            self.device.kernels.window_sum(through, self.n, dxs)
            dxs *= xs
            dxs *= -2 * self.alpha * self.beta
            dxs += direct

        self._over(x, some)
        return dx
