"""What excites a unit, as a command: of the units that were asked for, each with its own picture.

Units are grouped by layer and dreamt of in batches, and pictures are read in others: so names,
pictures and values can come apart. Each is compared with what the unit itself gives.
"""

import re

import numpy as np
import pytest
from pictures import pixels

from tinyalex import drawing, dream
from tinyalex.data import gallery
from tinyalex.drawing.dream_page import Dreamt, dream_page
from tinyalex.inside.fields import Field, receptive_field
from tinyalex.inside.units import units_called, values
from tinyalex.run import opened

LINE = re.compile(r"(.+): (\S+) for what was made for it(?:; of the pictures, (\S+) to (\S+))?")


@pytest.fixture
def pages(monkeypatch) -> list:
    """What is drawn, page by page: lists of `Dreamt`."""
    drawn = []
    monkeypatch.setattr(dream, "dream_page",
                        lambda dreams, rule: drawn.append(dreams) or dream_page(dreams, rule))
    return drawn


def test_each_unit_has_its_own_picture_and_its_own_patches(in_blobs, tmp_path, capsys, pages):
    argv = ["run", "--unit", "class:rose", "conv2b:1-3", "conv1a:5", "--among", "val", "--steps",
            "6", "--batch-size", "2", "--out", str(tmp_path / "d.png")]
    assert dream.main(argv) == 0
    said = [LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines()[:-1]]
    names = ["conv1a:5", "conv2b:1", "conv2b:2", "conv2b:3", "class:rose"]
    assert [line[1] for line in said] == names == [dreamt.name for dreamt in pages[0]]
    assert len(pixels(tmp_path / "d.png")) > 5 * 380
    with opened.open_network(in_blobs / "run", "cpu") as net:
        shown = gallery.gather(["val"], net.side)
        x = np.concatenate([batch.copy() for batch in net.batches(shown, "")])
        for line, dreamt in zip(said, pages[0], strict=True):
            (unit,) = units_called(net.network, net.classes, dreamt.name).values()
            read = (dreamt.picture - net.centre(net.mean)) * np.float32(net.recipe.scale)
            assert values(net.network, [unit], read[None])[0] == pytest.approx(
                dreamt.value, rel=0.05, abs=0.02), "of a picture of whole numbers"
            assert float(line[2]) == pytest.approx(dreamt.value, rel=0.01)
            assert dreamt.field == receptive_field(net.network, unit) or unit.row == 0
            peaks = peaks_of(net.network, unit, x)
            best = np.argsort(-peaks, kind="stable")[:9]
            np.testing.assert_allclose(dreamt.values, peaks[best], rtol=1e-4)
            np.testing.assert_array_equal(dreamt.crops, [net.centre(shown[i]) for i in best])
            assert float(line[3]) == pytest.approx(peaks[best[0]], rel=0.01)


def peaks_of(network, unit, x):
    outputs = {}
    network.forward(x, watch=lambda layer, y: outputs.setdefault(layer, y.copy()))
    return outputs[unit.layer][..., unit.map].reshape(len(x), -1).max(axis=1)


def test_without_a_unit_it_is_the_classes_and_a_seed_repeats(in_blobs, tmp_path, capsys):
    drawn = {}
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = tmp_path / f"{name}.png"
        assert dream.main(["run", "--steps", "3", "--seed", seed, "--out", str(out)]) == 0
        drawn[name] = out.read_bytes()
        said = capsys.readouterr().out
        assert re.findall(r"(?m)^class:([\w ]+):", said) == ["blue sky", "grass", "rose"]
    assert drawn["a"] == drawn["b"] != drawn["c"]


def test_two_classes_of_one_name_have_a_picture_each(in_blobs, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("grass crane\nrose crane, lifting machine\n")
    argv = ["run", "--steps", "1", "--names", str(tmp_path / "names.txt"), "--out",
            str(tmp_path / "d.png")]
    assert dream.main(argv) == 0
    assert re.findall(r"(?m)^class:(.+):", capsys.readouterr().out) == [
        "blue sky", "crane (grass)", "crane (rose)"]
    assert dream.main([*argv, "--unit", "class:crane (rose)"]) == 0


def test_a_broken_picture_is_left_out_and_named(in_blobs, tmp_path, capsys, pages):
    (tmp_path / "x").mkdir()
    for i in range(3):
        (tmp_path / f"x/{i}.png").write_bytes((in_blobs / f"val/grass/{3 * i + 1:02}.png"
                                               ).read_bytes())
    (tmp_path / "x/1.png").write_bytes(b"no picture")
    assert dream.main(["run", "--unit", "conv1a:0", "--among", str(tmp_path / "x"), "--steps", "1",
                       "--out", str(tmp_path / "d.png")]) == 1
    assert "1.png: " in capsys.readouterr().err
    assert len(pages[0][0].crops) == 2


# The page

def dreamt(name, red, size=6, **more):
    return Dreamt(name, np.full((20, 20, 3), (red, 0, 0), np.uint8), 1.5,
                  Field(-1, 2, size - 1, size + 2), **more)


def test_dreams_are_cut_to_their_fields():
    (section,) = dream_page([dreamt("conv1:0", 10), dreamt("conv2:0", 20, 9)], "guided")
    first, second = section.halves[0].rows[0]
    assert (first.caption, second.caption) == ("conv1:0: 1.5, 6×6", "conv2:0: 1.5, 9×9")
    assert first.image.shape == (6, 6, 3) and (first.image[0] == 128).all(), "over the edge"
    assert (second.image[1:] == (20, 0, 0)).all()


@pytest.mark.parametrize(("count", "rows"), [
    (1, [1]), (2, [2]), (3, [3]), (4, [4]), (5, [3, 2]), (6, [3, 3]), (8, [4, 4]), (9, [3, 3, 3])])
def test_dreams_fill_the_page_however_few_they_are(tmp_path, count, rows):
    page = dream_page([dreamt(f"conv{n}:0", 200) for n in range(count)], "guided")
    assert [len(row) for row in page[0].halves[0].rows] == rows
    drawing.write_png("a page", page, tmp_path / "p.png")
    picture = pixels(tmp_path / "p.png")
    drawn = (picture != 255).any(axis=2).any(axis=0)
    assert 600 <= len(drawn) <= 1200 and drawn.mean() > 0.9 and drawn[-30:-20].any()


def test_what_was_searched_stands_three_by_three(tmp_path):
    crops = np.stack([np.full((20, 20, 3), 25 * n, np.uint8) for n in range(9)])
    counts = np.zeros((9, 20, 20, 3))
    counts[4, :, :, 0], counts[5, :, :, 0] = 1, -1
    (section,) = page = dream_page([dreamt(
        "conv1:0", 10, crops=crops, counts=counts, fields=9 * [Field(5, 5, 11, 11)],
        values=[*range(9, 0, -1)])], "guided")
    _, patches, grid = section.halves[0].rows[0]
    assert patches.caption == "the most exciting: 9 to 1"
    assert grid.caption == "what counts in them: guided"
    assert patches.image[::7, ::7, 0].tolist() == [[0, 25, 50], [75, 100, 125], [150, 175, 200]]
    assert grid.image[8, 8:14:5].tolist() == [[255, 128, 128], [255, 255, 255]]
    assert grid.image[8, 15].tolist() == [0, 128, 128] and grid.image[0, 0].tolist() == [128] * 3
    drawing.write_png("a page", page, tmp_path / "p.png")
    assert pixels(tmp_path / "p.png").shape[1] == 1190
