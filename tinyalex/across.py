"""What crosses between workers who have a part of each fully connected layer; see hybrid.py."""

import copy
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tinyalex.devices import Device
from tinyalex.devices.base import Array
from tinyalex.exchange import Exchange
from tinyalex.freezing import apart
from tinyalex.layers import Linear
from tinyalex.layers.pieces import add_up, can_be_parted
from tinyalex.network import Network
from tinyalex.support.errors import UserError
from tinyalex.world import World


class Messages:
    """What this worker sends to others, and what it receives.

    sent: bytes, by direction ("forward", "backward") and by the layer that they are for. waited:
    seconds, until they were there. exact: what comes back is added in one order, whoever sends it.
    """

    def __init__(self, world: World, exact: bool):
        self.world, self.exact, self.waited = world, exact, 0.0
        self.sent: dict[str, Counter[str]] = {"forward": Counter(), "backward": Counter()}

    def hand(self, way: str, name: str, give: list[np.ndarray], places: list[tuple],
             shape: tuple[int, ...]) -> np.ndarray:
        """Give worker r the array give[r]; returns an array of this shape, in which what worker r
        gives is at places[r], an index."""
        joined = np.empty(shape, give[0].dtype)
        take = [np.empty(joined[place].shape, joined.dtype) for place in places]
        self._swap(way, name, give, take)
        for place, theirs in zip(places, take, strict=True):
            joined[place] = theirs
        return joined

    def collect(self, name: str, dys: list, devices: Sequence[Device], places: list[tuple],
                ) -> np.ndarray:
        """The way back: the gradient of what this worker gave to all, which is the sum of what all
        hand back. dys: by tower, on its device, of everything that was joined."""
        mine = [device.get(dy) for dy, device in zip(dys, devices, strict=True)]
        if not self.exact:  # the towers' sum is as good, and less to send
            mine = [np.sum(mine, axis=0)]
        give = [np.stack([dy[place] for dy in mine]) for place in places]
        take = [np.empty(give[self.world.rank].shape, mine[0].dtype) for _ in places]
        self._swap("backward", name, give, take)
        towers = [add_up(parts) for parts in zip(*take, strict=True)]
        return sum(towers) if len(towers) > 1 else towers[0]  # as Exchange does, from 0 on

    def _swap(self, way: str, name: str, give: list[np.ndarray], take: list[np.ndarray]):
        give = [np.ascontiguousarray(array) for array in give]
        self.sent[way][name] += sum(a.nbytes for a in give) - give[self.world.rank].nbytes
        start = time.perf_counter()
        self.world.swap(give, take)
        self.waited += time.perf_counter() - start


class Across(Exchange):
    """Hands every tower of every worker the units of all of them. Those of a tower stand side by
    side, whichever worker has them. units: by tower and worker."""

    def __init__(self, exchange: Exchange, messages: Messages, units: list[list[slice]]):
        super().__init__(exchange.name, exchange.devices)
        self.messages, self.places = messages, columns(units)
        self.width = sum(tower[-1].stop for tower in units)

    def forward(self, xs):
        self.channels = tuple(x.shape[-1] for x in xs)
        mine = np.concatenate([device.get(x) for x, device in zip(xs, self.devices, strict=True)],
                              axis=1)
        y = self.messages.hand("forward", self.name, [mine] * len(self.places), self.places,
                               (len(mine), self.width))
        there = {device: device.put(y) for device in dict.fromkeys(self.devices)}
        return [there[device] for device in self.devices]

    def backward(self, dys):
        dx = self.messages.collect(self.name, dys, self.devices, self.places)
        return to_towers(dx, self.channels, self.devices)


def columns(units: list[list[slice]]) -> list[tuple]:
    """By worker, the index of its units among those of all towers. units: by tower and worker."""
    starts = np.cumsum([0, *(tower[-1].stop for tower in units[:-1])])
    return [(slice(None), np.concatenate([np.arange(start + part.start, start + part.stop)
                                          for start, part in zip(starts, worker, strict=True)]))
            for worker in zip(*units, strict=True)]


def to_towers(joined: np.ndarray, widths: Sequence[int], devices: Sequence[Device]) -> list[Array]:
    """Each tower's columns, on its device."""
    parts = np.split(joined, np.cumsum(widths)[:-1], axis=1)
    return [device.put(np.ascontiguousarray(part))
            for part, device in zip(parts, devices, strict=True)]


def trunk_and_head(network: Network) -> tuple[Network, Network]:
    """What is below the first fully connected layer, and the rest. UserError unless each stage of
    that begins with one, and does the rest to each unit by itself."""
    stage = next((s for s, stage in enumerate(network.stages)
                  if isinstance(stage[0][0], Linear)), 0)
    for s, towers in enumerate(network.stages):
        for layer in (layer for tower in towers for layer in tower):
            begins = s >= stage and any(layer is tower[0] for tower in towers)
            if begins != isinstance(layer, Linear) or (s >= stage and not can_be_parted(layer)):
                raise UserError("--parallel hybrid shares out fully connected layers at the end of "
                                f"a network, a stage for each, and {layer.name} does not fit in",
                                "train it data parallel.")
    if stage:
        return apart(network, stage)
    nothing = copy.copy(network)
    nothing.stages, nothing.exchanges = [], []
    return nothing, network
