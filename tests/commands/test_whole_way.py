"""From somebody's photographs to a network in PyTorch and ONNX, where nothing is as we have it.

Each command passes its own tests in a folder called like pytest's, with a home, a UTF-8 terminal
and an open stdin. A cron job has none of these, and people's folders have names that are patterns
to glob, variables to a shell, formulas to Matplotlib and no ASCII.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from pictures import pixels
from PIL import Image

FOLDER = "it's \"Bärbel\" [1] {a} $HOME & $x$"
CLASSES = ("Kätzchen [2]", "dog's $5", "猫 cat")


@pytest.fixture
def home(tmp_path):
    """A folder with photos/{train,val}/<class>/: each class is of a colour."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        for split, count in (("train", 8), ("val", 3)):
            place = tmp_path / FOLDER / "my photos" / split / name
            place.mkdir(parents=True)
            for i in range(count):
                picture = rng.integers(0, 90, (40, 36, 3), np.uint8)
                picture[..., label] += 150
                Image.fromarray(picture).save(place / f"photo 'nº' [{i}].png")
    return tmp_path / FOLDER


def call(command, folder, cache):
    """What a command prints, in a process with nothing but what it needs."""
    name, *flags = command
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TINYALEX_DATA": str(cache),
                   "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-m", f"tinyalex.{name}", *flags], cwd=folder,
                          env=environment, capture_output=True, preexec_fn=lambda: os.close(0))
    printed, complained = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, f"{name} {flags}:\n{printed}\n{complained}"
    assert "Traceback" not in complained and "Error" not in complained
    return printed


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has neither a C locale nor such names")
def test_the_whole_way_in_a_folder_of_any_name(home, tmp_path):
    def run(*command):
        return call(command, home, tmp_path / "cache")

    photo = str(next((home / "my photos" / "val" / CLASSES[0]).iterdir()))
    batch = ("--batch-size", "8")
    assert "24 to train on, 9 to validate with" in run("prepare", "my photos", "a set", "--side",
                                                       "32")
    run("train", "--preset", "cifar", "--data", "a set", "--out", "my run", "--epochs", "1",
        "--seed", "1", *batch)
    assert "top-1" in run("evaluate", "my run")
    assert "top-1" in run("evaluate", "my run", "--ten-crop")
    said = run("predict", "my run", "my photos/val", "a set/val/0", "my photos/v*/*/*[[]1].png")
    assert " of 13; among the first five: 13 of 13" in said and f"({CLASSES[0]})" in said
    said = run("similar", "my run", photo, "--among", "my photos/train", "a set/train")
    assert f"{home}/my photos/train/{CLASSES[0]}/photo" in said
    assert "its way" in run("look", "my run", photo)
    run("filters", "my run")
    run("train", "--resume", "my run", "--epochs", "2")
    run("plot", "my run", "--out", "curves.png")
    for ending in ("safetensors", *["onnx"] * bool(find_spec("onnx"))):  # onnx is no dependency
        run("convert", "my run", f"net of mine.{ending}")
        assert (home / f"net of mine.{ending}").stat().st_size > 100_000
    for name in ("predict", "similar", "look", "filters", "../curves", "../a set/look"):
        assert pixels(home / "my run" / f"{name}.png").std() > 1
