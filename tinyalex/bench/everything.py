"""python -m tinyalex.bench.everything: all that wants measuring on a machine with a GPU, in one go.

Runs, one after the other, and notes in a folder what each printed: `tinyalex.info`; the tests that
need a GPU, where the tests are at hand; the speed of the preset `paper` at batch 128 in float32 and
TF32, against PyTorch where that is installed with CUDA; the same on two devices; a short training
run; and how much faster than the CPU the preset `cifar` trains. What fails is noted, and the next
begins. The goals that the figures are held against stand at the end.
"""

import csv
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tinyalex.bench import gpu
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices, cuda
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
    found = cuda.find()
    if found.problem:
        raise UserError(f"nothing to measure: {found.problem}", found.hint)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, command in commands(args, len(found.gpus)).items():
        _note(args.out / f"{name}.txt", [sys.executable, "-m", *command])
    lines = [_judged(_against_torch, args.out / "one-gpu.csv"),
             _judged(times_the_cpu, args.rounds)]
    (args.out / "goals.txt").write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines) + f"\n\nall of it is in {args.out}")
    return 0


def commands(args, gpus: int) -> dict[str, list[str]]:
    """What to run, by the name of the file for its output."""
    bench = ["tinyalex.bench", "--preset", "paper", "--batch-size", str(args.batch_size),
             "--rounds", str(args.rounds)]
    two = "cuda:0,cuda:1" if gpus > 1 else "cuda:0,cuda:0"
    against = ["--against", "torch"] if _torch_has_cuda() else []

    def files(name):
        return ["--csv", str(args.out / f"{name}.csv"), "--out", str(args.out / f"{name}.png")]

    wanted = {"info": ["tinyalex.info"]}
    if TESTS.is_dir():
        wanted["tests"] = ["pytest", "-m", "gpu", str(TESTS)]
    return wanted | {
        "one-gpu": [*bench, "--devices", "cuda:0", *against, *files("one-gpu")],
        "two-devices": [*bench, "--devices", two, *files("two-devices")],
        "train": ["tinyalex.train", "--preset", "tiny", "--devices", "cuda:0", "--out",
                  str(_free(args.out / "run"))],
    }


def _free(folder: Path) -> Path:
    count = 1
    while (found := folder.with_name(f"{folder.name}-{count}")).exists():
        count += 1
    return found


def _torch_has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _note(path: Path, command: list[str]):
    """Run a command; what it prints is shown, and written to `path`."""
    print(f"\n$ {' '.join(command[1:])}", flush=True)
    with open(path, "w") as file:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace") as process:
            alarm = threading.Timer(LIMIT, process.kill)
            alarm.start()
            for line in process.stdout:
                print(line, end="", flush=True)
                file.write(line)
            process.wait()
            alarm.cancel()
        if process.returncode:
            file.write(f"exit status {process.returncode}\n")


def _judged(goal: Callable[..., str], *args) -> str:
    """What `goal` says; where it fails, how: the other goals are to be written all the same."""
    try:
        return goal(*args)
    except Exception as error:  # of a GPU, or a file that is not whole: many kinds
        return f"{goal.__name__}: failed: {type(error).__name__}: {cuda.first_line(error)}"


def _against_torch(path: Path) -> str:
    """Our figures against PyTorch's eager ones: the goal is to be at least as fast, in no more
    memory, in either precision."""
    if not path.exists():
        return "against PyTorch: not measured"
    with open(path, newline="") as file:
        figures = {(row["precision"], row["name"], row["pass"], row["quantity"]):
                   float(row["value"]) for row in csv.DictReader(file)}
    lines = []
    for (precision, name, mode, quantity), theirs in figures.items():
        ours = figures.get((precision, "tinyalex", mode, quantity))
        if name == "channels_last" and quantity in ("speed", "memory"):
            ratio = theirs / ours if quantity == "speed" else ours / theirs
            what = "time" if quantity == "speed" else "memory"
            lines.append(f"{_met(ratio <= 1)}  {precision} {mode}: {what} {ratio:.2f} of "
                         "PyTorch's (goal: at most 1.00)")
    return "\n".join(lines) or "against PyTorch: not measured (it is not here, or has no CUDA)"


def times_the_cpu(rounds: int) -> str:
    """How many times as fast as on this machine's CPU the preset `cifar` trains on the GPU."""
    seconds, recipe = {}, presets.get("cifar")
    for placement in ("cpu,cpu", "cuda:0"):
        with Devices(placement, recipe.towers) as devices:
            workload = Workload("cifar", devices, recipe.batch_size)

            def wait(devices=devices):
                for device in devices:
                    device.synchronize()

            gpu.in_turn({placement: workload.train}, rounds, wait, seconds)
    cpu, on_gpu = (recipe.batch_size / median(times) for times in seconds.values())
    return (f"{_met(on_gpu >= TIMES_THE_CPU * cpu)}  cifar, batch {recipe.batch_size}: "
            f"{on_gpu:,.0f} images/s on the GPU, {cpu:,.0f} on the CPU, {on_gpu / cpu:.1f} times "
            f"(goal: {TIMES_THE_CPU})")


def _met(yes: bool) -> str:
    return "met    " if yes else "not met"


if __name__ == "__main__":
    sys.exit(run(main))
