"""Every picture that a run leaves: learning curves, first-layer filters, confusions, samples.

Matplotlib by its objects alone: a Figure that nobody else knows of, drawn and written. Without
pyplot there is no display to find and no current figure to share, so any thread may draw. It is
imported when the first picture is drawn: a command that draws none does not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tinyalex.errors import UserError
from tinyalex.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DPI = 128  # a power of two: a size in pixels survives the way through inches and back
TRAIN, VALIDATION, QUIET = "#0072B2", "#D55E00", "#666666"  # told apart by colour-blind readers too
ACROSS = 16  # kernels in a row, as in figure 3 of the paper
FAINT = 0.25  # of the strongest kernel's peak: weaker kernels are not stretched to full contrast
MARGIN = 16  # pixels around and between the parts of a picture
LINE = 22  # pixels from one line of text to the next
CAPTION = 16  # the same, between the smaller lines of a caption


def curves(rows: list[dict], path: str | Path, title: str = "", classes: int | None = None) -> None:
    """Draw loss and error against epochs: figure 1 of the paper, with the loss beside it.

    rows: the rows of log.csv, in order; of each, `epoch` (2.25: a quarter through the third), `lr`,
        `train_loss`, `val_loss` (nats), `train_error`, `val_error`, `val_top5_error` (shares of
        0..1, drawn in percent). None, NaN and infinity stand for "not measured".
    path: the PNG to write, about 1200×500 pixels.
    classes: if given, a dashed line shows the loss of a net that knows nothing, ln(classes); with
        ten or fewer the top-5 error says little and is left out.

    A dotted line marks where the learning rate fell: at the last row with the old rate. Training
    error is taken with dropout and on augmented pictures, so it may well lie above validation.

    Raises UserError if there are no rows.
    """
    if not rows:
        raise UserError("there are no rows to draw curves of",
                        "train until the log has its first row.")
    figure = _figure(1200, 500, layout="constrained")
    figure.suptitle(title, parse_math=False)
    loss, error = figure.subplots(1, 2)
    # Rows inside an epoch give the mean since the row before; the last of an epoch that of all.
    validated = np.isfinite(_column(rows, "val_loss"))
    inside = [row for row, ended in zip(rows, validated, strict=True) if not ended]
    training = inside if len(inside) > 1 else rows
    _line(loss, training, "train_loss", TRAIN, "training")
    _line(loss, rows, "val_loss", VALIDATION, "validation")
    if classes:
        loss.axhline(log(classes), color=QUIET, linestyle="--", linewidth=1.2,
                     label=f"chance: ln {classes} = {log(classes):.2f}")
    _line(error, training, "train_error", TRAIN, "training", percent=True)
    _line(error, rows, "val_error", VALIDATION, "validation", percent=True)
    if classes is None or classes > 10:  # of ten classes five guesses hit half by chance
        _line(error, rows, "val_top5_error", VALIDATION, "validation, top 5", percent=True,
              style="--")
    _mark_best(error, rows)
    _finish(loss, rows, "loss (nats)")
    _finish(error, rows, "error (%)")
    _save(figure, path)


def _column(rows: list[dict], key: str) -> np.ndarray:
    values = np.array([row.get(key) for row in rows], dtype=float)  # None becomes NaN
    return np.where(np.isfinite(values), values, np.nan)


def _line(axes: Axes, rows: list[dict], key: str, colour: str, label: str, percent=False,
          style="-") -> None:
    values = _column(rows, key) * (100 if percent else 1)
    known = ~np.isnan(values)  # without the gaps between measurements, which would break the line
    if known.any():
        axes.plot(_column(rows, "epoch")[known], values[known], style, color=colour, label=label,
                  linewidth=1.6, marker="o" if known.sum() <= 30 else "", markersize=3.5)


def _mark_best(axes: Axes, rows: list[dict]) -> None:
    errors, epochs = 100 * _column(rows, "val_error"), _column(rows, "epoch")
    measured = np.flatnonzero(~np.isnan(errors))
    if measured.size:
        best, last = measured[errors[measured].argmin()], measured[-1]
        axes.plot(epochs[best], errors[best], "o", color="black", fillstyle="none", markersize=9,
                  label=f"best {errors[best]:.1f} %, epoch {epochs[best]:g}"
                        f" (last {errors[last]:.1f} %)")


def _finish(axes: Axes, rows: list[dict], name: str) -> None:
    end = max(1, np.nanmax(_column(rows, "epoch")))
    top = axes.dataLim.y1  # -inf where nothing was drawn
    axes.set(xlabel="epoch", ylabel=name, xlim=(0, 1.02 * end))
    axes.set_ylim(0, 1.06 * top if top > 0 else 1)
    axes.xaxis.get_major_locator().set_params(integer=end >= 5)
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    _mark_drops(axes, rows, room=0.13 * end)
    if not axes.get_legend_handles_labels()[0]:
        axes.text(0.5, 0.5, "no finite number", color=QUIET, ha="center", transform=axes.transAxes)
        return
    # Above the panel, where no curve can run through it, and above the learning rates.
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.05), ncols=2, frameon=False, fontsize=9,
                borderaxespad=0, columnspacing=1.2)


def _mark_drops(axes: Axes, rows: list[dict], room: float) -> None:
    """A dotted line at each fall of the learning rate, and the new rate above it where the last
    such label leaves room (in epochs)."""
    epochs, rates = _column(rows, "epoch"), _column(rows, "lr")
    labelled = -np.inf
    for i in np.flatnonzero(rates[1:] < rates[:-1]):
        axes.axvline(epochs[i], color=QUIET, linestyle=":", linewidth=1, zorder=1)
        if epochs[i] - labelled >= room:
            labelled = epochs[i]
            axes.text(epochs[i], 1.01, f"lr {rates[i + 1]:.3g}", color=QUIET, fontsize=8,
                      ha="center", va="bottom", transform=axes.get_xaxis_transform())


def filter_grid(kernels: np.ndarray, columns: int = ACROSS,
                loudest: float | None = None) -> np.ndarray:
    """Lay kernels out as one picture, `columns` a row, white lines one pixel wide around them.

    kernels: (KH, KW, 3, F). Returns (rows·(KH + 1) + 1, columns·(KW + 1) + 1, 3) float64 in 0..1,
    with rows = F / columns rounded up; places left over are white.

    Zero is mid-grey. Each kernel is scaled by its own peak max|W|, the same for its three colours,
    so that the structure of weak kernels shows as well as that of strong ones. But a kernel whose
    peak is below a quarter of `loudest` (the peak of the strongest, if not given) is scaled as if
    it had that quarter: stretched further, the noise of one that never learned would look like
    a pattern. Numbers that are not finite are drawn as zeros.
    """
    KH, KW, C, F = kernels.shape
    kernels = np.where(np.isfinite(kernels), kernels, 0).astype(np.float64)
    peaks = np.abs(kernels).max(axis=(0, 1, 2))
    scale = np.maximum(peaks, FAINT * (peaks.max() if loudest is None else loudest))
    pictures = 0.5 + 0.5 * kernels / np.where(scale > 0, scale, 1)
    grid = np.ones((-(-F // columns) * (KH + 1) + 1, columns * (KW + 1) + 1, 3))
    for f in range(F):
        row, column = divmod(f, columns)
        top, left = 1 + row * (KH + 1), 1 + column * (KW + 1)
        grid[top:top + KH, left:left + KW] = pictures[..., f]
    return grid


def filters(kernels: dict[str, np.ndarray], path: str | Path, title: str = "") -> None:
    """Draw the kernels of the first layer: figure 3 of the paper.

    kernels: by tower, (KH, KW, 3, F); {"a": …, "b": …}, drawn one above the other in this order,
        or {"": …} for a net of one tower. See filter_grid for the
        scaling; what counts as faint is judged across the towers, so that they can be compared.
    path: the PNG to write, about 1000 pixels wide; each weight becomes a square of whole pixels.

    Raises UserError for kernels that do not read three colours.
    """
    for name, array in kernels.items():
        if array.ndim != 4 or array.shape[2] != 3 or array.size == 0:
            raise UserError(f"first-layer kernels {name or '(one tower)'} have shape {array.shape}",
                            "only (KH, KW, 3, F) can be drawn as colours: pass W of conv1.")
    loudest = max(np.abs(a[np.isfinite(a)]).max(initial=0) for a in kernels.values())
    framed = [filter_grid(array, loudest=loudest) for array in kernels.values()]
    grids = [_magnified(grid[1:-1, 1:-1], 1000) for grid in framed]  # the page is the frame
    labels = [_tower_label(*item) for item in kernels.items()]
    tall = sum(g.shape[0] + MARGIN for g in grids) + LINE * sum(map(bool, [title, *labels]))
    figure = _figure(max(g.shape[1] for g in grids) + 2 * MARGIN, tall + MARGIN)
    y = MARGIN
    if title:
        _write(figure, title, MARGIN, y - 6, fontsize=11)
        y += LINE
    for grid, label in zip(grids, labels, strict=True):
        if label:
            _write(figure, label, MARGIN, y, fontsize=9, color=QUIET)
            y += LINE
        _paste(figure, grid, MARGIN, y)
        y += grid.shape[0] + MARGIN
    _save(figure, path)


def _tower_label(name: str, kernels: np.ndarray) -> str:
    broken = np.count_nonzero(~np.isfinite(kernels))
    parts = [f"tower {name}"] if name else []
    return "; ".join(parts + [f"weights that are not finite: {broken}"] * bool(broken))


def confusion(matrix: np.ndarray, classes: Sequence[str], path: str | Path,
              title: str = "") -> None:
    """Draw which class is taken for which: a row a true class, a column a predicted one.

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
    figure = _figure(side + 100, side, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("#DDDDDD")
    image = axes.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, 0, 100))
    bar = figure.colorbar(image, ax=axes, ticks=[0, 1, 5, 10, 25, 50, 75, 100], shrink=0.8)
    bar.set_label("share of the true class (%)")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, parse_math=False)
    if K <= 60:
        _name_classes(axes, classes)
    if K <= 20:
        _write_counts(axes, matrix, percent)
    _save(figure, path)


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    names = [name if len(name) <= 20 else name[:19] + "…" for name in classes]
    size = 10 if len(names) <= 20 else 7
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor",
                    fontsize=size, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)


