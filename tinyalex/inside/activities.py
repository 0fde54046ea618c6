"""What each layer gives while the network sees one picture, and what crosses between its towers."""

from collections.abc import Collection
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from tinyalex.devices import Batch
from tinyalex.layers import Activation, Layer
from tinyalex.network import Network


class Crossing(NamedTuple):
    """How much layers that read all towers take from each: `shares[r][t]` of the sums in tower r
    comes from tower t. layer: their name, without the towers' letters. numbers: how many each tower
    sends to another for one picture."""

    layer: str
    numbers: int
    shares: list[list[float]]


def outputs(network: Network, x: np.ndarray | Batch, layers: Collection[Layer],
            remember: bool = False) -> dict[Layer, np.ndarray]:
    """What these layers give for pictures x (N, H, W, C): arrays (N, OH, OW, F) or (N, F), on the
    host. remember: for a backward."""
    seen: dict[Layer, np.ndarray] = {}

    def keep(layer, y):
        if layer in layers:
            seen[layer] = layer.device.get(y).copy()

    network.forward(x, remember=remember, watch=keep)
    return {layer: seen[layer] for layer in layers}


def activities(network: Network, x: np.ndarray) -> dict[Layer, np.ndarray]:
    """What every layer gives for one picture x (1, H, W, C), without the axis of pictures: layer by
    layer as they stand in the towers, stage by stage."""
    return {layer: y[0] for layer, y in outputs(network, x, network.shapes).items()}


def tower_layers(network: Network, tower: int) -> list[Layer]:
    """All layers of a tower, from the picture to the scores."""
    return [layer for stage in network.stages for layer in stage[tower]]


def last_hidden(network: Network) -> list[Layer]:
    """Of each tower the layer whose output the last layer with weights reads."""
    hidden = []
    for t in range(network.towers):
        layers = tower_layers(network, t)
        last = max(i for i, layer in enumerate(layers) if layer.params)
        hidden.append(layers[last - 1])
    return hidden


def blocks(network: Network) -> dict[str, list[Layer]]:
    """The layers with weights but the last, by the names they have without their towers' letters:
    of each tower the layer that gives their activities, the ReLU or tanh behind them."""
    units = {}
    for stage in network.stages:
        for i, layer in enumerate(stage[0]):
            if layer.params:
                at = _unit_behind(stage[0], i)
                name = layer.name.removesuffix(network.letter(0))
                units[name] = [tower[at] for tower in stage]
    units.popitem()
    return units


def named_blocks(network: Network) -> dict[str, Layer]:
    """The same by their full names, "conv1a", "conv1b", …: of each the layer with the activities.
    """
    return {name + network.letter(t): layer
            for name, layers in blocks(network).items() for t, layer in enumerate(layers)}


def _unit_behind(tower: list[Layer], i: int) -> int:
    behind = takewhile(lambda j: not tower[j].params, range(i + 1, len(tower)))
    return next((j for j in behind if isinstance(tower[j], Activation)), i)


def crossings(network: Network, seen: dict[Layer, np.ndarray]) -> list[Crossing]:
    """Wherever layers read the maps of all towers how much they take from each. seen: see
    `activities`.

    A unit adds up weight times activity. The sum over the maps of one tower alone is that tower's
    part in it; shares compare the absolute values of these parts. With one tower nothing
    crosses.
    """
    all_crossings = []
    for exchange, before, stage in zip(network.exchanges, network.stages, network.stages[1:],
                                       strict=False):
        maps = [seen[tower[-1]] for tower in before]
        readers = [tower[0] for tower in stage]
        if network.towers > 1 and all(reader.params for reader in readers):
            shares = [_shares(reader, maps) for reader in readers]
            all_crossings.append(Crossing(exchange.name, maps[0].size, shares))
    return all_crossings


def _shares(reader: Layer, maps: list[np.ndarray]) -> list[float]:
    """How much of what the layer adds up comes from the maps of each tower."""
    parts = [np.abs(_sums(reader, maps, t)).sum() for t in range(len(maps))]
    total = sum(parts) or 1
    return [float(part / total) for part in parts]


def _sums(reader: Layer, maps: list[np.ndarray], tower: int) -> np.ndarray:
    """What the layer's units add up from the maps of this tower alone, without their biases."""
    alone = [part if t == tower else np.zeros_like(part) for t, part in enumerate(maps)]
    device = reader.device
    x = device.put(np.concatenate(alone, axis=-1)[None])
    return device.get(device.run(lambda: reader.forward(x) - reader.params["b"]).result())[0]
