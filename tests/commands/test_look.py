"""The page about one picture: that it shows this network, this picture, these units.

A page of handsome heat maps proves nothing. So the sections are compared with the numbers behind
them; and the HTML must not need anything but itself.
"""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from pictures import pixels
from PIL import Image

from tinyalex import drawing, look
from tinyalex.architectures import ablations, alexnet
from tinyalex.data import gallery
from tinyalex.drawing import Half, Section, Tile, look_page, page, sheets
from tinyalex.drawing.sections import Maps
from tinyalex.inside.activities import blocks, named_blocks
from tinyalex.inside.fields import (
    Field,
    Lattice,
    Unit,
    peaks,
    receptive_field,
    shown_field,
    strongest,
)
from tinyalex.inside.guesses import Guess
from tinyalex.inside.inspection import choose_unit, inspect
from tinyalex.inside.patches import most_exciting
from tinyalex.run import opened
from tinyalex.support.errors import UserError


@pytest.mark.slow
def test_the_command_writes_both_pages_and_says_what_the_network_says(in_blobs, capsys, tmp_path):
    out = tmp_path / "l.png"
    assert look.main(["run", "val/rose/02.png", "--out", str(out), "--unit", "conv1b:3"]) == 0
    assert re.search(r"/rose/02.png \(rose\)\n +[\d.]+%", capsys.readouterr().out)
    assert len(pixels(out)) > 1500
    html = (tmp_path / "l.html").read_text()
    heads = re.findall(r"<h2>(.*?)</h2>", html)
    assert heads == [
        "What the network reads, and which pixels matter",
        "The same question by three rules of one backward, and by Grad-CAM",
        "What it says, and what one unit sees",
        "conv1: 16 maps of 28×28 in each tower", "conv2: 32 maps of 13×13 in each tower",
        "Between the towers, before conv3", "conv3: 48 maps of 6×6 in each tower",
        "conv4: 48 maps of 6×6 in each tower", "conv5: 48 maps of 6×6 in each tower",
        "Between the towers, before fc6", "fc6: 128 units in each tower",
        "Between the towers, before fc7", "fc7: 128 units in each tower",
        "Between the towers, before fc8"]
    assert "map 3 of conv1b" in html


def test_other_pictures_that_excite_a_map_most_are_shown_with_it(in_blobs, tmp_path, capsys):
    """Patches of the wrong picture, place or map look just as good."""
    argv = ["run", "val/rose/02.png", "--unit", "conv2b:3", "--out", str(tmp_path / "l.png")]
    assert look.main(argv) == 0
    png = (tmp_path / "l.png").read_bytes()
    facts = script_data(tmp_path / "l.html")["layers"]
    assert not any(layer["exciting"] or layer["searched"] for layer in facts.values())
    (tmp_path / "no.png").write_bytes(b"no picture")
    assert look.main([*argv, "--among", str(tmp_path / "no.png"), "val", "--batch-size", "7"]) == 1
    assert "no.png: " in capsys.readouterr().err
    assert (tmp_path / "l.png").read_bytes() == png
    text = (tmp_path / "l.html").read_text("utf-8")
    assert str(in_blobs) not in text, "a page may be sent to others"
    pictures, facts = [script_data(tmp_path / "l.html")[key] for key in ("pictures", "layers")]
    assert {layer["searched"] for layer in facts.values() if not layer["full"]} == {40}
    named = {name: {*re.findall(rf'data-unit="{name}:(\d+):', text)} for name in facts}
    with opened.open_network(in_blobs / "run", "cpu") as net:
        shown, layers = gallery.gather(["val"], net.side), named_blocks(net.network)
        for name, f in (("conv1a", None), ("conv2b", 3), ("conv5b", None)):
            assert {*facts[name]["exciting"]} <= named[name]
            f = int([*facts[name]["exciting"]][-1]) if f is None else f
            unit = Unit(layers[name], f, 0, 0)
            (best,) = most_exciting(net.network, [unit], net.batches(shown, "")).values()
            best = [place for place in best if place.value > 0]
            tiles = facts[name]["exciting"][str(f)]
            assert len(tiles) == len(best) > 3
            for tile, place in zip(tiles, best, strict=True):
                end = "/".join(shown.names[place.picture].split("/")[-3:])
                assert tile["alt"] == (f"{end}: {place.value:.2g} at row {place.row}, "
                                       f"column {place.column}")
                field = shown_field(net.network, unit._replace(row=place.row, column=place.column))
                data = base64.b64decode(pictures[tile["picture"]].split(",")[1])
                with Image.open(io.BytesIO(data)) as image:
                    np.testing.assert_array_equal(image, look_page.patch(
                        net.centre(shown[place.picture]), field))


