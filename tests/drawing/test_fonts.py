"""Names in any script: a letter that the usual font lacks is drawn as a box, and nobody is told.

In letters that no font of this machine has, the name of a class cannot be drawn at all; Matplotlib
then warns of each of them, in lines that name files of ours.
"""

import numpy as np
from matplotlib.text import Text

from tinyalex import drawing
from tinyalex.drawing import fonts

LETTER = "\N{CIRCLED LATIN CAPITAL LETTER T}"  # only in STIX, of the fonts that Matplotlib brings


def test_letters_that_the_usual_font_lacks_come_from_another(figures, tmp_path, capsys):
    drawing.samples(np.zeros((1, 8, 8, 3), np.uint8), [f"cat {LETTER}"], tmp_path / "a.png")
    drawing.confusion(np.eye(2), ["cat", LETTER], tmp_path / "b.png", f"{LETTER} and cats")
    drawn = [text for figure in figures for text in figure.findobj(Text)
             if LETTER in text.get_text()]
    assert len(drawn) == 6, "a caption, a title, and a class at all four sides"
    for text in drawn:
        usual, other = text.get_family()
        assert usual == fonts.USUAL and ord(LETTER) in fonts._letters(other)
    assert capsys.readouterr().err == ""


def test_dollars_in_the_names_of_runs_are_no_formulas(tmp_path):
    rows = [{"epoch": 1.0, "seconds": 1.0, "train_error": 0.5, "val_error": 0.5}]
    drawing.save(drawing.compare({r"$\nonsense$": rows}), tmp_path / "a.png")


def test_letters_that_no_font_has_are_said_once(tmp_path, capsys, monkeypatch, recwarn):
    usual = {fonts.USUAL: fonts._files()[fonts.USUAL]}
    monkeypatch.setattr(fonts, "_files", lambda: usual)
    fonts._say_missing.cache_clear()
    for name in ("\N{CJK UNIFIED IDEOGRAPH-72AC}", "\N{CJK UNIFIED IDEOGRAPH-732B}"):
        drawing.samples(np.zeros((1, 8, 8, 3), np.uint8), [name], tmp_path / "a.png")
    assert capsys.readouterr().err.count("no font on this machine has them") == 1
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
