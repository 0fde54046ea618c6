"""A recipe: everything that decides how a run goes, in one place."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any, get_args

from tinyalex import freezing, optim
from tinyalex.architectures import ARCHITECTURES, ablations
from tinyalex.architectures.alexnet import INITS, Tower
from tinyalex.data.augment import NOISES
from tinyalex.data.shards import MOST_SIDE
from tinyalex.devices import HOST, Device, available_cores
from tinyalex.network import Network
from tinyalex.support.errors import UserError
from tinyalex.support.text import plural

# What a run can have, for the command line and for files alike.
LIMITS = {
    "towers": (1, 4), "dropout": (0, 0.99), "picture": (1, MOST_SIDE), "scale": (1e-6, 1e6),
    "limit": (1, inf), "colour_until": (0, inf), "batch_size": (1, inf), "epochs": (1, inf),
    "lr": (0, inf), "momentum": (0, 1), "weight_decay": (0, inf), "bias_lr": (0, inf),
    "workers": (0, 64), "seed": (0, 2**63), "views": (0, 100), "patience": (0, inf),
    "warmup": (0, inf), "trust": (1e-6, 1),
}
CHOICES = {
    "architecture": [*ARCHITECTURES], "init": sorted(INITS), "mean_crop": ["same", "centre"],
    "colour": ["none", *NOISES], "velocity": ["keep", "scale"],
    "keep": ["last", "best"], "optimiser": ["sgd", "lars"],
    "parallel": ["data", "hybrid-b", "hybrid-c"],
    **{flag: [*ablations.CHOICES[flag]] for flag in ("activation", "lrn", "pool")},
}
# The fields that say what the network is, see Recipe.network.
NETWORK = {"architecture", "towers", "init", "dropout", "activation", "lrn", "pool", "without"}
READS = {"picture", "scale", "mean_crop"}  # what it makes of a picture before it reads it
# What may change when a run is resumed, and besides in one that has a source.
RESUMABLE = ("epochs", "devices", "data", "workers", "parallel", "patience")
FINE_TUNING = ("freeze", "lr_of", "lr", "schedule", "views")
LARGEST = 1e38  # JSON can hold numbers that no float can


def loader_threads() -> int:
    """How many threads prepare batches by default; none where there is one core for everything."""
    cores = available_cores()
    return min(4, cores) if cores > 1 else 0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a run: config.json and the checkpoint hold these fields, and the
    network is built again from them alone, whatever a preset says by then.

    Raises UserError where a value is none that a run can have.
    """

    preset: str  # the name that the recipe goes by

    # The network.
    architecture: str  # who builds it, see ARCHITECTURES
    towers: int = 2
    init: str = "he"  # what the weights are drawn from, see INITS
    dropout: float = 0.5  # share of the units of fc6 and fc7 that are off in training
    # The paper's experiments, one thing changed each, see ablations.edit.
    activation: str | None = None
    lrn: str | None = None
    pool: str | None = None
    without: str | None = None
    source: str = ""  # whose weights it began with; "" where they were drawn
    freeze: str = ""  # the layers that stay as they are, see freezing.chosen

    # The pictures.
    data: str = ""  # see sources.KINDS; "" where --data has to name it
    limit: int | None = None  # only the first this many
    picture: int  # pixels of a side, with which pictures from folders are stored
    scale: float  # what pixels (0 to 255, minus the mean) are multiplied by
    mean_crop: str = "same"  # which part of the mean picture a crop loses, see Loader
    augment: bool = True  # crops at random, half of them mirrored; else the centre
    colour: str = "none"  # noise along the principal colours, see NOISES
    colour_until: int | None = None  # the last epoch with colour noise
    views: int = 0  # how many of each picture still layers compute once, see kept.py; 0: afresh

    # The updates.
    batch_size: int
    epochs: int
    lr: float  # the learning rate at the start
    lr_of: str = ""  # factors of it for single layers, see optim.factors
    schedule: str  # what it does then, see optim.schedule
    momentum: float = 0.9
    velocity: str = "keep"  # when the rate changes, velocities are kept, or they scale alike
    weight_decay: float = 0.0005
    bias_lr: float | None = None  # the rate of the biases, where they have their own
    warmup: float = 0  # epochs in which the rates grow from 0
    optimiser: str = "sgd"  # or lars, see large_batches.py
    trust: float = 0.001  # of lars
    exact: bool = False  # the same bits with any number of workers, see parallel.py
    bias_decay: bool = True  # whether biases decay as well
    balance: bool = False  # pictures of small classes count more, see balance.py

    # What is kept, and when it ends early; see best.py.
    keep: str = "last"  # which checkpoint: the last, or the best beside it
    patience: int = 0  # epochs without a lower validation error; 0: it never ends early

    # Where it runs, and the seed of all that is random.
    devices: str = "auto"
    workers: int = field(default_factory=loader_threads)  # that prepare batches
    parallel: str = "data"  # how the workers of an mpiexec share the work, see hybrid.py
    seed: int = 0

    def __post_init__(self):
        for f in fields(self):
            if not _possible(f.name, f.type, value := getattr(self, f.name)):
                raise UserError(f"no run has {f.name} {value!r}",
                                "python -m tinyalex.train --help says what there is.")
        drops_after = getattr(optim.schedule(self.schedule, self.lr), "patience", 0)
        if 0 < self.patience <= drops_after:
            raise UserError(f"--patience {self.patience} would end the run before --schedule "
                            f"{self.schedule} lowers the rate, after "
                            f"{plural(drops_after, 'epoch')} without a lower error",
                            f"allow {drops_after + 1} epochs or more.")
        if self.patience and self.schedule == "linear":
            raise UserError(f"--patience {self.patience} counts epochs at one learning rate, and "
                            "with --schedule linear no two have the same",
                            "choose another schedule, such as constant, or no patience.")
        optim.factors(self.lr_of)
        self._edit()

    @classmethod
    def of(cls, settings: dict, path: Path) -> "Recipe":
        """The recipe that a file holds, every field of it; UserError, naming the file, where some
        are missing, or are none that a run can have."""
        try:
            return cls(**{f.name: settings[f.name] for f in fields(cls)})
        except KeyError as error:
            raise UserError(f"{path}: written by another version (there is no {error} in it)",
                            "train again, or use the version that wrote it.") from None
        except UserError as error:
            raise UserError(f"{path}: {error.args[0]}",
                            "the file is damaged: use another one.") from None

    def settings(self) -> dict[str, str | float | None]:
        """What a file holds of it: the fields by name, as JSON has them."""
        return asdict(self)

    @property
    def resumable(self) -> tuple[str, ...]:
        """What may change when the run is resumed."""
        return RESUMABLE + FINE_TUNING * bool(self.source)

    def network(self, classes: int | None = None, devices: Sequence[Device] = (HOST,),
                **changes) -> Network:
        """The network with fresh weights, for so many classes, or for as many as its authors had.

        changes: options of `alexnet.build`, in place of what the recipe says. UserError where they
        clash.
        """
        options = {"towers": self.towers, "seed": self.seed, "keep": 1 - self.dropout,
                   "init": self.init, "edit": self._edit()}
        if classes is not None:
            options["classes"] = classes
        return ARCHITECTURES[self.architecture](devices=list(devices), **(options | changes))

    def outcome(self) -> tuple:
        """What the fields come to: two recipes with the same outcome train the same network in the
        same way, however they are worded."""
        about: dict[str, Any] = {
            name: value for name, value in self.settings().items() if name not in NETWORK}
        # Velocities scale where the schedule changes its rate, which these never do: a linear one
        # stays, and each step takes less of it.
        if self.schedule in ("constant", "linear") or self.momentum == 0:
            del about["velocity"]
        network = self.network(2, draw=False)
        freezing.freeze(network, self.freeze)
        about["freeze"] = frozen = freezing.chosen(network, self.freeze)
        about["lr_of"] = {name: optim.of_layer(name, optim.factors(self.lr_of), 1.0)
                           for name in freezing.names(network) if name not in frozen}
        if not freezing.parts(network):
            del about["views"]
        if self.optimiser == "sgd":
            del about["trust"]
        if optim.schedule(self.schedule, 1).lr == optim.schedule(self.schedule, 2).lr:
            del about["lr"]  # the schedule sets another from the first epoch on
        return about, [(type(layer), vars(layer)) for layer in network.shapes]

    def differs(self, name: str, *values) -> bool:
        """Whether the outcome would be another with one of these values of the field."""
        return any(replace(self, **{name: value}).outcome() != self.outcome() for value in values)

    def _edit(self) -> Callable[[Tower, int, int], Tower] | None:
        return ablations.edit(self.activation, self.lrn, self.pool, self.without)


def _possible(name: str, kind, value) -> bool:
    """Whether a field of this name and type can have this value, whatever JSON made of it."""
    kinds = get_args(kind) or (kind,)
    if value is None or isinstance(value, bool | str):
        return type(value) in kinds and (value is None or value in CHOICES.get(name, [value]))
    if not (type(value) in kinds or (float in kinds and type(value) is int)):  # 1 for 1.0
        return False
    low, high = LIMITS[name]
    return low <= value <= min(high, LARGEST)
