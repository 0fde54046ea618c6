"""Learning rates for large batches."""

import json

import numpy as np
import pytest
from runs import assert_close, log_rows, settings

from tinyalex import train
from tinyalex.devices import Devices
from tinyalex.large_batches import LARS, scaled, warm
from tinyalex.layers import Linear
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.support.errors import UserError

pytestmark = pytest.mark.usefixtures("undrawn")


def network(devices):
    return Network([[[Linear(6, 5, std=0.5, bias=0.5, name="fc1"), Linear(5, 4, name="fc2")]]],
                   (6,), list(devices), dtype=np.float32)


def gradients(net, size=1.0):
    rng = np.random.default_rng(7)
    for p in net.parameters:
        g = rng.standard_normal(p.value.shape, np.float32) * np.float32(size)
        p.layer.grads[p.key] = p.layer.device.put(g)
    return {p.name: p.layer.device.get(p.grad).copy() for p in net.parameters}


def test_lars_is_its_formula(gpu):
    """Two steps, so that there is a velocity, with decay, as float64 has it."""
    with Devices(gpu) as devices:
        net = network(devices)
        w = {name: value.astype(np.float64) for name, value in net.state().items()}
        v = dict.fromkeys(w, 0.0)
        optimiser = LARS(net, 0.5, 0.9, 0.01, trust=0.02)
        for _ in range(2):
            for name, g in gradients(net).items():
                norm, size = (np.sqrt((a.astype(np.float64)**2).sum()) for a in (w[name], g))
                local = 1.0 if name.endswith(".b") else 0.02 * norm / (size + 0.01 * norm)
                v[name] = 0.9 * v[name] - 0.5 * local * (g + 0.01 * w[name])
                w[name] = w[name] + v[name]
            optimiser.step()
        assert_close(net.state(), w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_layer_moves_by_a_share_of_its_weights_whatever_the_gradient(size):
    with Devices("cpu") as devices:
        for kind in (LARS, SGD):
            net = network(devices)
            before = {name: value.copy() for name, value in net.state().items()}
            gradients(net, size)
            kind(net, lr=2.0, momentum=0.9, weight_decay=0.01).step()
            for name in ("fc1.W", "fc2.W"):
                moved = np.linalg.norm(net.state()[name] - before[name])
                share = moved / np.linalg.norm(before[name])
                if kind is LARS:
                    assert share <= 2.0 * 0.001 * 1.001
                elif size >= 1:
                    assert share > 0.1, "or it would be no test of LARS"


def test_weights_and_gradients_of_nothing_but_zeros_do_no_harm():
    with Devices("cpu") as devices:
        net = network(devices)
        net.parameters[0].value[...] = 0
        gradients(net)
        net.parameters[2].grad[...] = 0
        LARS(net, lr=0.1).step()
        assert all(np.isfinite(value).all() for value in net.state().values())
        assert net.parameters[0].value.any(), "a layer of zeros would stay one for ever"


def test_rates_follow_the_batch():
    assert scaled(0.01, 512, 128, "linear") == pytest.approx(0.04)
    assert scaled(0.01, 512, 128, "sqrt") == pytest.approx(0.02)
    assert scaled(0.01, 64, 128, "linear") == pytest.approx(0.005)


def test_a_warm_up_ends_at_the_whole_rate():
    assert [warm(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert [warm(step, 1.5) for step in range(2)] == [2 / 3, 1]
    assert warm(0, 0) == 1


def test_a_run_says_and_keeps_what_it_does(patches, tmp_path, capsys):
    train.main([*settings(patches, "--scale-lr", "sqrt", "--batch-size", "32", "--epochs", "2"),
                "--warmup", "0.5", "--optimiser", "lars", "--trust", "0.01", "--out", "run"])
    lr = 0.01 * np.sqrt(32 / 64)
    out = capsys.readouterr().out
    assert f"lr {lr:g} (2, warm-up 0.5 epochs, lars 0.01)" in out
    kept = json.loads((tmp_path / "run/config.json").read_text())["settings"]
    assert kept["lr"] == pytest.approx(lr) and kept["warmup"] == 0.5
    assert (kept["optimiser"], kept["trust"]) == ("lars", 0.01)


def test_a_run_that_goes_on_in_its_warm_up_is_as_warm(patches, tmp_path):
    flags = settings(patches, "--warmup", "3", "--limit", "48")
    train.main([*flags, "--out", "whole"])
    train.main([*flags, "--epochs", "1", "--out", "parts"])
    train.main(["--resume", "parts", "--epochs", "3", "--data", patches])
    for ours, theirs in zip(log_rows(tmp_path / "parts"), log_rows(tmp_path / "whole"),
                            strict=True):
        assert ours["train_loss"] == theirs["train_loss"]
    train.main([*settings(patches, "--limit", "48", "--epochs", "1"), "--out", "cold"])
    assert (log_rows(tmp_path / "cold")[0]["train_loss"]
            != log_rows(tmp_path / "whole")[0]["train_loss"])


def test_a_scaled_rate_needs_a_preset_to_be_scaled_from(patches):
    train.main([*settings(patches, "--limit", "16", "--epochs", "1"), "--out", "run"])
    for how in (["--resume", "run"], ["--from", "run"]):
        with pytest.raises(UserError, match="does not come from a preset"):
            train.main([*how, "--scale-lr", "linear", "--data", patches])


def test_a_rate_that_nothing_scales_is_no_change(patches):
    with pytest.raises(UserError, match=r"^--scale-lr sqrt: the batches are as large as"):
        train.main(["--data", patches, "--scale-lr", "sqrt"])


def test_a_part_of_an_epoch_is_a_warm_up_too(patches, tmp_path):
    for warmup in ("0", "0.7"):  # 0.7 of 3 steps
        train.main(settings(patches, "--limit", "48", "--batch-size", "16", "--epochs", "1",
                            "--warmup", warmup, "--out", warmup))
    cold, warmed = (log_rows(tmp_path / name)[0]["train_loss"] for name in ("0", "0.7"))
    assert cold != warmed
