"""Every picture, by what it shows; page.py has what they are made of."""

from tinyalex.drawing.confusions import confusion
from tinyalex.drawing.filters import colours, filter_grid, filters
from tinyalex.drawing.html import write_html
from tinyalex.drawing.lines import MEASURES, compare, curves, steps, training_rows
from tinyalex.drawing.page import DPI, QUIET, heat, save
from tinyalex.drawing.sheets import Guess, Near, neighbours, predictions, samples
from tinyalex.drawing.story import Half, Section, Tile, draw_story

__all__ = [
    "DPI", "MEASURES", "QUIET", "Guess", "Half", "Near", "Section", "Tile", "colours", "compare",
    "confusion", "curves", "draw_story", "filter_grid", "filters", "heat", "neighbours",
    "predictions", "samples", "save", "steps", "training_rows", "write_html",
]
