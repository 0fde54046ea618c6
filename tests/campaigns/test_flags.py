"""Flags put together at random: whatever one types, the answer is a result or two lines.

Each command is called with some of its flags, right values and wrong ones, as the parser knows
them. Three of each by default; TINYALEX_CAMPAIGN=2000 tries so many.
"""

import argparse
import contextlib
import random
import shutil
import signal

import campaign
import pytest
from doors import main_of

from tinyalex.__main__ import COMMANDS
from tinyalex.support.cli import run

DOORS = [name for name in COMMANDS if name not in ("bench", "info")]  # bench takes long, info none
TRIES = -(-campaign.ASKED // len(DOORS)) or 3
SECONDS = 60

WORDS = ["", "x", "-1", "0", "1", "2", "0.5", "1e9", "nan", "inf", "run", "val", "missing",
         "/dev/null", "cpu", "cpu,cpu", "cuda:0", "auto", "out.png", "out.npz", "out.onnx", "none",
         "1:conv1=0", "plateau:2", "a:b", "tiny", "cifar", "conv4", "sky,grass", "\udce9"]
NETWORKS = ["run", "run", "run/checkpoint.npz", "val", "missing"]
PICTURES = ["val/rose/02.png", "val/*/0*.png", "shapes/val/0-2", "val", "missing"]
# What else would only be refused, or take long: large networks, many epochs, downloads.
QUICK = {
    "checkpoint": NETWORKS, "checkpoints": NETWORKS, "runs": NETWORKS, "resume": NETWORKS,
    "picture": PICTURES, "pictures": PICTURES, "queries": PICTURES, "among": PICTURES,
    "source": ["val", "run", "x"], "dataset": ["val", "x"], "layer": ["ReLU", "x"],
    "preset": ["cifar", "cifar10-quick", "x"], "data": ["blobs:load", "val", "missing", "x:y"],
    "epochs": ["0", "1", "x"], "seeds": ["1", "x"], "count": ["1", "2", "x"], "side": ["0", "8"],
    "batch_size": ["0", "7", "64"], "workers": ["0", "1", "-1"], "limit": ["0", "5"],
    "out": ["out", "out.png", ""], "url": ["file:///x", "ftp://x"],
}
ALWAYS = {"train": ["--preset", "cifar", "--data", "blobs:load", "--epochs", "1"],
          "gradcheck": ["--layer", "ReLU"]}  # unless what follows says otherwise
LONG = {"show_mutants", "exercises", "plot", "step", "check", "help"}


class Captured(Exception):
    """The parser of a command, before it has parsed anything."""


def parser_of(main, monkeypatch) -> argparse.ArgumentParser:
    def capture(parser, *args):
        raise Captured(parser)

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", capture)
        with pytest.raises(Captured) as caught:
            main([])
    return caught.value.args[0]


def some_arguments(parser: argparse.ArgumentParser, rng: random.Random) -> list[str]:
    argv: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            name = rng.choice(list(action.choices))
            argv += [name, *some_arguments(action.choices[name], rng)]
        elif action.dest in LONG or (action.option_strings and rng.random() < 0.8):
            continue
        else:
            choices = [*map(str, action.choices or []), *QUICK.get(action.dest, WORDS)]
            values = [rng.choice(choices) for _ in range(
                0 if action.nargs == 0 else 1 if action.nargs is None else rng.randrange(3))]
            argv += [*action.option_strings[-1:], *values]
    return argv


@contextlib.contextmanager
def a_minute():
    def late(*args):
        raise AssertionError(f"takes longer than {SECONDS} s")

    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, late)
        signal.alarm(SECONDS)
    try:
        yield
    finally:
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_flags_put_together_at_random_end_in_a_result_or_two_lines(
        door, blobs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TINYALEX_DATA", str(blobs / "cache"))
    shutil.copytree(blobs, tmp_path / "blobs", ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(tmp_path / "blobs")
    main = main_of(f"tinyalex.{door}")
    parser, rng = parser_of(main, monkeypatch), random.Random(door)
    for _ in range(TRIES):
        argv = ALWAYS.get(door, []) + some_arguments(parser, rng)
        with a_minute():
            status = run(lambda argv=argv: main(argv))
        out, err = capsys.readouterr()
        assert status in (0, 1, 2), f"{door} {argv}: status {status}\n{err}"
        assert "Traceback" not in out + err, argv
        if status == 2:
            error, hint = err.splitlines()[-2:]
            assert error.startswith("error: ") and hint.startswith("HINT: "), (argv, err)
