"""python -m tinyalex.convert: read weights that others trained, and write them for others; see
--help."""

import argparse
import sys
from pathlib import Path

import numpy as np

from tinyalex.convert import exported, onnx_graph, published
from tinyalex.network import Network
from tinyalex.run import opened
from tinyalex.support.cli import ArgumentParser, output, run
from tinyalex.support.errors import UserError
from tinyalex.support.text import command, plural, say

OUTS = (".safetensors", ".npz", ".onnx")


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.convert`; argv without the program's name."""
    args = _parse(argv)
    source = opened.find(args.source)
    if published.is_checkpoint(source):
        return _export(source, args)
    return _read(source, args)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = ArgumentParser(
        prog="python -m tinyalex.convert",
        description="Turn weights that others trained into a checkpoint (Caffe's bvlc_alexnet, "
                    "cifar10_quick and cifar10_full, torchvision's alexnet), or a checkpoint "
                    "into a file for PyTorch (.safetensors, .npz) or ONNX (.onnx).",
        epilog="docs/weights.md says where the files are and how the numbers are converted.")
    add = parser.add_argument
    add("source", type=Path, metavar="IN", help="someone else's file "
        f"({', '.join(published.SUFFIXES)}), or a run folder or checkpoint")
    add("out", type=output(), metavar="OUT", help="the checkpoint to write (.npz), or from a "
        f"checkpoint the file to write ({', '.join(OUTS)})")
    add("--mean", type=Path, metavar="FILE",
        help="the mean picture that belongs to a Caffe model (.binaryproto)")
    add("--classes", type=Path, metavar="FILE",
        help="the names of the classes, one per line; from synset_words.txt, the WNIDs")
    add("--with-softmax", action="store_true", help="an .onnx file that gives probabilities "
        "instead of scores")
    add("--uint8-input", action="store_true", help="an .onnx file that reads bytes instead of "
        "floats")
    args = parser.parse_args(argv)
    if args.out.suffix != ".onnx":
        parser.refuse(["--with-softmax", "--uint8-input"], f"{args.out} is not an .onnx file")
    return args


def _read(source: Path, args: argparse.Namespace) -> int:
    """From someone else's file to a checkpoint."""
    if args.out.suffix != ".npz":
        raise UserError(f"{args.out}: other people's weights become a checkpoint, an .npz file",
                        "give it such a name; from there they can be written in any other format.")
    start = published.start(source, args.mean, args.classes)
    saved, recipe = published.to_checkpoint(source, start), start.recipe
    saved.save(args.out)
    names, mean, network = saved.about["classes"], start.mean, recipe.network(2, draw=False)
    by = "by number: --classes FILE gives them the names in the data" if (
        names == [*map(str, range(len(names)))]) else "by name"
    colour = "{:.2f}, {:.2f}, {:.2f} (R, G, B; 0 to 255), as published".format(*mean[0, 0])
    _print({
        "read": f"{source}: {start.about}", "network": _about(network, saved.values, recipe.preset),
        "pictures": f"{network.input_shape[0]}×{network.input_shape[0]} of "
                    f"{recipe.picture}×{recipe.picture}",
        "mean": colour if (mean == mean[0, 0]).all() else f"the picture in {args.mean or source}",
        "classes": f"{len(names):,}, {by}", "wrote": str(args.out)})
    data = ["--data", "FOLDER"] if recipe.data == published.SOMEWHERE else []
    say("next:", f"    {command('evaluate', args.out, *data)}")
    return 0


def _export(source: Path, args: argparse.Namespace) -> int:
    """From a checkpoint to a file for others."""
    for flag in ("mean", "classes"):
        if getattr(args, flag):
            raise UserError(f"--{flag}: a checkpoint has its own", "leave the flag out.")
    if args.out.suffix not in OUTS:
        raise UserError(f"{args.out}: not a file that can be written here, judging by its name",
                        f"it should end in {', '.join(OUTS)}.")
    with opened.open_network(source, "cpu") as trained:
        network, recipe = trained.network, trained.recipe
        side = network.input_shape[0]
        if min(trained.mean.shape[:2]) < side:
            raise UserError(f"{source}: its mean picture is smaller than what the network reads",
                            "the file is damaged: use another one.")
        reads = "0 to 255"
        if args.out.suffix == ".onnx":
            onnx_graph.save(args.out, network, recipe.scale, trained.mean, trained.classes,
                            args.with_softmax, args.uint8_input)
        else:
            reads = exported.save(args.out, trained)
        _print({"read": str(source), "network": _about(network, network.state(), recipe.preset),
                "input": f"(N, 3, {side}, {side}), RGB, {reads}", "wrote": str(args.out)})
    return 0


def _about(network: Network, values: dict[str, np.ndarray], preset: str) -> str:
    return (f"{preset}: {plural(network.towers, 'tower')}, "
            f"{sum(value.size for value in values.values()):,} parameters")


def _print(lines: dict[str, str]) -> None:
    for name, text in lines.items():
        say(f"{name:<8} {text}")


if __name__ == "__main__":
    sys.exit(run(main))
