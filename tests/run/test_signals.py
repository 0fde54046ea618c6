"""Signals at random moments, and readers who leave: no step is lost, and what is printed works.

A run is stopped and resumed again and again, each time with the command that it printed, pasted
into a shell, in a folder whose name wants quoting. It must end bit for bit where the unbroken run
ends. Three signals by default; TINYALEX_CAMPAIGN=1 sends a hundred.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import campaign
import pytest
from runs import assert_same_bits, log_rows, settings, weights

from tinyalex import train
from tinyalex.support.text import command

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(os.name != "posix", reason="Windows has other signals")]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SHOTS = 100 if campaign.ASKED else 3
OUT = "it's $HOME & \"mine\""


def training(data, out):
    return settings(data, "--epochs", "10", "--limit", "32", "--devices", "cpu", "--out", out)


def shoot(shell_line, number, delay, reader_leaves):
    """Run the line in a shell and send the signal so many seconds after training has begun; returns
    the exit status, and what was printed from then on."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with subprocess.Popen(["sh", "-c", f"exec {shell_line}"], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, env=os.environ | {"PATH": path}) as process:
        if not any(line.startswith("epoch ") for line in process.stdout):
            raise AssertionError(f"training did not begin: {shell_line}")
        time.sleep(delay)
        if reader_leaves:  # as tee does, which gets the Ctrl-C as well
            process.stdout.close()
        process.send_signal(number)
        printed = "" if reader_leaves else process.communicate(timeout=60)[0]
        return process.wait(60), printed


@pytest.mark.parametrize("seed", range(-(-SHOTS // 10)))
def test_a_run_that_is_stopped_again_and_again_ends_where_the_unbroken_one_ends(
        patches, tmp_path, capfd, seed):
    start = time.perf_counter()
    train.main(training(patches, "whole"))
    seconds, rng = time.perf_counter() - start, random.Random(seed)
    again = command("train", "--resume", OUT, "--data", patches)
    line, shots = command("train", *training(patches, OUT)), 0
    while shots < min(SHOTS, 10):
        number, reader_leaves = SIGNALS[shots % 3], shots % 4 == 2
        status, printed = shoot(line, number, 0.05 + rng.random() * seconds / 5, reader_leaves)
        assert "Traceback" not in printed
        if status == 0:
            break
        assert status == 128 + number, printed
        if not reader_leaves:
            assert printed.splitlines()[-1].strip() == again
        line, shots = again, shots + 1
    train.main(["--resume", OUT, "--data", patches])
    assert_same_bits(weights(tmp_path / "whole"), weights(tmp_path / OUT))
    for ours, theirs in zip(log_rows(tmp_path / OUT), log_rows(tmp_path / "whole"), strict=True):
        for column in ("epoch", "step", "lr", "train_loss", "train_error", "val_loss", "colour_a"):
            assert ours[column] == theirs[column], column
