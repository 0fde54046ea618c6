"""The experiments, as data: which runs there are, and which are compared for which claim."""

from collections.abc import Mapping
from typing import Any

from tinyalex.reproduce.kinds import Arm, Comparison, Experiment

ALL = ("still_error", "ten_crops", "together", "colour", "neighbours")
COLOUR = ("still_error", "colour")
EPOCHS = "factor in epochs to 25 % training error"
SHORT = {"epochs": 6, "schedule": "5,6"}
RATES = {"relu": (0.0003, 0.001, 0.003), "tanh": (0.001, 0.003, 0.01, 0.03)}
SUITED = {"relu": {"init": "he"}, "tanh": {"init": "lecun"}}
PIXELS = {"scale": 1 / 64}
# Of one thing suited and the other as it was: the rate, and the grid of which it is the best.
MIXED = {("relu", "weights"): (3e-5, 1e-5, 3e-5, 1e-4),
         ("tanh", "weights"): (0.01, 0.003, 0.01, 0.03),
         ("relu", "pixels"): (0.1, 0.03, 0.1, 0.3),
         ("tanh", "pixels"): (0.03, 0.01, 0.03, 0.1)}
DROP = {"epochs": 5, "schedule": "4"}
SIGNALS = ("still_error", "layers_at_start")


def _grid(unit: str, rate: float, suited: str = "nothing") -> Arm:
    """A few epochs, to choose the rate by. suited: to the unit, of pixels and weights."""
    changes = {"limit": 5000, "activation": unit, "lr": rate, "epochs": 5,
               **_changes(suited, unit)}
    name = f"{unit}-suited-{suited}".removesuffix("-suited-nothing")
    return Arm(f"grid-{name}-{rate:g}", "four-layers", changes, seeds=1, measures=())


def _changes(suited: str, unit: str) -> Mapping[str, Any]:
    return SUITED[unit] if suited == "weights" else PIXELS if suited == "pixels" else {}


def _figure1(name: str, unit: str, rate: float, **changes) -> Arm:
    changes = {"limit": 5000, "activation": unit, "lr": rate, "epochs": 100} | changes
    return Arm(name, "four-layers", changes, reach=0.25, measures=())


# In the order in which they are best run.
ARMS = {arm.name: arm for arm in (
    Arm("mini", measures=ALL, seeds=6),
    Arm("one-tower", changes={"towers": 1}, seeds=6),
    Arm("no-dropout", changes={"dropout": 0.0}),
    Arm("no-lrn", changes={"lrn": "none"}),
    Arm("no-crops", changes={"augment": False}),
    Arm("pool-2-2", changes={"pool": "2/2"}),
    Arm("no-decay", changes={"weight_decay": 0.0}),
    Arm("without-conv3", changes={"without": "conv3"}),
    Arm("without-conv4", changes={"without": "conv4"}),
    Arm("without-conv5", changes={"without": "conv5"}),
    Arm("colour-noise", changes={"colour": "paper"}),
    Arm("bias-1", "mini-ones"),
    Arm("velocity-kept", changes={"velocity": "keep"}),
    Arm("lrn-before", changes={"lrn": "before"}),
    Arm("init-printed", changes={"init": "paper"}),
    Arm("init-original", changes={"init": "original"}),
    Arm("without-conv2", changes={"without": "conv2"}),
    Arm("no-momentum", changes={"momentum": 0.0}),
    Arm("constant-rate", changes={"schedule": "constant"}),
    _figure1("relu", "relu", 0.001),
    _figure1("tanh", "tanh", 0.01),
    _figure1("relu-suited", "relu", 0.02, scale=1 / 64, init="he"),
    _figure1("tanh-suited", "tanh", 0.02, scale=1 / 64, init="lecun"),
    Arm("11pct", "11pct", SHORT),
    Arm("11pct-no-lrn", "11pct", SHORT | {"lrn": "none"}),
    Arm("13pct", "13pct", SHORT),
    *(_grid(unit, rate) for unit, rates in RATES.items() for rate in rates),
    Arm("nets", measures=("still_error", "five_together"), seeds=25),
    Arm("four-towers", changes={"towers": 4}, seeds=6, measures=COLOUR),
    Arm("lrn-across", changes={"lrn": "across"}, seeds=6, measures=COLOUR),
    Arm("three-times-as-long", changes={"epochs": 24, "schedule": "18,21"}, seeds=6,
        measures=COLOUR),
    Arm("large-rate", changes={"lr": 0.06}, seeds=6, measures=COLOUR),
    *(Arm(f"drop-{velocity}{name}", changes=DROP | rate | {"velocity": how}, seeds=6,
          measures=("drop",))
      for name, rate in (("", {}), ("-large", {"lr": 0.06}))
      for velocity, how in (("scaled", "scale"), ("kept", "keep"))),
    Arm("signals-he", measures=SIGNALS, each=("layers",), seeds=5),
    Arm("signals-printed", changes={"init": "paper"}, measures=SIGNALS, each=("layers",), seeds=5),
    Arm("signals-original", changes={"init": "original"}, measures=SIGNALS, each=("layers",),
        seeds=5),
    *(_grid(unit, rate, suited)
      for (unit, suited), (_, *rates) in MIXED.items() for rate in rates),
    *(_figure1(f"{unit}-suited-{suited}", unit, rate, **_changes(suited, unit))
      for (unit, suited), (rate, *_) in MIXED.items()),
)}


