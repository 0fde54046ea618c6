"""The kernels of the first layer, the only ones that read colours, and what they care about.

Section 6.1 of the paper: one of its two towers came out with kernels that hardly see colour, the
other with kernels that see little else, in every run.
"""

from math import sqrt

import numpy as np

from tinyalex.network import Network

GREY = np.full(3, 1 / sqrt(3))  # the direction in which red, green and blue change alike
NOISE = 2 / 3  # the specificity of kernels drawn at random: two of three directions are not grey


def first_kernels(network: Network) -> dict[str, np.ndarray]:
    """The kernels (KH, KW, C, F) of the first layer by tower: {"a": …, "b": …} or {"": …}."""
    return {network.letter(t): tower[0].device.get(tower[0].params["W"])
            for t, tower in enumerate(network.stages[0])}


def colour_specificity(kernels: np.ndarray) -> np.ndarray:
    """For each kernel the share of its energy that is off the grey axis.

    kernels: (KH, KW, 3, F). Returns (F,) float64, 0 to 1; NaN for a kernel of zeros.

    At each place a kernel has a weight for red, green and blue, a vector w. With g = (1, 1, 1)/√3,
    its part along grey is (w·g)g; a grey picture cannot excite the rest. So the share is

        the sum over places of |w - (w·g)g|² / the sum over places of |w|²

    0: the kernel sees light and dark only. 1: it sees colour only, such as red against green. One
    that sees only red has 2/3, and so has noise, on average.
    """
    off, whole = _energies(kernels)
    with np.errstate(invalid="ignore"):
        return off / whole


def tower_specificity(kernels: np.ndarray) -> float:
    """The same for all kernels of a tower as one: each counts by its energy, so that those which
    hardly learned anything hardly matter."""
    off, whole = _energies(kernels)
    return float(off.sum() / whole.sum()) if whole.any() else float("nan")


def _energies(kernels):
    """Of each kernel the energy off the grey axis, and all of it."""
    kernels = kernels.astype(np.float64)
    along = np.tensordot(kernels, GREY, axes=(2, 0))
    rest = kernels - along[:, :, None] * GREY[:, None]
    return (rest**2).sum(axis=(0, 1, 2)), (kernels**2).sum(axis=(0, 1, 2))


def log_columns(network: Network) -> dict[str, float]:
    """What log.csv keeps of it: {"colour_a": …, "colour_b": …}; of one tower it is colour_a."""
    return {f"colour_{letter or 'a'}": round(tower_specificity(kernels), 6)
            for letter, kernels in first_kernels(network).items()}
