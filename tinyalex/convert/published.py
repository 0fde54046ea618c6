"""Other people's files, and ours for others, read as checkpoints or as a start for training."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyalex.convert import caffe, exported, safetensors, statedict
from tinyalex.convert.layout import Whole, read_array, wholes
from tinyalex.convert.networks import CAFFE, HEAD, TORCHVISION, Layers, Published
from tinyalex.data.dataset import MOST_CLASSES
from tinyalex.run import presets
from tinyalex.run.checkpoint import Checkpoint
from tinyalex.run.recipe import Recipe
from tinyalex.run.start import Start
from tinyalex.support import reading
from tinyalex.support.arrays import Stored, expect_finite
from tinyalex.support.errors import UserError
from tinyalex.support.files import expect_regular
from tinyalex.support.text import command, composed

SUFFIXES = (*caffe.SUFFIXES, *statedict.SUFFIXES)
SOMEWHERE = "imagenet"  # the data of a run that never took place


def is_checkpoint(path: Path) -> bool:
    """Whether it is one of ours, or someone else's. UserError where its name says neither."""
    expect_regular(path)
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: not a file that can be read here, judging by its name",
                        f"it should end in {', '.join(SUFFIXES)}.")
    return path.suffix == ".npz" and "tinyalex" in statedict.npz(path)


def start(path: Path, mean: Path | None = None, names: Path | None = None) -> Start:
    """What the file holds, as a network here has it. mean, names: files with the mean picture and
    the names of the classes.

    UserError where a file is damaged or does not fit, where the network is none of those above, and
    where weights have other shapes than its own, or are not finite.
    """
    published, layers = read(path)
    if published.recipe and (mean or names):
        raise UserError(f"--{'mean' if mean else 'classes'}: {path} has its own",
                        "leave the flag out.")
    recipe = published.recipe or _recipe(published.preset)
    known = classes(path, published, layers, names)
    values: dict[str, np.ndarray] = {}
    with np.errstate(all="ignore"):  # what is not finite is found below
        for whole in wholes(recipe.network(len(known or "ab"), draw=False), recipe.scale):
            if whole.name in layers:
                values |= whole.split(*_weights(path, published, whole, layers[whole.name]))
    expect_finite(path, values)
    return Start(published.about, recipe, mean_picture(published, mean), known, values)


def read(path: Path) -> tuple[Published, Layers]:
    """Which network a file holds, and its weights and biases by our names of the layers, which may
    lack those of HEAD.

    UserError where the file is damaged, or the network is none of those above.
    """
    if path.suffix in caffe.SUFFIXES:
        return _from_caffe(path, caffe.model(path))
    state, layers = statedict.load(path), {}
    if safetensors.ABOUT in state:
        return exported.read(path, state)
    for ours, theirs in TORCHVISION.layers.items():
        parts = f"{theirs}.weight", f"{theirs}.bias"
        missing = [name for name in parts if name not in state]
        if ours in HEAD and len(missing) == 2:
            continue
        if missing:
            raise UserError(f"{path}: there is no {missing[0]} in it, so it is not torchvision's "
                            "alexnet", f"it has {statedict.listed(state)}.")
        layers[ours] = state[parts[0]], state[parts[1]]
    return TORCHVISION, layers


def _from_caffe(path: Path, model: caffe.Model) -> tuple[Published, Layers]:
    order, name = model.layers, model.name or "a network"
    if ({"pool1", "norm1"} <= set(order) and "ip1" not in order
            and order.index("pool1") < order.index("norm1")):
        raise UserError(f"{path}: {name} that pools before it normalises (CaffeNet?)",
                        "of Caffe's AlexNets, bvlc_alexnet is the one to use.")
    for published in CAFFE:
        if model.blobs.keys() == set(published.layers.values()):
            break
    else:
        known = " or ".join(f"{p.about} ({', '.join(p.layers)})" for p in CAFFE)
        raise UserError(f"{path}: {name} whose layers with weights are "
                        f"{statedict.listed(model.blobs)}", f"this reads {known}.")
    for theirs, blobs in model.blobs.items():
        if len(blobs) != 2:
            raise UserError(f"{path}: {theirs} has {len(blobs)} blobs, not weights and biases",
                            "download it again.")
    return published, {ours: (model.blobs[theirs][0], model.blobs[theirs][1])
                       for ours, theirs in published.layers.items()}


