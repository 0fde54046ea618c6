"""A run that is resumed is the run that was stopped, or is refused: never another one in silence.

Labels are places in a list of classes, and the data are looked up again at each start: a folder
that was renamed, or has got pictures since, gives a run that nobody asked for, and the names in its
checkpoint are gone. And every number in a checkpoint would be believed: a velocity of another shape
is spread over its weights, a step below 0 draws other masks, a rate below 0 climbs.
"""

from dataclasses import replace

import blobs
import numpy as np
import pytest

from tinyalex import evaluate, look, predict, train
from tinyalex.run import checkpoint
from tinyalex.run.folder import Run

pytestmark = pytest.mark.usefixtures("undrawn")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit(folder, change):
    """Change what the checkpoint in the folder holds."""
    saved = checkpoint.load(folder / "checkpoint.npz")
    change(saved)
    saved.save(folder / "checkpoint.npz")


def resume(argv):
    return train.main(["--data", "blobs:load", "--resume", *argv])


@pytest.mark.parametrize(("change", "message"), {
    "renamed": (lambda d, split: replace(d, classes=("blue sky", "grass", "tulip")),
                "blobs:load has 'tulip' as its class 2"),
    "reordered": (lambda d, split: replace(d, classes=("grass", "blue sky", "rose")),
                  "has 'blue sky' there (the same names in another order)"),
    "one more class": (lambda d, split: replace(d, classes=(*d.classes, "tree")), "has 4 classes"),
    "one fewer picture": (lambda d, split: d.first(39),
                          "(40 pictures of 32×32 to train on, 40 pictures of 32×32 to validate "
                          "with); blobs:load is other data now (39 pictures"),
    "other pictures": (lambda d, split: replace(d, images=255 - d.images), "other data now"),
    "others to validate with": (
        lambda d, split: d if split == "train" else replace(d, images=255 - d.images),
        "other data now"),
    "smaller": (lambda d, split: replace(d, images=d.images[:, :30, :30]), "of 30×30"),
}.values())
def test_a_run_does_not_go_on_with_other_data(trained, refused, monkeypatch, change, message):
    load, before = blobs.load, contents(trained)
    monkeypatch.setattr(blobs, "load", lambda split: change(load(split), split))
    assert message in refused(resume, [str(trained), "--epochs", "9"])
    assert contents(trained) == before


def test_a_run_goes_on_with_the_same_data_elsewhere_and_keeps_what_it_was_told(
        trained, monkeypatch):
    monkeypatch.setattr(blobs, "elsewhere", blobs.load, raising=False)
    flags = ["--devices", "cpu", "--workers", "0", "--epochs", "2"]
    assert train.main(["--resume", str(trained), "--data", "blobs:elsewhere", *flags]) == 0
    kept = Run.open(trained).recipe
    assert (kept.data, kept.devices, kept.workers, kept.epochs) == ("blobs:elsewhere", "cpu", 0, 2)


def put(where, **values):
    """A change of the checkpoint: these values in about[where]."""
    return lambda saved: saved.about[where].update(values)


def put_velocity(make):
    def change(saved):
        saved.velocities["conv1a.W"] = make(saved.velocities["conv1a.W"])
    return change


def rename_velocity(saved):
    saved.velocities["conv9.W"] = saved.velocities.pop("conv1a.W")


@pytest.mark.parametrize(("change", "message"), [
    (put("progress", step=-5), "its progress is"),
    (put("progress", step=14), "step=14"),
    (put("progress", step=True), "its progress is"),
    (put("progress", epoch=0, step=-5), "its progress is"),
    (put("progress", batch=6, step=21), "in epochs of 5 batches"),
    (put("progress", pictures=8), "pictures=8"),
    (put("progress", wrong_sum=1), "wrong_sum=1"),
    (put("progress", seconds=float("nan")), "its progress is"),
    (put("progress", loss_sum="1"), "its progress is"),
    (put("progress", more=1), "its progress is"),
    (lambda saved: saved.about.update(progress=[1]), "its progress is [1]"),
    (lambda saved: saved.about.pop("progress"), "no progress"),
    (lambda saved: saved.about.pop("schedule"), "no schedule"),
    (put("schedule", lr=-1), "the schedule's state"),
    (put("schedule", lr=float("nan")), "the schedule's state"),
    (put("schedule", lr=10**400), "the schedule's state"),
    (lambda saved: saved.about["schedule"].clear(), "the schedule's state"),
    (put_velocity(lambda v: v[:1, :1]), "the velocity of conv1a.W has shape"),
    (put_velocity(lambda v: v[..., None]), "the velocity of conv1a.W has shape"),
    (rename_velocity, "no velocity of conv1a.W"),
    (lambda saved: saved.velocities.clear(), "no velocity of"),
])
def test_what_no_run_can_have_been_is_no_place_to_go_on_from(trained, refused, change, message):
    edit(trained, change)
    before = contents(trained)
    error = refused(resume, [str(trained)])
    assert "checkpoint.npz: does not say where its run was" in error and message in error
    assert contents(trained) == before


@pytest.mark.parametrize(("change", "message"), [
    (put("settings", momentum=0.5), "written by a run with momentum 0.5; config.json beside it"),
    (put("settings", momentum=5), "no run has momentum 5"),
    (put("settings", lr=-1), "no run has lr -1"),
    (put("settings", preset="tiny"), "written by a run with preset tiny"),
    (put("settings", limit=7), "written by a run with limit 7"),
    (put("data", train={}), "damaged in what it says about its data"),
    (lambda saved: saved.about.update(data=3), "damaged in what it says about its data"),
    (put_velocity(lambda v: v * np.inf), "the velocity of conv1a.W holds numbers that are not"),
])
def test_a_checkpoint_of_another_run_is_refused(trained, refused, change, message):
    with np.errstate(invalid="ignore"):
        edit(trained, change)
    assert message in refused(resume, [str(trained)])


@pytest.mark.parametrize("changes", [{}, {"seed": 5}], ids=["its recipe", "another recipe"])
def test_weights_that_were_converted_are_no_run(trained, refused, changes):
    def convert(saved):
        saved.about = {key: saved.about[key] for key in ("preset", "classes", "settings")}
        saved.about["settings"] |= changes
        saved.about["converted_from"] = "alexnet.caffemodel"
        saved.velocities.clear()

    edit(trained, convert)
    said = refused(resume, [str(trained)])
    assert "checkpoint.npz: weights converted from alexnet.caffemodel, not a run" in said


@pytest.mark.parametrize("command", [evaluate, predict, look])
def test_weights_that_are_no_numbers_are_refused_before_they_say_anything(
        trained, refused, command):
    def break_one(saved):
        saved.values["fc8a.W"] = saved.values["fc8a.W"] * np.nan

    edit(trained, break_one)
    argv = [] if command is evaluate else ["val/grass/01.png"]
    error = refused(command.main, [str(trained), *argv])
    assert "fc8a.W holds numbers that are not finite" in error


def forget_data(saved):
    del saved.about["data"]


def test_a_checkpoint_that_does_not_know_its_data_goes_on_by_its_mean_picture(
        trained, refused, monkeypatch):
    """As those of 0.2.0 and before."""
    edit(trained, forget_data)
    assert resume([str(trained)]) == 0
    load = blobs.load
    monkeypatch.setattr(
        blobs, "load", lambda split: replace(load(split), images=255 - load(split).images))
    assert "(pictures of 32×32); blobs:load is other data now" in refused(resume, [str(trained)])
