"""python -m tinyalex, or tinyalex: lists the commands, or runs one."""

import importlib
import sys

import tinyalex
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError

COMMANDS = {
    "train": "train a network",
    "evaluate": "measure a trained network: top-1, top-5, confusion of classes",
    "predict": "show pictures to a trained network: its five best guesses",
    "similar": "find the pictures that a trained network finds similar",
    "filters": "draw the kernels of the first layer, and say how much they care about colour",
    "look": "follow a picture through a trained network, on a page",
    "dream": "make pictures that excite units, and find those that do",
    "plot": "compare runs: their curves in one picture",
    "summary": "print a network: layers, parameters, work, memory, traffic",
    "data": "list, fetch and show datasets",
    "prepare": "turn a folder of photographs into a dataset that opens at once",
    "gradcheck": "check every gradient numerically; --show-mutants: see mistakes caught",
    "convert": "read weights from Caffe and torchvision, write them for PyTorch and ONNX",
    "info": "what there is to compute with, whether it works, what to install",
    "reproduce": "measure the paper's claims again, and write docs/reproduction.md",
    "bench": "measure the speed: layer by layer, against its floor, against PyTorch",
}


def main() -> int:
    """The console script `tinyalex`: `tinyalex train …` is `python -m tinyalex.train …`."""
    return run(_dispatch)


def _dispatch() -> int:
    name, *rest = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        module = importlib.import_module(f"tinyalex.{name}")
        if hasattr(module, "__path__"):  # a package: its command is in its __main__
            module = importlib.import_module(f"tinyalex.{name}.__main__")
        return module.main(rest)
    if name == "--version":
        print(f"tinyalex {tinyalex.__version__}")
        return 0
    if name not in ("--help", "-h"):
        raise UserError(f"there is no command {name!r}", f"choose one of {', '.join(COMMANDS)}.")
    print(f"{tinyalex.__doc__}\n\nusage: tinyalex COMMAND …, or python -m tinyalex.COMMAND …\n")
    for command, about in COMMANDS.items():
        print(f"    {command:<10} {about}")
    print("\nEach has its own --help.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
