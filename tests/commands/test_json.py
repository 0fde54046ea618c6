"""What --json prints can be piped: one document on stdout, numbers as numbers, and nothing else.

A line that a reader of pictures prints on the way, a NaN, or a name that is not UTF-8, and the
program behind the pipe fails; a number that differs from the table's, and nobody notices.
"""

import json
import os
import shutil

import pytest

from tinyalex import evaluate, info, predict, summary
from tinyalex.support.text import print_json


@pytest.fixture
def printed(capsys):
    """Calls a command with --json; returns the document, and what went to stderr."""
    def call(command, argv):
        capsys.readouterr()
        assert command.main([*argv, "--json"]) == 0
        out, err = capsys.readouterr()
        return json.loads(out, parse_constant=pytest.fail), err

    return call


def test_evaluate_says_in_numbers_what_its_table_says(in_blobs, printed, capsys):
    argv = ["run", "run/checkpoint.npz", "--data", "blobs:load", "--ten-crop"]
    document, err = printed(evaluate, argv)
    assert evaluate.main(argv) == 0
    table = {line[:line.index("  ")]: line.split()[-5:]
             for line in capsys.readouterr().out.splitlines() if "patch" in line}
    assert [*document["results"]] == [*table]
    for patches, result in document["results"].items():
        right, wrong, _, wrong5, loss = table[patches]
        assert f"{result['top1_error']:.2%}" == wrong and f"{result['top5_error']:.2%}" == wrong5
        assert f"{1 - result['top1_error']:.2%}" == right and f"{result['loss']:.4f}" == loss
    assert sum(map(sum, document["confusion"])) == document["pictures"] == 40
    assert document["classes"] == ["blue sky", "grass", "rose"]
    assert "as a picture: " in err


def test_predict_answers_what_it_skips_beside_it(in_blobs, tmp_path, printed):
    shutil.copytree("val/rose", tmp_path / "rose")
    (tmp_path / "rose/notes.txt").write_text("no picture")
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy("val/grass/01.png", tmp_path / "rose" / name)
    document, err = printed(predict, ["run", str(tmp_path / "rose")])
    assert "notes.txt" in err
    assert len(document) == 14 and document[-1]["picture"].endswith(name)
    for answer in document:
        assert answer["true"] == "rose" and len(answer["guesses"]) == 3
        total = sum(guess["probability"] for guess in answer["guesses"])
        assert total == pytest.approx(1, abs=1e-5)


def test_summary_adds_up(printed):
    document, _ = printed(summary, ["--preset", "tiny", "--batch-size", "32"])
    assert sum(layer["parameters"] for layer in document["layers"]) == 333_546
    assert sum(layer["multiply_adds"] for layer in document["layers"]) == 11_351_040
    assert sum(layer["crossing_bytes"] or 0 for layer in document["layers"]) == 819_200
    assert document["crossing_bytes"] == 819_200
    assert document["layers"][0]["output"] == [28, 28, 16]


def test_summary_of_workers(printed, refused):
    argv = ["--preset", "tiny", "--workers", "4", "--images-per-s", "500"]
    document, _ = printed(summary, argv)
    assert document["workers"] == [1, 2, 4]
    alone, *_, four = document["step_s"]["data parallel"]
    assert alone == pytest.approx(32 / 500) and alone / 4 < four < alone
    assert "--plot" in refused(summary.main, [*argv, "--json", "--plot", "x.png"])


def test_info_counts(printed):
    document, _ = printed(info, [])
    assert isinstance(document["cores"], int) and document["auto"]
    assert bool(document["gpus"]) != bool(document["problem"])


def test_info_measures_a_gpu(gpu, printed):
    document, _ = printed(info, [])
    first = document["gpus"][0]
    assert first["works"] is True and 0 <= first["differs"]["self-test"] < info.TOLERANCE
    assert first["memory"] > 1e6 and len(first["capability"]) == 2


def test_a_number_that_is_none_is_null(capsys):
    print_json({"loss": float("nan"), "lr": [float("inf"), 1.5], "count": 3})
    assert json.loads(capsys.readouterr().out) == {"loss": None, "lr": [None, 1.5], "count": 3}
