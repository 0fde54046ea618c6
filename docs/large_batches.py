"""python docs/large_batches.py CIFAR10: errors with batches of up to 8,192 pictures, and a picture.

Each line of docs/large_batches.csv is one training: see table_of_runs.py.
"""

import argparse
import shutil
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from table_of_runs import Table, last_error

HERE = Path(__file__).parent
TABLE = Table(HERE / "large_batches.csv", {"seed": int, "batch": int, "way": str}, "error")
BATCHES = (128, 1024, 8192)
SEEDS = (0, 1)
USUAL = ["--preset", "mini", "--epochs", "8", "--schedule", "6"]  # mini's batches have 64 pictures
WAYS = {
    "the rate of small batches": [],
    "times the root": ["--scale-lr", "sqrt"],
    "in proportion": ["--scale-lr", "linear"],
    "in proportion, warm-up": ["--scale-lr", "linear", "--warmup", "1"],
    "LARS, warm-up": ["--warmup", "1", "--optimiser", "lars", "--trust", "0.3"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cifar10", type=Path, help="the folder or archive of CIFAR-10")
    parser.add_argument("--work", type=Path, default=Path("large-batches-work"))
    args = parser.parse_args()
    rows = TABLE.complete(product(SEEDS, reversed(BATCHES), WAYS), partial(trained, args))
    draw(rows)
    print(table(rows))


def trained(args, seed, batch, way) -> float:
    """The validation error after the last epoch; that of guessing where weights went to infinity.
    """
    out = args.work / f"run-{seed}-{batch}-{list(WAYS).index(way)}"
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "tinyalex.train", *USUAL, *WAYS[way], "--data", args.cifar10,
         "--batch-size", str(batch), "--seed", str(seed), "--out", out],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 2 and "training stops here" in done.stderr:
        return 0.9
    if done.returncode:
        raise SystemExit(done.stderr)
    return last_error(out)


def errors(rows, way, batch) -> list[float]:
    return [rows[seed, batch, way] for seed in SEEDS if (seed, batch, way) in rows]


def table(rows) -> str:
    lines = ["| | " + " | ".join(f"batches of {batch:,}" for batch in BATCHES) + " |",
             "| --- |" + " --- |" * len(BATCHES)]
    for way in WAYS:
        cells = [" and ".join(f"{100 * error:.1f} %" for error in errors(rows, way, batch))
                 for batch in BATCHES]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(rows):
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for way in WAYS:
        batches = [batch for batch in BATCHES if errors(rows, way, batch)]
        percent = [[100 * error for error in errors(rows, way, batch)] for batch in batches]
        (line,) = axes.plot(batches, [*map(mean, percent)], marker="o", label=way)
        axes.vlines(batches, [*map(min, percent)], [*map(max, percent)], color=line.get_color())
    axes.set_xscale("log", base=2)
    axes.set_xticks(BATCHES, [f"{batch:,}" for batch in BATCHES])
    axes.set_xlabel("pictures of a batch")
    axes.set_ylabel("validation error after 8 epochs (%)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(HERE / "large_batches.png", dpi=120)


if __name__ == "__main__":
    main()
