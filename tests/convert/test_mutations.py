"""Damaged files: a thousand at every run, and ten thousand by
`python tests/convert/mutations.py 10000`.

A reader that was only tried on good files fails on the first bad one with a traceback, or hangs, or
asks for all the memory there is. It runs in a process of its own, whose memory is limited.
"""

import subprocess
import sys
from pathlib import Path

import mutations
import numpy as np
import pytest


@pytest.mark.slow
def test_a_thousand_damaged_files_end_in_two_lines_each():
    done = subprocess.run([sys.executable, Path(__file__).with_name("mutations.py"), "1000"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 went wrong" in done.stdout


def test_most_changes_hit_what_is_alike_in_files_with_other_numbers():
    files = [b"head" + np.random.default_rng(i).bytes(64) + b"tail" for i in range(3)]
    places = mutations.structure(files)
    assert {0, 1, 2, 3, 68, 69, 70, 71} <= set(places.tolist()) and len(places) < 16


def test_damage_that_is_let_through_would_be_seen(tmp_path, monkeypatch):
    def careless(path, folder):
        with open(path, "rb") as file:
            return "features.0.weight" in np.load(file)

    monkeypatch.setitem(mutations.KINDS, "npz", (*mutations.KINDS["npz"][:2], careless))
    monkeypatch.setattr(mutations.tempfile, "gettempdir", lambda: str(tmp_path))
    assert len(mutations.hurt("npz", 40, tmp_path)) > 10
