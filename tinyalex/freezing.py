"""Layers that stay as they are while others learn, and what need not be done because of them.

Of a network whose lowest layers are frozen, those always give the same for the same picture: they
are *still*. Backward ends above them, they keep nothing for it, and what they make of a picture can
be computed once (run/kept.py):

    pictures → conv1 … conv5, pool5 → dropout → fc6 → …
               ╰─ frozen: still ──╯             ╰─ learns

Dropout belongs to what learns from it. Between frozen layers it would be noise to which nothing
adapts: there it does what it does at test time.

A frozen layer above one that learns has to hand the gradient down as always; what comes out for its
own weights on the way is thrown away.
"""

import copy

from tinyalex.layers import Dropout, Layer
from tinyalex.layers.base import Weighted
from tinyalex.network import Network
from tinyalex.support.errors import UserError


def names(network: Network) -> list[str]:
    """The layers with weights, from the pictures to the scores, without their tower's letter."""
    return [layer.name.removesuffix(network.letter(0)) for stage in network.stages
            for layer in stage[0] if isinstance(layer, Weighted)]


def layers_called(network: Network, name: str) -> list[Weighted]:
    """The layer with weights of that name of every tower."""
    full = {name + network.letter(t) for t in range(network.towers)}
    return [layer for stage in network.stages for tower in stage for layer in tower
            if layer.name in full and isinstance(layer, Weighted)]


def chosen(network: Network, text: str) -> list[str]:
    """The layers that a text means: conv1, conv1-conv5, several with commas between them, all-but
    fc8, none. UserError where it names a layer that is not there."""
    known, found = names(network), set()
    rest = text.strip().removeprefix("all-but ")
    for part in rest.split(",") if rest not in ("", "none") else ():
        ends = [end.strip() for end in part.split("-")]
        here = set(ends) <= set(known) and known[known.index(ends[0]) : known.index(ends[-1]) + 1]
        if len(ends) > 2 or not here:  # a range from above to below is empty
            raise UserError(f"--freeze {text!r}: there is no layer, or range of layers, {part!r}",
                            f"name some of {', '.join(known)}: conv1-conv5, or all-but fc8.")
        found |= set(here)
    return [name for name in known if (name in found) == (rest == text.strip())]


def freeze(network: Network, text: str) -> None:
    """Freeze the layers that the text means, see `chosen`. UserError where none would learn."""
    frozen = chosen(network, text)
    if frozen == names(network):
        raise UserError(f"--freeze {text!r}: no layer would learn", "leave one out.")
    for name in frozen:
        for layer in layers_called(network, name):
            layer.frozen = True
    for t in range(network.towers):
        _settle([layer for stage in network.stages for layer in stage[t]])


def _settle(layers: list[Layer]) -> None:
    """Find out which layers of a tower, from the pictures to the scores, are still."""
    lowest = next(i for i, layer in enumerate(layers)
                  if isinstance(layer, Weighted) and not layer.frozen)
    end = max((i + 1 for i in range(lowest) if layers[i].frozen), default=0)
    if end == 0:
        return
    while end < lowest and not isinstance(layers[end], Dropout):
        end += 1
    for layer in layers[:end]:
        layer.still = True
    layers[lowest].input_gradient = False


def parts(network: Network) -> tuple[Network, Network] | None:
    """The network in two: what is still, and the rest, which reads what the first one gives, of all
    towers together. They are made of the same layers: who trains the second one trains the network.
    None where nothing is still.

    In a network of several towers the cut is between two stages, where every tower reads the maps
    of all.
    """
    stage = next(s for s, stage in enumerate(network.stages) if not stage[0][-1].still)
    cut = sum(layer.still for layer in network.stages[stage][0]) if network.towers == 1 else 0
    return None if stage == cut == 0 else apart(network, stage, cut)


def apart(network: Network, stage: int, cut: int = 0) -> tuple[Network, Network]:
    """The layers below a stage, with so many of that stage's, and the rest, as in `parts`."""
    last = network.stages[stage][0][cut - 1] if cut else network.stages[stage - 1][0][-1]
    stem, head = up_to(network, last), copy.copy(network)
    head.stages = [[tower[cut:] for tower in network.stages[stage]], *network.stages[stage + 1 :]]
    head.exchanges = network.exchanges[stage:]
    head.input_shape = (*stem.output_shapes[0][:-1], stem.classes)
    return stem, head


def up_to(network: Network, *layers: Layer) -> Network:
    """The network as far as the highest of these layers, of whichever towers: it gives what that
    layer gives, in all towers, joined along the channels. It is made of the same layers."""
    s, i = max((s, tower.index(layer)) for s, stage in enumerate(network.stages)
               for tower in stage for layer in layers if layer in tower)
    part = copy.copy(network)
    part.stages = [*network.stages[:s], [tower[: i + 1] for tower in network.stages[s]]]
    part.exchanges = network.exchanges[:s]
    part.output_shapes = [network.shapes[tower[i]][1] for tower in network.stages[s]]
    return part
