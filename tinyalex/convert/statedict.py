"""What PyTorch calls a state_dict, arrays by the names of a module's parts, in any of its files."""

import pickle
import re
import warnings
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.convert import safetensors
from tinyalex.convert.safetensors import ABOUT
from tinyalex.support import arrays
from tinyalex.support.arrays import Damaged, Stored, contents
from tinyalex.support.errors import UserError

SUFFIXES = (".safetensors", ".npz", ".pth", ".pt", ".tar", ".ckpt")  # .pth.tar, that is
BESIDE = ("state_dict", "model_state_dict", "model")  # its name beside an optimiser, the epoch, …
# What wraps a module adds to its names: DataParallel, torch.compile; and Lightning, in front.
_WRAPPERS = re.compile(r"^model\.|(?<![^.])(module|_orig_mod)\.")


def load(path: Path) -> dict[str, Stored]:
    """The arrays of a .safetensors, .npz or .pth file, by name; ABOUT is a text. UserError where
    there is none, or it is damaged; or for a .pth, which only PyTorch reads, where PyTorch is not
    installed."""
    load = {".safetensors": safetensors.load, ".npz": npz}.get(path.suffix, _pth)
    return {_WRAPPERS.sub("", name): stored for name, stored in load(path).items()}


def listed(names: Iterable[str]) -> str:
    """Names for a message, the first of them if they are many."""
    quoted = [*map(repr, names)]
    return f"{', '.join(quoted[:8])}{', …' * (len(quoted) > 8)}" or "none"


def npz(path: Path) -> dict[str, Stored]:
    """The arrays of an .npz file by name. UserError where there is none, or it is damaged."""
    try:
        return arrays.npz(path)
    except Damaged as error:
        raise UserError(f"{path}: not an .npz file of plain arrays, or a damaged one ({error})",
                        "write it again, with np.savez, or download it again.") from None


def _pth(path: Path) -> dict[str, Stored]:
    contents(path)
    try:
        import torch
    except ImportError:
        raise UserError(f"{path}: only PyTorch reads .pth files, and it is not installed",
                        "pip install torch, or save the weights as .safetensors or .npz where it "
                        "is installed.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
        inside = [state[key] for key in BESIDE if isinstance(state.get(key), dict)]
        state = (inside or [state])[0]
        found = {str(name): Stored(tuple(value.shape), partial(_numbers, value))
                 for name, value in state.items()
                 if isinstance(value, torch.Tensor)}
    except pickle.UnpicklingError:
        raise UserError(f"{path}: holds more than arrays, or is damaged",
                        "save nothing but the state_dict: torch.save(net.state_dict(), FILE).",
                        ) from None
    except Exception as error:  # PyTorch has no one exception for a damaged file
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: PyTorch cannot read it ({first})",
                        "download or save it again.") from None
    if not found:
        raise UserError(f"{path}: no named arrays, but {listed(map(str, state))}",
                        "save the state_dict alone, or under one of the names "
                        f"{', '.join(BESIDE)}.")
    return found


def _numbers(tensor: Any) -> np.ndarray:
    """The numbers of a PyTorch tensor, which may repeat a few of them endlessly: so it is unfolded
    only once its shape is known to be right."""
    try:
        tensor = tensor.detach().contiguous()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    except Exception as error:  # as in _pth
        raise Damaged(f"PyTorch cannot read it ({error})") from None


def save(path: Path, state: dict[str, np.ndarray], about: str) -> None:
    """Write a state_dict, as .safetensors or .npz, with a text about it."""
    if path.suffix == ".safetensors":
        safetensors.save(path, state, {ABOUT: about})
    else:
        arrays.save_npz(path, **state, **{ABOUT: np.array(about)})
