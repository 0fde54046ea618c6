"""What the presets stand for: a network, the data it is made for, and a recipe that trains it."""

from collections.abc import Callable
from dataclasses import dataclass

from tinyalex import alexnet
from tinyalex.errors import UserError
from tinyalex.network import Network


@dataclass(frozen=True)
class Preset:
    """network: builds it, from (classes, devices, seed, keep, init). about: one line for the help.

    data: read when --data is not given; None where it must be. picture: pixels that pictures from
    folders are stored with. scale: what pixels (0 to 255, minus the mean) are multiplied with.
    The rest: see `tinyalex.train --help`.
    """

    network: Callable[..., Network]
    about: str
    data: str | None
    picture: int
    scale: float
    batch_size: int
    epochs: int
    lr: float
    momentum: float
    weight_decay: float
    schedule: str
    init: str
    dropout: float = 0.5
    towers: int = 2


# The small nets see pixels divided by 64, about their standard deviation: with N(0, 2 / inputs)
# weights every layer then starts with numbers of about 1 (see alexnet.small_tower). In the few
# epochs of "cifar" nothing overfits yet, and dropout would double their number (section 4.2): it is
# there for longer runs, as --dropout 0.5.
PRESETS = {
    "tiny": Preset(
        alexnet.tiny, "the paper's net in small, on the built-in 64×64 pictures", data="shapes",
        picture=64, scale=1 / 64, batch_size=64, epochs=4, lr=0.02, momentum=0.9,
        weight_decay=0.0005, schedule="3", init="he", dropout=0.25),
    "cifar": Preset(
        alexnet.cifar, "the paper's net in small, on CIFAR-10 (32×32)", data="cifar10",
        picture=32, scale=1 / 64, batch_size=64, epochs=5, lr=0.02, momentum=0.9,
        weight_decay=0.0005, schedule="4", init="he", dropout=0.0),
    "paper": Preset(
        alexnet.paper, "the network and recipe of the paper (224×224)", data=None,
        picture=256, scale=1.0, batch_size=128, epochs=90, lr=0.01, momentum=0.9,
        weight_decay=0.0005, schedule="plateau", init="paper"),
    "one-gpu": Preset(
        alexnet.one_gpu, "the paper's control with one tower (224×224)", data=None,
        picture=256, scale=1.0, batch_size=128, epochs=90, lr=0.01, momentum=0.9,
        weight_decay=0.0005, schedule="plateau", init="paper", towers=1),
}


def get(name: str) -> Preset:
    """The preset of that name; UserError where there is none."""
    if name not in PRESETS:
        raise UserError(f"--preset {name}: there is no such preset",
                        f"choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
