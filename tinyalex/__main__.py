"""python -m tinyalex, or tinyalex: lists the commands, or runs one."""

import importlib
import sys

import tinyalex
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError

PURPOSES = {
    "learn": {
        "notebooks": "put the lessons and their exercises into a folder of yours",
        "gradcheck": "check every gradient, or exercises; --show-mutants: see mistakes caught",
        "summary": "print a network: layers, parameters, work, memory, traffic",
    },
    "train": {
        "train": "train a network, on one machine or several",
        "evaluate": "measure a trained network: top-1, top-5, confusion of classes",
        "plot": "compare runs: their curves in one picture",
    },
    "your own pictures": {
        "data": "list, fetch and show datasets, and weights to start from",
        "prepare": "turn photographs, or ImageNet's archives, into a dataset that opens at once",
        "predict": "show pictures to a trained network: its five best guesses",
        "similar": "find the pictures that a trained network finds similar",
        "convert": "read weights from Caffe and torchvision, write them for PyTorch and ONNX",
    },
    "look inside": {
        "look": "follow a picture through a trained network, on a page",
        "dream": "make pictures that excite units, and find those that do",
        "filters": "draw the kernels of the first layer, and say how much they care about colour",
    },
    "check and measure": {
        "info": "what there is to compute with, whether it works, what to install",
        "bench": "measure the speed: layer by layer, against its floor, against PyTorch",
        "reproduce": "measure the paper's claims again, and write docs/reproduction.md",
    },
}
COMMANDS = [name for commands in PURPOSES.values() for name in commands]


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
    print(f"tinyalex {tinyalex.__version__}: AlexNet from scratch in NumPy and CuPy.\n\n"
          "usage: tinyalex COMMAND …, or python -m tinyalex.COMMAND …")
    for purpose, commands in PURPOSES.items():
        print(f"\n{purpose}")
        for command, about in commands.items():
            print(f"    {command:<10} {about}")
    print("\nEach has its own --help. To begin: tinyalex train")
    return 0


if __name__ == "__main__":
    sys.exit(main())
