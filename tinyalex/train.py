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
from tinyalex.large_batches import scaled
from tinyalex.run import checkpoint, presets
from tinyalex.run.folder import Run
from tinyalex.run.recipe import CHOICES, LIMITS, Recipe, loader_threads
from tinyalex.run.start import Start
from tinyalex.run.stopping import stop_on_signal
from tinyalex.run.terminal import again, announce, farewell, report
from tinyalex.run.trainer import Trainer
from tinyalex.run.tuning import begin, fit, usual_recipe, with_possible_views
from tinyalex.run.workers import Waits, begin_alike, expect_enough
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.errors import UserError
from tinyalex.support.streams import unheard
from tinyalex.support.text import plural, say
from tinyalex.world import World, find

EXACT_PIECES = 4  # that CPU devices cut their work into where bits must not depend on their cores


@unheard()
def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.train`; argv without the program's name."""
    with find().together() as world:
        world.take_cores()
        status = _main(parse(argv), world)
    return 0 if world.rank else status


def _main(args: Namespace, world: World) -> int:
    flags = {f.name: getattr(args, f.name) for f in fields(Recipe)
             if getattr(args, f.name, None) is not None}
    if args.resume and args.out:
        raise UserError(f"--out {args.out}: a resumed run stays in its folder",
                        "leave --out out, or copy the folder.")
    if args.resume and args.weights:
        raise UserError(f"--from {args.weights}: a resumed run has its own weights",
                        "leave --from out, or start a new run.")
    if args.scale_lr and (args.resume or args.weights):
        raise UserError("--scale-lr: the rate does not come from a preset here",
                        "leave it out, and say --lr.")
    if world.size > 1:  # each has its own cores
        flags.setdefault("workers", loader_threads())
    start = starting.read(args.weights) if args.weights else None
    if world.rank == 0:
        this = _resumed(args.resume, flags) if args.resume else Run.new(
            args.out, _new(flags, start, args.scale_lr))
        world.tell(this.recipe.settings())
    else:  # worker 0 alone reads and writes the folder
        this = Run(Path("of worker 0"), Recipe(**world.tell(None)))
    recipe = this.recipe
    expect_enough(recipe, world)
    with closing(this), Devices(recipe.devices, recipe.towers,
                                EXACT_PIECES if recipe.exact else None,
                                (world.local_rank, world.local_size)) as devices:
        return _train(this, devices, world, args.resume is not None, start, flags.keys())


def parse(argv: list[str] | None) -> Namespace:
    """The command line. Flags that were not given are None: the preset, or the run that is resumed,
    decides."""
    parser = ArgumentParser(
        prog="python -m tinyalex.train", argument_default=None, shares=True,
        description="Train a network. Without flags: a small two-tower AlexNet, on built-in "
                    "pictures, in less than a minute. Defaults come from the preset.",
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
    add("--batch-size", type=_within(int, "batch_size"), help="pictures in one update, those of all"
        " workers")
    add("--parallel", choices=CHOICES["parallel"], help="how the workers of mpiexec -n N share the "
        "work: each its part of every batch (data), or of the fully connected layers its part of "
        "the units (hybrid: Krizhevsky's one weird trick, scheme b or c)")
    add("--exact", action="store_const", const=True, help="add gradients up in an order that does "
        "not depend on how many workers (mpiexec -n N) there are: the same bits for one to eight")
    add("--lr", type=_within(float, "lr"), help="learning rate at the start")
    add("--scale-lr", choices=["linear", "sqrt"], help="multiply the learning rate by how much the "
        "batches are larger than the preset's, or by the root of that")
    add("--warmup", type=_within(float, "warmup"), metavar="EPOCHS", help="epochs in which the "
        "learning rate grows from 0 to what it is to be")
    add("--optimiser", choices=CHOICES["optimiser"], help="lars: steps in proportion to each "
        "layer's weights, for large batches")
    add("--trust", type=_within(float, "trust"), help="the share of its weights that a layer may "
        "move by, for a rate of 1 (lars)")
    add("--scale", type=_within(float, "scale"), help="what pixels, 0 to 255 minus the mean, are "
        "multiplied by")
    add("--momentum", type=_within(float, "momentum"))
    add("--weight-decay", type=_within(float, "weight_decay"))
    add("--schedule", metavar="WHEN", help="what the learning rate does: constant, linear (falls "
        "evenly, to nothing at the end), plateau (÷10 when the validation error stops improving), "
        "plateau:PATIENCE, epochs to ÷10 after (20,30), or rates from given epochs on, of all or "
        "of one layer (25:0.001,67:conv1=0)")
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
    add("--towers", type=_within(int, "towers"), help="1 to 4; 1: the control of section 3.2")
    add("--activation", choices=CHOICES["activation"], help="section 3.1")
    add("--lrn", choices=CHOICES["lrn"], help="local response normalisation: none, "
        "before ReLU, after it, or over the maps of all towers (section 3.3)")
    add("--pool", choices=CHOICES["pool"], help="windows that overlap, or not (section 3.4)")
    add("--without", metavar="LAYERS",
        help=f"take layers out (section 7): {', '.join(ablations.MIDDLE)}")


def _new(flags: dict, start: Start | None, scale_lr: str | None = None) -> Recipe:
    """The preset's recipe, or that of the weights to begin with, with what the flags say in its
    place. scale_lr: how the rate follows the size of batches. UserError if they clash, and for a
    flag of which no value could change anything."""
    if start and "preset" in flags:
        raise UserError(f"--preset {flags['preset']}: {start.about} has its own network",
                        "leave one of --preset and --from out.")
    preset = usual_recipe(start) if start else presets.get(flags.get("preset", "tiny"))
    if scale_lr:
        batch, usual = flags.get("batch_size", preset.batch_size), preset.batch_size
        if batch == usual:
            raise UserError(f"--scale-lr {scale_lr}: the batches are as large as --preset "
                            f"{preset.preset} has them", "leave it out, or say --batch-size.")
        flags["lr"] = scaled(flags.get("lr", preset.lr), batch, usual, scale_lr)
    recipe = replace(preset, **flags)
    for name, value in flags.items():
        if start and name in recipe.resumable:  # what they come to depends on the weights
            continue
        usual, choices = getattr(preset, name), CHOICES.get(name, [value])
        if value != usual and not replace(recipe, **{name: usual}).differs(name, *choices):
            raise UserError(f"--{name.replace('_', '-')} {value}: with --preset {recipe.preset} "
                            "and the other flags there is nothing for it to change",
                            "leave it out; python -m tinyalex.summary lists a preset's layers.")
    parse_placement(recipe.devices, recipe.towers)
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


def _train(this: Run, devices: Devices, world: World, resume: bool, start: Start | None,
           flags: Collection[str]) -> int:
    """Everything that a run does, from its data to what is printed at its end; returns the exit
    status. flags: those that were given, by name."""
    if resume and world.rank == 0:
        this.hold()
    mean = None if start else _old_mean(this, world)
    with world.in_turn():
        trainer = _trainer(this, devices, world, start, mean, flags)
    if world.rank == 0:
        _start_or_resume(this, trainer, resume, start is not None)
    begin_alike(trainer)
    try:
        trainer.compute_still()
        announce(trainer, devices)
        if trainer.train(Waits(trainer).report if world.size > 1 else report):
            with stop_on_signal():  # all is done: a signal has nothing to stop
                if world.rank == 0:
                    farewell(trainer)
                world.barrier()
            return 0
    except KeyboardInterrupt:  # before the first step, or for the second time
        done = trainer.progress.epoch > this.recipe.epochs
        say("", f"done after {plural(this.recipe.epochs, 'epoch')}, and saved in "
            f"{this.folder}" if done else f"to continue: {again(this)}")
        raise
    say(f"stopped after step {trainer.progress.step}; nothing is lost. To continue:",
        f"    {again(this)}")
    return 128 + (trainer.stopped_by or 0)  # as shells have it: 130 after Ctrl-C


def _start_or_resume(this: Run, trainer: Trainer, resume: bool, tuning: bool):
    """Make the run's folder, or continue from what is in it."""
    if resume:
        trainer.resume()
        if this.recipe != Run.open(this.folder).recipe:  # today's flags hold from here on
            this.write_config()
        if not this.checkpoint.exists():
            say(f"{this.folder}: there is no checkpoint yet: starting at step 0")
    else:
        this.start()
        if tuning:
            # From here on nobody needs the file that it began with.
            trainer.write(trainer.optimiser.state())
    this.expect_room(2 * sum(p.value.nbytes for p in trainer.network.parameters))


def _trainer(this: Run, devices: Devices, world: World, start: Start | None,
             mean: np.ndarray | None, flags: Collection[str]) -> Trainer:
    """What trains the run, on its data, with the weights that it begins with. mean: the picture to
    subtract, where the run began with weights from elsewhere and is resumed."""
    recipe = this.recipe
    train_set = sources.load(recipe.data, "train", recipe.picture, recipe.limit)
    val_set = sources.load(recipe.data, "val", recipe.picture, recipe.limit)
    if not start:
        return Trainer(this, train_set, val_set, devices, mean, world)
    this.recipe = fit(recipe, start, train_set.classes, flags)
    trainer = Trainer(this, train_set, val_set, devices, start.mean, world)
    if world.rank == 0:
        begin(trainer, start, flags)
    return trainer


def _old_mean(this: Run, world: World) -> np.ndarray | None:
    """The mean picture of a run that began with weights from elsewhere: theirs, which is in its
    checkpoint. UserError where that was never written. None for all other runs."""
    if not this.recipe.source:
        return None
    if world.rank:
        return world.gather(np.empty(0, np.float32))[0]
    if not this.checkpoint.exists():
        raise UserError(f"{this.folder}: ended before it had taken over {this.recipe.source}",
                        "start a new run with --from.")
    return world.gather(checkpoint.mean(this.checkpoint))[0]


if __name__ == "__main__":
    sys.exit(run(main))
