"""Every picture, by what it shows; page.py has what they are made of."""

from tinyalex.plots.confusions import confusion
from tinyalex.plots.kernels import filter_grid, filters
from tinyalex.plots.lines import curves, steps
from tinyalex.plots.page import DPI, QUIET
from tinyalex.plots.sheets import Guess, predictions, samples

__all__ = [
    "DPI", "QUIET", "Guess", "confusion", "curves", "filter_grid", "filters", "predictions",
    "samples", "steps",
]
