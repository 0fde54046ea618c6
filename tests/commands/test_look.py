"""The page about one picture: that it shows this network, this picture, these units.

A page of handsome heat maps proves nothing. So the sections are compared with the numbers behind
them; the HTML must not need anything but itself; and a unit that is not there must be named.
"""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tinyalex import drawing, look
from tinyalex.architectures import ablations, alexnet
from tinyalex.data import gallery
from tinyalex.drawing import Guess, Half, Section, Tile, page, sections, sheets
from tinyalex.inside import looking
from tinyalex.inside.looking import Field
from tinyalex.run import opened
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError


@pytest.fixture
def seen(in_blobs):
    """A network, the activities for a picture, and the picture."""
    with opened.open_network(in_blobs / "run", "cpu") as net:
        shown = gallery.gather(["val/rose/02.png"], net.side)
        x = next(net.batches(shown, ""))
        yield net.network, looking.activities(net.network, x), shown[0], x


def test_the_command_writes_both_pages_and_says_what_the_network_says(in_blobs, capsys, tmp_path):
    out = tmp_path / "l.png"
    assert look.main(["run", "val/rose/02.png", "--out", str(out), "--unit", "conv1b:3"]) == 0
    assert re.search(r"/rose/02.png \(rose\)\n +[\d.]+%", capsys.readouterr().out)
    with Image.open(out) as picture:
        assert picture.size[0] == 1200 and picture.size[1] > 1500
    html = (tmp_path / "l.html").read_text()
    heads = re.findall(r"<h2>(.*?)</h2>", html)
    assert heads == [
        "What the network reads, and which pixels matter", "What it says, and what one unit sees",
        "conv1: 16 maps of 28×28 in each tower", "conv2: 32 maps of 13×13 in each tower",
        "Between the towers, before conv3", "conv3: 48 maps of 6×6 in each tower",
        "conv4: 48 maps of 6×6 in each tower", "conv5: 48 maps of 6×6 in each tower",
        "Between the towers, before fc6", "fc6: 128 units in each tower",
        "Between the towers, before fc7", "fc7: 128 units in each tower",
        "Between the towers, before fc8"]
    assert "map 3 of conv1b" in html


@pytest.mark.parametrize(("unit", "said"), [
    ("conv9a:1", "no layer of maps is called 'conv9a'"), ("fc6a:1", "'fc6a'"),
    ("conv1a", "has the maps 0 to 15, with rows 0 to 27"), ("conv1a:16", "maps 0 to 15"),
    ("conv1a:-1", "maps 0 to 15"), ("conv1a:1:28:0", "rows 0 to 27"), ("conv1a:x", "maps 0 to"),
    ("conv1a:1:2", "maps 0 to"), ("conv1a:1:2:3:4", "maps 0 to"),
])
def test_a_unit_that_is_not_there_is_named(in_blobs, capsys, tmp_path, unit, said):
    out = str(tmp_path / "l.png")
    assert run(lambda: look.main(["run", "val/rose/02.png", "--unit", unit, "--out", out])) == 2
    err = capsys.readouterr().err
    assert f"--unit {unit}: " in err and said in err and not list(tmp_path.iterdir())


def test_only_one_picture_walks_at_a_time(in_blobs, capsys):
    assert run(lambda: look.main(["run", "val"])) == 2
    assert "val: 40 pictures" in capsys.readouterr().err


def test_units_are_found_by_their_numbers_or_where_they_are_strongest(seen):
    network, given, _, _ = seen
    maps = sections.named_blocks(network)
    assert look.choose(network, given, "conv4b:7:2:3") == (maps["conv4b"], 7, 2, 3)
    unit = look.choose(network, given, "conv2a:5")
    y = given[maps["conv2a"]][..., 5]
    assert unit[:2] == (maps["conv2a"], 5) and y[unit.row, unit.column] == y.max()
    unit = look.choose(network, given, None)
    assert unit.layer in (maps["conv1a"], maps["conv1b"]), "units of conv2 see 15 of 28 pixels"
    assert given[unit.layer][unit.row, unit.column, unit.map] == max(
        given[maps[name]].max() for name in ("conv1a", "conv1b"))


def test_activities_are_shown_behind_the_unit_of_each_layer():
    def shown(network):
        return [[layer.name for layer in layers] for _, layers in sections.blocks(network)]

    assert shown(alexnet.tiny())[0] == ["relu1a", "relu1b"]
    assert shown(alexnet.tiny(towers=1))[-1] == ["relu7"]
    tanh = alexnet.tiny(edit=ablations.edit(activation="tanh", without="fc7"))
    assert [name for name, _ in sections.blocks(tanh)] == [
        "conv1", "conv2", "conv3", "conv4", "conv5", "fc6"]
    assert shown(tanh)[2] == ["tanh3a", "tanh3b"]
    original = alexnet.build(alexnet.original_tower, alexnet.TINY)
    assert original.shapes[sections.named_blocks(original)["conv1a"]][1] == (13, 13, 16), "pooled"