def test_activities_are_shown_behind_the_unit_of_each_layer():
    def shown(network):
        return [[layer.name for layer in layers] for layers in blocks(network).values()]

    assert shown(alexnet.tiny())[0] == ["relu1a", "relu1b"]
    assert shown(alexnet.tiny(towers=1))[-1] == ["relu7"]
    tanh = alexnet.tiny(edit=ablations.edit(activation="tanh", without="fc7"))
    assert [*blocks(tanh)] == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6"]
    assert shown(tanh)[2] == ["tanh3a", "tanh3b"]
    original = alexnet.build(alexnet.original_tower, alexnet.TINY)
    assert original.shapes[named_blocks(original)["conv1a"]][1] == (13, 13, 16), "pooled"


@pytest.fixture(scope="module")
def inspected(blobs):
    """What is to be seen in a network of a picture, with the unit that it chooses itself."""
    with opened.open_network(blobs / "run", "cpu") as net:
        shown = gallery.gather([str(blobs / "val/rose/02.png")], net.side)
        yield inspect(net.network, shown[0][2:30, 2:30], next(net.batches(shown, "")), 0)


def test_units_are_found_by_their_numbers_or_where_they_are_strongest(inspected):
    network, seen, unit = inspected.network, inspected.activities, inspected.unit
    maps = named_blocks(network)
    assert unit.layer in (maps["conv1a"], maps["conv1b"]), "units of conv2 see 15 of 28 pixels"
    assert seen[unit.layer][unit.row, unit.column, unit.map] == max(
        seen[maps[name]].max() for name in ("conv1a", "conv1b"))
    assert choose_unit(network, seen, "conv4b:7:2:3") == (maps["conv4b"], 7, 2, 3)
    unit = choose_unit(network, seen, "conv2a:5")
    y = seen[maps["conv2a"]][..., 5]
    assert unit[:2] == (maps["conv2a"], 5) and y[unit.row, unit.column] == y.max()


def test_the_page_shows_the_strongest_maps_and_what_their_units_see(inspected):
    network, seen, crop = inspected.network, inspected.activities, inspected.crop
    shown = {section.title.split(":")[0]: section
             for section in look_page.look_page(inspected, [Guess("rose", 0.5, True)], "rose")}
    layer = named_blocks(network)["conv2b"]
    maps, patches = shown["conv2"].halves[1].rows
    best = np.argsort(-seen[layer].max(axis=(0, 1)), kind="stable")[:8]
    assert [tile.caption.split(":")[0] for tile in maps] == [str(f) for f in best]
    peak = max(seen[named_blocks(network)[name]].max() for name in ("conv2a", "conv2b"))
    np.testing.assert_array_equal(maps[1].image, drawing.heat(seen[layer][..., best[1]], peak))
    field = receptive_field(network, strongest(layer, seen[layer], best[1]))
    np.testing.assert_array_equal(patches[1].image, look_page.patch(crop, field))
    half = shown["Between the towers, before conv3"].halves[1]
    shares = inspected.crossings[0].shares[1]
    assert half.title == "what conv3b adds up"
    assert half.bars == [Guess("from tower a", shares[0], True), Guess("from tower b", shares[1])]
    np.testing.assert_array_equal(
        shown["What the network reads, and which pixels matter"].halves[0].rows[0][0].image, crop)


