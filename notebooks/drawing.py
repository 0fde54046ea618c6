"""What the notebooks draw with, so that their pages hold the lesson and not its pictures.

Colours are those of tinyalex.drawing, told apart by colour-blind readers too: blue is tower a (or
training), orange tower b (or validation). Every function draws into the axes that it is given, or
makes a figure of its own.
"""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyBboxPatch, Rectangle

from tinyalex.drawing import filter_grid

BLUE, ORANGE, GREEN, PINK, QUIET = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, "white", ORANGE])  # − white +


def setup(dpi: float = 90):
    """Plain figures that are readable on a white page, light in bytes."""
    plt.rcParams.update({
        "figure.dpi": dpi, "savefig.facecolor": "white", "figure.facecolor": "white",
        "font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "legend.fontsize": 8.5,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False,
        "grid.color": "#E5E5E5", "legend.frameon": False, "image.interpolation": "nearest",
        "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PINK, QUIET]),
    })


def show(alt: str):
    """Shows the figure and forgets it; `alt` says it in words, to those who do not see pictures."""
    try:
        from IPython.display import display
    except ModuleNotFoundError:  # outside of notebooks
        plt.show()
    else:
        display(plt.gcf(), metadata={"image/png": {"alt": alt}})
    plt.close()


def sliders(draw: Callable[..., None], **ranges: tuple[float, float, float]):
    """draw() with a slider for each of its arguments, from low to high in steps, which begins at
    the argument's default. Where ipywidgets is not installed, one picture with the defaults."""
    try:
        from ipywidgets import interact
    except ModuleNotFoundError:
        draw()
    else:
        interact(draw, **ranges)


def bare(*axes: Axes):
    """No ticks and no frame: for pictures."""
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)


