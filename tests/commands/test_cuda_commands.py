"""Every command on GPUs: it says, draws and writes what it does on the CPU.

What works on the CPU can still end in a TypeError on a GPU: an array of the host that met one of
the GPU, a patch of a layer that only knew NumPy. And "auto" takes a GPU wherever there is one, so
nobody has to ask for it. In training the host runs ahead of a GPU, and reads losses some steps
late. So it could count a step twice or never, save before it has seen a loss that is no number, or
name the wrong step.
"""

import importlib.util
import re

import numpy as np
import pytest
from runs import assert_close, assert_same_bits, log_rows, settings, weights

from tinyalex import filters, info, train
from tinyalex.convert import __main__ as convert
from tinyalex.data import gallery
from tinyalex.devices import cuda
from tinyalex.inside import inspection
from tinyalex.run import checkpoint, opened
from tinyalex.support.cli import run

pytestmark = pytest.mark.usefixtures("undrawn")
DRAW = ("predict", "similar", "look", "dream")
NUMBER = re.compile(r"\d+\.(\d+)")


def assert_same_but_for_rounding(ours: str, theirs: str):
    """The same text; numbers may differ by two in the last digit that they show."""
    assert NUMBER.sub("#", ours) == NUMBER.sub("#", theirs)
    for a, b in zip(NUMBER.finditer(ours), NUMBER.finditer(theirs), strict=True):
        assert abs(float(a[0]) - float(b[0])) <= 2.01 * 10.0 ** -len(a[1]), (a[0], b[0])


@pytest.mark.parametrize("command", [
    "evaluate run --data blobs:load --limit 4", "predict run val --ten-crop --limit 2",
    "similar run val/rose/02.png blobs:load/val/1 --among val --save OUT/features.npz",
    "summary --preset tiny --classes 7",
    "dream run --unit conv2b:3 class:rose --among val --limit 12 --steps 3 --batch-size 5",
    pytest.param("look run val/rose/02.png", marks=pytest.mark.slow)])
def test_a_command_says_on_gpus_what_it_says_on_the_cpu(in_blobs, tmp_path, monkeypatch, capsys,
                                                        gpu, command):
    said = []
    for devices in ("cpu", gpu):
        out = tmp_path / devices
        out.mkdir()
        monkeypatch.setenv("TINYALEX_DATA", str(out))  # or the CPU's features would be found there
        name, *argv = command.replace("OUT", str(out)).split()
        draw = ["--out", str(out / "o.png")] if name in DRAW else []
        module = importlib.import_module(f"tinyalex.{name}")
        assert module.main([*argv, "--devices", devices, *draw]) == 0
        said.append(capsys.readouterr().out.replace(str(out), "OUT"))
        assert not draw or (out / "o.png").is_file()
    assert_same_but_for_rounding(*(re.sub(" *(cpu0|cuda:0|device) *", " ", text) for text in said))


@pytest.mark.slow
def test_what_is_seen_inside_is_the_same_on_gpus(in_blobs, gpus):
    seen = []
    for devices in ("cpu", gpus):
        with opened.open_network(in_blobs / "run", devices) as net:
            shown = gallery.gather(["val/rose/02.png"], net.side)
            seen.append(inspection.inspect(net.network, shown[0][2:30, 2:30],
                                           next(net.batches(shown, "")), 2))
    ours, theirs = seen
    assert [crossing.layer for crossing in ours.crossings] == ["conv3", "fc6", "fc7", "fc8"]
    pairs = [*zip(ours.activities.values(), theirs.activities.values(), strict=True)]
    pairs += [(a.shares, b.shares) for a, b in zip(ours.crossings, theirs.crossings, strict=True)]
    for a, b in [*pairs, (ours.covered, theirs.covered), (ours.gradient, theirs.gradient)]:
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(a).max())
    assert (ours.unit.layer.name, *ours.unit[1:]) == (theirs.unit.layer.name, *theirs.unit[1:])
    assert ours.field == theirs.field


