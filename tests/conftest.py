"""What the tests share."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from blobs import load
from gpus import machines, on
from PIL import Image
from runs import patches, undrawn, with_pictures  # noqa: F401 (fixtures)
from threadpoolctl import threadpool_limits

from tinyalex import train
from tinyalex.drawing import page
from tinyalex.layers.base import Weighted
from tinyalex.support import files
from tinyalex.support.cli import run


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_blas() -> Iterator[None]:
    """As on the devices. On a busy machine the threads of BLAS wait for each other at full speed,
    and small products take a hundred times as long."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture(scope="session", autouse=True)
def signals_that_nobody_ignores() -> Iterator[None]:
    """As at a terminal: whoever starts the tests in the background, or with nohup, has them ignore
    Ctrl-C and a hangup, and what they start as well."""
    usual = {signal.SIGINT: signal.default_int_handler,
             getattr(signal, "SIGHUP", signal.SIGTERM): signal.SIG_DFL}  # Windows has no hangup
    ignored = [number for number in usual if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, usual[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def undrawn_weights(monkeypatch):
    """Networks with any numbers for weights: drawing them takes long, and some tests ask only what
    the shapes say."""
    def initialise(layer, rng, dtype=np.float32):
        shapes = {"W": layer.W_shape, "b": layer.b_shape}
        layer.params = {key: np.empty(shape, dtype) for key, shape in shapes.items()}
        return layer

    monkeypatch.setattr(Weighted, "initialise", initialise)


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """An empty folder for made and downloaded data, so that no test meets the user's own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("TINYALEX_DATA", str(folder))
    return folder


@pytest.fixture(params=machines("cuda:0"))
def gpu(request) -> Iterator[str]:
    """ "cuda:0", a simulated GPU or a real one."""
    with on(*request.param):
        yield request.param[1]


@pytest.fixture(params=machines("cuda:0", "cuda:0,cuda:0", "cuda:0,cuda:1"))
def gpus(request) -> Iterator[str]:
    """A placement on one GPU or two, simulated or real."""
    with on(*request.param):
        yield request.param[1]


@pytest.fixture(scope="session")
def blobs(tmp_path_factory) -> Path:
    """A folder with a small trained network in run/ (two towers, "blobs:load" as its data), and the
    pictures that it was validated with in val/<class>/<number>.png."""
    folder = tmp_path_factory.mktemp("blobs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYALEX_DATA", str(folder / "cache"))
        patch.chdir(folder)
        train.main(["--preset", "cifar", "--data", "blobs:load", "--batch-size", "8",
                    "--epochs", "3", "--out", "run"])
        dataset = load("val")
        for i, (image, label) in enumerate(zip(dataset.images, dataset.labels, strict=True)):
            place = folder / "val" / dataset.classes[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{i:02}.png")
    return folder


@pytest.fixture
def in_blobs(blobs, monkeypatch) -> Path:
    """The folder of `blobs`, as the current one."""
    monkeypatch.setenv("TINYALEX_DATA", str(blobs / "cache"))
    monkeypatch.chdir(blobs)
    return blobs


@pytest.fixture
def trained(in_blobs, tmp_path) -> Path:
    """The folder of a run of three epochs of five steps, a copy of one's own."""
    return shutil.copytree(in_blobs / "run", tmp_path / "trained")


@pytest.fixture
def refused(capsys):
    """Calls a command that must end with status 2, having said nothing but two lines on stderr, the
    second what to do; returns these."""
    def call(command, argv: list[str]) -> str:
        capsys.readouterr()
        assert run(lambda: command(argv)) == 2
        out, err = capsys.readouterr()
        error, hint = err.splitlines()
        assert out == "" and error.startswith("error: ") and hint.startswith("HINT: ")
        return err

    return call


@pytest.fixture
def free_space(monkeypatch):
    """Called with a number of bytes: no disk has more of them free."""
    return lambda size: monkeypatch.setattr(
        files.shutil, "disk_usage", lambda folder: SimpleNamespace(total=2**40, free=size))


@pytest.fixture
def figures(monkeypatch) -> list:
    """The figures that were drawn, in order; they are still written."""
    drawn, save = [], page.save
    monkeypatch.setattr(page, "save", lambda figure, path: (drawn.append(figure),
                                                            save(figure, path)))
    return drawn