def test_three_rules_and_grad_cam_stand_side_by_side(inspected):
    sections = look_page.look_page(inspected, [Guess("rose", 0.5, True)], "rose")
    tiles = sections[1].halves[0].rows[0]
    assert [tile.caption for tile in tiles] == ["gradient", "deconvnet", "guided", "Grad-CAM"]
    for tile, counts in zip(tiles, inspected.reconstructed.values(), strict=False):
        strong = np.abs(counts) > np.quantile(np.abs(counts), 0.9)
        shown = tile.image.astype(int) - 128
        assert (np.sign(shown[strong]) == np.sign(counts[strong])).all()
        assert 128 in (-shown.min(), shown.max() + 1), "the extremes alone are not all colours"
    np.testing.assert_array_equal(tiles[3].image, look_page._over(
        inspected.crop, page.enlarged(inspected.cam, 28, 28)))


def test_a_patch_is_what_a_field_covers_and_grey_outside():
    crop = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
    np.testing.assert_array_equal(look_page.patch(crop, Field(1, 2, 4, 5)), crop[1:4, 2:5])
    cut = look_page.patch(crop, Field(-2, 3, 2, 7))
    assert cut.shape == (4, 4, 3)
    np.testing.assert_array_equal(cut[2:, :2], crop[:2, 3:])
    assert (cut[:2] == 128).all() and (cut[:, 2:] == 128).all()


def test_all_maps_stand_on_one_sheet_in_their_order():
    y = np.random.default_rng(0).random((3, 2, 11))
    sheet = look_page.sheet(y, {"peak": 2.0}, columns=4)
    assert sheet.shape == (11, 11, 3)
    np.testing.assert_array_equal(sheet[4:7, 6:8], drawing.heat(y[..., 6], 2.0))
    for white in (sheet[3::4], sheet[:, 2::3], sheet[8:, 9:]):
        assert (white == 255).all()


# Colours

def test_heat_runs_from_black_over_0_to_the_peak():
    ramp = drawing.heat(np.array([[0.0, 1, 2, np.nan]]), peak=2).astype(int).sum(axis=2)[0]
    assert ramp[0] < 20 and ramp[0] == ramp[3] < ramp[1] < ramp[2] > 600
    np.testing.assert_array_equal(drawing.heat(np.array([[0.0, 5]])),
                                  drawing.heat(np.array([[0.0, 1]])))
    blue, white, red = drawing.heat(np.array([[-2.0, 0, 2]]), signed=True).astype(int)[0]
    assert blue[2] > blue[0] + 50 and red[0] > red[2] + 50 and white.min() > 240
    assert (drawing.heat(np.zeros((2, 2))) == drawing.heat(np.zeros((1, 1)))[0, 0]).all()


# The pages

def coloured(height, width, red):
    return np.full((height, width, 3), (red, 200, 10), np.uint8)


SECTIONS = [
    Section("First & <second>", "a note", [
        Half("left", [[Tile(coloured(4, 4, 50), "one"),
                       Tile(coloured(2, 2, 60), "two", False)]],
             all=Tile(coloured(3, 3, 70), "all of them")),
        Half("right", bars=[Guess("cat", 0.5, True), Guess("dog", 0.25)])], 40),
    Section("Third", "", [Half(rows=[[Tile(coloured(8, 16, 80))]])], 320),
]


def test_the_png_has_every_picture_and_every_bar(tmp_path):
    drawing.write_png("a page", SECTIONS, tmp_path / "p.png")
    picture = pixels(tmp_path / "p.png")
    squares = {red: (picture == (red, 200, 10)).all(axis=2) for red in (50, 60, 80)}
    sizes = {red: (square.any(axis=1).sum(), square.any(axis=0).sum())
             for red, square in squares.items()}
    assert sizes == {50: (40, 40), 60: (40, 40), 80: (160, 320)}
    widths = [(picture == colour).all(axis=2).sum(axis=1).max()
              for colour in (sheets.TRUE, sheets.OTHER)]
    assert widths == [150, 75], "of 300 pixels"
    assert picture.shape[1] == 1200
    assert np.flatnonzero(squares[80].any(axis=1))[-1] < len(picture) - page.MARGIN


def test_no_line_runs_off_the_png(tmp_path):
    name = "a class with a long name, " * 12
    drawing.write_png(name, [SECTIONS[0]._replace(title=name, note=name)], tmp_path / "p.png")
    assert (pixels(tmp_path / "p.png")[:, -page.MARGIN:] == 255).all()


