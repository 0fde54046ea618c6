"""The house stands: no module imports upwards.

One import from below to above is enough, and a file can no longer be read, or tried out, without
half of the package; two of them make a circle. The floors are written in docs/architecture.md and
nowhere else: the table of that page is what is tested here.
"""

import pytest
from pages import ROOT, script
from PIL import Image

from tinyalex.__main__ import COMMANDS

architecture = script("architecture")

FLOORS = architecture.floors((ROOT / "docs/architecture.md").read_text(encoding="utf-8"))
PLACES = architecture.places(FLOORS)


def wrong(pairs):
    """The imports that lead to the right or upwards."""
    return {(a, b) for a, b in pairs if PLACES[a] <= PLACES[b]}


def test_every_module_has_one_place_and_every_place_a_module():
    modules = [module for _, modules in FLOORS for module in modules]
    assert len(modules) == len(set(modules))
    for module in modules:
        path = ROOT / "tinyalex" / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or path.is_dir(), module
    for importer, imported in architecture.imports(ROOT / "tinyalex"):
        for module in (importer, imported):
            assert architecture.home(module, PLACES) in PLACES, (
                f"{module} stands on no floor of docs/architecture.md")


def test_no_module_imports_upwards():
    assert wrong(architecture.edges(ROOT / "tinyalex", PLACES)) == set()


def test_data_stands_apart():
    """What loads pictures knows nothing of networks. (Nothing below it can know of it.)"""
    read = {b for a, b in architecture.edges(ROOT / "tinyalex", PLACES) if a == "data"}
    assert read == {"support", "devices"}


def test_nobody_imports_a_door():
    """What two commands share stands below them: who imports one gets its flags and its printing
    as well, and who changes a command changes another."""
    doors = {name if (ROOT / f"tinyalex/{name}.py").exists() else f"{name}.__main__"
             for name in COMMANDS}
    assert {b for _, b in architecture.imports(ROOT / "tinyalex")} & doors == set()


def test_the_plain_loops_are_for_checks_only():
    """They are what the fast kernels are compared with; a network that used them would crawl."""
    readers = {a for a, b in architecture.imports(ROOT / "tinyalex") if b == "kernels.loops"}
    assert readers and all(reader.startswith("gradcheck.") for reader in readers)


@pytest.mark.parametrize(("file", "line", "importer", "imported"), [
    ("layers/conv.py", "from tinyalex.network import Network", "layers", "network"),
    ("optim.py", "from tinyalex.run import presets", "optim", "run"),
    ("kernels/numpy.py", "def f():\n    import tinyalex.devices", "kernels", "devices"),
    ("inside/costs.py", "from tinyalex.data import loader", "inside", "data")])
def test_an_import_upwards_is_noticed_however_it_is_written(tmp_path, file, line, importer,
                                                            imported):
    package = tmp_path / "tinyalex"
    for path in (ROOT / "tinyalex").rglob("*.py"):
        copy = package / path.relative_to(ROOT / "tinyalex")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    (package / file).write_text(line)
    assert wrong(architecture.edges(package, PLACES)) == {(importer, imported)}


def test_what_follows_from_other_imports_is_not_drawn():
    pairs = {("c", "b"), ("b", "a"), ("c", "a"), ("d", "a")}
    assert architecture.needed(pairs) == {("c", "b"), ("b", "a"), ("d", "a")}


def test_the_picture_is_drawn(tmp_path):
    assert architecture.main([str(tmp_path / "house.png")]) == 0
    with Image.open(tmp_path / "house.png") as picture:
        assert picture.size[0] == architecture.WIDTH


def test_the_boxes_of_a_floor_stand_apart():
    storeys = [modules for _, modules in FLOORS]
    at = architecture.spread(storeys, architecture.edges(ROOT / "tinyalex", PLACES))
    for floor in storeys:
        every = 2 if len(floor) > architecture.CROWDED else 1  # by turns higher and lower
        for left, right in zip(floor, floor[every:], strict=False):
            widths = architecture.box_width(left) + architecture.box_width(right)
            assert at[right] - at[left] > widths / 2 + 8, (left, right)
