"""Networks of ours in files for PyTorch: written, and read again.

    conv1.weight, conv1.bias, …    of pictures from 0 to 255, RGB, minus the mean; towers joined
    mean                           (3, H, W), of what the network reads: a centre crop
    tinyalex_about                 JSON: what a checkpoint says, and the size of the mean picture

torchvision's alexnet has the names that it has there, for pictures that are divided by its standard
deviations as well, and no mean where that is torchvision's.
"""

import json
from pathlib import Path

import numpy as np

from tinyalex.convert import statedict
from tinyalex.convert.layout import read_array, wholes
from tinyalex.convert.networks import TORCHVISION, Layers, Published
from tinyalex.convert.safetensors import ABOUT
from tinyalex.data.pictures import centre
from tinyalex.network import Network
from tinyalex.run import checkpoint, formats
from tinyalex.run.opened import OpenedNetwork
from tinyalex.run.recipe import Recipe
from tinyalex.support.arrays import Damaged, Stored, expect_finite
from tinyalex.support.errors import UserError

MOST_MARGIN = 8  # how many times larger pictures are than what a network reads of them


def save(path: Path, trained: OpenedNetwork) -> str:
    """Write the network as a .safetensors or .npz file; returns which pixels it reads there."""
    network, recipe, state = trained.network, trained.recipe, dict[str, np.ndarray]()
    names, std = _names(network, recipe), _std(recipe)
    for whole in wholes(network, recipe.scale):
        W, b = whole.join()
        if whole.name == "conv1" and std:
            W *= np.array(std, np.float32)[:, None, None]
        state[f"{names[whole.name]}.weight"], state[f"{names[whole.name]}.bias"] = W, b
    mean, reads = centre(trained.mean, network.input_shape[0]), "0 to 255"
    if std and np.allclose(mean, TORCHVISION.mean):
        reads = "as torchvision's transforms give them"
    else:
        state["mean"] = np.ascontiguousarray(mean.transpose(2, 0, 1))
        if std:
            reads = f"(0 to 255, minus mean) / ({', '.join(f'{value:g}' for value in std)})"
    statedict.save(path, state, json.dumps({
        "tinyalex": formats.FORMAT, "preset": recipe.preset, "classes": trained.classes,
        "settings": recipe.settings(), "pictures": trained.mean.shape[:2]}))
    return reads


def read(path: Path, state: dict[str, Stored]) -> tuple[Published, Layers]:
    """What `save` wrote. The mean picture beyond the crop is lost: its edge is repeated there.
    UserError where the file is damaged, or another version's."""
    try:
        about = checkpoint.about({"about": state[ABOUT]})
        formats.expect_known(about.get("tinyalex"), path)
        recipe = Recipe.of(formats.whole(about["settings"], about["tinyalex"]), path)
        network = recipe.network(len(about["classes"]), draw=False)
        names = _names(network, recipe)
        layers = {ours: (state[f"{theirs}.weight"], state[f"{theirs}.bias"])
                  for ours, theirs in names.items()}
        mean = _mean(path, state, network.input_shape[0], about.get("pictures"), recipe)
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: not written by tinyalex, or damaged ({error})",
                        "write it again, from its checkpoint.") from None
    return Published(recipe.preset, "a network of tinyalex", names, mean, _std(recipe),
                     classes=tuple(about["classes"]), recipe=recipe), layers


def _std(recipe: Recipe) -> tuple[float, float, float] | None:
    """Torchvision's, if the recipe is of its alexnet, with nothing changed about it."""
    changed = recipe.activation, recipe.lrn, recipe.pool, recipe.without
    same = (recipe.architecture, recipe.towers) == ("torchvision", 1) and not any(changed)
    return TORCHVISION.std if same else None


def _names(network: Network, recipe: Recipe) -> dict[str, str]:
    """The names in the file, by our names of the layers."""
    theirs = TORCHVISION.layers if _std(recipe) else {}
    return {whole.name: theirs.get(whole.name, whole.name) for whole in wholes(network, 1)}


def _mean(path: Path, state: dict[str, Stored], side: int, pictures: object,
          recipe: Recipe) -> np.ndarray:
    match pictures:
        case [int(H), int(W)] if side <= min(H, W) and max(H, W) <= MOST_MARGIN * side:
            pass
        case _:
            raise Damaged(f"a mean picture of {pictures}, of which {side}×{side} are read")
    if "mean" not in state and _std(recipe):
        return np.broadcast_to(np.array(TORCHVISION.mean, np.float32), (H, W, 3))
    mean = read_array(path, "the mean", state["mean"], (3, side, side)).transpose(1, 2, 0)
    expect_finite(path, {"the mean": mean})
    (top, left) = ((size - side) // 2 for size in (H, W))
    return np.pad(mean, ((top, H - side - top), (left, W - side - left), (0, 0)), mode="edge")
