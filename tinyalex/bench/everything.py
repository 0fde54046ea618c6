"""python -m tinyalex.bench.everything: all that wants measuring on a machine with a GPU, in one go.

Runs, one after the other, and notes in a folder what each printed: `tinyalex.info`; the tests that
need a GPU, where the tests are at hand; the speed of the preset `paper` at batch 128 in float32 and
TF32, against PyTorch where that is installed with CUDA; the same on two devices; a short training
run; and the speed of the preset `cifar` on the GPU and on the CPU. What fails or hangs is noted,
and the next begins. The goals that the figures are held against stand at the end.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tinyalex.devices import cuda
from tinyalex.run import presets
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.errors import UserError

TESTS = Path(__file__).parents[2] / "tests"
TIMES_THE_CPU = 20
LIMIT = 3600  # seconds for a command: what hangs must not keep the others from being run


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.bench.everything`."""
    parser = ArgumentParser(prog="python -m tinyalex.bench.everything",
                            description="Measure all there is to measure on a GPU.")
    add = parser.add_argument
    add("--out", type=Path, metavar="FOLDER", default=Path("gpu-report"))
    add("--batch-size", type=number(int, 1), default=128)
    add("--rounds", type=number(int, 1), default=5)
    args = parser.parse_args(argv)
    machine = cuda.find()
    if machine.problem:
        raise UserError(f"nothing to measure: {machine.problem}", machine.hint)
    args.out.mkdir(parents=True, exist_ok=True)
    for earlier in args.out.glob("*.csv"):
        earlier.unlink()  # nothing is to be judged by the figures of another day
    for name, command in commands(args, len(machine.gpus)).items():
        _note(args.out / f"{name}.txt", [sys.executable, "-m", *command])
    lines = "\n".join([*judged(against_torch, args.out), *judged(times_the_cpu, args.out)])
    (args.out / "goals.txt").write_text(lines + "\n")
    print(f"\n{lines}\n\nall of it is in {args.out}")
    return 0


def commands(args: argparse.Namespace, gpus: int) -> dict[str, list[str]]:
    """What to run, by the name of the file for its output."""
    def bench(name, preset, batch_size, devices, *more):
        return ["tinyalex.bench", "--preset", preset, "--batch-size", str(batch_size), "--rounds",
                str(args.rounds), "--devices", devices, *more,
                "--csv", str(args.out / f"{name}.csv"), "--out", str(args.out / f"{name}.png")]

    two = "cuda:0,cuda:1" if gpus > 1 else "cuda:0,cuda:0"
    against, cifar = ["--against", "torch"] * _torch_has_cuda(), presets.get("cifar").batch_size
    run = next(folder for count in range(1, 10_000)
               if not (folder := args.out / f"run-{count}").exists())
    wanted = {
        "info": ["tinyalex.info"],
        "tests": ["pytest", "-m", "gpu", str(TESTS)],
        "one-gpu": bench("one-gpu", "paper", args.batch_size, "cuda:0", *against),
        "two-devices": bench("two-devices", "paper", args.batch_size, two),
        "train": ["tinyalex.train", "--preset", "tiny", "--devices", "cuda:0", "--out", str(run)],
        "cifar-gpu": bench("cifar-gpu", "cifar", cifar, "cuda:0"),
        "cifar-cpu": bench("cifar-cpu", "cifar", cifar, "cpu,cpu"),
    }
    return {name: wanted[name] for name in wanted if name != "tests" or TESTS.is_dir()}


def _torch_has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _note(path: Path, command: list[str]):
    """Run a command; what it prints is written to `path`, and shown when it has ended."""
    print(f"\n$ {' '.join(command[1:])}", flush=True)
    with open(path, "w") as file:
        try:
            status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT,
                                    timeout=LIMIT).returncode
            ending = f"exit status {status}\n" if status else ""
        except subprocess.TimeoutExpired:
            ending = f"stopped after {LIMIT} seconds\n"
    with open(path, "a") as file:
        file.write(ending)
    print(path.read_text(errors="replace"), end="", flush=True)


def judged(goal: Callable[[Path], Iterator[str]], folder: Path) -> list[str]:
    """What `goal` says; where it fails, how: the other goals are to be written all the same."""
    try:
        return list(goal(folder))
    except Exception as error:  # a file that is missing or not whole shows in many ways
        return [f"{goal.__name__}: not measured ({type(error).__name__}: "
                f"{cuda.first_line(error)})"]


def _figures(path: Path) -> dict[tuple[str, ...], float]:
    """Medians of a CSV by precision (of a GPU's), name, pass, and quantity."""
    with open(path, newline="") as file:
        return {(row.get("precision", ""), row["name"], row["pass"], row["quantity"]):
                float(row["median"]) for row in csv.DictReader(file)}


def against_torch(folder: Path) -> Iterator[str]:
    """Our figures against PyTorch's eager ones: the goal is to be at least as fast, in no more
    memory, in either precision."""
    figures = _figures(folder / "one-gpu.csv")
    peers = [key for key in figures if key[1] == "channels_last"]
    if not peers:
        yield "against PyTorch: not measured (it is not here, or has no CUDA)"
    for precision, name, mode, quantity in peers:
        if quantity in ("time a picture", "memory peak"):
            ratio = (figures[precision, "tinyalex", mode, quantity]
                     / figures[precision, name, mode, quantity])
            yield (f"{_met(ratio <= 1)}  {precision} {mode}: {quantity.split()[0]} {ratio:.2f} of "
                   "PyTorch's (goal: at most 1.00)")


def times_the_cpu(folder: Path) -> Iterator[str]:
    """How many times as fast as on this machine's CPU the preset `cifar` trains on the GPU."""
    gpu = _figures(folder / "cifar-gpu.csv")["float32", "tinyalex", "training", "speed"]
    cpu = _figures(folder / "cifar-cpu.csv")["", "tinyalex", "training", "speed"]
    yield (f"{_met(gpu >= TIMES_THE_CPU * cpu)}  cifar: {gpu:,.0f} images/s on the GPU, "
           f"{cpu:,.0f} on the CPU, {gpu / cpu:.1f} times (goal: {TIMES_THE_CPU})")


def _met(yes: bool) -> str:
    return "met    " if yes else "not met"


if __name__ == "__main__":
    sys.exit(run(main))
