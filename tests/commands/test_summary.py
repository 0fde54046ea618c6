"""The printed summary: the paper's totals, and the traffic only where devices differ."""

import pytest

from tinyalex import summary
from tinyalex.devices import HOST
from tinyalex.inside import costs
from tinyalex.layers import Conv2D, Flatten, MaxPool2D, ReLU, SpatialResponseNorm
from tinyalex.network import Network


def test_the_paper_at_one_glance(undrawn_weights, capsys):
    assert summary.main(["--preset", "paper"]) == 0
    total = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("total"))
    assert total.split()[1:3] == ["60,965,224", "724,406,816"]
    # conv3 13·13·128, fc6 6·6·128, fc7 and fc8 2048 float32 numbers, of two towers, there and back
    crossing = 4 * 128 * 4 * (13 * 13 * 128 + 6 * 6 * 128 + 2048 + 2048)
    assert total.split()[-2:] == [f"{crossing / 1e6:.1f}", "MB"]


def test_with_one_device_nothing_crosses(capsys):
    summary.main(["--preset", "tiny", "--devices", "cpu"])
    assert "crosses" in (out := capsys.readouterr().out)
    assert out.startswith("tiny, 10 classes, 32 pictures a step"), "as it is trained"
    assert next(line for line in out.splitlines() if line.startswith("total")).endswith(" 0.0 MB")


@pytest.mark.parametrize(("ties", "pool"), [
    ("first", 4 * 4 * 2 * 1),  # where the winners were
    ("all", 8 * 8 * 2 * 4 + 4 * 4 * 2 * 4)])  # its x and its y
def test_what_the_layers_of_the_authors_network_keep(ties, pool):
    layers = [Conv2D(3, 2, 3, pad=1, name="conv1"), ReLU("relu1", inplace=True),
              SpatialResponseNorm(name="rnorm1"), MaxPool2D(2, 2, name="pool1", ties=ties),
              Flatten("flatten")]
    network = Network([[layers]], (8, 8, 3), [HOST])
    maps = 8 * 8 * 2 * 4  # relu1's y, which is rnorm1's x; and its s
    assert costs.kept_bytes(network, 10) == 10 * (8 * 8 * 3 * 4 + 2 * maps + pool)
    row = next(row for row in costs.table(network, 10).splitlines() if row.startswith("rnorm1"))
    assert row.split() == ["rnorm1", "host", "8×8×2", "0.0", "MB"]


@pytest.mark.parametrize(("argv", "classes", "parameters"), [
    ("--preset tiny", "10", "333,546"), ("--preset cifar10-quick", "10", "145,578"),
    ("--preset tiny --classes 1000", "1,000", "587,976"), ("", "1,000", "60,965,224")])
def test_a_preset_has_the_classes_of_its_own_data_unless_told(
        argv, classes, parameters, undrawn_weights, capsys):
    summary.main(argv.split())
    first, *rest = capsys.readouterr().out.splitlines()
    assert f", {classes} classes," in first
    assert next(line for line in rest if line.startswith("total")).split()[1] == parameters
