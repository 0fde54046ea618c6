"""Every picture, by what it shows; page.py has what they are made of."""

from tinyalex.drawing.confusions import confusion
from tinyalex.drawing.filters import colours, filter_grid, filters
from tinyalex.drawing.html import write_html
from tinyalex.drawing.lines import MEASURES, compare, curves, speed_ups, steps, training_rows
from tinyalex.drawing.page import DPI, QUIET, heat, png, save
from tinyalex.drawing.sections import Half, Section, Tile, write_png
from tinyalex.drawing.sheets import Near, neighbours, predictions, samples

__all__ = [
    "DPI", "MEASURES", "QUIET", "Half", "Near", "Section", "Tile", "colours", "compare",
    "confusion", "curves", "filter_grid", "filters", "heat", "neighbours", "png",
    "predictions", "samples", "save", "speed_ups", "steps", "training_rows", "write_html",
    "write_png",
]
