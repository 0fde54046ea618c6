"""The paper's experiments: the same network with one thing changed (sections 3.1 to 3.4 and 7).

Each function takes a tower, stage by stage, before there are weights, and returns the changed one;
`edit` puts those that were asked for together, and tells each layer what it reads now.
"""

from collections.abc import Callable
from functools import partial

from tinyalex.layers import (
    Activation,
    Dropout,
    Layer,
    LocalResponseNorm,
    MaxPool2D,
    OwnMaps,
    ReLU,
    SpatialResponseNorm,
    Tanh,
)
from tinyalex.layers.base import Weighted
from tinyalex.support.errors import UserError

Tower = list[list[Layer]]
Change = Callable[[Tower], Tower]
MIDDLE = ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


def with_tanh(tower: Tower) -> Tower:
    """Saturating units instead of ReLU (section 3.1, figure 1)."""
    return [[Tanh(layer.name.replace("relu", "tanh")) if isinstance(layer, ReLU) else layer
             for layer in stage] for stage in tower]


def without_normalisation(tower: Tower) -> Tower:
    """No local response normalisation, of whatever kind (section 3.3)."""
    norms = LocalResponseNorm, SpatialResponseNorm
    return [[layer for layer in stage if not isinstance(layer, norms)] for stage in tower]


def with_lrn_before_the_unit(tower: Tower) -> Tower:
    """conv → LRN → ReLU, as some summaries of the paper have it."""
    return _move_lrns(tower, before=True)


def with_lrn_after_the_unit(tower: Tower) -> Tower:
    """conv → ReLU → LRN, as the paper has it (section 3.3)."""
    return _move_lrns(tower, before=False)


def with_lrn_across_towers(tower: Tower, towers: int) -> Tower:
    """LRN over the maps of all towers, which meet before each one and part again behind it, as in
    Caffe's net. One that stands first in its stage reads the maps of all towers already."""
    _expect_no_other_kind(tower)
    stages = []
    for stage in tower:
        stages.append(stage[:1])
        for layer in stage[1:]:
            if isinstance(layer, LocalResponseNorm):
                stages.append([layer, OwnMaps(towers, layer.name.replace("lrn", "own"))])
            else:
                stages[-1].append(layer)
    return stages


def _move_lrns(tower: Tower, before: bool) -> Tower:
    _expect_no_other_kind(tower)
    return [_move_lrns_of(stage, before) for stage in tower]


def _expect_no_other_kind(tower: Tower) -> None:
    """UserError where there is a normalisation, but none across maps."""
    kinds = {type(layer) for stage in tower for layer in stage}
    if SpatialResponseNorm in kinds and LocalResponseNorm not in kinds:
        raise UserError("--lrn: this preset normalises only within its maps, after the pooling",
                        "choose another preset, or --lrn none.")


def _move_lrns_of(stage: list[Layer], before: bool) -> list[Layer]:
    """Each LRN next to the unit (ReLU or tanh) that is between the same two layers with weights."""
    moved = list(stage)
    for lrn in [layer for layer in stage if isinstance(layer, LocalResponseNorm)]:
        weighted = [i for i, layer in enumerate(moved) if isinstance(layer, Weighted)]
        at = moved.index(lrn)
        first = max((i for i in weighted if i < at), default=0)
        last = min((i for i in weighted if i > at), default=len(moved))
        unit = next((layer for layer in moved[first:last] if isinstance(layer, Activation)), None)
        if unit is None:
            raise UserError(f"--lrn: {lrn.name} of this preset reads the maps of all towers, and "
                            "cannot move before its ReLU", "choose another preset, or --lrn none.")
        moved.remove(lrn)
        moved.insert(moved.index(unit) + (not before), lrn)
    return moved


def with_pooling_side_by_side(tower: Tower) -> Tower:
    """2×2 windows that do not overlap instead of 3×3 that do (section 3.4)."""
    return [[MaxPool2D(2, 2, ties=layer.ties, name=layer.name) if isinstance(layer, MaxPool2D)
             else layer for layer in stage] for stage in tower]


def without_layer(tower: Tower, name: str) -> Tower:
    """A middle layer less (section 7): its weights, its unit, and what normalises or drops it.

    Pooling stays, so that the layers after it see maps of the same size. UserError where the tower
    has no such layer.
    """
    if not any(layer.name == name for stage in tower for layer in stage):
        raise UserError(f"--without {name}: this network has no such layer",
                        "python -m tinyalex.summary lists the layers of a preset.")
    left, gone = [], False
    for stage in tower:
        kept = []
        for layer in stage:
            if isinstance(layer, Weighted):
                gone = layer.name == name
            follows = isinstance(
                layer, Activation | LocalResponseNorm | SpatialResponseNorm | Dropout)
            if not (gone and (follows or isinstance(layer, Weighted))):
                kept.append(layer)
        left.append(kept)
    return [stage for stage in left if stage]


def refit(tower: Tower, side: int, towers: int) -> Tower:
    """The same tower, with every layer with weights fitted to what it now reads."""
    shape: tuple[int, ...] = side, side, 3
    for s, stage in enumerate(tower):
        if s:
            shape = (*shape[:-1], towers * shape[-1])
        for layer in stage:
            if isinstance(layer, Weighted):
                layer.fit_to(shape)
            shape = layer.output_shape(shape)
    return tower


# What may be asked for, by flag. LRN across towers has to know how many there are: see `edit`.
CHOICES: dict[str, dict[str, Change | None]] = {
    "activation": {"relu": None, "tanh": with_tanh},
    "lrn": {"none": without_normalisation, "before": with_lrn_before_the_unit,
            "after": with_lrn_after_the_unit, "across": None},
    "pool": {"3/2": None, "2/2": with_pooling_side_by_side},
    "without": {name: partial(without_layer, name=name) for name in MIDDLE},
}


def edit(activation: str | None = None, lrn: str | None = None, pool: str | None = None,
         without: str | None = None) -> Callable[[Tower, int, int], Tower] | None:
    """What `alexnet.build` calls with each tower, the pixels of a side of the pictures, and the
    number of towers. None where nothing is to be changed.

    Each is one of its CHOICES; `without` may be several, with commas between them, or "none".
    UserError for anything else.
    """
    less = () if without in (None, "", "none") else without.split(",")
    changes: list[Change] = []
    for flag, value in (("activation", activation), ("lrn", lrn), ("pool", pool),
                        *(("without", name) for name in less)):
        if value is None:
            continue
        if value not in CHOICES[flag]:
            raise UserError(f"--{flag} {value}: there is no such choice",
                            f"choose one of {', '.join(CHOICES[flag])}.")
        if change := CHOICES[flag][value]:
            changes.append(change)
    if not changes and lrn != "across":
        return None

    def apply(tower: Tower, side: int, towers: int) -> Tower:
        for change in changes:
            tower = change(tower)
        if lrn == "across" and towers > 1:
            tower = with_lrn_across_towers(tower, towers)
        return refit(tower, side, towers)

    return apply
