"""Measuring: ten patches, several networks, and the average of what they say.

Errors in a measurement look like better or worse networks. Averaging scores instead of
probabilities, or probabilities over the wrong axis (a neighbour's patches); a tie or a NaN that
counts as right; ten patches of which some are the same; labels of another order in the second
network.
"""

from dataclasses import astuple

import blobs
import numpy as np
import pytest

from tinyalex import evaluate, metrics
from tinyalex.data import sources
from tinyalex.data.augment import CENTRE, ten_crops
from tinyalex.data.dataset import Dataset
from tinyalex.devices import HOST
from tinyalex.run import checkpoint, mistakes, opened
from tinyalex.support.errors import UserError
from tinyalex.world import World
from tinyalex.world.threads import together

DATA = ["--data", "blobs:load"]


def log_softmax(scores):
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


class Says:
    """A network that says what it is told to."""

    classes = 4

    def __init__(self, scores):
        self.scores, self.devices = scores, [HOST]

    def forward(self, x):
        return self.scores[x[:, 0].astype(int)]


def test_the_loss_and_the_errors_of_a_few_predictions_by_hand():
    scores = np.array([[3, 1, 0, 0], [0, 0, 2, 1], [1, 1, 0, 0], [np.nan, 0, 0, 0]], np.float32)
    labels = np.array([0, 3, 0, 1])
    batches = [(np.arange(3)[:, None], labels[:3]), (np.array([[3]]), labels[3:])]
    result = metrics.measure(Says(scores), batches[:1])
    expected = -log_softmax(scores[:3].astype(float))[np.arange(3), labels[:3]].mean()
    assert result.loss == pytest.approx(expected)
    assert result.error == pytest.approx(2 / 3), "the second is wrong, the third a tie"
    assert result.top5_error == 0
    assert result.confusion[3, 2] == 1
    assert result.guesses.tolist() == [0, 2, 0]
    assert result.sure[0] == pytest.approx(np.exp(3) / (np.exp(3) + np.exp(1) + 2))
    with np.errstate(invalid="ignore"):
        assert metrics.measure(Says(scores), batches).error == pytest.approx(3 / 4)


def test_probabilities_are_averaged_and_not_scores():
    scores = np.array([[[4.0, 0, 1], [0, 3, 1]], [[0, 0, 900], [0, 0, -900.0]]])
    averaged = metrics.average(log_softmax(scores), axis=1)
    np.testing.assert_allclose(np.exp(averaged), np.exp(log_softmax(scores)).mean(axis=1))
    mean_score = log_softmax(scores.mean(axis=1))
    assert abs(averaged - mean_score).max() > 0.1


def test_what_is_nearly_impossible_does_not_become_infinitely_bad():
    sure = log_softmax(np.array([[0, -2000.0], [0, -1000.0]]))
    assert metrics.average(sure, axis=0)[1] == pytest.approx(-1000 - np.log(2))


def rows(printed):
    """The lines of the table by what they are about, each as its last five columns."""
    return {line[: line.index("  ")]: line.split()[-5:] for line in printed.splitlines()
            if "patch" in line}


def test_ten_patches_are_the_average_of_ten_views(in_blobs, capsys):
    assert evaluate.main(["run", *DATA, "--ten-crop", "--batch-size", "20"]) == 0
    printed = capsys.readouterr().out
    val = blobs.load("val")
    with opened.open_network(in_blobs / "run", "cpu") as net:
        p = np.zeros((40, 3))
        for view, (top, left, mirrored) in enumerate(ten_crops(32, 32, 28)):
            here = slice(top, top + 28), slice(left, left + 28)
            x = (val.images[:, here[0], here[1]] - net.mean[here]) / 64
            if mirrored:
                x = x[:, :, ::-1]
            said = np.exp(log_softmax(net.network.forward(np.float32(x)).astype(float)))
            p += said / 10
            if view == CENTRE:
                centre = (said.argmax(axis=1) == val.labels).mean()
    right = (p.argmax(axis=1) == val.labels).mean()
    loss = -np.log(p[np.arange(40), val.labels]).mean()
    assert rows(printed)["ten patches"][0] == f"{right:.2%}"
    assert float(rows(printed)["ten patches"][-1]) == pytest.approx(loss, abs=1e-4)
    assert rows(printed)["centre patch"][0] == f"{centre:.2%}"


