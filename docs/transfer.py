"""python docs/transfer.py WEIGHTS DATA: the figures, the table and the picture of docs/transfer.md.

Each line of docs/transfer.csv is one training: see table_of_runs.py.
"""

import argparse
import random
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from table_of_runs import Table, last_error

HERE = Path(__file__).parent
TABLE = Table(HERE / "transfer.csv", {"way": str, "pictures of a class": int, "draw": int},
              "accuracy")
COUNTS = (5, 10, 25, 50, 250)  # pictures to train on, of each class
SEEDS = (0, 1, 2)  # of the draw of the pictures, and of the training
# Where convolutions learn there are two epochs, since the validation pictures take their time, too.
# To be looked at ten times each picture is linked five times; of 250 a class, twice:
# as many steps as with 50.
COPIES = dict.fromkeys(COUNTS, 5) | {250: 1}
FREE = ["--epochs", "2", "--schedule", "1", "--without", "fc6,fc7"]
FASTER = ["--lr-of", "conv=10"]  # the rate is what suits the last layer, which reads large numbers
# What is drawn as a curve: a label, and the flags.
WAYS = {
    "5 of 5 frozen": ["--from", "WEIGHTS"],
    "4 of 5 frozen": ["--from", "WEIGHTS", "--freeze", "conv1-conv4", *FREE, *FASTER],
    "3 of 5 frozen": ["--from", "WEIGHTS", "--freeze", "conv1-conv3", *FREE, *FASTER],
    "2 of 5 frozen": ["--from", "WEIGHTS", "--freeze", "conv1-conv2", *FREE, *FASTER],
    "1 of 5 frozen": ["--from", "WEIGHTS", "--freeze", "conv1", *FREE, *FASTER],
    "none frozen": ["--from", "WEIGHTS", "--freeze", "none", *FREE, *FASTER],
    "from scratch": ["--preset", "torchvision", "--batch-size", "32", *FREE],
    "5 random ones, frozen": ["--from", "RANDOM"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", type=Path, help="torchvision's, or their convolutions alone")
    parser.add_argument("data", type=Path, help="a folder with train/ and val/")
    parser.add_argument("--work", type=Path, default=Path("transfer-work"))
    args = parser.parse_args()
    keys = [(way, count, seed) for count, way, seed in product(COUNTS, WAYS, SEEDS)]
    rows = TABLE.complete(keys, lambda way, *key: trained(args, WAYS[way], *key))
    draw(rows)
    print(table(rows))


def trained(args, flags, count, seed) -> float:
    """The validation accuracy after training in this way on so many pictures of each class."""
    data = drawn(args, count, seed, COPIES[count] if "--epochs" in flags else 1)
    files = {"WEIGHTS": args.weights, "RANDOM": args.work / f"random-{seed}"}
    if "RANDOM" in flags and not files["RANDOM"].exists():  # a network that never learned
        train("--preset", "torchvision", "--without", "fc6,fc7", "--data", data, "--limit", 10,
              "--lr", 0, "--epochs", 1, "--seed", seed, "--out", files["RANDOM"])
    out = args.work / f"run-{len(TABLE.read())}-{count}-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    train(*(files.get(flag, flag) for flag in flags), "--data", data, "--seed", seed, "--out", out)
    return 1 - last_error(out)


def train(*argv):
    subprocess.run([sys.executable, "-m", "tinyalex.train", *map(str, argv)], check=True,
                   stdout=subprocess.DEVNULL)


def drawn(args, count, seed, copies) -> Path:
    """A folder of links to so many pictures of each class to train on, and all to validate with."""
    folder = args.work / f"data-{count}-{seed}-{copies}"
    for source in sorted((args.data / "train").iterdir() if not folder.exists() else []):
        (folder / "train" / source.name).mkdir(parents=True)
        pictures = random.Random(seed).sample(sorted(source.iterdir()), count)
        for picture, copy in product(pictures, range(copies)):
            (folder / "train" / source.name / f"{copy}-{picture.name}").symlink_to(
                picture.resolve())
    if not (folder / "val").exists():
        (folder / "val").symlink_to((args.data / "val").resolve())
    return folder


def table(rows) -> str:
    lines = ["| pictures of a class | " + " | ".join(WAYS) + " |", "| --- |" + " --- |" * len(WAYS)]
    for count in COUNTS:
        cells = [f"{100 * mean(found):.1f} %" if (found := accuracies(rows, way, count)) else ""
                 for way in WAYS]
        lines.append(f"| {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def accuracies(rows, way, count) -> list[float]:
    return [rows[way, count, seed] for seed in SEEDS if (way, count, seed) in rows]


def draw(rows):
    """All ways, and beside them those from trained weights, which lie close together."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for way in WAYS:
        counts = [count for count in COUNTS if accuracies(rows, way, count)]
        found = [[100 * share for share in accuracies(rows, way, count)] for count in counts]
        for axes in (left, right) if "WEIGHTS" in WAYS[way] else (left,):
            (line,) = axes.plot(counts, [*map(mean, found)], marker="o", label=way)
            axes.fill_between(counts, [*map(min, found)], [*map(max, found)], alpha=0.2,
                              color=line.get_color(), linewidth=0)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(COUNTS, COUNTS)
        axes.minorticks_off()
        axes.set_xlabel("pictures of a class to train on")
        axes.grid(alpha=0.3)
    left.set_ylabel("right, of the validation pictures (%)")
    right.set_title("from trained weights", fontsize=10)
    left.legend()
    figure.savefig(HERE / "transfer.png", dpi=120)


if __name__ == "__main__":
    main()
