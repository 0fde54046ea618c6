"""What a network says of pictures: that the bar belongs to its class, and the picture to its bars.

Predictions look right as long as the network is good: pictures in another order than their names,
the centre patch of another picture among ten, a bar that shows the share of the top five instead of
the probability, red for the first guess instead of the true class. So all is compared with a plain
forward pass, and the figure is read back pixel by pixel.
"""

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest
from pictures import pixels

from tinyalex import drawing, predict
from tinyalex.data import gallery
from tinyalex.data.augment import ten_crops
from tinyalex.drawing import page, sheets
from tinyalex.inside.guesses import Guess
from tinyalex.run import flags, opened


def probabilities(net, picture, places):
    """Of a picture (32, 32, 3), on average over crops of it, step by step."""
    p = 0
    for top, left, mirrored in places:
        there = np.s_[top : top + 28, left : left + 28]
        x = (picture[there] - net.mean[there]) / 64
        scores = net.network.forward(np.float32(x[:, ::-1] if mirrored else x)[None])[0]
        p = p + np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    return p / len(places)


@pytest.mark.parametrize("ten", [False, True])
def test_probabilities_are_those_of_the_patches_of_each_picture(in_blobs, ten):
    places = ten_crops(32, 32, 28).tolist()
    places = places if ten else places[4:5]
    with opened.open_network(in_blobs / "run", "cpu") as net:
        shown = gallery.gather(["val"], net.side, 7)
        logp = predict.predict(net, shown, ten, batch_size=30)
        expected = [probabilities(net, shown[i], places) for i in range(7)]
    np.testing.assert_allclose(np.exp(logp), expected, rtol=1e-4)


