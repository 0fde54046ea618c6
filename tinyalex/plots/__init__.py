"""Every picture, by what it shows; page.py has what they are made of."""

from tinyalex.plots.confusions import confusion
from tinyalex.plots.kernels import colours, filter_grid, filters
from tinyalex.plots.lines import curves, steps
from tinyalex.plots.page import DPI, QUIET
from tinyalex.plots.sheets import Guess, Near, neighbours, predictions, samples

__all__ = [
    "DPI", "QUIET", "Guess", "Near", "colours", "confusion", "curves", "filter_grid", "filters",
    "neighbours", "predictions", "samples", "steps",
]
