"""Which classes are confused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyalex.drawing import page
from tinyalex.support.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@page.our_style()
def confusion(matrix: np.ndarray, classes: Sequence[str], path: str | Path,
              title: str = "") -> None:
    """Draw which classes are confused: a row a true class, a column a predicted one.

    matrix: (K, K) counts, [true, predicted]. classes: K names.
    path: the PNG to write, at most about 1400 pixels wide and high.

    Colour is the share of the row's pictures, in percent, on a square-root scale, which lets rare
    confusions show; a class without pictures is a grey row. Up to 20 classes each cell also shows
    its count (zeros are left out); beyond 60 the axes give the numbers of the classes, not names.

    Raises UserError if matrix and classes do not fit together.
    """
    from matplotlib.colors import PowerNorm

    matrix, K = np.asarray(matrix), len(classes)
    if K == 0 or matrix.shape != (K, K):
        raise UserError(f"a confusion matrix of shape {matrix.shape} for {K} classes",
                        "pass (K, K) counts and the K names of the classes.")
    totals = matrix.sum(axis=1, keepdims=True)
    percent = np.full((K, K), np.nan)
    np.divide(100 * matrix, totals, out=percent, where=totals > 0)
    side = min(560 + 40 * K, 1300)
    figure = page.figure(side + 100, side, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("#DDDDDD")
    image = axes.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, 0, 100))
    bar = figure.colorbar(image, ax=axes, ticks=[0, 1, 5, 10, 25, 50, 75, 100], shrink=0.8)
    bar.set_label("share of the true class (%)")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(page.line(title), parse_math=False)
    if K <= 60:
        _name_classes(axes, classes)
    if K <= 20:
        _write_counts(axes, matrix, percent)
    page.save(figure, path)


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    names = [name if len(name) <= 20 else name[:19] + "…" for name in map(page.line, classes)]
    size = 10 if len(names) <= 20 else 7
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor",
                    fontsize=size, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)


def _write_counts(axes: Axes, matrix: np.ndarray, percent: np.ndarray) -> None:
    for true, predicted in np.argwhere(matrix):
        axes.text(predicted, true, matrix[true, predicted], ha="center", va="center",
                  fontsize=10 if len(matrix) <= 10 else 8,
                  color="white" if percent[true, predicted] > 45 else "black")
