"""The commands with --devices cuda:0: training, what it leaves behind, and what `info` says.

The host runs ahead of a GPU, and reads losses some steps late. So it could count a step twice or
never, save before it has seen a loss that is no number, or name the wrong step.
"""

import numpy as np
import pytest
from runs import log_rows, settings, weights

from tinyalex import evaluate, info, train
from tinyalex.devices import cuda
from tinyalex.run import checkpoint
from tinyalex.support.cli import run


def test_a_run_on_gpus_learns_what_a_run_on_the_cpu_learns(patches, tmp_path, gpus):
    """The same log, row by row, up to rounding: no step is missing, or counted twice."""
    for name, devices in (("cpu", "cpu"), ("gpu", gpus)):
        train.main(settings(patches, "--devices", devices, "--out", str(tmp_path / name)))
    on_cpu, on_gpu = (log_rows(tmp_path / name) for name in ("cpu", "gpu"))
    assert [row["step"] for row in on_gpu] == [row["step"] for row in on_cpu]
    for ours, theirs in zip(on_cpu, on_gpu, strict=True):
        assert float(theirs["train_loss"]) == pytest.approx(float(ours["train_loss"]), rel=0.02)
        assert float(theirs["val_loss"]) == pytest.approx(float(ours["val_loss"]), rel=0.02)


def test_a_checkpoint_moves_between_cpu_and_gpu(patches, tmp_path, gpu):
    """An epoch on each, in either order, against three on the CPU."""
    def run_on(folder, *devices):
        for epoch, device in enumerate(devices, 1):
            how = (["--resume", str(folder)] if epoch > 1
                   else [*settings(patches)[:-2], "--out", str(folder)])
            train.main([*how, "--epochs", str(epoch), "--devices", device])
        return weights(folder)

    unbroken = run_on(tmp_path / "cpu", "cpu", "cpu", "cpu")
    for name, way in (("there", ("cpu", gpu, "cpu")), ("back", (gpu, "cpu", gpu))):
        moved = run_on(tmp_path / name, *way)
        for key, value in unbroken.items():
            np.testing.assert_allclose(moved[key], value, rtol=0.05, atol=2e-3, err_msg=key)


def test_the_gpu_and_the_cpu_evaluate_alike(patches, tmp_path, gpu, capsys):
    folder = str(tmp_path / "run")
    train.main(settings(patches, "--devices", gpu, "--out", folder, "--epochs", "1"))
    said = []
    for device in ("cpu", gpu):
        capsys.readouterr()
        evaluate.main([folder, "--devices", device, "--ten-crop"])
        said.append(capsys.readouterr().out.splitlines())
    assert said[0][:2] == said[1][:2]
    assert said[0][2].split()[:3] == said[1][2].split()[:3]


def test_a_loss_that_is_no_number_stops_the_run_on_a_gpu_too(
        patches, tmp_path, gpu, capsys):
    """It is seen some steps late, and named by its own number; the last good checkpoint stays."""
    folder = tmp_path / "run"
    train.main(settings(patches, "--devices", gpu, "--out", str(folder), "--epochs", "1"))
    good = weights(folder)
    saved = checkpoint.load(folder / "checkpoint.npz")
    saved.about["schedule"]["lr"] = 1e30
    saved.save(folder / "checkpoint.npz")
    assert run(lambda: train.main(["--resume", str(folder), "--epochs", "3"])) == 2
    said = capsys.readouterr().err
    assert "the loss is nan; training stops here" in said
    assert "step 8:" in said  # step 7, the first of epoch 2, gives weights of 1e30
    for name, value in weights(folder).items():
        np.testing.assert_array_equal(value, good[name])


def test_info_tries_the_gpu(gpus, capsys):
    assert info.main([]) == 0
    said = capsys.readouterr().out
    assert "product   right" in said and "self-test right" in said
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

    monkeypatch.setattr(info, "product", broken)
    info.main([])
    said = capsys.readouterr().out
    assert "product   does not work: ImportError: libcublas.so.12: cannot open\nHINT:" in said
