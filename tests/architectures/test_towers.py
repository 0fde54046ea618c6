"""More towers than the paper's two, and normalisation across them.

Two can be assumed without anybody noticing: half of the filters, the other tower, letters a and b.
And LRN over the maps of all towers is easily one that still stops at the border: with the usual
alpha of 0.0001 hardly a digit tells them apart, so alpha is large here.
"""

from pathlib import Path

import numpy as np
import pytest
from runs import assert_same_bits, log_rows, settings, weights

from tinyalex import drawing, summary, train
from tinyalex.architectures import ablations, alexnet, others
from tinyalex.devices import HOST, CpuDevice, Devices, parse_placement
from tinyalex.drawing import look_page
from tinyalex.gradcheck import check_network
from tinyalex.inside.inspection import inspect
from tinyalex.layers import LocalResponseNorm
from tinyalex.run import opened
from tinyalex.support.errors import UserError


def network(towers, lrn=None, devices=(HOST,)):
    """The net of mini with LRNs that count."""
    net = alexnet.mini(10, devices, towers=towers, edit=ablations.edit(lrn=lrn))
    for layer in net.shapes:
        if isinstance(layer, LocalResponseNorm):
            layer.alpha = 0.2
    return net


def pictures(count=2):
    return np.random.default_rng(0).standard_normal((count, 29, 29, 3), np.float32)


def outputs(net, *names):
    """What these layers give for two pictures."""
    seen = {}

    def keep(layer, y):
        if layer.name in names:
            seen[layer.name] = y.copy()

    net.forward(pictures(), watch=keep)
    return [seen[name] for name in names]


def test_four_towers_have_the_kernels_of_two_and_share_what_two_had_behind_them():
    shapes = {p.name: p.value.shape for p in network(4).parameters}
    assert shapes["conv1d.W"] == (5, 5, 3, 8) and shapes["conv3d.W"] == (3, 3, 4 * 16, 32)
    assert shapes["conv5d.W"][-1] == 64 / 4 and shapes["fc6d.W"] == (64, 128 / 4)
    assert sum(shapes[f"fc8{letter}.b"][0] for letter in "abcd") == 10


@pytest.mark.parametrize(("towers", "lrn"), [(4, None), (2, "across"), (4, "across")])
def test_every_gradient_is_right(towers, lrn):
    report = check_network(network(towers, lrn), pictures(), only="conv1")  # through all others
    assert report.ok, str(report)


@pytest.mark.parametrize("lrn", [None, "across"])
def test_four_towers_learn_the_same_bits_on_one_two_and_four_devices(lrn):
    def trained(count):
        net = network(4, lrn, [CpuDevice(f"cpu{i}") for i in range(count)])
        for step in range(2):
            net.set_step(step)
            scores = net.forward(pictures(), remember=True, drop=True)
            net.backward(net.loss_and_gradient(scores, np.array([1, 7]))[1])
            for p in net.parameters:
                p.value[...] -= np.float32(0.01) * p.grad
        return net.state()

    alone = trained(1)
    for count in (2, 4):
        assert_same_bits(trained(count), alone)


@pytest.mark.parametrize("towers", [2, 4])
def test_lrn_across_towers_is_that_of_the_joined_maps(towers):
    net, letters = network(towers, "across"), "abcd"[:towers]
    maps = outputs(net, *(f"relu1{letter}" for letter in letters))
    joined = LocalResponseNorm(alpha=0.2).forward(np.concatenate(maps, axis=-1))
    for letter, own in zip(letters, np.split(joined, towers, axis=-1), strict=True):
        np.testing.assert_allclose(*outputs(net, f"own1{letter}"), own, rtol=1e-6)
    apart = np.concatenate(outputs(network(towers), *(f"lrn1{letter}" for letter in letters)), -1)
    assert abs(joined - apart).max() > 0.01 * abs(joined).max()


def test_in_one_tower_lrn_runs_across_all_maps_anyway():
    np.testing.assert_array_equal(network(1, "across").forward(pictures()),
                                  network(1).forward(pictures()))