def _write_counts(axes: Axes, matrix: np.ndarray, percent: np.ndarray) -> None:
    for true, predicted in np.argwhere(matrix):
        axes.text(predicted, true, matrix[true, predicted], ha="center", va="center",
                  fontsize=10 if len(matrix) <= 10 else 8,
                  color="white" if percent[true, predicted] > 45 else "black")


def steps(errors: dict[str, tuple[np.ndarray, np.ndarray]], path: str | Path,
          title: str = "") -> None:
    """Draw the error of a numeric gradient against its step h, both on logarithmic scales.

    errors: by the name of the line, the steps and the relative errors, equally many of both.
    path: the PNG to write, about 900×600 pixels. To the right the error falls with h², truncation;
    to the left it grows with 1/h, rounding. A ring marks the best step.
    """
    figure = _figure(900, 600, layout="constrained")
    axes = figure.subplots()
    for (name, (h, error)), colour in zip(errors.items(), (TRAIN, VALIDATION, QUIET), strict=False):
        best = np.argmin(error)
        axes.loglog(h, error, "o-", color=colour, markersize=3.5, linewidth=1.6,
                    label=f"{name}: best {error[best]:.0e} at h = {h[best]:.0e}")
        axes.plot(h[best], error[best], "o", color="black", fillstyle="none", markersize=10)
    axes.set(xlabel="step h", ylabel="relative error of the numeric gradient")
    axes.set_title(title, parse_math=False)
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _save(figure, path)