def _layer(name: str) -> Comparison:
    return Comparison(f"with {name} the error is lower than without", "about −2 points", "mini",
                      f"without-{name}", "validation error")


def _apart(arm: str, claim: str) -> Comparison:
    return Comparison(claim, "(not in the paper)", arm, arm, "difference of the towers", expected=1,
                      other_outcome="the same of kernels dealt out at random")


def _at_drop(name: str, when: str) -> tuple[Comparison, Comparison]:
    """name: what the arms' names end in."""
    return (
        Comparison(f"{when} the training loss is higher just after a drop if the velocity is kept",
                   "(not in the paper)", f"drop-kept{name}", f"drop-scaled{name}",
                   "training loss after the drop", expected=1),
        Comparison(f"{when} a drop with a velocity that is kept raises the training loss at first",
                   "(not in the paper)", f"drop-kept{name}", f"drop-kept{name}",
                   "training loss after the drop", expected=1,
                   other_outcome="training loss before the drop"))


EXPERIMENTS = {experiment.name: experiment for experiment in (
    Experiment("figure-1", "3.1, figure 1", "ReLU and tanh", """
Three convolutions, a layer of 64 units that has neither ReLU nor tanh, and the scores, on 5,000
pictures of CIFAR-10, with nothing against overfitting. Once with pixels and weights of the time:
0 to 255, and standard deviations of 0.0001, 0.01, 0.01, 0.1, 0.1; the rate of each unit is the
best of a grid (five epochs, one seed). Once suited to the units: pixels divided by 64, N(0, 2/n)
for ReLU, N(0, 1/n) for tanh, and the rate of the small presets for both. A run ends at 25 %
training error, or after 100 epochs; where one of two runs did not reach 25 %, its last epoch
counts instead.""", (
        Comparison("with what was usual then ReLU comes to 25 % training error sooner",
                   "6 times sooner", "tanh", "relu", EPOCHS, 1),
        Comparison("with what suits each unit ReLU comes to 25 % training error sooner",
                   "(not in the paper)", "tanh-suited", "relu-suited", EPOCHS, 1)),
               shown=tuple(f"grid-{unit}-{rate:g}" for unit, rates in RATES.items()
                           for rate in rates)),
    Experiment("figure-1-mixed", "3.1, figure 1", "Pixels or weights?", """
The same with one of the two suited to the unit, and the other as it was. The rates are the best of
the grids below, as above.""", (
        Comparison("with pixels of the time and suited weights ReLU comes to 25 % training error "
                   "sooner", "(not in the paper)", "tanh-suited-weights", "relu-suited-weights",
                   EPOCHS, 1),
        Comparison("with suited pixels and weights of the time ReLU comes to 25 % training error "
                   "sooner", "(not in the paper)", "tanh-suited-pixels", "relu-suited-pixels",
                   EPOCHS, 1)),
               shown=tuple(f"grid-{unit}-suited-{suited}-{rate:g}"
                           for (unit, suited), (_, *rates) in MIXED.items() for rate in rates)),
    Experiment("towers", "3.2", "Two towers against one", """
The control has as many kernels in conv1 to conv4 as one of the two towers, and conv5 and the hidden
layers as wide as both.""", (
        Comparison("two towers have a lower error than the control with one", "−1.7 points",
                   "mini", "one-tower", "validation error"),)),
    Experiment("lrn", "3.3", "Local response normalisation", """
In the small presets pixels are divided by 64, and activities are about 1. Then α Σ a² is about
10⁻⁴ next to k = 2, and LRN is a division by 2^0.75 = 1.68 and hardly anything else.""", (
        Comparison("with LRN the error is lower than without", "−1.4 points",
                   "mini", "no-lrn", "validation error"),
        Comparison("LRN after ReLU is better than before it", "(not in the paper)",
                   "mini", "lrn-before", "validation error"))),
    Experiment("lrn-cifar", "3.3", "Local response normalisation on CIFAR-10", """
cuda-convnet's net with 11 % error, with its LRN and without, and nothing else changed; and its net
with 13 %, which has no LRN, and half as many parameters. For 6 epochs of the 50,000 pictures, where
their authors took 520 and 160.""", (
        Comparison("with LRN the error on CIFAR-10 is lower than without", "13 % → 11 %",
                   "11pct", "11pct-no-lrn", "validation error"),
        Comparison("cuda-convnet's net with LRN has a lower error than its net without",
                   "13 % → 11 %", "11pct", "13pct", "validation error"))),
    Experiment("pooling", "3.4", "Overlapping pooling", """
The maps are as large with 3/2 as with 2/2: 15, 7, 3, 1. But the last 2/2 window sees four of nine
places, and a 3/2 window all of them.""", (
        Comparison("3/2 has a lower error than 2/2", "−0.4 points",
                   "mini", "pool-2-2", "validation error"),
        Comparison("3/2 overfits less: its validation error is less far above its training error",
                   "“slightly”", "mini", "pool-2-2", "validation minus training error"))),
    Experiment("augmentation", "4.1", "Crops, mirror images, colour noise, ten patches", """
29×29 of 33×33 pixels: 25 places, 50 views of each picture.""", (
        Comparison("crops and mirror images lower the validation error",
                   "without them “substantial overfitting”", "mini", "no-crops",
                   "validation error"),
        Comparison("crops and mirror images keep validation and training error together",
                   "the same", "mini", "no-crops", "validation minus training error"),
        Comparison("ten patches have a lower error than the centre alone", "−1.5 points",
                   "mini", "mini", "error of ten patches", other_outcome="validation error"),
        Comparison("colour noise lowers the error", "over −1 point",
                   "colour-noise", "mini", "validation error"))),
    Experiment("dropout", "4.2", "Dropout", """
Half of the 128 hidden units of fc6 and of fc7 are switched off.""", (
        Comparison("dropout keeps validation and training error together",
                   "without it “substantial overfitting”", "mini", "no-dropout",
                   "validation minus training error"),
        Comparison("dropout lowers the validation error", "the same",
                   "mini", "no-dropout", "validation error"),
        Comparison("with dropout learning takes longer: after two epochs the validation error is "
                   "higher", "about twice the iterations", "mini", "no-dropout",
                   "validation error after two epochs", expected=1))),
    Experiment("decay", "5", "Weight decay", """
Eight epochs are few for a decay of 0.0005.""", (
        Comparison("weight decay lowers the training error too", "“not merely a regulariser”",
                   "mini", "no-decay", "training error"),)),
    Experiment("initialisation", "5", "Initialisation", """
Biases of 1 in conv2, conv4, conv5 and the hidden layers, against 0 everywhere, with weights from
N(0, 2/n). And the printed weights, N(0, 0.01²), against N(0, 2/n), on a net whose layers read
hundreds of numbers and not thousands ([initialisation.md](initialisation.md)).""", (
        Comparison("biases of 1 speed up the early stages: the training loss after two epochs is "
                   "lower", "“accelerates the early stages of learning”", "bias-1", "mini",
                   "training loss after two epochs"),
        Comparison("in a small net N(0, 2/n) learns more than the printed weights",
                   "(not in the paper)", "mini", "init-printed", "validation error"),
        Comparison("0.03 in conv3 to conv5, as was run, learns more than the printed weights",
                   "(not in the paper)", "init-original", "init-printed", "validation error"))),
    Experiment("signals", "5", "Signals and gradients, layer by layer", """
The mean of a layer's activities over 500 validation pictures; the share of its units that are 0
for all of them; and the length of the gradient of its weights beside that of the weights, for 64
training pictures. Before training, and at the end of each epoch.""", (
        Comparison("before training the signal keeps more of its size from conv1 to fc7 with "
                   "N(0, 2/n) than with the printed weights", "(not in the paper)",
                   "signals-he", "signals-printed",
                   "factor from conv1's activities to fc7's at the start", expected=1),
        Comparison("after training it still keeps more from conv1 to fc7 with N(0, 2/n) than with "
                   "the printed weights", "(not in the paper)", "signals-he", "signals-printed",
                   "factor from conv1's activities to fc7's at the end", expected=1),
        Comparison("before training conv1's gradient is larger beside its weights with N(0, 2/n) "
                   "than with the printed weights", "(not in the paper)",
                   "signals-he", "signals-printed",
                   "factor in gradient beside weight in conv1 at the start", expected=1)),
               shown=("signals-original",)),
    Experiment("momentum", "5", "Momentum, and the drops of the rate", """
[momentum.md](momentum.md) explains why keeping the velocity may cost something at a drop.""", (
        Comparison("with momentum 0.9 the error is lower than without", "(used, not compared)",
                   "mini", "no-momentum", "validation error"),
        Comparison("dropping the rate lowers the error", "(used, not compared)",
                   "mini", "constant-rate", "validation error"),
        Comparison("a velocity that scales with the rate ends lower than the printed one",
                   "(not in the paper)", "mini", "velocity-kept", "validation error"))),
    Experiment("drop", "5", "The steps around a drop of the rate", """
Five epochs, and before the last the rate drops to a tenth: from 0.02, and from 0.06. The loss is
the mean over a twentieth of an epoch, seven steps, with dropout. Up to the drop two runs of one
seed and rate are the same.""", (*_at_drop("", "with the usual rate"),
                        *_at_drop("-large", "with a rate three times as large"))),
    Experiment("together", "6, table 2", "Several nets averaged", """
Nets from different seeds; their probabilities are averaged. What is compared is the error of all of
them together and the mean of the errors that the same nets have alone: one difference for each five
of 25 runs, and for each pair of six. No net is in two of them.""", (
        Comparison("five nets averaged have a lower error than one", "−2.6 points",
                   "nets", "nets", "error of five nets together",
                   other_outcome="mean error of the five alone"),
        Comparison("two nets averaged have a lower error than one", "(not in the paper)",
                   "mini", "mini", "error of two nets together",
                   other_outcome="mean error of the two alone"))),
    Experiment("colour", "6.1, figure 3", "Towers that specialise", """
The mean colour specificity of each tower's kernels, and how far the lowest and the highest lie
apart; against the same kernels dealt out to the towers at random, 10,000 times. Also with what
could make towers differ more, or less: four of them, LRN over the maps of both, 24 epochs, a rate
of 0.06.""", (
        Comparison("one tower cares more for colour than chance would have it",
                   "“largely colour-agnostic”, “largely colour-specific”, in every run",
                   "mini", "mini", "difference of the towers", expected=1,
                   other_outcome="the same of kernels dealt out at random"),
        *(_apart(arm, f"{what} differ more in colour than chance would have it") for arm, what in (
            ("four-towers", "the outermost of four towers"),
            ("lrn-across", "two towers with LRN over the maps of both"),
            ("three-times-as-long", "two towers that train three times as long"),
            ("large-rate", "two towers with a rate three times as large"))))),
    Experiment("neighbours", "6.1, figure 4", "Neighbours", """
The share of the five training pictures nearest to a validation picture that have its class, for
1,000 pictures.""", (
        Comparison("by fc7 more neighbours have the same class than by pixels", "(shown)",
                   "mini", "mini", "neighbours of the same class by fc7", expected=1,
                   other_outcome="neighbours of the same class by pixels"),)),
    Experiment("depth", "7", "One layer less", """
Its weights, its unit, its normalisation go; the pooling after it stays.""",
               tuple(_layer(name) for name in ("conv2", "conv3", "conv4", "conv5"))),
)}

# For which experiments curves are drawn: of which arms, which column, with a dotted line where.
CURVES = {
    "figure-1": (("relu", "tanh", "relu-suited", "tanh-suited"), "train_error", 25),
    "figure-1-mixed": (tuple(f"{unit}-suited-{suited}" for unit, suited in MIXED), "train_error",
                       25),
    "momentum": (("mini", "no-momentum", "constant-rate", "velocity-kept"), "val_error", None),
}
