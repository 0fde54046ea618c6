"""What the presets stand for: a network, the data it is made for, and a recipe that trains it."""

from collections.abc import Callable
from dataclasses import dataclass

from tinyalex.architectures import alexnet, others
from tinyalex.network import Network
from tinyalex.support.errors import UserError


@dataclass(frozen=True)
class Preset:
    """network: builds it, see `alexnet.build`. about: one line for the help.

    data: read when --data is not given; None where it must be. picture: pixels that pictures from
    folders are stored with. scale: what pixels (0 to 255, minus the mean) are multiplied with.

    Only for what the authors ran, see docs/original.md: bias_lr, bias_decay: see `SGD`.
    colour_until: the last epoch with colour noise. mean_crop: "centre" subtracts the centre of the
    mean picture from every crop, "same" the part of it from where the crop was taken.

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
    schedule: str
    init: str
    momentum: float = 0.9
    velocity: str = "keep"
    weight_decay: float = 0.0005
    dropout: float = 0.5
    towers: int = 2
    augment: bool = True
    colour: str = "none"
    activation: str | None = None
    lrn: str | None = None
    pool: str | None = None
    without: str | None = None
    bias_lr: float | None = None
    bias_decay: bool = True
    colour_until: int | None = None
    mean_crop: str = "same"


# The small nets see pixels divided by 64, about their standard deviation: with N(0, 2 / inputs)
# weights every layer then starts with numbers of about 1 (see alexnet.paper_tower). In the few
# epochs of "cifar" nothing overfits yet, and dropout would double their number (section 4.2): it is
# there for longer runs, as --dropout 0.5.
PRESETS = {
    "tiny": Preset(
        alexnet.tiny, "the paper's net in small, on the built-in 64×64 pictures", data="shapes",
        picture=64, scale=1 / 64, batch_size=64, epochs=4, lr=0.02, schedule="3", init="he",
        velocity="scale", dropout=0.25),
    "cifar": Preset(
        alexnet.cifar, "the paper's net in small, on CIFAR-10 (32×32)", data="cifar10",
        picture=32, scale=1 / 64, batch_size=64, epochs=5, lr=0.02, schedule="4", init="he",
        velocity="scale", dropout=0.0),
    "half": Preset(
        alexnet.half, "the paper's net with half the pixels and kernels, for photographs (112×112)",
        data=None, picture=128, scale=1 / 64, batch_size=64, epochs=40, lr=0.02, schedule="30,37",
        init="he", velocity="scale", colour="paper"),
    "paper": Preset(
        alexnet.paper, "the network and recipe of the paper (224×224)", data=None,
        picture=256, scale=1.0, batch_size=128, epochs=90, lr=0.01, schedule="plateau",
        init="paper", colour="paper"),
    "one-gpu": Preset(
        alexnet.paper, "the paper's control with one tower (224×224)", data=None,
        picture=256, scale=1.0, batch_size=128, epochs=90, lr=0.01, schedule="plateau",
        init="paper", colour="paper", towers=1),
    "original": Preset(
        alexnet.original, "what the authors really ran (224×224)", data=None,
        picture=256, scale=1.0, batch_size=128, epochs=90, lr=0.01,
        schedule="25:0.001,51:0.0001,67:conv1=0.00001,72:conv1=0,79:0.00001", init="original",
        colour="original", bias_lr=0.02, bias_decay=False, colour_until=66, mean_crop="centre"),
    "caffe": Preset(
        others.caffe, "Caffe's bvlc_alexnet (227×227)", data=None, picture=256, scale=1.0,
        batch_size=256, epochs=90, lr=0.01, schedule="20,40,60,80", init="caffe",
        bias_decay=False),
    "torchvision": Preset(
        others.torchvision, "torchvision's alexnet (224×224)", data=None, picture=256, scale=1 / 58,
        batch_size=256, epochs=90, lr=0.01, schedule="30,60", init="he", weight_decay=0.0001,
        towers=1),
    "cifar10-quick": Preset(
        others.cifar10_quick, "Caffe's cifar10_quick, on CIFAR-10 (32×32)", data="cifar10",
        picture=32, scale=1.0, batch_size=100, epochs=10, lr=0.001, schedule="8",
        init="cifar10-quick", weight_decay=0.004, dropout=0.0, towers=1, augment=False),
}


def get(name: str) -> Preset:
    """The preset of that name; UserError where there is none."""
    if name not in PRESETS:
        raise UserError(f"--preset {name}: there is no such preset",
                        f"choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
