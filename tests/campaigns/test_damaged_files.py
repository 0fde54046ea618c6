"""Damaged files of all kinds: some at every run, and as many as you like by

    TINYALEX_CAMPAIGN=20000 python -m pytest -m campaign

A reader that was only tried on good files fails on the first bad one with a traceback, or hangs, or
asks for all the memory there is. It runs in a process of its own, whose memory is limited.
"""

import subprocess
import sys
from pathlib import Path

import campaign
import damage
import damaged_files
import numpy as np
import pytest
from kinds import KINDS, Kind


def hurt(count: int, seconds: float) -> None:
    script = Path(__file__).with_name("damaged_files.py")
    done = subprocess.run([sys.executable, script, str(count)], capture_output=True, text=True,
                          timeout=seconds)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-20_000:]
    assert done.stdout.count(" 0 went wrong") == len(KINDS)


@pytest.mark.slow
def test_a_few_damaged_files_of_each_kind_end_in_two_lines_each():
    hurt(7 * len(KINDS), seconds=300)


@pytest.mark.campaign
@pytest.mark.skipif(not campaign.ASKED, reason="long: TINYALEX_CAMPAIGN=N damages N files")
def test_many_damaged_files_end_in_two_lines_each():
    hurt(campaign.ASKED, seconds=60 + campaign.ASKED)


def test_most_changes_hit_what_is_alike_in_files_with_other_numbers():
    files = [b"head" + np.random.default_rng(i).bytes(64) + b"tail" for i in range(3)]
    places = damage.structure(files)
    assert {0, 1, 2, 3, 68, 69, 70, 71} <= set(places.tolist()) and len(places) < 16


@pytest.mark.parametrize("careless", [
    lambda: 1 // 0, lambda: 1, lambda: [0] * 10**14,
], ids=["traceback", "another status", "memory"])
def test_damage_that_is_let_through_would_be_seen(careless, tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.array(1))
    kind, start = Kind("a", lambda: None, [tmp_path / "a.npz"]), []

    def read():  # the first time, the file is valid
        start.append(1)
        return careless() if len(start) > 1 else None

    kind.read = read
    monkeypatch.setattr(damaged_files.tempfile, "gettempdir", lambda: str(tmp_path))
    assert len(damaged_files.hurt(kind, 5)) == 5