def test_the_command_says_and_draws_them(in_blobs, capsys, tmp_path):
    out = tmp_path / "p.png"
    assert predict.main(["run", "val/rose", "blobs:load/val/1", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    blocks = printed.split("\n\n")
    assert re.match(r".*/val/rose/\d\d.png \(rose\)\n", blocks[0])
    assert blocks[0].count("← true") == 1
    shares = [float(s) for s in re.findall(r"([\d.]+)%", blocks[0])]
    assert len(shares) == 3 and shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.02)
    assert "blobs:load/val/1 (grass)" in printed
    marked = sum("← true" in block.splitlines()[1] for block in blocks[:-1] if "\n" in block)
    assert f"right: {marked} of 14; among the first five: 14 of 14" in printed
    assert pixels(out).shape[1] == 1200


def test_tables_for_other_programs_say_what_is_printed(in_blobs, capsys, tmp_path):
    table, argv = tmp_path / "p.csv", ["run", "val/rose", "val/grass", "--limit", "5"]
    argv += ["--out", str(tmp_path / "p.png"), "--csv", str(table)]
    assert predict.main(argv) == 0
    blocks = capsys.readouterr().out.split("\n\n")[:5]
    assert predict.main([*argv, "--json"]) == 0
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    said = json.loads(capsys.readouterr().out)
    assert len(rows) == len(said) == 5
    for block, row, one in zip(blocks, rows, said, strict=True):
        name, *guesses = block.splitlines()
        assert name == f"{row['picture']} ({row['true']})" == f"{one['picture']} ({one['true']})"
        for place, guess in enumerate(guesses):
            share, label = guess.removesuffix("  ← true").split(maxsplit=1)
            assert label == row[f"guess {place + 1}"] == one["guesses"][place]["class"]
            for p in (float(row[f"probability {place + 1}"]), one["guesses"][place]["probability"]):
                assert f"{p:.2%}" == share or abs(p - float(share[:-1]) / 100) < 1e-4


def test_a_table_that_cannot_be_written_leaves_the_old_one(in_blobs, tmp_path, refused):
    place = tmp_path / "old.csv"
    place.mkdir()
    assert str(place) in refused(predict.main, ["run", "val/rose", "--csv", str(place)])


def test_a_broken_picture_is_named_and_the_others_are_answered(in_blobs, capsys, tmp_path):
    shutil.copytree("val/rose", tmp_path / "rose")
    (tmp_path / "rose" / "00.png").write_text("<html>")
    out = tmp_path / "p.png"
    assert predict.main(["run", str(tmp_path / "rose"), "--out", str(out)]) == 1
    printed, complained = capsys.readouterr()
    assert f"skipped {tmp_path}/rose/00.png: not a picture that can be read" in complained
    assert "00.png" not in printed and "among the first five: 13 of 13" in printed
    assert "rose/02.png (rose)" in printed.split("\n\n")[0] and pixels(out).shape[1] == 1200


def test_without_a_true_class_nothing_is_counted(in_blobs, capsys, tmp_path):
    shutil.copy(in_blobs / "val" / "rose" / "02.png", tmp_path / "mine.png")
    predict.main(["run", str(tmp_path / "mine.png"), "--out", str(tmp_path / "p.png")])
    printed = capsys.readouterr().out
    assert printed.startswith(str(tmp_path / "mine.png\n")[:-1] + "\n")
    assert "right:" not in printed and "← true" not in printed


def test_a_file_whose_name_is_no_text_is_shown_all_the_same(in_blobs, capsys, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png")
    shutil.copy(in_blobs / "val" / "rose" / "02.png", odd)
    assert predict.main(["run", odd, "--out", str(tmp_path / "p.png")]) == 0
    assert f"{tmp_path}/\ufffd\ufffd.png\n" in capsys.readouterr().out


def test_classes_get_the_names_of_a_list(in_blobs, capsys, tmp_path):
    (tmp_path / "names.txt").write_text("rose Rosa canina, dog rose\nblue_sky x\n\ngrass Poa\n")
    predict.main(["run", "val/rose/02.png", "--out", str(tmp_path / "p.png"), "--names",
                  str(tmp_path / "names.txt")])
    printed = capsys.readouterr().out
    assert "(Rosa canina)" in printed and "Poa" in printed and "blue sky" in printed


def test_a_list_of_names_may_write_umlauts_as_macos_does(tmp_path):
    (tmp_path / "names.txt").write_text("Ka\u0308tzchen kitten\n", "utf-8")
    assert flags.spoken_names(tmp_path / "names.txt") == {"K\u00e4tzchen": "kitten"}


# The figure

def test_bars_are_as_long_as_probabilities_and_red_where_the_class_is_true(tmp_path):
    image = np.full((32, 32, 3), 99, np.uint8)
    guesses = [[Guess("cat", 0.75, True), Guess("dog", 0.25)], [Guess("emu", 1.0), Guess("yak", 0)]]
    drawing.predictions([image, image], ["one", "two"], guesses, tmp_path / "p.png")
    picture = pixels(tmp_path / "p.png")
    wide = 32 * 8  # of a cell of 300 pixels, 16 at each side are margin: 8 times 32 fit
    bottom = page.MARGIN + wide + page.LINE
    widths = {}
    for cell, (first, second) in enumerate([("cat", "dog"), ("emu", "yak")]):
        x = 300 * cell + (300 - wide) // 2
        assert (picture[page.MARGIN : page.MARGIN + wide, x : x + wide] == 99).all()
        for n, name in enumerate((first, second)):
            top = bottom + n * sheets.GUESS + sheets.NAME
            bar = picture[top : top + sheets.BAR, x : x + wide]
            assert (bar == bar[0]).all(), "a letter reaches into the bar"
            widths[name] = ((bar[0] == sheets.TRUE).all(axis=1).sum(),
                           (bar[0] == sheets.OTHER).all(axis=1).sum())
    assert widths == {"cat": (192, 0), "dog": (0, 64), "emu": (0, 256), "yak": (0, 0)}


def test_pictures_stand_row_by_row(tmp_path):
    images = [np.full((10, 10, 3), 20 * i, np.uint8) for i in range(1, 7)]
    drawing.predictions(images, [""] * 6, [[Guess("a", 0.5)]] * 6, tmp_path / "p.png", columns=4)
    picture = pixels(tmp_path / "p.png")[..., 0]
    step = len(picture) // 2
    assert [picture[60 + step * (i // 4), 150 + 300 * (i % 4)] for i in range(6)] == \
        [20, 40, 60, 80, 100, 120]