def exported(folder, capsys) -> dict[str, bytes]:
    """What convert writes of a checkpoint, and what it and filters say."""
    kinds = ["safetensors", "npz", *(["onnx"] if importlib.util.find_spec("onnx") else [])]
    files = [folder / f"weights.{kind}" for kind in kinds]
    for file in files:
        assert convert.main(["run", str(file)]) == 0
    assert filters.main(["run", "--out", str(folder / "filters.png")]) == 0
    return {file.suffix: file.read_bytes() for file in files} | {
        "said": capsys.readouterr().out.encode()}


@pytest.fixture
def without_gpu(in_blobs, tmp_path, capsys) -> dict[str, bytes]:
    return exported(tmp_path, capsys)


def test_what_needs_no_gpu_is_not_disturbed_by_one(without_gpu, gpu, tmp_path, capsys):
    assert exported(tmp_path, capsys) == without_gpu


@pytest.mark.slow
def test_a_run_on_gpus_learns_what_a_run_on_the_cpu_learns(patches, tmp_path, gpus):
    """The same log, row by row, up to rounding: no step is missing, or counted twice."""
    for name, devices in (("cpu", "cpu"), ("gpu", gpus)):
        train.main(settings(patches, "--devices", devices, "--out", str(tmp_path / name)))
    on_cpu, on_gpu = (log_rows(tmp_path / name) for name in ("cpu", "gpu"))
    assert [row["step"] for row in on_gpu] == [row["step"] for row in on_cpu]
    for ours, theirs in zip(on_cpu, on_gpu, strict=True):
        assert float(theirs["train_loss"]) == pytest.approx(float(ours["train_loss"]), rel=0.02)
        assert float(theirs["val_loss"]) == pytest.approx(float(ours["val_loss"]), rel=0.02)


@pytest.mark.slow
def test_a_checkpoint_moves_between_cpu_and_gpu(patches, tmp_path, gpu):
    """An epoch on each, there and back, against three on the CPU."""
    def run_on(folder, *devices):
        for epoch, device in enumerate(devices, 1):
            how = (["--resume", str(folder), "--data", patches] if epoch > 1
                   else [*settings(patches)[:-2], "--out", str(folder)])
            train.main([*how, "--epochs", str(epoch), "--devices", device])
        return weights(folder)

    unbroken = run_on(tmp_path / "cpu", "cpu", "cpu", "cpu")
    moved = run_on(tmp_path / "moved", "cpu", gpu, "cpu")
    assert_close(moved, unbroken, rtol=0.05, atol=2e-3)


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_run_on_a_gpu_too(
        patches, tmp_path, gpu, capsys):
    """It is seen some steps late, and named by its own number; the last good checkpoint stays."""
    folder = tmp_path / "run"
    train.main(settings(patches, "--devices", gpu, "--out", str(folder), "--epochs", "1"))
    good = weights(folder)
    saved = checkpoint.load(folder / "checkpoint.npz")
    saved.about["schedule"]["lr"] = 1e30
    saved.save(folder / "checkpoint.npz")
    assert run(lambda: train.main(
        ["--resume", str(folder), "--data", patches, "--epochs", "3"])) == 2
    said = capsys.readouterr().err
    assert "the loss is nan; training stops here" in said
    assert "step 8:" in said  # step 7, the first of epoch 2, gives weights of 1e30
    assert_same_bits(weights(folder), good)


def test_info_tries_the_gpu(gpu, capsys):
    assert info.main([]) == 0
    said = capsys.readouterr().out
    assert "self-test right" in said
    assert "--devices auto is cuda:0" in said


def test_info_says_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(cuda, "find", lambda: cuda.Found(problem="CuPy is not installed",
                                                         hint="install it."))
    assert info.main([]) == 0
    said = capsys.readouterr().out
    assert "none: CuPy is not installed" in said and "HINT:" in said and "auto is cpu" in said


def test_info_says_what_does_not_work(gpu, capsys, monkeypatch):
    def broken(index):
        raise ImportError("libcublas.so.12: cannot open\nand so on")

    monkeypatch.setattr(info, "self_test", broken)
    info.main([])
    said = capsys.readouterr().out
    assert "self-test does not work: ImportError: libcublas.so.12: cannot open\nHINT:" in said