def test_several_networks_are_averaged(in_blobs, tmp_path, capsys):
    other = checkpoint.load(in_blobs / "run/checkpoint.npz")
    other.values["conv1a.W"] = -other.values["conv1a.W"]
    other.save(tmp_path / "other.npz")
    both = ["run", str(tmp_path / "other.npz"), *DATA]
    assert evaluate.main([*both, "--ten-crop", "--limit", "12"]) == 0
    table = rows(capsys.readouterr().out)
    who = ("network 1", "network 2", "2 networks")
    assert [*table] == [f"{name}, {patches}" for name in who
                        for patches in ("centre patch", "ten patches")]
    one, two, both = (float(table[f"{name}, ten patches"][-1]) for name in who)
    assert both < (one + two) / 2, "the loss of an average is below the average loss"
    assert evaluate.main(["run", "run", *DATA]) == 0
    table = rows(capsys.readouterr().out)
    assert table["2 networks, centre patch"] == table["network 1, centre patch"]


def test_what_was_said_of_other_pictures_is_not_averaged(in_blobs, tmp_path, monkeypatch, refused):
    def backwards(split):
        dataset = blobs.load(split)
        return Dataset(dataset.images[::-1], dataset.labels[::-1], dataset.classes, "backwards")

    monkeypatch.setitem(sources.BUILT_IN, "shapes", blobs.load)
    monkeypatch.setitem(sources.BUILT_IN, "cifar10", backwards)
    saved = checkpoint.load(in_blobs / "run/checkpoint.npz")
    for name in sources.BUILT_IN:
        saved.about["settings"]["data"] = name
        saved.save(tmp_path / f"{name}.npz")
    error = refused(evaluate.main, [str(tmp_path / f"{name}.npz") for name in sources.BUILT_IN])
    assert "cifar10.npz: was measured on different pictures from" in error


@pytest.mark.parametrize(("argv", "pictures"), [
    ([], 12), (["--limit", "20"], 20), (["--data", "blobs:load"], 40)])
def test_a_run_is_measured_on_as_many_pictures_as_it_was_trained_with(
        in_blobs, tmp_path, monkeypatch, capsys, argv, pictures):
    monkeypatch.setitem(sources.BUILT_IN, "shapes", blobs.load)
    saved = checkpoint.load(in_blobs / "run/checkpoint.npz")
    saved.about["settings"] |= {"limit": 12, "data": "shapes"}
    saved.save(tmp_path / "limited.npz")
    evaluate.main([str(tmp_path / "limited.npz"), *argv])
    assert f"({pictures} pictures)" in capsys.readouterr().out


@pytest.mark.parametrize(("seen", "lines", "said"), [
    (8, 8, ["(32 classes have no pictures)"]),
    (39, 30, ["(the 30 worst of 39 classes)", "(1 class has no pictures)"]),
    (40, 30, ["(the 30 worst of 40 classes)"])])
def test_classes_without_pictures_are_not_the_worst(seen, lines, said):
    confusion = np.zeros((40, 40), int)
    confusion[range(seen), range(seen)] = 5
    confusion[3] = confusion[3, ::-1]
    table = mistakes.by_class(confusion, [f"c{label:02}" for label in range(40)], 30)[1:-1]
    assert table[lines:] == said
    assert {line.split()[1] for line in table[:lines]} == {"5"}
    assert table[0].startswith("c00" if seen == lines else "c03"), "of many, the worst come first"


@pytest.mark.parametrize("flags", [
    ["run", "--batch-size", "7"], ["run", "--batch-size", "30", "--ten-crop", "--limit", "7"],
    ["run", "run", "--batch-size", "1", "--limit", "2"]])
def test_workers_measure_what_one_does(in_blobs, flags):
    """Each its share of the batches, six or three or two: with four workers some have none."""
    args = evaluate._parse([*flags, *DATA, "--devices", "cpu"])

    def measured(world):
        said = [evaluate._predict(opened.find(path), args, [*blobs.load("val").classes], world)
                for path in args.checkpoints]
        return evaluate._results(said, 3, world), sum(map(len, said[0].labels))

    one, pictures = measured(World())
    for size in (2, 4):
        shares = together(size, measured)
        assert sum(count for _, count in shares) == pictures
        for results, count in shares:
            assert count < pictures and results.keys() == one.keys()
            for name, result in results.items():
                for value, alone in zip(astuple(result), astuple(one[name]), strict=True):
                    np.testing.assert_array_equal(value, alone, err_msg=name)


def test_workers_with_other_weights_are_refused(in_blobs, tmp_path):
    """Else each would measure another network, and the mean of both would be printed."""
    other = checkpoint.load(in_blobs / "run/checkpoint.npz")
    other.values["fc8b.b"] = other.values["fc8b.b"] + 1
    other.save(tmp_path / "checkpoint.npz")

    def measured(world):
        args = evaluate._parse(["run", *DATA, "--devices", "cpu"])
        path = (in_blobs / "run/checkpoint.npz", tmp_path / "checkpoint.npz")[world.rank]
        return evaluate._predict(path, args, [*blobs.load("val").classes], world)

    with pytest.raises(UserError, match=r"worker 1 on .*: the weights .* are not those "):
        together(2, measured)
