"""Curves: a run's loss and error, runs side by side, a numeric gradient against its step."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyalex.drawing import page
from tinyalex.drawing.page import COLOURS, QUIET, TRAIN, VALIDATION
from tinyalex.support.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES = {"error": ("error (%)", "train_error", "val_error"),
            "top5": ("top-5 error (%)", None, "val_top5_error"),
            "loss": ("loss (nats)", "train_loss", "val_loss")}


@page.our_style()
def curves(rows: list[dict], path: str | Path, title: str = "", classes: int | None = None) -> None:
    """Draw loss and error against epochs: figure 1 of the paper, with the loss beside it.

    rows: the rows of log.csv, in order; of each, `epoch` (2.25: a quarter through the third), `lr`,
        `train_loss`, `val_loss` (nats), `train_error`, `val_error`, `val_top5_error` (shares of
        0..1, drawn in percent). None, NaN and infinity stand for "not measured".
    path: the PNG to write, about 1200×500 pixels.
    classes: if given, a dashed line shows the loss of a net that knows nothing, ln(classes); with
    ten or fewer, the top-5 error says little and is left out.

    A dotted line marks where the learning rate fell: at the last row with the old rate. Training
    error is measured with dropout and on augmented pictures, so it may well be above validation.

    Raises UserError if there are no rows.
    """
    if not rows:
        raise UserError("there are no rows to draw curves from",
                        "train until the log has its first row.")
    figure = page.figure(1200, 500, layout="constrained")
    figure.suptitle(page.line(title), parse_math=False)
    loss, error = figure.subplots(1, 2)
    training = training_rows(rows)
    _line(loss, training, "train_loss", TRAIN, "training")
    _line(loss, rows, "val_loss", VALIDATION, "validation")
    if classes:
        loss.axhline(log(classes), color=QUIET, linestyle="--", linewidth=1.2,
                     label=f"chance: ln {classes} = {log(classes):.2f}")
    _line(error, training, "train_error", TRAIN, "training", 100)
    _line(error, rows, "val_error", VALIDATION, "validation", 100)
    if classes is None or classes > 10:  # of ten classes, five guesses hit half by chance
        _line(error, rows, "val_top5_error", VALIDATION, "validation, top 5", 100, "--")
    _mark_best(error, rows)
    _finish(loss, rows, "loss (nats)")
    _finish(error, rows, "error (%)")
    page.save(figure, path)


def training_rows(rows: list[dict]) -> list[dict]:
    """Those rows of log.csv that say how training went: rows inside an epoch give the mean since
    the row before, the last one of an epoch that of all of it; where there are no others, these."""
    validated = np.isfinite(_column(rows, "val_loss"))
    inside = [row for row, ended in zip(rows, validated, strict=True) if not ended]
    return inside if len(inside) > 1 else rows


@page.our_style()
def compare(runs: dict[str, list[dict]], what: str = "error",
            level: float | None = None) -> Figure:
    """Draw runs side by side, against epochs and against time: figure 1 of the paper.

    runs: by their names, the rows of their log.csv; see `curves`, and `seconds` besides.
    what: one of MEASURES. level: where to draw a dashed line, in percent (or nats).

    Validation is drawn solid, training dashed. Returns the figure, which `page.save` writes. Raises
    UserError where no run has a row.
    """
    if not any(runs.values()):
        raise UserError(f"{', '.join(runs)}: no rows to draw curves from",
                        "train until a log has its first row.")
    name, train, val = MEASURES[what]
    scale = 1 if what == "loss" else 100
    figure = page.figure(1200, 560, layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for i, (run, rows) in enumerate(runs.items()):
        colour = COLOURS[i % len(COLOURS)]
        timed = [row | {"minutes": row["seconds"] / 60} for row in rows
                 if row.get("seconds") is not None]
        for axes, x, points in ((both[0], "epoch", rows), (both[1], "minutes", timed)):
            if train and points:
                _line(axes, training_rows(points), train, colour, "", scale, "--", x, 1.0)
            _line(axes, points, val, colour, page.line(run), scale, "-", x)
    for axes, label in zip(both, ("epoch", "time (minutes)"), strict=True):
        if level is not None:
            axes.axhline(level, color=QUIET, linestyle=":", linewidth=1.2)
        page.plain(axes, xlabel=label, xlim=(0, None), ylim=(0, None))
        axes.tick_params(labelleft=True)
    both[0].set_ylabel(name)
    handles, labels = both[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False,
                           fontsize=9)
    for text in legend.get_texts():  # names of folders, in which $ starts no formula
        text.set_parse_math(False)
    both[0].set_title("solid: validation" + ", dashed: training" * bool(train), fontsize=9,
                      loc="left", color=QUIET)
    return figure


def _column(rows: list[dict], key: str) -> np.ndarray:
    values = np.array([row.get(key) for row in rows], dtype=float)  # None becomes NaN
    return np.where(np.isfinite(values), values, np.nan)


def _line(axes: Axes, rows: list[dict], key: str, colour: str, label: str, scale: float = 1,
          style: str = "-", x: str = "epoch", width: float = 1.6) -> None:
    values = _column(rows, key) * scale
    known = ~np.isnan(values)  # without the gaps between measurements, which would break the line
    if known.any():
        axes.plot(_column(rows, x)[known], values[known], style, color=colour, label=label,
                  linewidth=width, marker="o" if known.sum() <= 30 else "", markersize=3.5)


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
    page.plain(axes, xlabel="epoch", ylabel=name, xlim=(0, 1.02 * end),
               ylim=(0, 1.06 * top if top > 0 else 1))
    axes.locator_params(axis="x", integer=end >= 5)
    _mark_drops(axes, rows, room=0.13 * end)
    if not axes.get_legend_handles_labels()[0]:
        axes.text(0.5, 0.5, "no finite number", color=QUIET, ha="center", transform=axes.transAxes)
        return
    # Above the panel, where no curve can run through it, and above the learning rates.
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.05), ncols=2, frameon=False, fontsize=9,
                borderaxespad=0, columnspacing=1.2)


def _mark_drops(axes: Axes, rows: list[dict], room: float) -> None:
    """A dotted line at each fall of the learning rate, and the new rate above it where the last
    such label leaves room (in epochs). None where it falls all the time."""
    epochs, rates = _column(rows, "epoch"), _column(rows, "lr")
    labelled, falls = -np.inf, np.flatnonzero(rates[1:] < rates[:-1])
    for i in falls if len(falls) <= len(rates) / 2 else ():
        axes.axvline(epochs[i], color=QUIET, linestyle=":", linewidth=1, zorder=1)
        if epochs[i] - labelled >= room:
            labelled = epochs[i]
            axes.text(epochs[i], 1.01, f"lr {rates[i + 1]:.3g}", color=QUIET, fontsize=8,
                      ha="center", va="bottom", transform=axes.get_xaxis_transform())


@page.our_style()
def steps(errors: dict[str, tuple[np.ndarray, np.ndarray]], path: str | Path,
          title: str = "") -> None:
    """Draw the error of a numeric gradient against its step h, both on logarithmic scales.

    errors: by the name of the line, the steps and the relative errors, equally many of both.
    path: the PNG to write, about 900×600 pixels. To the right the error falls with h², truncation;
    to the left it grows with 1/h, rounding. A ring marks the best step.
    """
    figure = page.figure(900, 600, layout="constrained")
    axes = figure.subplots()
    for (name, (h, error)), colour in zip(errors.items(), (TRAIN, VALIDATION, QUIET), strict=False):
        best = np.argmin(error)
        axes.loglog(h, error, "o-", color=colour, markersize=3.5, linewidth=1.6,
                    label=f"{name}: best {error[best]:.0e} at h = {h[best]:.0e}")
        axes.plot(h[best], error[best], "o", color="black", fillstyle="none", markersize=10)
    page.plain(axes, xlabel="step h", ylabel="relative error of the numeric gradient")
    axes.set_title(title, parse_math=False)
    axes.legend(frameon=False)
    page.save(figure, path)


@page.our_style()
def speed_ups(counts: list[int], by_scheme: dict[str, list[float]], path: str | Path) -> None:
    """Draw how many times as fast so many workers are as one, for each way to share the work.

    path: the PNG to write, about 720×480 pixels. A dashed line shows a worker's worth for each.
    """
    figure = page.figure(720, 480, layout="constrained")
    axes = figure.subplots()
    axes.loglog(counts, counts, base=2, color=QUIET, linestyle="--", linewidth=1.2,
                label="as many times")
    for colour, (scheme, found) in zip(COLOURS, by_scheme.items(), strict=False):
        axes.plot(counts, found, color=colour, marker="o", markersize=4, label=scheme)
    axes.set_xticks(counts, [*map(str, counts)])
    axes.set_yticks(counts, [*map(str, counts)])
    axes.set(ylim=(0.7, 1.4 * counts[-1]), xlabel="workers", ylabel="times as fast as one")
    axes.legend()
    page.save(figure, path)
