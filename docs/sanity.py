"""python docs/sanity.py RUN PICTURE …: whether saliency looks at the network, or at the picture.

Adebayo et al. (2018): randomise the weights of a trained network layer by layer, from the scores
down, and look at what each method draws for the same picture and class. A method that explains what
the network has learned must draw something else. Writes look-sanity.png beside this file, and
prints its numbers.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

from tinyalex import freezing
from tinyalex.data import gallery
from tinyalex.drawing import heat
from tinyalex.inside.backwards import RULES
from tinyalex.inside.saliency import grad_cam, pixel_gradient
from tinyalex.run import opened

HERE = Path(__file__).parent
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
EDGES = "edges of the picture"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with opened.open_network(args.run, "cpu") as net:
        shown = gallery.gather(args.pictures, net.side)
        x = np.concatenate([*net.batches(shown, "reading")])
        labels = net.network.forward(x).argmax(axis=1)
        crops = [net.centre(shown[i]) for i in range(len(shown))]
        stages = {"trained": saliencies(net.network, x, labels)}
        for name in randomised(net.network, np.random.default_rng(args.seed)):
            stages[f"… {name}"] = saliencies(net.network, x, labels)
    agreement = agreements(stages)
    agreement[EDGES] = [np.mean([rank_correlation(edges(crop), saliency) for crop, saliency in
                                 zip(crops, stages["trained"]["guided"], strict=True)])]
    print(table([*stages], agreement))
    draw(crops[0], {stage: {method: maps[0] for method, maps in methods.items()}
                    for stage, methods in stages.items()}, agreement)


def saliencies(network, x, labels) -> dict[str, np.ndarray]:
    """What each method draws of each picture, (N, H, W): how much a pixel counts, either way."""
    pairs = [(x[n : n + 1], int(label)) for n, label in enumerate(labels)]
    pixels = {rule: np.stack([np.abs(pixel_gradient(network, *pair, rule)).max(axis=2)
                              for pair in pairs]) for rule in RULES}
    return pixels | {"Grad-CAM": np.stack([grad_cam(network, *pair) for pair in pairs])}


def randomised(network, rng):
    """Shuffle the weights of one layer after the other, from the scores down, and the biases: the
    same numbers, in an order that means nothing. Gives each layer's name when that is done; those
    above it stay shuffled."""
    for name in reversed(freezing.names(network)):
        for layer in freezing.layers_called(network, name):
            for value in layer.params.values():
                flat = layer.device.get(value).ravel()
                layer.device.put_into(value, rng.permutation(flat).reshape(value.shape))
        yield name


def agreements(stages) -> dict[str, list[float]]:
    """For each method, stage by stage, the rank correlation of what it draws with what it drew of
    the trained network, on average over the pictures."""
    trained = next(iter(stages.values()))
    return {method: [np.mean([*map(rank_correlation, before, stage[method])])
                     for stage in stages.values()] for method, before in trained.items()}


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's: 1 where both put all pixels in the same order, 0 where the orders have nothing to
    do with each other; 0 too where one of them has only equal numbers."""
    ra, rb = (ranks(values) - (values.size - 1) / 2 for values in (a, b))
    return float((ra * rb).sum() / (np.sqrt((ra**2).sum() * (rb**2).sum()) or 1))


def ranks(values: np.ndarray) -> np.ndarray:
    """The places of numbers in their order, from 0; equal ones share the mean of theirs."""
    _, which, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[which.ravel()]


def edges(crop: np.ndarray) -> np.ndarray:
    """How much each pixel of (H, W, 3) differs from its neighbours: an edge detector, which has
    never seen a network."""
    down, right = np.gradient(crop.astype(np.float64).mean(axis=2))
    return np.hypot(down, right)


def table(stages: list[str], agreement: dict[str, list[float]]) -> str:
    rows = ["| weights shuffled | " + " | ".join(stages) + " |",
            "| --- |" + " ---: |" * len(stages)]
    rows += [f"| {method} | " + " | ".join(f"{value:.2f}" for value in values) + " |"
             for method, values in agreement.items() if len(values) == len(stages)]
    return "\n".join([*rows, "", f"guided, trained, with the edges: {agreement[EDGES][0]:.2f}"])


def draw(crop, stages, agreement) -> None:
    """The first picture: a row for each method, a column for each stage; below, the numbers."""
    methods = [*next(iter(stages.values()))]
    figure = plt.figure(figsize=(9.4, 7.0), layout="constrained")
    grid = figure.add_gridspec(len(methods) + 1, len(stages) + 1,
                               height_ratios=[1] * len(methods) + [2])
    bare(figure.add_subplot(grid[0, 0]), "the picture").imshow(crop)
    for row, method in enumerate(methods):
        for column, (stage, maps) in enumerate(stages.items(), 1):
            ax = bare(figure.add_subplot(grid[row, column]), stage if row == 0 else "")
            values = maps[method]
            ax.imshow(heat(np.minimum(values, np.quantile(values, 0.995))),
                      interpolation="bilinear")
            if column == 1:
                ax.set_ylabel(method)
    ax = figure.add_subplot(grid[-1, :])
    for method, colour in zip(methods, COLOURS, strict=True):
        ax.plot([*stages], agreement[method], "o-", color=colour, label=method)
    ax.axhline(agreement[EDGES][0], color="#666666", linestyle="--", linewidth=1,
               label="guided, trained, with an edge detector")
    ax.set(ylim=(-0.1, 1.05), ylabel="rank correlation with\nthe trained network's",
           xlabel="weights shuffled from the scores down to this layer")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(HERE / "look-sanity.png", dpi=110)


def bare(ax, title):
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=9)
    return ax


if __name__ == "__main__":
    main()