class Page(HTMLParser):
    """What a page has: its tags are closed in their order, and all that it refers to."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.texts, self.links = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[key] for key in ("href", "src") if key in attrs]
        if tag == "img":
            kind, data = attrs["src"].split(",", 1)
            assert kind == "data:image/png;base64"
            with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
                self.images.append((attrs["alt"], picture.size, picture.getpixel((0, 0))[0]))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_html_needs_nothing_but_itself_and_has_every_picture(tmp_path):
    drawing.write_html("rock & <roll>", SECTIONS, tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text("utf-8")
    page = Page(text)
    assert page.images == [("one", (4, 4), 50), ("two", (2, 2), 60), ("all of them", (3, 3), 70),
                           ("", (16, 8), 80)]
    assert all(link.startswith("data:") for link in page.links)
    assert not re.search(r"<script|https?:|@import|url\(", text)
    assert "default-src 'none'" in text and "script-src 'none'" in text
    assert "First & <second>" in page.texts and "rock & <roll>" in page.texts
    assert "width: 50.00%" in text and "width: 25.00%" in text


def script_data(path):
    data = re.search('<script type="application/json" id="maps">(.*?)</script>',
                     path.read_text("utf-8"))
    return json.loads(data[1])


def decoded(text, shape=-1):
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape).astype(int)


def test_what_the_script_reads_is_what_the_layers_gave(inspected, tmp_path):
    sections = look_page.look_page(inspected, [], "rose")
    drawing.write_html("x", sections, tmp_path / "p.html")
    layers = script_data(tmp_path / "p.html")["layers"]
    assert {*layers} == {*named_blocks(inspected.network)}
    y = inspected.activities[named_blocks(inspected.network)["conv2b"]]
    facts = layers["conv2b"]
    assert np.abs(decoded(facts["values"], y.shape) * facts["scale"] - y).max() <= facts["scale"]
    assert facts["places"][7] == [[*place] for place in peaks(y[..., 7], 8)]
    y = inspected.activities[named_blocks(inspected.network)["fc6a"]]
    facts = layers["fc6a"]
    assert facts["shape"] == [2, 64, 1] and facts["full"] == len(y) == 128
    assert facts["places"][0][0] == [*divmod(int(y.argmax()), 64)]
    assert [name for name, facts in layers.items() if facts["kernel_side"]] == ["conv1a", "conv1b"]


def test_levels_are_worth_what_was_given_and_have_its_colour(tmp_path):
    """Also below 0; and what is not finite is shown as 0, as in every picture."""
    y = np.array([[-2.0, -0.7, 0], [1, 1.4, np.nan]])[..., None]
    scale = {"peak": 2.0, "signed": True}
    maps = Maps("tanh1", y, scale, Lattice(0, 1, 1))
    drawing.write_html("x", [Section("", "", [Half(maps=maps)], 50)], tmp_path / "p.html")
    data = script_data(tmp_path / "p.html")
    facts = data["layers"]["tanh1"]
    levels = decoded(facts["values"], (2, 3))
    values = (levels - facts["zero"]) * facts["scale"]
    assert np.abs(values - np.nan_to_num(y[..., 0])).max() <= facts["scale"] / 2
    colours = decoded(data["palettes"][1], (256, 3))[levels]
    assert np.abs(colours - drawing.heat(y[..., 0], **scale)).max() <= 4


def test_a_network_that_diverged_has_a_page_too(inspected, tmp_path):
    broken = {layer: np.where(y > y.mean(), np.nan, y) for layer, y in inspected.activities.items()}
    sections = look_page.look_page(replace(inspected, activities=broken), [], "rose")
    drawing.write_html("x", sections, tmp_path / "p.html")
    assert script_data(tmp_path / "p.html")["layers"]["conv1a"]["scale"] > 0


def test_networks_of_other_than_square_pictures_are_refused(in_blobs):
    with opened.open_network(in_blobs / "run", "cpu") as net, \
            pytest.raises(UserError, match="trained on pictures of 5×4"):
        _ = opened.OpenedNetwork(net.path, net.recipe, net.classes, np.zeros((4, 5, 3)),
                                 net.network).side
