"""What a network gets wrong, in words and pictures. A matrix read along the wrong axis says that
roses are taken for grass where grass is taken for roses, and nothing looks wrong."""

import numpy as np

from tinyalex import train
from tinyalex.data.dataset import Dataset
from tinyalex.metrics import Result
from tinyalex.run import mistakes

CLASSES = ("ant", "bee", "cow")


def test_classes_and_pairs_are_listed():
    confusion = np.array([[5, 0, 3], [0, 4, 0], [1, 0, 0]])
    assert mistakes.by_class(confusion, CLASSES, 10) == [
        "class pictures   right   mostly taken for",
        "ant          8   62.5%   cow (3)",
        "bee          4  100.0%   –",
        "cow          1    0.0%   ant (1)",
        "most confused: ant for cow (3), cow for ant (1)"]
    assert len(mistakes.by_class(np.diag([1, 1, 1]), CLASSES, 10)) == 4, "nothing is confused"


def test_the_worst_guesses_are_drawn_the_surest_first(figures, tmp_path):
    images = np.zeros((14, 8, 8, 3), np.uint8)
    guesses, sure = np.ones(14, int), np.linspace(0.4, 0.9, 14)
    dataset = Dataset(images, np.array([1, 0] * 7), CLASSES, "they")  # every other one is wrong
    result = Result(0, 0.5, 0, np.zeros((3, 3)), guesses, sure)
    mistakes.draw_worst(result, dataset, tmp_path / "wrong.png")
    captions = [text.get_text() for text in figures[0].texts]
    assert captions == [line for i in range(13, 0, -2)
                        for line in ("ant", "says bee", f"{sure[i]:.1%} sure")]


def test_a_run_tells_its_mistakes_on_own_data_and_a_resumed_one_draws_them_anew(
        in_blobs, tmp_path, capsys):
    run = tmp_path / "run"
    flags = ["--preset", "cifar", "--data", "blobs:load", "--batch-size", "20"]
    train.main([*flags, "--epochs", "1", "--lr", "0", "--out", str(run)])
    out = capsys.readouterr().out
    assert "most confused: " in out and f"surest mistakes: {run / 'wrong.png'}" in out
    train.main(["--resume", str(run), "--data", "blobs:load"])
    assert "most confused" not in capsys.readouterr().out, "nothing was measured"


def test_no_mistakes_leave_no_sheet(in_blobs, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "wrong.png").touch()
    train.main(["--preset", "cifar", "--data", "blobs:load", "--batch-size", "8", "--epochs", "3",
                "--out", str(run)])
    out = capsys.readouterr().out
    assert ("validation: 100.00% right" in out) == (not (run / "wrong.png").exists())
