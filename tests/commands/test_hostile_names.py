r"""Names that speak to the terminal.

Classes, files and folders are called what others called them. ESC [31m turns a terminal red, and
its relatives do worse; a newline forges a line of ours; a right-to-left override turns .exe into
.jpg; $\frac$ is a formula that Matplotlib cannot set; [1] is a pattern to glob, {a} a blank to fill
in. None of it may be more than text to the user.
"""

import os

import numpy as np
import pytest
from doors import main_of
from PIL import Image

from tinyalex import drawing, train
from tinyalex.support.cli import run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such names")

CLASSES = ("Kätzchen [2]", "bad\x1b[31m", "two\nFORGED\r", "\u202e$\\frac$ <b>'s {a}")
PICTURE = "p\x1b]0;t\x07\nFORGED \u202e$\\frac${}.png"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of such a name, with pictures of such classes in data$/, a network of them in run$/,
    and names for --names."""
    folder = tmp_path_factory.mktemp("names") / "it's \"in\x1b[31m\nFORGED [1] {a} %s & $\\frac$"
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in CLASSES:
            (folder / "data$" / split / name).mkdir(parents=True)
            for i in range(2):
                picture = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
                picture.save(folder / "data$" / split / name / PICTURE.format(i))
    (folder / "names.txt").write_text("Kätzchen spoken\x1b[31m\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYALEX_DATA", str(folder / "cache"))
        patch.chdir(folder)
        train.main(["--preset", "cifar", "--data", "data$", "--batch-size", "4", "--epochs", "1",
                    "--without", "conv3,conv4,conv5,fc6,fc7", "--out", "run$"])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [
    "evaluate RUN", "predict RUN PICTURE --names NAMES", "look RUN PICTURE",
    "dream RUN --among VAL --steps 2", "dream RUN --unit class:yak",
    "similar RUN PICTURE --among VAL --save FOLDER/f.npz --names NAMES", "plot RUN RUN",
    "filters RUN", "data show DATA --out FOLDER/s.png", "data list",
    "data augment --data DATA --out FOLDER/a.png", "prepare DATA FOLDER/prepared --side 32",
    "train --resume run$ --data data$ --epochs 2 --workers 0", "convert RUN VAL",
    "convert RUN FOLDER/x.safetensors",
    "train --data VAL/missing:f", "predict RUN VAL/missing", "evaluate RUN --data VAL"])
def test_names_are_text_and_nothing_else(command, place, capsys, monkeypatch):
    monkeypatch.setenv("TINYALEX_DATA", str(place / "cache"))
    data = place / "data$"
    words = {"RUN": place / "run$", "DATA": data, "VAL": data / "val", "NAMES": place / "names.txt",
             "PICTURE": data / "val" / CLASSES[3] / PICTURE.format(0), "FOLDER": place}
    monkeypatch.chdir(place)
    name, *argv = command.split()
    for word, path in words.items():
        argv = [arg.replace(word, str(path)) for arg in argv]
    status = run(lambda: main_of(f"tinyalex.{name}")(argv))
    out, err = capsys.readouterr()
    assert (status, err) == (0, "") or (status, out, err.count("\n")) == (2, "", 2)
    assert {c for c in out + err if not c.isprintable()} == {"\n"}
    assert "FORGED" not in {line.lstrip()[:6] for line in (out + err).splitlines()}


def test_a_page_for_a_browser_shows_them_as_text(tmp_path):
    tile = drawing.Tile(np.zeros((2, 2, 3), np.uint8), CLASSES[1])
    half = drawing.Half(CLASSES[3], [[tile]])
    drawing.write_html(CLASSES[2], [drawing.Section(CLASSES[3], CLASSES[1], [half], 50)],
                       tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text("utf-8")
    assert not {"\x1b", "\r", "\u202e"} & {*page} and "<b>" not in page