def samples(images: np.ndarray, captions: Sequence[str], path: str | Path, columns: int = 10,
            colours: Sequence[str] | None = None) -> None:
    """Draw a contact sheet: pictures row by row, each with its caption below.

    images: (N, H, W, 3) uint8. captions: N texts, of one line or more; a line too long for its
    column is cut short with an ellipsis. colours: of the captions, N colours that matplotlib knows.
    path: the PNG to write, 1200 pixels wide where all `columns` are filled. Small pictures are
    magnified a whole number of times, their pixels kept crisp; large ones are made smaller.

    Raises UserError if there is nothing to draw or not a caption and a colour a picture.
    """
    colours = ["black"] * len(images) if colours is None else colours
    if not len(images) or not len(images) == len(captions) == len(colours):
        raise UserError(f"{len(images)} pictures, {len(captions)} captions, {len(colours)} colours",
                        "pass at least one picture, and one caption and one colour for each.")
    cell = 1200 // columns
    pictures = [_fitted(image, cell - MARGIN // 2) for image in images]
    lines = [caption.split("\n") for caption in captions]
    high, wide = pictures[0].shape[:2]
    step = high + CAPTION * max(map(len, lines)) + MARGIN
    across, down = min(columns, len(images)), -(-len(images) // columns)
    figure = _figure(cell * across, step * down + MARGIN // 2)
    for i, (picture, texts, colour) in enumerate(zip(pictures, lines, colours, strict=True)):
        x, y = cell * (i % columns), step * (i // columns) + MARGIN // 2
        _paste(figure, picture, x + (cell - wide) // 2, y)
        for n, text in enumerate(texts):
            written = _write(figure, text, x + cell / 2, y + high + 4 + CAPTION * n,
                             ha="center", fontsize=8, color=colour)
            _shorten(written, cell - 6)
    _save(figure, path)


def _fitted(image: np.ndarray, width: int) -> np.ndarray:
    if image.shape[1] <= width:
        return _magnified(image, width)
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def _magnified(image: np.ndarray, width: int) -> np.ndarray:
    """As many whole times larger as fits `width`: every pixel becomes a square."""
    times = max(1, width // image.shape[1])
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _shorten(text: Text, width: float) -> None:
    full = text.get_text()
    for kept in range(len(full) - 1, 0, -1):
        if text.get_window_extent().width <= width:
            return
        text.set_text(full[:kept].rstrip() + "…")


def _figure(width: int, height: int, **kwargs) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width / DPI, height / DPI), dpi=DPI, **kwargs)


def _paste(figure: Figure, image: np.ndarray, x: int, y: int) -> None:
    """Set an image pixel for pixel; x and y count from the figure's upper left corner."""
    figure.figimage(image, x, round(figure.bbox.height) - y - image.shape[0], origin="upper")


def _write(figure: Figure, text: str, x: float, y: float, **kwargs) -> Text:
    """Write a line with its top at y; x and y in pixels from the figure's upper left corner."""
    from matplotlib.transforms import IdentityTransform

    return figure.text(x, figure.bbox.height - y, text, va="top", parse_math=False,
                       transform=IdentityTransform(), **kwargs)


def _save(figure: Figure, path: str | Path) -> None:
    with replacing(path, suffix=".png") as part:
        figure.savefig(part, dpi=DPI)