def pictures(images: Sequence, titles: Sequence[str] = (), columns: int = 8, size: float = 1.25,
             colours: Sequence[str] = (), **options):
    """Pictures (H, W, 3) or maps (H, W), row by row, each with its title; options: of imshow."""
    across = min(columns, len(images))
    down = -(-len(images) // across)
    lines = max([title.count("\n") + 1 for title in titles], default=0)
    figure, axes = plt.subplots(down, across, squeeze=False, layout="constrained",
                                figsize=(across * size, down * (size + 0.17 * lines)))
    for i, ax in enumerate(axes.flat):
        bare(ax)
        if i < len(images):
            ax.imshow(images[i], **options)
        if i < len(titles):
            ax.set_title(titles[i], fontsize=min(8.5, 6.5 * size),
                         color=colours[i] if colours else "black")
    named = ", ".join(titles).replace("\n", " ")
    count = f"{len(images)} pictures" if len(images) > 1 else "A picture"
    show(f"{count}: {named}" if named else count)


def maps(y: np.ndarray, columns: int = 8, **options) -> np.ndarray:
    """Maps (H, W, C) as one picture, `columns` a row, a white line between them."""
    H, W, C = y.shape
    sheet = np.full((-(-C // columns) * (H + 1) - 1, min(columns, C) * (W + 1) - 1), np.nan)
    for c in range(C):
        top, left = c // columns * (H + 1), c % columns * (W + 1)
        sheet[top:top + H, left:left + W] = y[..., c]
    return sheet


def cells(ax: Axes, array: np.ndarray, colours: np.ndarray | None = None, form: str = "{:g}",
          title: str = "", cmap="viridis", fontsize: float = 8, **options):
    """A matrix as a table of coloured cells, the number in each. colours: what decides the colour,
    the numbers themselves if not given; cells that are NaN there stay white."""
    shade = array if colours is None else colours
    image = ax.imshow(np.asarray(shade, float), cmap=cmap, **options)
    for (row, column), value in np.ndenumerate(array):
        if form:
            level = image.norm(shade[row, column])
            red, green, blue, _ = image.cmap(0.0 if np.ma.is_masked(level) else float(level))
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 and np.isfinite(shade[row, column])
            ax.text(column, row, form.format(value), ha="center", va="center", fontsize=fontsize,
                    color="white" if dark else "black")
    ax.set_title(title)
    lines_between(ax, array.shape)


def lines_between(ax: Axes, shape: tuple[int, int]):
    """White lines between the cells of a picture of this shape, and no ticks."""
    bare(ax)
    ax.set_xticks(np.arange(shape[1] + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(shape[0] + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1)
    ax.tick_params(which="minor", length=0)


def window(ax: Axes, top: float, left: float, height: float, width: float, colour: str = ORANGE,
           **options):
    """A frame around the pixels of a window."""
    ax.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour,
                           **{"linewidth": 2.5, **options}))


def box(ax: Axes, x: float, y: float, width: float, height: float, text: str, colour: str,
        fontsize: float = 7.5):
    """A rounded box with its middle at (x, y), and a text in it."""
    ax.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, facecolor=colour,
                                edgecolor="white", boxstyle="round,pad=0,rounding_size=0.08",
                                alpha=0.9))
    ax.text(x, y, text, ha="center", va="center", color="white", fontsize=fontsize)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = QUIET,
          **options):
    """From start to end."""
    ax.annotate("", end, start, arrowprops={
        "arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0, "linewidth": 1,
        **options})


def first_kernels(network):
    """The kernels of each tower's first layer, a row each, all on one scale."""
    layers = [tower[0] for tower in network.stages[0]]
    loudest = max(abs(layer.params["W"]).max() for layer in layers)
    figure, axes = plt.subplots(len(layers), 1, figsize=(9, 2.1), layout="constrained")
    bare(*axes)
    for ax, layer, colour in zip(axes, layers, (BLUE, ORANGE), strict=True):
        ax.imshow(filter_grid(layer.params["W"], loudest=loudest))
        ax.set_ylabel(layer.name, color=colour)
    show("The first kernels of tower a and of tower b, a row each.")


def guesses(images: Sequence, p: np.ndarray, labels: np.ndarray, classes: Sequence[str]):
    """Pictures, and under each the five likeliest of its p (N, K): green if the first is the label,
    orange if another one is."""
    figure, axes = plt.subplots(2, len(images), figsize=(10, 3), layout="constrained",
                                height_ratios=[1.2, 1])
    for (above, below), image, row, label in zip(axes.T, images, p, labels, strict=True):
        bare(above)
        above.imshow(image)
        above.set_title(classes[label], fontsize=8)
        for place, k in enumerate(row.argsort()[::-1][:5]):
            colour = "#A9C9DE" if k != label else ORANGE if place else GREEN
            below.barh(place, row[k], color=colour)
            below.text(0.03, place, classes[k], fontsize=6.5, va="center")
        below.set(xlim=(0, 1), ylim=(4.5, -0.5), xticks=[], yticks=[])
    show("Pictures with their five likeliest classes as bars: " + ", ".join(
        f"{classes[label]} taken for {classes[row.argmax()]}"
        for row, label in zip(p, labels, strict=True)))


def towers(network):
    """The layers with weights of a network of two towers, from the picture to the classes, and the
    arrows between them: black where maps cross from one device to the other."""
    figure, ax = plt.subplots(figsize=(10, 3.6), layout="constrained")
    stages = [[[layer for layer in tower if layer.params] for tower in stage]
              for stage in network.stages]
    last, column = {}, 1
    box(ax, 0, 0, 0.98, 0.9, "picture\n" + "×".join(map(str, network.input_shape)), QUIET, 7)
    for s, stage in enumerate(stages):
        for depth in range(len(stage[0])):
            for t, (tower, y, colour) in enumerate(zip(stage, (1, -1), (BLUE, ORANGE),
                                                       strict=True)):
                layer = tower[depth]
                out = "×".join(map(str, network.shapes[layer][1]))
                kernel = "×".join(map(str, layer.W_shape[:-1]))
                box(ax, 1.25 * column, y, 1.0, 1.0, f"{layer.name}\n{kernel}\n→ {out}", colour, 7)
                for reader, start in last.items() if last else ((t, (0.49, 0)),):
                    crosses = reader != t
                    if not crosses or depth == 0:
                        arrow(ax, start, (1.25 * column - 0.5, y),
                              "black" if crosses else "#999999", linewidth=1.6 if crosses else 1)
            last = {t: (1.25 * column + 0.5, y) for t, y in enumerate((1, -1))}
            column += 1
        if s + 1 < len(stages):
            ax.axvline(1.25 * (column - 0.5), color="#DDDDDD", linestyle=":", zorder=0)
    ax.text(0, 1.35, "device 0: tower a", color=BLUE, ha="center", fontsize=8)
    ax.text(0, -1.45, "device 1: tower b", color=ORANGE, ha="center", fontsize=8)
    ax.set(xlim=(-0.8, 1.25 * column - 0.6), ylim=(-1.7, 1.7))
    bare(ax)
    show("The layers of both towers, from the picture to the classes. Arrows cross from tower to "
         "tower where a layer reads both.")
