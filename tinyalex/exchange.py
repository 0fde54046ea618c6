"""Where towers read each other's maps: between two stages of a network."""

from collections.abc import Sequence

from tinyalex.devices import Device, copy


class Exchange:
    """Hands every tower the maps of all towers, and the gradients back (paper, section 3.2).

    Forward, for tower t: y_t = x_a, x_b, … joined along the channels.

    Backward. The maps of tower t were read by every tower r, so their gradient is the sum of what
    these readers hand back for t's channels:

        dx_t = the sum over r of dy_r[..., the channels of t]

    What lives on another device is copied, and `crossed` counts the bytes of the last forward and
    backward. With one tower nothing happens.
    """

    def __init__(self, name: str, devices: Sequence[Device]):
        self.name, self.devices = name, devices
        self.channels: tuple[int, ...] = ()
        self.crossed = {"forward": 0, "backward": 0}

    def forward(self, xs: list) -> list:
        """xs[t]: the maps of tower t, on its device. Returns the joined maps for every tower."""
        self.channels = tuple(x.shape[-1] for x in xs)
        if len(xs) == 1:
            return xs
        # Towers that share a device share what is joined there.
        running = {d: d.run(self._join, xs, d) for d in dict.fromkeys(self.devices)}
        done = {d: joined.result() for d, joined in running.items()}
        self.crossed["forward"] = sum(crossed for _, crossed in done.values())
        return [done[d][0] for d in self.devices]

    def _join(self, xs, target):
        y = target.empty((*xs[0].shape[:-1], sum(self.channels)), xs[0].dtype)
        crossed = 0
        for t, (x, source) in enumerate(zip(xs, self.devices, strict=True)):
            y[..., self._channels_of(t)], size = copy(x, source, target)
            crossed += size
        return y, crossed

    def _channels_of(self, t):
        """Where the maps of tower t are among all."""
        first = sum(self.channels[:t])
        return slice(first, first + self.channels[t])

    def backward(self, dys: list) -> list:
        """dys[r]: the gradient of y_r, on r's device. Returns dx_t for every tower."""
        if len(dys) == 1:
            return dys
        running = [d.run(self._gather, dys, t) for t, d in enumerate(self.devices)]
        done = [gathered.result() for gathered in running]
        self.crossed["backward"] = sum(crossed for _, crossed in done)
        return [dx for dx, _ in done]

    def _gather(self, dys, t):
        target, mine, crossed = self.devices[t], self._channels_of(t), 0
        dx = target.empty((*dys[t].shape[:-1], self.channels[t]), dys[t].dtype)
        dx[...] = 0
        for dy, source in zip(dys, self.devices, strict=True):
            part, size = copy(dy[..., mine], source, target)
            dx += part
            crossed += size
        return dx, crossed