def to_checkpoint(path: Path, start: Start) -> Checkpoint:
    """The checkpoint of the network in this file; UserError where it lacks some of its layers."""
    lacking = [whole.name for whole in wholes(start.recipe.network(2, draw=False), 1)
               if f"{whole.parts[0].name}.W" not in start.values]
    if lacking or start.classes is None:
        raise UserError(f"{path}: {start.about} without {', '.join(lacking)}, so it cannot tell "
                        "classes apart", "train what is missing: "
                        f"{command('train', '--from', path, '--data', 'FOLDER')}")
    about = {"preset": start.recipe.preset, "classes": [*start.classes],
             "settings": start.recipe.settings(), "converted_from": path.name}
    return Checkpoint(about, start.mean, start.values)


def _weights(path: Path, published: Published, whole: Whole,
             stored: tuple[Stored, Stored]) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of one layer, for RGB pictures from 0 to 255."""
    theirs = published.layers[whole.name]
    W = read_array(path, f"the weights of {theirs}", stored[0], whole.shape)
    b = read_array(path, f"the biases of {theirs}", stored[1], whole.shape[:1])
    if whole.name == "conv1" and published.bgr:
        W = W[:, ::-1]
    if whole.name == "conv1" and published.std:
        W = W / np.array(published.std, np.float32)[:, None, None]
    return W, b


def classes(path: Path, published: Published, layers: Layers,
            names_file: Path | None) -> tuple[str, ...] | None:
    """The names of the classes: from the file, or as published, or numbers; None without the last
    layer. UserError where it tells no classes apart, or the file does not fit."""
    last = [*published.layers][-1]
    if published.recipe:
        return published.classes
    if last not in layers:
        return None
    biases = layers[last][1].shape
    count = biases[-1] if biases else 0
    if not 2 <= count <= MOST_CLASSES:
        raise UserError(f"{path}: {count:,} biases in {published.layers[last]}, one for each class",
                        "2 or more are needed.")
    if names_file is not None:
        return class_names(names_file, count)
    if published.classes and len(published.classes) == count:
        return published.classes
    return tuple(map(str, range(count)))


def mean_picture(published: Published, path: Path | None) -> np.ndarray:
    """(S, S, 3) float32, RGB: the mean picture in the file, or the published mean everywhere."""
    if isinstance(published.mean, np.ndarray):
        return published.mean
    side = presets.get(published.preset).picture
    if path is None:
        return np.broadcast_to(np.array(published.mean, np.float32), (side, side, 3))
    if published.std:
        raise UserError(f"--mean {path}: {published.about} has no mean picture",
                        "leave the flag out: its mean is known.")
    mean = caffe.mean(path).transpose(1, 2, 0)[..., :: -1 if published.bgr else 1]
    if mean.shape != (side, side, 3):
        raise UserError(f"{path}: a mean picture of {mean.shape[1]}×{mean.shape[0]} pixels; "
                        f"{published.about} has one of {side}×{side}",
                        "use the .binaryproto that belongs to the network.")
    expect_finite(path, {"the mean picture": mean})
    return np.ascontiguousarray(mean, np.float32)


def _recipe(name: str) -> Recipe:
    """The recipe of a run of this preset that never took place."""
    recipe = presets.get(name)
    return replace(recipe, data=recipe.data or SOMEWHERE)


def class_names(path: Path, count: int) -> tuple[str, ...]:
    """The names of the classes in a text file, one a line: of lines that begin with a WNID
    (n01440764 tench, Tinca tinca) the WNID, as the class folders of ImageNet are called, else the
    whole line. UserError where there are not as many as classes, or not all are different."""
    try:
        lines = filter(None, map(str.strip, composed(reading.text(path)).splitlines()))
    except UnicodeDecodeError as error:
        raise UserError(f"--classes {path}: no text ({error})", "name a text file.") from None
    names = [re.sub(r"^(n\d{8})\s.*", r"\1", line) for line in lines]
    if len(names) != count:
        raise UserError(f"--classes {path}: {len(names):,} names for {count:,} classes",
                        "give a line for each class, in the order of the network's scores.")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise UserError(f"--classes {path}: two classes are called {twice[0]!r}",
                        "names must differ: they say which class is which.")
    return tuple(names)