def test_the_page_shows_the_strongest_maps_and_what_their_units_see(seen):
    network, given, picture, x = seen
    unit = look.choose(network, given, "conv3a:1")
    one = sections.Walk(network, picture[2:30, 2:30], x[0], given, 0,
                    looking.crossings(network, given), unit,
                    looking.receptive_field(network, unit), np.ones((28, 28)), 4,
                    looking.pixel_gradient(network, x, 0))
    shown = {section.title.split(":")[0]: section
                for section in sections.sections(one, [Guess("rose", 0.5, True)], ["a", "b", "c"])}
    layer = sections.named_blocks(network)["conv2b"]
    maps, patches = shown["conv2"].halves[1].rows
    best = np.argsort(-given[layer].max(axis=(0, 1)), kind="stable")[:8]
    assert [tile.caption.split(":")[0] for tile in maps] == [str(f) for f in best]
    peak = max(given[sections.named_blocks(network)[name]].max() for name in ("conv2a", "conv2b"))
    np.testing.assert_array_equal(maps[1].image, drawing.heat(given[layer][..., best[1]], peak))
    field = looking.receptive_field(network, looking.strongest(layer, given[layer], best[1]))
    np.testing.assert_array_equal(patches[1].image, sections.patch(picture[2:30, 2:30], field))
    bars = shown["Between the towers, before conv3"].halves[1].bars
    shares = looking.crossings(network, given)[1].shares
    assert bars == [Guess("from tower a", shares[0], True), Guess("from tower b", shares[1])]
    np.testing.assert_array_equal(
        shown["What the network reads, and which pixels matter"].halves[0].rows[0][0].image,
        picture[2:30, 2:30])


def test_a_patch_is_what_a_field_covers_and_grey_outside():
    crop = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
    np.testing.assert_array_equal(sections.patch(crop, Field(1, 2, 4, 5)), crop[1:4, 2:5])
    cut = sections.patch(crop, Field(-2, 3, 2, 7))
    assert cut.shape == (4, 4, 3)
    np.testing.assert_array_equal(cut[2:, :2], crop[:2, 3:])
    assert (cut[:2] == 128).all() and (cut[:, 2:] == 128).all()


def test_all_maps_stand_on_one_sheet_in_their_order():
    y = np.random.default_rng(0).random((3, 2, 11))
    sheet = sections.sheet(y, {"peak": 2.0}, columns=4)
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
    drawing.draw_story("a page", SECTIONS, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as opened:
        picture = np.asarray(opened.convert("RGB")).astype(int)
    found = {red: (picture == (red, 200, 10)).all(axis=2) for red in (50, 60, 80)}
    sizes = {red: (there.any(axis=1).sum(), there.any(axis=0).sum())
             for red, there in found.items()}
    assert sizes == {50: (40, 40), 60: (40, 40), 80: (160, 320)}
    widths = [(picture == colour).all(axis=2).sum(axis=1).max()
              for colour in (sheets.TRUE, sheets.OTHER)]
    assert widths == [150, 75], "of 300 pixels"
    assert picture.shape[1] == 1200
    assert np.flatnonzero(found[80].any(axis=1))[-1] < len(picture) - page.MARGIN


class Seen(HTMLParser):
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
    page = Seen(text)
    assert page.images == [("one", (4, 4), 50), ("two", (2, 2), 60), ("all of them", (3, 3), 70),
                           ("", (16, 8), 80)]
    assert all(link.startswith("data:") for link in page.links)
    assert not re.search(r"<script|https?:|@import|url\(", text)
    assert "First & <second>" in page.texts and "rock & <roll>" in page.texts
    assert "width: 50.00%" in text and "width: 25.00%" in text


def test_the_old_page_stays_if_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "p.html"
    path.write_text("old")
    monkeypatch.setattr(drawing.html, "_section", lambda section: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drawing.write_html("new", SECTIONS, path)
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_networks_of_other_than_square_pictures_are_refused(in_blobs, monkeypatch):
    with opened.open_network(in_blobs / "run", "cpu") as net, \
            pytest.raises(UserError, match="trained on pictures of 5×4"):
        _ = opened.OpenedNetwork(net.path, net.recipe, net.classes, np.zeros((4, 5, 3)),
                            net.network).side
