"""python -m tinyalex.evaluate: measure a trained network; see --help."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyalex import drawing
from tinyalex.data import sources
from tinyalex.data.augment import CENTRE
from tinyalex.data.identity import expect_same_classes
from tinyalex.metrics import Result, average, predictions, score
from tinyalex.run import checkpoint, mistakes, opened
from tinyalex.support.cli import ArgumentParser, add_json, add_picture, number, output, run
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress
from tinyalex.support.text import print_json, say, stdout_free

WORST = 30  # classes whose lines are printed, of many


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.evaluate`; argv without the program's name."""
    args = _parse(argv)
    paths = [opened.find(path) for path in args.checkpoints]
    known = [checkpoint.load(path).about["classes"] for path in paths]  # so they are all there
    classes = known[0]
    said = []
    for path in paths:  # one network after the other: only one of them is in memory
        with stdout_free(args.json):
            said.append(_predict(path, args, classes))
        if not np.array_equal(said[0].labels, said[-1].labels):
            raise UserError(f"{path}: was measured on different pictures from {paths[0]}",
                            "prepare the pictures for all the networks from the same folder.")
    labels, data = said[-1].labels, said[-1].data
    results = _results([predicted.logp for predicted in said], labels)
    how, result = [*results.items()][-1]
    if args.json:
        print_json(_record(paths, said[-1], results, classes))
    else:
        _table(results, " + ".join(map(str, paths)) + f" on {data} ({len(labels):,} pictures)")
        say(*mistakes.by_class(result.confusion, classes, WORST), "")
    who = " + ".join(path.parent.name for path in paths)
    with stdout_free(args.json):
        add_picture(args.out, paths[0].parent / "confusion.png", lambda path: drawing.confusion(
            result.confusion, classes, path, f"{who} on {data}, {how}"))
    return 0


def _parse(argv):
    parser = ArgumentParser(
        prog="python -m tinyalex.evaluate",
        description="Measure a trained network: top-1 and top-5 error, and which classes it "
                    "confuses. The predictions of several networks are averaged.")
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+", metavar="RUN_OR_CHECKPOINT",
        help="run folders, or .npz files")
    add("--ten-crop", action="store_true", help="average the predictions for ten patches of each "
        "picture: four corners and centre, and their mirror images (section 4.1)")
    add("--data", metavar="WHAT", help=f"{sources.KINDS}; what it was trained on if not given")
    add("--split", choices=["train", "val"], default="val")
    add("--devices", metavar="LIST", default="auto",
        help="cpu, cpu,cpu, cuda:0, cuda:0,cuda:1 or auto")
    add("--batch-size", type=number(int, 1), default=128)
    add("--limit", type=number(int, 1), help="use only the first LIMIT pictures; if not given, "
        "as many as in training, or all of --data")
    add("--out", type=output(".png"), metavar="PNG", help="where to draw which classes are "
        "confused; confusion.png beside the first checkpoint if not given")
    add_json(parser)
    return parser.parse_args(argv)


class Predictions(NamedTuple):
    """What one network says. logp: of the centre patch and, if asked for, of ten patches on
    average, logarithms of probabilities (pictures, classes). labels: of the pictures. data: its
    name."""

    logp: dict[str, np.ndarray]
    labels: np.ndarray
    data: str


def _predict(path: Path, args, classes: list[str]) -> Predictions:
    """Show the data to one network. UserError where the two do not fit together."""
    with opened.open_network(path, args.devices) as net:
        picture = net.recipe.picture
        source = args.data or sources.from_file(net.recipe.data, path)
        limit = args.limit or (None if args.data else net.recipe.limit)
        val_set = sources.load(source, args.split, picture, limit)
        for known in (net.classes, classes):
            expect_same_classes(val_set.classes, val_set.name, known, "the network knows",
                                "name data with the same classes with --data.")
        if val_set.images.shape[1:] != net.mean.shape:
            raise UserError(f"{val_set.name}: pictures of shape {val_set.images.shape[1:]}; the "
                            f"network was trained on {net.mean.shape}", "name other data.")
        loader = net.loader(val_set, args.batch_size, args.ten_crop)
        parts: dict[str, list[np.ndarray]] = {"centre patch": []}
        batches = progress(loader.epoch(), f"evaluating {path}", len(loader), "batch")
        for labels, logp in predictions(net.network, batches):
            logp = logp.reshape(len(labels), -1, len(classes))
            parts["centre patch"].append(logp[:, CENTRE] if args.ten_crop else logp[:, 0])
            if args.ten_crop:
                parts.setdefault("ten patches", []).append(average(logp, axis=1))
    return Predictions({patches: np.concatenate(logp) for patches, logp in parts.items()},
                       np.asarray(val_set.labels), val_set.name)


def _results(networks: list[dict[str, np.ndarray]], labels: np.ndarray) -> dict[str, Result]:
    """How right each network is, and all of them averaged, by what it was shown; the most reliable
    comes last."""
    if len(networks) == 1:
        return {patches: score(logp, labels) for patches, logp in networks[0].items()}
    results = {f"network {i}, {patches}": score(logp, labels)
               for i, network in enumerate(networks, 1) for patches, logp in network.items()}
    for patches in networks[0]:
        together = average(np.stack([network[patches] for network in networks]), axis=0)
        results[f"{len(networks)} networks, {patches}"] = score(together, labels)
    return results


def _record(paths: list[Path], shown: Predictions, results: dict[str, Result],
            classes: list[str]) -> dict:
    """The results as numbers; errors are shares. confusion: of the last, [true class, first guess].
    """
    errors = {patches: {"top1_error": result.error, "top5_error": result.top5_error,
                        "loss": result.loss} for patches, result in results.items()}
    confusion = [*results.values()][-1].confusion.tolist()
    return {"networks": [*map(str, paths)], "data": shown.data, "pictures": len(shown.labels),
            "results": errors, "classes": classes, "confusion": confusion}


def _table(results: dict[str, Result], title: str) -> None:
    width = max(map(len, results))
    say(title)
    print(f"\n{'':<{width}}  top-1 right   wrong  top-5 right   wrong    loss")
    for name, result in results.items():
        print(f"{name:<{width}} {1 - result.error:>12.2%} {result.error:>7.2%} "
              f"{1 - result.top5_error:>12.2%} {result.top5_error:>7.2%} {result.loss:>7.4f}")
    print()


if __name__ == "__main__":
    sys.exit(run(main))