def test_lrn_that_runs_across_already_stays_where_it_is():
    def names(lrn):
        net = others.caffe(10, edit=ablations.edit(lrn=lrn), draw=False)
        return [layer.name for layer in net.shapes]

    assert names("across") == names(None)


def test_where_there_is_no_lrn_across_maps_none_is_put():
    with pytest.raises(UserError, match="normalises only within its maps"):
        others.cifar10_full(towers=2, edit=ablations.edit(lrn="across"))


def test_each_of_four_towers_draws_from_the_same_spread():
    """By the names of the layers, which end in the letter of the tower."""
    net = others.cifar10_quick(towers=4)
    spreads = [tower[0].params["W"].std() for tower in net.stages[0]]
    assert spreads == pytest.approx([1e-4] * 4, rel=0.1)


@pytest.mark.parametrize(("flags", "said"), [
    (["--preset", "cifar", "--towers", "3"], "--towers 3: that many cannot share the 256 units"),
    (["--preset", "mini", "--towers", "3", "--data", "x"], "cannot share the 64 maps of conv5"),
    (["--preset", "mini", "--devices", "cpu,cpu,cpu"], "3 devices, but the network has 2 towers")])
def test_what_towers_cannot_share_is_said_in_a_line(flags, said, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused(train.main, [*flags, "--out", "run"])
    assert not any(tmp_path.iterdir())


def test_a_device_for_each_tower():
    assert parse_placement("cpu,cpu,cpu,cpu", towers=4) == ["cpu"] * 4


def test_four_devices_on_one_gpu_have_four_names(gpu):
    with Devices(",".join([gpu] * 4), towers=4) as devices:
        assert len({device.name for device in devices}) == 4


def test_each_of_four_towers_has_its_curve_of_colour(figures, tmp_path):
    kernels = {letter: np.eye(3)[None, None] for letter in "abcd"}
    rows = [{"epoch": 1.0} | {f"colour_{letter}": 0.5 for letter in "abcd"}]
    drawing.colours(rows, kernels, tmp_path / "colours.png")
    for axes in figures[0].axes:
        assert [line.get_label() for line in axes.lines] == [
            *(f"tower {letter}" for letter in "abcd"), "noise: 2/3"]


def test_the_summary_has_a_line_for_each_tower(capsys):
    summary.main(["--preset", "mini", "--towers", "4", "--devices", "cpu,cpu,cpu,cpu"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("conv3")] == [
        [f"conv3{letter}", f"cpu{i}"] for i, letter in enumerate("abcd")]


@pytest.mark.slow
def test_a_run_of_four_towers_goes_on_where_it_was_and_is_looked_into(
        patches, undrawn, capsys):
    """Its log has a colour specificity for each; the page has room for each."""
    flags = settings(patches, "--towers", "4", "--lrn", "across", "--devices", "cpu")
    train.main([*flags, "--out", "whole"])
    train.main([*flags, "--out", "cut", "--epochs", "1"])
    train.main(["--resume", "cut", "--epochs", "3", "--data", patches])
    rows = log_rows(Path("whole"))
    assert all(rows[-1][f"colour_{letter}"] for letter in "abcd")
    assert_same_bits(weights(Path("cut")), weights(Path("whole")))
    with opened.open_network(Path("whole"), "cpu") as net:
        side = net.network.input_shape[0]
        picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        seen = inspect(net.network, picture, picture[None].astype(np.float32), 0)
        sections = look_page.look_page(seen, [], "x")
    for section in sections:
        if len(section.halves) == 4:
            widest = max((len(row) for half in section.halves for row in half.rows), default=0)
            assert widest * (section.tile + 6) <= 1200 / 4, section.title
    crossed = next(section for section in sections if "conv3" in section.title)
    assert len(crossed.halves) == len(crossed.halves[0].bars) == 4
    assert "to each of the others" in crossed.note
