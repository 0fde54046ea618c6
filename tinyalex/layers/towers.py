"""A layer that depends on which tower it is in."""

from tinyalex.layers.base import Layer, whole
from tinyalex.support.errors import UserError


class OwnMaps(Layer):
    """This tower's share of maps that were joined from all towers: y = x[..., t·C : (t + 1)·C].

    It stands after a layer that reads across the towers, where they part again: Caffe's LRN runs
    over the joined maps, and the grouped convolution after it reads the tower's own.

    Backward: dx[..., t·C : (t + 1)·C] = dy, and 0 in the maps of the others.

    x, dx: (N, H, W, towers·C). y, dy: (N, H, W, C). With one tower, y is x.
    towers: how many there are. `tower`, t above, is set by `settle`.
    """

    def __init__(self, towers: int, name: str = "own"):
        super().__init__(name)
        (self.towers,), self.tower = whole(name, towers=towers), 0

    def settle(self, device, tower, seed):
        super().settle(device, tower, seed)
        self.tower = tower

    def output_shape(self, shape):
        if shape[-1] % self.towers:
            raise UserError(f"{self.name}: {shape[-1]} maps cannot be shared by {self.towers} "
                            "towers", "give every tower the same number of maps.")
        return *shape[:-1], shape[-1] // self.towers

    def forward(self, x, remember=False):
        shape = self._shape(x)
        self._keep(remember, x.shape)
        if self.towers == 1:
            return x
        y = self.device.empty(shape, x.dtype)
        y[...] = x[..., self._own(x.shape)]
        return y

    def backward(self, dy):
        (shape,) = self._recall(dy)
        if self.towers == 1:
            return dy
        dx = self.device.empty(shape, dy.dtype)
        dx[...] = 0
        dx[..., self._own(shape)] = dy
        return dx

    def _own(self, shape):
        C = shape[-1] // self.towers
        return slice(self.tower * C, (self.tower + 1) * C)
