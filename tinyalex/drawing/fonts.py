"""Fonts for text in any script: names of classes come from all over the world.

Matplotlib draws a letter that its font lacks as a box, even where the machine has a font with it.
"""

import warnings
from functools import cache

from tinyalex.support.text import note

USUAL = "DejaVu Sans"  # comes with Matplotlib
BOXES = "Last Resort"  # fonts of boxes, which seem to have every letter


@cache
def families(text: str) -> list[str]:
    """The fonts to draw a text with: the usual one, and for what it lacks, this machine's that have
    it. Says on stderr, once, where no font has a letter."""
    missing = {ord(letter) for letter in text if letter.isprintable()} - _letters(USUAL)
    chosen = [USUAL]
    for name in _files() if missing else ():
        if missing & _letters(name):
            missing -= _letters(name)
            chosen.append(name)
    if missing:
        _say_missing()
    return chosen


@cache
def _files() -> dict[str, str]:
    """This machine's fonts, and the file of each; first those that have an upright, regular one."""
    from matplotlib.font_manager import fontManager

    def unlike(font):
        return font.style != "normal", font.weight != 400, font.name

    files: dict[str, str] = {}
    for font in sorted(fontManager.ttflist, key=unlike):
        if not font.name.startswith(BOXES):
            files.setdefault(font.name, font.fname)
    return files


@cache
def _letters(name: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(_files()[name]).get_charmap())
    except (KeyError, OSError, RuntimeError):  # Matplotlib's list may be old, a file no font
        return frozenset()


@cache
def _say_missing() -> None:
    warnings.filterwarnings("ignore", "Glyph .* missing from")  # Matplotlib's own, for each letter
    note("some letters are boxes in pictures: no font on this machine has them (the Noto fonts "
         "cover nearly all scripts)")
