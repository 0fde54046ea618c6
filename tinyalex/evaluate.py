"""python -m tinyalex.evaluate: measure a trained network; see --help."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

from tinyalex import drawing
from tinyalex.data import sources
from tinyalex.data.augment import CENTRE
from tinyalex.data.dataset import Dataset
from tinyalex.data.identity import expect_same_classes, fingerprint
from tinyalex.metrics import Result, average, count, predictions
from tinyalex.run import checkpoint, mistakes, opened
from tinyalex.run.alike import expect_same
from tinyalex.support.cli import ArgumentParser, add_json, add_picture, number, output, run
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress
from tinyalex.support.text import plural, print_json, say, stdout_free
from tinyalex.world import World, find

WORST = 30  # classes whose lines are printed, of many


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.evaluate`; argv without the program's name."""
    with find().together() as world:
        world.take_cores()
        _main(_parse(argv), world)
    return 0


def _main(args: Namespace, world: World) -> None:
    paths = [opened.find(path) for path in args.checkpoints]
    known = [checkpoint.load(path).about["classes"] for path in paths]  # so they are all there
    classes = known[0]
    said = []
    for path in paths:  # one network after the other: only one of them is in memory
        with stdout_free(args.json and world.rank == 0):
            said.append(_predict(path, args, classes, world))
        if not np.array_equal(said[0].all_labels, said[-1].all_labels):
            raise UserError(f"{path}: was measured on different pictures from {paths[0]}",
                            "prepare the pictures for all the networks from the same folder.")
    data, pictures = said[-1].data, len(said[-1].all_labels)
    results = _results(said, len(classes), world)
    how, result = [*results.items()][-1]
    if args.json:
        print_json(_record(paths, said[-1], results, classes))
    else:
        _table(results, " + ".join(map(str, paths)) + f" on {data} ({plural(pictures, 'picture')})")
        say(*mistakes.by_class(result.confusion, classes, WORST), "")
    who = " + ".join(path.parent.name for path in paths)
    if world.rank == 0:
        with stdout_free(args.json):
            add_picture(args.out, paths[0].parent / "confusion.png", lambda path: drawing.confusion(
                result.confusion, classes, path, f"{who} on {data}, {how}"))


def _parse(argv):
    parser = ArgumentParser(
        prog="python -m tinyalex.evaluate", shares=True,
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
    """What one network says of this worker's share of the pictures, batch by batch. logp: of the
    centre patch and, if asked for, of ten patches on average, logarithms of probabilities
    (pictures, classes). labels: of the same pictures; all_labels: of everybody's. data: its
    name."""

    logp: dict[str, list[np.ndarray]]
    labels: list[np.ndarray]
    all_labels: np.ndarray
    data: str


def _predict(path: Path, args: Namespace, classes: list[str], world: World) -> Predictions:
    """Show this worker's share of the data to one network. UserError where the two do not fit
    together, or the workers have different ones."""
    local = world.local_rank, world.local_size
    with opened.open_network(path, args.devices, local) as net:
        val_set = _data(net, path, args, classes, world)
        loader = net.loader(val_set, args.batch_size, args.ten_crop)
        logp: dict[str, list[np.ndarray]] = {"centre patch": []}
        if args.ten_crop:
            logp["ten patches"] = []
        labels = []
        batches = progress(loader.epoch(first=world.rank, every=world.size), f"evaluating {path}",
                           -(-len(loader) // world.size), "batch")
        for true, of_crops in predictions(net.network, batches):
            net.expect_finite(of_crops)
            labels.append(true)
            of_crops = of_crops.reshape(len(true), -1, len(classes))
            logp["centre patch"].append(of_crops[:, CENTRE if args.ten_crop else 0])
            if args.ten_crop:
                logp["ten patches"].append(average(of_crops, axis=1))
    return Predictions(logp, labels, np.asarray(val_set.labels), val_set.name)


def _data(net: opened.OpenedNetwork, path: Path, args: Namespace, classes: list[str],
          world: World) -> Dataset:
    """The pictures to show to the network. UserError as above."""
    source = args.data or sources.from_file(net.recipe.data, path)
    limit = args.limit or (None if args.data else net.recipe.limit)
    with world.in_turn():
        val_set = sources.load(source, args.split, net.recipe.picture, limit)
    for known in (net.classes, classes):
        expect_same_classes(val_set.classes, val_set.name, known, "the network knows",
                            "name data with the same classes with --data.")
    if val_set.images.shape[1:] != net.mean.shape:
        raise UserError(f"{val_set.name}: pictures of shape {val_set.images.shape[1:]}; the "
                        f"network was trained on {net.mean.shape}", "name other data.")
    if world.size > 1:
        weights = map(np.ascontiguousarray, [*net.network.state().values(), net.mean])
        expect_same(world, net.classes, {
            "the pictures": fingerprint(val_set),
            "the weights": [crc32(array.data) for array in weights]})
    return val_set


def _results(networks: list[Predictions], classes: int, world: World) -> dict[str, Result]:
    """How right each network is, and all of them averaged, by what it was shown; the most reliable
    comes last."""
    labels = networks[0].labels

    def counted(logp: list[np.ndarray]) -> Result:
        return count(zip(labels, logp, strict=True), classes, world)

    if len(networks) == 1:
        return {patches: counted(logp) for patches, logp in networks[0].logp.items()}
    results = {f"network {i}, {patches}": counted(logp)
               for i, network in enumerate(networks, 1) for patches, logp in network.logp.items()}
    for patches in networks[0].logp:
        batches = zip(*(network.logp[patches] for network in networks), strict=True)
        results[f"{len(networks)} networks, {patches}"] = counted(
            [average(np.stack(logp), axis=0) for logp in batches])
    return results


def _record(paths: list[Path], shown: Predictions, results: dict[str, Result],
            classes: list[str]) -> dict:
    """The results as numbers; errors are shares. confusion: of the last, [true class, first guess].
    """
    errors = {patches: {"top1_error": result.error, "top5_error": result.top5_error,
                        "loss": result.loss} for patches, result in results.items()}
    confusion = [*results.values()][-1].confusion.tolist()
    return {"networks": [*map(str, paths)], "data": shown.data, "pictures": len(shown.all_labels),
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
