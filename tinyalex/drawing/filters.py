"""The kernels of the first layer: figure 3 of the paper, and how much they care about colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyalex.drawing import page
from tinyalex.drawing.page import COLOURS, LINE, MARGIN, QUIET
from tinyalex.inside.colour import NOISE, colour_specificity, tower_specificity
from tinyalex.support.errors import UserError

ACROSS = 16  # kernels in a row, as in figure 3 of the paper
FAINT = 0.25  # of the strongest kernel's peak: weaker kernels are not stretched to full contrast


def filter_grid(kernels: np.ndarray, columns: int = ACROSS,
                loudest: float | None = None) -> np.ndarray:
    """Lay kernels out as one picture, `columns` a row, white lines one pixel wide around them.

    kernels, loudest: see `kernel_pictures`. Returns (rows·(KH + 1) + 1, columns·(KW + 1) + 1, 3)
    float64 in 0..1, with rows = F / columns rounded up; places left over are white.
    """
    return page.tiled(kernel_pictures(kernels, loudest), columns, white=1)


def kernel_pictures(kernels: np.ndarray, loudest: float | None = None) -> np.ndarray:
    """Kernels (KH, KW, 3, F) as pictures (F, KH, KW, 3), float64 in 0..1.

    Zero is mid-grey. Each kernel is scaled by its own peak max|W|, the same for its three colours,
    so that the structure of weak kernels shows as well as that of strong ones. But a kernel whose
    peak is below a quarter of `loudest` (the peak of the strongest, if not given) is scaled as if
    it had that quarter: stretched further, the noise of one that never learned would look like
    a pattern. Numbers that are not finite are drawn as zeros.
    """
    kernels = np.where(np.isfinite(kernels), kernels, 0).astype(np.float64)
    peaks = np.abs(kernels).max(axis=(0, 1, 2))
    scale = np.maximum(peaks, FAINT * (peaks.max() if loudest is None else loudest))
    return np.moveaxis(0.5 + 0.5 * kernels / np.where(scale > 0, scale, 1), -1, 0)


@page.our_style()
def filters(kernels: dict[str, np.ndarray], path: str | Path, title: str = "") -> None:
    """Draw the kernels of the first layer: figure 3 of the paper.

    kernels: by tower, (KH, KW, 3, F); {"a": …, "b": …}, drawn one above the other in this order,
        or {"": …} for a net of one tower. See filter_grid for the scaling; what counts as faint
        is judged across the towers, so that they can be compared.
    path: the PNG to write, about 1000 pixels wide; each weight becomes a square of whole pixels.

    Above each tower is its colour specificity, see colour.py.

    Raises UserError for kernels that do not read three colours.
    """
    for name, array in kernels.items():
        if array.ndim != 4 or array.shape[2] != 3 or array.size == 0:
            raise UserError(f"first-layer kernels {name or '(one tower)'} have shape {array.shape}",
                            "only (KH, KW, 3, F) can be drawn as colours: pass W of conv1.")
    loudest = max(np.abs(a[np.isfinite(a)]).max(initial=0) for a in kernels.values())
    framed = [filter_grid(array, loudest=loudest) for array in kernels.values()]
    grids = [page.magnified(grid[1:-1, 1:-1], 1000) for grid in framed]  # the page is the frame
    labels = [_tower_label(*item) for item in kernels.items()]
    tall = sum(g.shape[0] + MARGIN for g in grids) + LINE * sum(map(bool, [title, *labels]))
    figure = page.figure(max(g.shape[1] for g in grids) + 2 * MARGIN, tall + MARGIN)
    y = MARGIN
    if title:
        page.write(figure, title, MARGIN, y - 6, fontsize=11)
        y += LINE
    for grid, label in zip(grids, labels, strict=True):
        if label:
            page.write(figure, label, MARGIN, y, fontsize=9, color=QUIET)
            y += LINE
        page.paste(figure, grid, MARGIN, y)
        y += grid.shape[0] + MARGIN
    page.save(figure, path)


def _tower_label(name: str, kernels: np.ndarray) -> str:
    broken = np.count_nonzero(~np.isfinite(kernels))
    parts = [f"tower {name}"] if name else []
    if broken:
        parts.append(f"weights that are not finite: {broken}")
    elif kernels.any():
        parts.append(f"colour specificity {tower_specificity(kernels):.2f}")
    return "; ".join(parts)


@page.our_style()
def colours(rows: list[dict], kernels: dict[str, np.ndarray], path: str | Path,
            title: str = "") -> None:
    """Draw how much the towers care about colour, over training and kernel by kernel (section 6.1).

    rows: of log.csv, of which `epoch`, `colour_a`, `colour_b`, … are drawn where they are there.
    kernels: by tower, as `filters` takes them. path: the PNG to write, about 1200×500 pixels.

    A dashed line shows what kernels drawn at random have.
    """
    figure = page.figure(1200, 500, layout="constrained")
    figure.suptitle(page.line(title), parse_math=False)
    history, ranking = figure.subplots(1, 2)
    for (tower, array), colour in zip(kernels.items(), COLOURS, strict=False):
        label, key = f"tower {tower}" if tower else "kernels", f"colour_{tower or 'a'}"
        known = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
        if known:
            history.plot(*zip(*known, strict=True), color=colour, linewidth=1.6, label=label)
        ranking.plot(np.sort(colour_specificity(array)), ".-", color=colour, label=label,
                     linewidth=0.8)
    for axes in (history, ranking):
        axes.axhline(NOISE, color=QUIET, linestyle="--", linewidth=1.2, label="noise: 2/3")
        page.plain(axes, ylim=(0, 1), ylabel="colour specificity")
        axes.legend(frameon=False)
    history.set(xlabel="epoch", title="of each tower, over training")
    ranking.set(xlabel="kernels, sorted", title="of each kernel, at the end")
    page.save(figure, path)
