"""python -m tinyalex.evaluate: measure a trained network; see --help."""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinyalex import checkpoint, plots, presets
from tinyalex.data import sources
from tinyalex.data.loader import Loader
from tinyalex.devices import Devices
from tinyalex.errors import ArgumentParser, UserError, number, run
from tinyalex.metrics import Result, measure
from tinyalex.runs import Settings
from tinyalex.training import build


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.evaluate`; argv without the programme's name."""
    args = _parse(argv)
    path = args.checkpoint / "checkpoint.npz" if args.checkpoint.is_dir() else args.checkpoint
    saved = checkpoint.load(path)
    settings, classes = Settings(**saved.about["settings"]), saved.about["classes"]
    preset = presets.get(settings.preset)
    val_set = sources.load(args.data or settings.data, args.split, preset.picture, args.limit)
    if list(val_set.classes) != classes:
        raise UserError(
            f"{val_set.name} has {_classes(val_set.classes)}; "
            f"the network knows {_classes(classes)}",
            "name data of the same classes with --data.")
    with Devices(args.devices, preset.towers) as devices:
        network = build(settings, len(classes), devices)
        network.load_state(saved.values, str(path))
        if val_set.images.shape[1:] != saved.mean.shape:
            raise UserError(f"{val_set.name}: pictures of shape {val_set.images.shape[1:]}; the "
                            f"network was trained on {saved.mean.shape}", "name other data.")
        loader = Loader(val_set, network.input_shape[0], saved.mean, scale=preset.scale,
                        batch_size=args.batch_size)
        result = measure(network, tqdm(loader.epoch(), "evaluating", total=len(loader),
                                       unit="batch", disable=None, leave=False))
    _report(result, classes, f"{path} on {val_set.name} ({len(val_set):,} pictures)")
    picture = path.parent / "confusion.png"
    plots.confusion(result.confusion, classes, picture, f"{settings.preset} on {val_set.name}")
    print(f"\nas a picture: {picture}")
    return 0


def _parse(argv):
    parser = ArgumentParser(
        prog="python -m tinyalex.evaluate",
        description="Measure a trained network: top-1 and top-5 error, and which classes it takes "
                    "for which.")
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="RUN_OR_CHECKPOINT", help="a run folder, or an .npz file")
    add("--data", metavar="WHAT", help=f"{sources.KINDS}; what it was trained on if not given")
    add("--split", choices=["train", "val"], default="val")
    add("--devices", metavar="LIST", default="auto", help="cpu, cpu,cpu or auto")
    add("--batch-size", type=number(int, 1), default=128)
    add("--limit", type=number(int, 1), help="use only the first LIMIT pictures")
    return parser.parse_args(argv)


def _classes(names) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', …' * (len(names) > 3)})"


def _report(result: Result, classes: list[str], title: str):
    """The figures, and for each class how often it was right and what it was mostly taken for."""
    print(f"{title}\n")
    print(f"top-1  {1 - result.error:.2%} right, {result.error:.2%} wrong")
    print(f"top-5  {1 - result.top5_error:.2%} right, {result.top5_error:.2%} wrong")
    print(f"loss   {result.loss:.4f}\n")
    width = max(len("class"), *map(len, classes))
    print(f"{'class':<{width}} {'pictures':>8} {'right':>7}   mostly taken for")
    counts = result.confusion.sum(axis=1)
    right = np.diag(result.confusion) / np.maximum(counts, 1)
    worst = np.argsort(right, kind="stable")[:30]
    for label in worst if len(classes) > 30 else range(len(classes)):
        others = result.confusion[label].copy()
        others[label] = 0
        taken = others.argmax()
        most = f"{classes[taken]} ({others[taken]})" if others[taken] else "–"
        print(f"{classes[label]:<{width}} {counts[label]:>8} {right[label]:>7.1%}   {most}")
    if len(classes) > 30:
        print(f"(the 30 worst of {len(classes)} classes)")


if __name__ == "__main__":
    sys.exit(run(main))
