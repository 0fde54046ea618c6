"""The presets: recipes by name, complete but for the data where these are the user's own."""

from dataclasses import dataclass, replace

from tinyalex.run.recipe import Recipe
from tinyalex.support.errors import UserError


@dataclass(frozen=True)
class Preset:
    """about: one line for the help. recipe: goes by the preset's name."""

    about: str
    recipe: Recipe


# Others differ from these in a few fields.
MINI = Recipe(
    preset="mini", architecture="mini", picture=33, scale=1 / 64,
    batch_size=64, epochs=8, lr=0.02, schedule="6,7", velocity="scale")
PAPER = Recipe(
    preset="paper", architecture="paper", init="paper", picture=256, scale=1.0, colour="paper",
    batch_size=128, epochs=90, lr=0.01, schedule="plateau")
QUICK = Recipe(
    preset="cifar10-quick", architecture="cifar10-quick", towers=1, init="cifar10-quick",
    dropout=0.0, data="cifar10", picture=32, scale=1.0, augment=False,
    batch_size=100, epochs=10, lr=0.001, schedule="8", weight_decay=0.004)
LOCAL = Recipe(
    preset="13pct", architecture="13pct", towers=1, init="cuda-convnet", dropout=0.0,
    data="cifar10", picture=32, scale=1.0, batch_size=128, epochs=160, lr=0.001,
    schedule="140,150", weight_decay=0.004, bias_decay=False)

# The small nets see pixels divided by 64, about their standard deviation: with N(0, 2 / inputs)
# weights every layer then starts with numbers of about 1 (see alexnet.paper_tower). In the few
# epochs of "tiny" and "cifar" nothing overfits yet, and dropout would double their number (section
# 4.2): it is there for longer runs, as --dropout 0.5. "tiny" is what people try first, and has
# to be done soon: with batches of 64, or a rate that drops once, twice as many pictures are wrong
# after as many epochs.
# cuda-convnet's nets had a weight decay for each layer (0 in conv, 0.004 in local, 0.01 in fc) and
# biases twice as fast; here one decay serves all weights, and biases go at the rate of the weights.
# So had Caffe's cifar10_full: 0.004 in conv, 1 in ip1.
PRESETS = {preset.recipe.preset: preset for preset in (
    Preset("the paper's net on a small scale, on the built-in 64×64 pictures", Recipe(
        preset="tiny", architecture="tiny", dropout=0.0,
        data="shapes", picture=64, scale=1 / 64,
        batch_size=32, epochs=2, lr=0.025, schedule="linear", warmup=0.2, velocity="scale")),
    Preset("the paper's net on a small scale, on CIFAR-10 (32×32)", Recipe(
        preset="cifar", architecture="cifar", dropout=0.0,
        data="cifar10", picture=32, scale=1 / 64,
        batch_size=64, epochs=5, lr=0.02, schedule="4", velocity="scale")),
    Preset("the paper's net at its smallest, for experiments that take many runs (29×29)", MINI),
    Preset("the same with the paper's biases of 1 to start with",
           replace(MINI, preset="mini-ones", architecture="mini-ones")),
    Preset("the paper's net with half the pixels and kernels, for photographs (112×112)", Recipe(
        preset="half", architecture="half",
        picture=128, scale=1 / 64, colour="paper",
        batch_size=64, epochs=40, lr=0.02, schedule="30,37", velocity="scale")),
    Preset("the network and recipe of the paper (224×224)", PAPER),
    Preset("the paper's control with one tower (224×224)",
           replace(PAPER, preset="one-gpu", towers=1)),
    Preset("what the authors really ran (224×224)", Recipe(
        preset="original", architecture="original", init="original",
        picture=256, scale=1.0, mean_crop="centre", colour="original", colour_until=66,
        batch_size=128, epochs=90, lr=0.01,
        schedule="25:0.001,51:0.0001,67:conv1=0.00001,72:conv1=0,79:0.00001",
        bias_lr=0.02, bias_decay=False)),
    Preset("Caffe's bvlc_alexnet (227×227)", Recipe(
        preset="caffe", architecture="caffe", init="caffe",
        picture=256, scale=1.0,
        batch_size=256, epochs=90, lr=0.01, schedule="20,40,60,80", bias_decay=False)),
    Preset("torchvision's alexnet (224×224)", Recipe(
        preset="torchvision", architecture="torchvision", towers=1,
        picture=256, scale=1 / 58,
        batch_size=256, epochs=90, lr=0.01, schedule="30,60", weight_decay=0.0001)),
    Preset("Caffe's cifar10_quick, on CIFAR-10 (32×32)", QUICK),
    Preset("Caffe's cifar10_full, on CIFAR-10 (32×32)", replace(
        QUICK, preset="cifar10-full", architecture="cifar10-full", epochs=140,
        schedule="120,130")),
    Preset("figure 1: four layers on CIFAR-10, and nothing against overfitting (32×32)", replace(
        QUICK, preset="four-layers", architecture="four-layers", batch_size=128, epochs=40,
        lr=0.003, schedule="constant", weight_decay=0.0)),
    Preset("cuda-convnet's net with 13 % error on CIFAR-10 (24×24)", LOCAL),
    Preset("the same with LRN, and with 11 % error (24×24)", replace(
        LOCAL, preset="11pct", architecture="11pct", epochs=520, schedule="500,510")),
)}


def get(name: str) -> Recipe:
    """The recipe of the preset of that name; UserError where there is none."""
    if name not in PRESETS:
        raise UserError(f"--preset {name}: there is no such preset",
                        f"choose one of {', '.join(PRESETS)}.")
    return PRESETS[name].recipe
