"""Which formats of config.json and checkpoint.npz there are, and what the first one left unsaid.

    1    the settings that flags could change; the rest was looked up in the preset
    2    the whole recipe
    3–5  the same, which has more fields by now
"""

from pathlib import Path
from typing import Any

from tinyalex.support.errors import UserError

FORMAT = 5

# What the presets said when format 1 was written. It never changes: a file of that time means what
# it meant then, whatever the presets say today.
REST = {"mean_crop": "same", "bias_lr": None, "bias_decay": True, "colour_until": None}
UNSAID = {
    "tiny": REST | {"architecture": "tiny", "picture": 64, "scale": 1 / 64},
    "cifar": REST | {"architecture": "cifar", "picture": 32, "scale": 1 / 64},
    "half": REST | {"architecture": "half", "picture": 128, "scale": 1 / 64},
    "paper": REST | {"architecture": "paper", "picture": 256, "scale": 1.0},
    "one-gpu": REST | {"architecture": "paper", "picture": 256, "scale": 1.0},
    "original": {"architecture": "original", "picture": 256, "scale": 1.0, "mean_crop": "centre",
                 "bias_lr": 0.02, "bias_decay": False, "colour_until": 66},
    "caffe": REST | {"architecture": "caffe", "picture": 256, "scale": 1.0, "bias_decay": False},
    "torchvision": REST | {"architecture": "torchvision", "picture": 256, "scale": 1 / 58},
    "cifar10-quick": REST | {"architecture": "cifar10-quick", "picture": 32, "scale": 1.0},
}

# What did not exist before.
SINCE_3 = {"source": "", "freeze": "", "lr_of": "", "views": 0, "balance": False, "keep": "last",
           "patience": 0}
SINCE_4 = {"warmup": 0, "optimiser": "sgd", "trust": 0.001, "exact": False}
SINCE_5 = {"parallel": "data"}


def expect_known(number: object, path: Path):
    """UserError where this version does not know the format of that number."""
    if str(number) not in map(str, range(1, FORMAT + 1)):
        raise UserError(f"{path}: of format {number}; this version reads 1 to {FORMAT}",
                        "use the version that wrote it.")


def whole(settings: dict[str, Any], number: object) -> dict[str, Any]:
    """The settings of a file of this format, with what it left unsaid."""
    if str(number) == "1":
        settings = UNSAID.get(str(settings.get("preset")), {}) | settings
    since: dict[str, dict[str, Any]] = {
        str(FORMAT): {}, "4": SINCE_5, "3": SINCE_4 | SINCE_5}
    return since.get(str(number), SINCE_3 | SINCE_4 | SINCE_5) | settings
