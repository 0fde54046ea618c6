"""What the trainer does around `train_step`, and must not lose on the way.

A GPU's losses come some steps late: one can be counted twice, or never, or under another's number.
In a long epoch a row of the log or a checkpoint is due in the middle; one that is saved between a
step and its counting, or rows at the wrong steps, are only noticed when a run is resumed.
"""

import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from runs import assert_same_bits, log_rows, weights

from tinyalex.data import sources
from tinyalex.data.dataset import Dataset
from tinyalex.devices import HOST, Devices
from tinyalex.run import pictures, presets, trainer
from tinyalex.run.folder import Run
from tinyalex.run.meters import Pending, Progress
from tinyalex.run.trainer import Trainer
from tinyalex.world.threads import together

pytestmark = pytest.mark.usefixtures("undrawn")


def begin(folder, resume=False, world=None, **changes):
    recipe = replace(presets.get("cifar"), **{
        "data": "patches:load", "batch_size": 2, "epochs": 1, "lr": 0.001,
        "without": "conv3,conv4,conv5,fc6,fc7", "devices": "cpu"} | changes)
    run, data = Run(folder, recipe), [sources.load(recipe.data, s) for s in ("train", "val")]
    devices = Devices("cpu")
    begun = Trainer(run, *data, devices, world=world)
    if resume:
        begun.resume()
    elif begun.world.rank == 0:
        run.start()
    return begun, devices


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of one epoch of 48 batches, done."""
    folder = tmp_path_factory.mktemp("whole")
    begun, devices = begin(folder)
    with devices:
        begun.train(lambda row: None)
    return folder


@pytest.mark.slow
def test_an_epoch_leaves_twenty_rows_of_the_pictures_since_the_row_before_and_one_of_all(whole):
    rows = log_rows(whole)
    assert [int(row["step"]) for row in rows] == [48 * i // 20 for i in range(1, 21)]
    between = np.diff([0, *(int(row["step"]) for row in rows[:-1])])
    losses = np.array([float(row["train_loss"]) for row in rows])
    rest = 48 - int(rows[-2]["step"])
    last = (48 * losses[-1] - between @ losses[:-1]) / rest  # for the last row is of all pictures
    assert 0 < last < 3


@pytest.mark.parametrize("parallel", ["data", "hybrid-b"])
def test_train_can_be_called_once_more_by_workers_that_share(tmp_path, parallel):
    """Those of hybrid have parts of the velocities since the first time."""
    def train(world, epochs):
        begun, devices = begin(tmp_path / f"in-{len(epochs)}", world=world, batch_size=24,
                               parallel=parallel)
        with devices:
            for last in epochs:
                begun.recipe = replace(begun.recipe, epochs=last)
                begun.train(lambda row: None)
            begun.parallel.close()

    for epochs in ([2], [1, 2]):
        together(2, lambda world, epochs=epochs: train(world, epochs))
    assert_same_bits(weights(tmp_path / "in-1"), weights(tmp_path / "in-2"))


@pytest.mark.slow
def test_a_crash_in_a_long_epoch_costs_the_steps_since_the_last_checkpoint(
        whole, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "SAVE_EVERY", 0)
    step, calls = trainer.train_step, []

    def crash(*args):
        calls.append(args)
        if len(calls) == 31:
            raise RuntimeError("the power went")
        return step(*args)

    monkeypatch.setattr(trainer, "train_step", crash)
    begun, devices = begin(tmp_path / "parts")
    with devices, pytest.raises(RuntimeError):
        begun.train(lambda row: None)
    again, devices = begin(tmp_path / "parts", resume=True)
    assert (again.progress.step, again.progress.pictures) == (30, 60)
    with devices:
        again.train(lambda row: None)
    assert_same_bits(weights(whole), weights(tmp_path / "parts"))
    ours, theirs = log_rows(tmp_path / "parts"), log_rows(whole)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    assert ours[-1]["train_loss"] == theirs[-1]["train_loss"]


def test_the_training_pictures_are_measured_once_a_start(tmp_path, monkeypatch):
    """On ImageNet that takes minutes."""
    measure, calls = Dataset.measure, []
    monkeypatch.setattr(Dataset, "measure", lambda self: calls.append(self) or measure(self))
    begin(tmp_path / "run")[1].close()
    assert len(calls) == 1


def test_the_first_step_and_the_first_after_a_resume_have_the_rates_of_the_schedule(tmp_path):
    schedule = "1:conv1=0,1:0.5,2:conv1a.W=0.25,2:conv=0.125"
    expected = {1: {"conv1a.W": 0, "conv1b.W": 0, "conv2a.W": 0.5, "fc8a.W": 0.5},
                2: {"conv1a.W": 0.25, "conv1b.W": 0, "conv2a.W": 0.125, "fc8a.W": 0.5}}
    for resume, epoch in ((False, 1), (True, 1), (True, 2)):
        begun, devices = begin(tmp_path / "run", resume, batch_size=48, epochs=epoch,
                               schedule=schedule)
        with devices:
            rates = {p.name: begun.optimiser.rate(p) for p in begun.network.parameters}
            assert rates | expected[begun.progress.epoch] == rates
            if not resume:
                begun.save()
            begun.train(lambda row: None)


@pytest.mark.parametrize("moment", ["validation", "row"])
def test_a_linear_rate_falls_from_step_to_step_and_after_a_resume_goes_on_where_it_was(
        tmp_path, monkeypatch, moment):
    """Also where a run was stopped between the last step of an epoch and its row in the log."""
    changes = {"batch_size": 48, "epochs": 2, "schedule": "linear", "lr": 0.004}  # 4 steps
    begun, devices = begin(tmp_path / "whole", **changes)
    with devices:
        begun.train(lambda row: None)
    begun, devices = begin(tmp_path / "parts", **changes)

    def stop(*args):
        if moment == "validation":
            begun.save()
        raise KeyboardInterrupt

    with devices, pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        if moment == "validation":
            patch.setattr(begun, "_validate", stop)
        begun.train(stop)
    begun, devices = begin(tmp_path / "parts", resume=True, **changes)
    with devices:
        begun.train(lambda row: None)
    assert [float(row["lr"]) for row in log_rows(tmp_path / "parts")] == [0.003, 0.001]
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_worker_without_the_folder_does_not_say_that_there_is_no_checkpoint(tmp_path):
    begun, devices = begin(tmp_path / "run", batch_size=48)
    with devices:
        begun.world = SimpleNamespace(rank=1)
        assert "worker 0 has the last good checkpoint" in begun._diverged("the loss is nan").hint


def test_a_picture_that_cannot_be_drawn_is_said_once_and_costs_nothing(
        tmp_path, with_pictures, monkeypatch, capsys):
    def fail(*args, **more):
        raise RuntimeError("no font\n")

    monkeypatch.setattr(pictures.drawing, "filters", fail)
    monkeypatch.setattr(pictures, "DRAW_EVERY", 0)
    begun, devices = begin(tmp_path / "run", batch_size=48, epochs=2)
    with devices:
        assert begun.train(lambda row: None)
    assert capsys.readouterr().err == (
        "warning: the run's pictures cannot be drawn: no font\N{REPLACEMENT CHARACTER}\n")
    assert (tmp_path / "run/curves.png").exists()


@pytest.mark.parametrize("at_work", [(trainer, "measure"), (pictures.drawing, "curves")],
                         ids=["validating", "drawing"])
def test_a_signal_between_steps_is_honoured_before_the_next_step(
        tmp_path, with_pictures, monkeypatch, at_work):
    work = getattr(*at_work)

    def interrupted(*args, **more):
        signal.raise_signal(signal.SIGTERM)
        return work(*args, **more)

    monkeypatch.setattr(*at_work, interrupted)
    monkeypatch.setattr(pictures, "DRAW_EVERY", 0)
    begun, devices = begin(tmp_path / "run", batch_size=48, epochs=2)
    with devices:
        assert not begun.train(lambda row: None)
    assert (begun.stopped_by, begun.progress.step) == (signal.SIGTERM, 2)
    assert begin(tmp_path / "run", resume=True, batch_size=48, epochs=2)[0].progress.step == 2


@pytest.mark.skipif(os.name != "posix", reason="only there a file's size can be limited")
def test_a_log_or_a_checkpoint_that_cannot_be_written_is_named(tmp_path):
    import resource

    begun, devices = begin(tmp_path / "run", batch_size=48)
    begun.save()
    before, limits = weights(tmp_path / "run"), resource.getrlimit(resource.RLIMIT_FSIZE)
    begun.progress.next_step()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))
        for write, path in ((lambda: begun.run.append({"epoch": 1}), begun.run.log),
                            (begun.save, begun.run.checkpoint)):
            with pytest.raises(OSError, match="too large") as caught:
                write()
            assert caught.value.filename == str(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        devices.close()
    assert_same_bits(before, weights(tmp_path / "run"))


class Late:
    """A device whose arrays reach the host when they are asked for, three steps late."""

    steps_ahead = 3
    fetch = staticmethod(HOST.fetch)


def test_a_gpu_s_losses_come_late_and_each_is_counted_once():
    pending, progress, numbers = Pending(Late()), Progress(), []

    def count(wait=False):
        for step in pending.arrived(wait):
            numbers.append((step.number, step.loss))
            progress.add(step)

    scores, labels = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 1])
    for number in range(1, 8):
        pending.add(number, 10.0 * number, scores, labels)
        count()
        assert len(numbers) == max(0, number - 3)
    count(wait=True)
    count(wait=True)
    assert numbers == [(number, 10.0 * number) for number in range(1, 8)]
    assert (progress.pictures, progress.wrong_sum, progress.loss_sum) == (14, 7, 2 * 280.0)
