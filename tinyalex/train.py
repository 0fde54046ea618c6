"""python -m tinyalex.train: train a network; see --help."""

import sys
from argparse import Namespace
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from tinyalex.architectures import ablations
from tinyalex.convert import starting
from tinyalex.data import sources, weights
from tinyalex.devices import Devices, parse_placement
from tinyalex.run import checkpoint, presets
from tinyalex.run.folder import Run
from tinyalex.run.recipe import CHOICES, LIMITS, Recipe
from tinyalex.run.start import Start
from tinyalex.run.terminal import again, announce, farewell, report
from tinyalex.run.trainer import Trainer
from tinyalex.run.tuning import begin, fit, usual_recipe, with_possible_views
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.errors import UserError
from tinyalex.support.streams import unheard
from tinyalex.support.text import say


@unheard()
def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.train`; argv without the program's name."""
    args = parse(argv)
    flags = {f.name: getattr(args, f.name) for f in fields(Recipe)
             if getattr(args, f.name, None) is not None}
    if args.resume and args.out:
        raise UserError(f"--out {args.out}: a resumed run stays in its folder",
                        "leave --out out, or copy the folder.")
    if args.resume and args.weights:
        raise UserError(f"--from {args.weights}: a resumed run has its own weights",
                        "leave --from out, or start a new run.")
    start = starting.read(args.weights) if args.weights else None
    this = _resumed(args.resume, flags) if args.resume else Run.new(args.out, _new(flags, start))
    with closing(this), Devices(this.recipe.devices, this.recipe.towers) as devices:
        return _train(this, devices, args.resume is not None, start, flags.keys())


def parse(argv: list[str] | None) -> Namespace:
    """The command line. Flags that were not given are None: the preset, or the run that is resumed,
    decides."""
    parser = ArgumentParser(
        prog="python -m tinyalex.train", argument_default=None,
        description="Train a network. Without flags: a small two-tower AlexNet, on built-in "
                    "pictures, in a minute or two. Defaults come from the preset.",
        epilog="; ".join(f"{name}: {preset.about}" for name, preset in presets.PRESETS.items()))
    add = parser.add_argument
    add("--preset", metavar="NAME", help=f"{', '.join(presets.PRESETS)}; tiny if not given")
    add("--data", metavar="WHAT", help=sources.KINDS)
    add("--devices", metavar="LIST", help="cpu, cpu,cpu, cuda:0, cuda:0,cuda:1 or auto (one device "
        "for each tower)")
    add("--workers", type=_within(int, "workers"),
        help="threads that prepare the next batch meanwhile; 0: training waits for each batch")
    add("--seed", type=_within(int, "seed"), help="for weights, order, crops and dropout")
    add("--limit", type=_within(int, "limit"), help="use only the first LIMIT pictures, to train "
        "on and to validate with")
    add("--out", type=Path, metavar="RUN", help="the run's folder; runs/PRESET-NUMBER if not given")
    add("--resume", type=Path, metavar="RUN", help="continue the run in this folder")
    _tuning_flags(parser.add_argument_group("from trained weights").add_argument)
    _recipe_flags(parser.add_argument_group("recipe").add_argument)
    _ablation_flags(parser.add_argument_group("the paper's experiments: one thing changed")
                    .add_argument)
    return parser.parse_args(argv)


def _within(kind: type, name: str) -> Callable[[str], float]:
    """The type of a flag for this field of the recipe."""
    return number(kind, *LIMITS[name])


def _tuning_flags(add: Callable):
    add("--from", dest="weights", metavar="WEIGHTS", help="start from the weights of a run, a "
        "checkpoint, or someone else's file (.caffemodel, .pth, .safetensors, .npz), or "
        f"{', '.join(weights.NAMES)}, and with their network; what is taken over is frozen")
    add("--freeze", metavar="LAYERS", help="layers that stay as they are: conv1-conv5, all-but fc8,"
        " none")
    add("--lr-of", metavar="FACTORS", help="factors for the learning rates of some layers: "
        "conv=0.1,fc8=10")
    add("--views", type=_within(int, "views"), help="how many views of each picture go through the "
        "frozen layers once and for all: 1 for the centre, more for random crops; 0: again in "
        "every epoch")


def _recipe_flags(add: Callable):
    add("--epochs", type=_within(int, "epochs"),
        help="how often to go through the training pictures")
    add("--batch-size", type=_within(int, "batch_size"), help="pictures in one update")
    add("--lr", type=_within(float, "lr"), help="learning rate at the start")
    add("--scale", type=_within(float, "scale"), help="what pixels, 0 to 255 minus the mean, are "
        "multiplied by")
    add("--momentum", type=_within(float, "momentum"))
    add("--weight-decay", type=_within(float, "weight_decay"))
    add("--schedule", metavar="WHEN", help="what the learning rate does: constant, plateau (÷10 "
        "when the validation error stops improving), plateau:PATIENCE, epochs to ÷10 after (20,30),"
        " or rates from given epochs on, of all or of one layer (25:0.001,67:conv1=0)")
    add("--velocity", choices=CHOICES["velocity"], help="what happens to the velocities when the "
        "learning rate changes: kept, as in the paper's formula, or multiplied by the same factor")
    add("--init", choices=CHOICES["init"],
        help="weights ~ N(0, 0.01²) as the paper prints; with 0.03 in conv3 to conv5 as the "
        "authors ran; N(0, 2/inputs); N(0, 1/inputs)")
    add("--dropout", type=_within(float, "dropout"), help="share of the units of fc6 and fc7 that "
        "are switched off in training; 0 for none")
    add("--balance", action="store_const", const=True, help="in training, count pictures by "
        "how rare their class is, so that all classes count alike")
    add("--keep", choices=CHOICES["keep"], help="best: also keep the checkpoint with the lowest "
        "validation error, as best.npz")
    add("--patience", type=_within(int, "patience"), metavar="N", help="end when N epochs at one "
        "learning rate had no lower validation error; 0: never")
    add("--no-augment", dest="augment", action="store_const", const=False,
        help="centre crops only, not mirrored")
    add("--colour", choices=CHOICES["colour"],
        help="noise along the colours' principal components, as printed or as run")


def _ablation_flags(add: Callable):
    add("--towers", type=_within(int, "towers"), help="2, or 1: the control of section 3.2")
    add("--activation", choices=CHOICES["activation"], help="section 3.1")
    add("--lrn", choices=CHOICES["lrn"], help="local response normalisation: none, "
        "before ReLU, or after it (section 3.3)")
    add("--pool", choices=CHOICES["pool"], help="windows that overlap, or not (section 3.4)")
    add("--without", metavar="LAYERS",
        help=f"take layers out (section 7): {', '.join(ablations.MIDDLE)}")


def _new(flags: dict, start: Start | None) -> Recipe:
    """The preset's recipe, or that of the weights to begin with, with what the flags say in its
    place. UserError if they clash, and for a flag of which no value could change anything."""
    if start and "preset" in flags:
        raise UserError(f"--preset {flags['preset']}: {start.about} has its own network",
                        "leave one of --preset and --from out.")
    preset = usual_recipe(start) if start else presets.get(flags.get("preset", "tiny"))
    recipe = replace(preset, **flags)
    for name, value in flags.items():
        if start and name in recipe.resumable:  # what they come to depends on the weights
            continue
        usual, choices = getattr(preset, name), CHOICES.get(name, [value])
        if value != usual and not replace(recipe, **{name: usual}).differs(name, *choices):
            raise UserError(f"--{name.replace('_', '-')} {value}: with --preset {recipe.preset} "
                            "and the other flags there is nothing for it to change",
                            "leave it out; python -m tinyalex.summary lists a preset's layers.")
    parse_placement(recipe.devices)
    if not recipe.data:
        raise UserError(f"--preset {recipe.preset} needs to know the data",
                        "name a folder that has train/<class>/ and val/<class>/: --data FOLDER.")
    return recipe


def _resumed(folder: Path, flags: dict) -> Run:
    """The run in `folder`, with what may change changed. UserError for what may not."""
    recipe = Run.open(folder).recipe
    if "lr" in flags and "schedule" not in flags and "lr" in recipe.resumable:
        flags["schedule"] = "constant"  # the rate from here on
    for name in flags.keys() - set(recipe.resumable):
        if flags[name] != (kept := getattr(recipe, name)):
            raise UserError(
                f"{folder} was started with {name} {kept}, and cannot continue with {flags[name]}",
                "leave the flag out, or start a new run.")
    if "data" not in flags:
        sources.from_file(recipe.data, folder / "config.json")
    return Run(folder, with_possible_views(replace(recipe, **flags), flags))


def _train(this: Run, devices: Devices, resume: bool, start: Start | None,
           given: Collection[str]) -> int:
    """Everything that a run does, from its data to what is said at its end; returns the exit
    status."""
    if resume:
        this.hold()
    trainer = _trainer(this, devices, start, given)
    if resume:
        trainer.resume()
        if this.recipe != Run.open(this.folder).recipe:  # what it was told now holds from here on
            this.write_config()
        if not this.checkpoint.exists():
            say(f"{this.folder}: there is no checkpoint yet: starting at step 0")
    else:
        this.start()
        if start:
            trainer.save()  # from here on nobody needs the file that it began with
    try:
        trainer.compute_still()
        announce(trainer, devices)
        trainer.train(report)
    except KeyboardInterrupt:  # before the first step, or for the second time
        say("", f"to continue: {again(this)}")
        raise
    if trainer.stopped_by is not None:
        say(f"stopped after step {trainer.progress.step}; nothing is lost. To continue:",
            f"    {again(this)}")
        return 128 + trainer.stopped_by  # as shells have it: 130 after Ctrl-C
    farewell(trainer)
    return 0


def _trainer(this: Run, devices: Devices, start: Start | None, given: Collection[str]) -> Trainer:
    """What trains the run, on its data, with the weights that it begins with."""
    recipe = this.recipe
    train_set = sources.load(recipe.data, "train", recipe.picture, recipe.limit)
    val_set = sources.load(recipe.data, "val", recipe.picture, recipe.limit)
    if not start:
        return Trainer(this, train_set, val_set, devices, _old_mean(this))
    this.recipe = fit(recipe, start, train_set.classes, given)
    trainer = Trainer(this, train_set, val_set, devices, start.mean)
    begin(trainer, start, given)
    return trainer


def _old_mean(this: Run) -> np.ndarray | None:
    """The mean picture of a run that began with weights, which is older than the run: it is in the
    checkpoint. UserError where that was never written. None for all other runs."""
    if not this.recipe.source:
        return None
    if not this.checkpoint.exists():
        raise UserError(f"{this.folder}: ended before it had taken over {this.recipe.source}",
                        "start a new run with --from.")
    return checkpoint.load(this.checkpoint).mean


if __name__ == "__main__":
    sys.exit(run(main))
