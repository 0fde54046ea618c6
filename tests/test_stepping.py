"""A debugger walks through the network: what one core does, it does in the calling thread.

Whoever steps from `network.forward(x)` wants to arrive in `Conv2D.forward`, and whoever makes a
mistake in a layer wants to see that line. Work that is handed to a thread shows neither, and where
Python has no threads at all (in a browser) nothing would run.
"""

import pdb
import re
import sys
import threading
import traceback
from bdb import BdbQuit
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from runs import assert_same_bits

from tinyalex import evaluate, train
from tinyalex.architectures import alexnet
from tinyalex.devices import HOST, Devices, cpu, placement
from tinyalex.layers import Layer, ReLU
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.run import recipe
from tinyalex.support import cli
from tinyalex.training import train_step


@pytest.fixture
def one_core(monkeypatch):
    for module in (cpu, placement, recipe):
        monkeypatch.setattr(module, "available_cores", lambda: 1)


@pytest.fixture
def no_threads(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


def stepped_into(work) -> set[tuple[Layer, str]]:
    """(layer, name) of every layer's method that the calling thread enters during work()."""
    entered = set()

    def trace(frame, event, argument):
        if isinstance(layer := frame.f_locals.get("self"), Layer):
            entered.add((layer, frame.f_code.co_name))

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return entered


def step(network: Network):
    x = np.random.default_rng(0).random((2, *network.input_shape), np.float32)
    train_step(network, SGD(network), x, np.array([1, 2]))


def assert_every_layer_is_entered(network: Network):
    entered = stepped_into(lambda: step(network))
    for layer in network.shapes:
        for method in ("forward", "backward"):
            assert (layer, method) in entered, f"{layer}: {method} ran somewhere else"


@pytest.mark.parametrize("device", [HOST, cpu.CpuDevice(cores=3)], ids=["host", "several cores"])
def test_a_debugger_arrives_in_every_layer(device):
    """With several cores the calling thread does its share."""
    assert_every_layer_is_entered(alexnet.tiny(devices=[device]))


def test_a_debugger_arrives_in_every_layer_on_one_device(one_core):
    with Devices("cpu") as devices:
        assert_every_layer_is_entered(alexnet.tiny(devices=list(devices)))


def test_pdb_says_what_its_page_shows(monkeypatch):
    """The second block under "In a terminal" is what the first one leads to."""
    page = Path(__file__).parents[1].joinpath("docs/stepping.md").read_text(encoding="utf-8")
    section = page.partition("## In a terminal")[2]
    code, session = re.findall(r"^```(?:python)?\n(.*?)^```", section, re.DOTALL | re.MULTILINE)[:2]
    commands = re.findall(r"^\(Pdb\) (.*)", session, re.MULTILINE)
    said, names = StringIO(), {}
    debugger = pdb.Pdb(stdin=StringIO("\n".join([*commands, "quit"])), stdout=said, nosigint=True,
                       readrc=False)
    monkeypatch.setattr(pdb, "run", lambda work: debugger.run(work, names))
    exec(code, names)
    for line in re.findall(r"^(?:->|\(\().*", session, re.MULTILINE):
        assert line in said.getvalue()


def test_whoever_quits_the_debugger_is_told_of_no_bug():
    with pytest.raises(BdbQuit):
        cli.run(pdb.Pdb(stdin=StringIO("quit"), stdout=StringIO(), readrc=False).set_trace)


def test_two_towers_are_stepped_through_where_that_is_asked_for(monkeypatch):
    """With TINYALEX_STEP=1, and with the same bits as in threads."""
    results = []
    for stepping in ("", "1"):
        monkeypatch.setenv("TINYALEX_STEP", stepping)
        with Devices("cpu,cpu") as devices:
            network = alexnet.tiny(devices=list(devices))
            if stepping:
                assert_every_layer_is_entered(network)
            else:
                step(network)
            results.append(network.state())
    assert_same_bits(*results)


def test_an_error_in_a_layer_shows_its_own_line_and_little_else():
    class Wrong(ReLU):
        def forward(self, x, remember=False):
            return x + np.ones(7)

    network = Network([[[Wrong()]]], (4,))
    with pytest.raises(ValueError, match="broadcast") as caught:
        network.forward(np.ones((2, 4), np.float32))
    frames = traceback.extract_tb(caught.tb)
    assert frames[-1].line == "return x + np.ones(7)"
    assert not any("threading" in f.filename or "concurrent" in f.filename for f in frames)
    assert len(frames) <= 8


@pytest.mark.slow
def test_a_whole_run_needs_no_threads(one_core, no_threads, in_blobs, tmp_path, capsys):
    """Loader, devices, progress bar and pictures: as in WebAssembly, where there are none."""
    assert recipe.loader_threads() == 0, "the default of this machine"
    run = tmp_path / "run"
    assert train.main(["--preset", "cifar", "--data", "blobs:load", "--batch-size", "8",
                       "--epochs", "1", "--out", str(run), "--workers", "0"]) == 0
    assert evaluate.main([str(run), "--data", "blobs:load", "--ten-crop"]) == 0
    assert (run / "filters.png").exists()
