"""python -m tinyalex.bench.everything: everything worth measuring on a machine with a GPU.

Runs, one by one, and keeps in a folder what each printed: `tinyalex.info`; the tests that
need a GPU, where there are tests; the speed of the preset `paper` at batch 128 in float32 and TF32,
against PyTorch where that is installed with CUDA; the same on two devices; a short training run;
and the speed of the preset `cifar` on the GPU and on the CPU. What fails or hangs is noted, and the
next begins. The goals, and whether they were met, come at the end.

Where a GPU is lent for minutes, `--only` does some of it, and adds to the folder of another time.
It needs no installation: the checkout in PYTHONPATH will do.
"""

import csv
import os
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path

from tinyalex.bench.gpu import PRECISIONS
from tinyalex.bench.speed import OURS
from tinyalex.devices import cuda
from tinyalex.run import presets
from tinyalex.support.cli import ArgumentParser, run
from tinyalex.support.errors import UserError

TESTS = Path(__file__).parents[2] / "tests"
TIMES_THE_CPU = 20
LIMIT = 600  # seconds for a command: what hangs must not keep the others from being run
PARTS = ("info", "tests", "one-gpu", "two-devices", "train", "cifar-gpu", "cifar-cpu")


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.bench.everything`; argv without the program's name."""
    parser = ArgumentParser(prog="python -m tinyalex.bench.everything",
                            description="Measure everything there is to measure on a GPU.")
    parser.add_argument("--out", type=Path, metavar="FOLDER", default=Path("gpu-report"),
                        help="a new folder; with --only one that has other parts already")
    parser.add_argument("--only", type=_parts, metavar="PART,…", help=", ".join(PARTS))
    args = parser.parse_args(argv)
    out = args.out
    machine = cuda.find()
    if machine.problem:
        raise UserError(f"nothing to measure: {machine.problem}", machine.hint)
    if out.exists() and not args.only:  # numbers from another day must not be judged
        raise UserError(f"--out {out}: already exists", "name a new folder, or say what to add to "
                        "it, with --only.")
    wanted = commands(out, len(machine.gpus))
    names = args.only or list(wanted)
    for name in names:
        if name not in wanted:
            raise UserError("--only tests: there are none here", "start it from a checkout.")
        if (out / f"{name}.txt").exists():
            raise UserError(f"--only {name}: {out} has it already", "name another folder.")
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        _note(out / f"{name}.txt", [sys.executable, "-m", *wanted[name]])
    goals = "\n".join(judged(out))
    (out / "goals.txt").write_text(goals + "\n", "utf-8")
    print(f"\n{goals}\n\nit is all in {out}")
    return 0


def _parts(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise ArgumentTypeError(f"{name}: there is no such part; choose from "
                                    f"{', '.join(PARTS)}")
    return names


def commands(out: Path, gpus: int) -> dict[str, list[str]]:
    """What to run, by the name of the file for its output."""
    def bench(name: str, devices: str, *more: str):
        wanted[name] = ["tinyalex.bench", "--devices", devices, *more,
                        "--csv", f"{out / name}.csv", "--out", f"{out / name}.png"]

    wanted = {"info": ["tinyalex.info"]}
    if TESTS.is_dir():
        # Whoever mends what fails may have no GPU: so with the values of all variables.
        wanted["tests"] = ["pytest", "-m", "gpu", "--maxfail=5", "--showlocals", "--durations=10",
                           str(TESTS)]
    bench("one-gpu", "cuda:0", *["--against", "torch"] * _torch_has_cuda())
    bench("two-devices", "cuda:0,cuda:1" if gpus > 1 else "cuda:0,cuda:0")
    wanted["train"] = ["tinyalex.train", "--preset", "tiny", "--devices", "cuda:0",
                       "--out", str(out / "run")]
    cifar = "--preset", "cifar", "--batch-size", str(presets.get("cifar").batch_size)
    bench("cifar-gpu", "cuda:0", *cifar)
    bench("cifar-cpu", "cpu,cpu", *cifar)
    return wanted


def _torch_has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _note(path: Path, command: list[str]):
    """Run a command; its output is written to `path`, and shown when it has ended."""
    print(f"\n$ {' '.join(command[1:])}", flush=True)
    with open(path, "a", encoding="utf-8") as file:
        try:
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT,
                                    env=os.environ | {"PYTHONIOENCODING": "utf-8"},
                                    timeout=LIMIT).returncode
            file.write(f"exit status {status}\n" if status else "")
        except subprocess.TimeoutExpired:
            file.write(f"stopped after {LIMIT} seconds\n")
    print(path.read_text(encoding="utf-8", errors="replace"), end="", flush=True)


def judged(folder: Path) -> list[str]:
    """Which goals were met. One that cannot be judged says why, and the others are judged all the
    same."""
    lines: list[str] = []
    for goal in (against_torch, times_the_cpu):
        try:
            lines.extend(goal(folder))
        except Exception as error:  # a missing or incomplete file shows in many ways
            lines.append(f"{goal.__name__}: not measured ({type(error).__name__}: "
                         f"{cuda.first_line(error)})")
    return lines


def against_torch(folder: Path) -> Iterator[str]:
    """Our numbers against eager PyTorch's: the goal is to be at least as fast, in no more
    memory, in either precision."""
    for precision in PRECISIONS:
        measured = figures(folder / f"one-gpu-{precision.lower()}.csv")
        peers = [key for key in measured if key[0] == "channels_last"]
        if not peers:
            yield f"against PyTorch, {precision}: not measured (not installed, or without CUDA)"
        for name, mode, quantity in peers:
            if quantity in ("time a picture", "memory peak"):
                ratio = measured[OURS, mode, quantity] / measured[name, mode, quantity]
                yield (f"{_met(ratio <= 1)}  {precision} {mode}: {quantity.split()[0]} {ratio:.2f} "
                       "of PyTorch's (goal: at most 1.00)")


def times_the_cpu(folder: Path) -> Iterator[str]:
    """How many times as fast as on this machine's CPU the preset `cifar` trains on the GPU."""
    gpu, cpu = (figures(folder / f"cifar-{device}.csv")[OURS, "training", "speed"]
                for device in ("gpu-float32", "cpu"))
    yield (f"{_met(gpu >= TIMES_THE_CPU * cpu)}  cifar: {gpu:,.0f} images/s on the GPU, "
           f"{cpu:,.0f} on the CPU, {gpu / cpu:.1f} times (goal: {TIMES_THE_CPU})")


def figures(path: Path) -> dict[tuple[str, str, str], float]:
    """Medians of a CSV by name, pass, and quantity."""
    with open(path, encoding="utf-8", newline="") as file:
        return {(row["name"], row["pass"], row["quantity"]): float(row["median"])
                for row in csv.DictReader(file)}


def _met(yes: bool) -> str:
    return "met    " if yes else "not met"


if __name__ == "__main__":
    sys.exit(run(main))
