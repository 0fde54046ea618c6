"""python -m tinyalex.train: train a network; see --help."""

import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

from tinyalex.architectures import ablations
from tinyalex.data import sources
from tinyalex.data.augment import NOISES
from tinyalex.devices import Devices, available_cores, parse_placement
from tinyalex.inside import costs
from tinyalex.optim import schedule
from tinyalex.run import presets
from tinyalex.run.folder import Run, Settings
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.errors import UserError
from tinyalex.support.text import megabytes
from tinyalex.training import Trainer

RESUMABLE = {"epochs", "devices", "data", "workers"}  # what may change when a run is resumed


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.train`; argv without the programme's name."""
    args = parse(argv)
    given = {f.name: getattr(args, f.name) for f in fields(Settings)
             if getattr(args, f.name) is not None}
    this = _resumed(args.resume, given) if args.resume else Run.new(args.out, settings_of(given))
    with Devices(this.settings.devices, this.settings.towers) as devices:
        return _train(this, devices, resume=args.resume is not None)


def parse(argv: list[str] | None):
    """The command line. Flags that were not given are None: the preset, or the run that is resumed,
    decides."""
    parser = ArgumentParser(
        prog="python -m tinyalex.train", argument_default=None,
        description="Train a network. Without flags: a two-tower AlexNet in small, on built-in "
                    "pictures, in a minute or two. Defaults come from the preset.",
        epilog="; ".join(f"{name}: {preset.about}" for name, preset in presets.PRESETS.items()))
    add = parser.add_argument
    add("--preset", metavar="NAME", help=f"{', '.join(presets.PRESETS)}; tiny if not given")
    add("--data", metavar="WHAT", help=sources.KINDS)
    add("--devices", metavar="LIST", help="cpu, cpu,cpu, cuda:0, cuda:0,cuda:1 or auto (one device "
        "for each tower)")
    add("--workers", type=number(int, 0, 64), help="threads that prepare the next batch meanwhile")
    add("--seed", type=number(int, 0, 2**63), help="of weights, order, crops and dropout")
    add("--limit", type=number(int, 1), help="use only the first LIMIT pictures, to train on "
        "and to validate with")
    add("--out", type=Path, metavar="RUN", help="the run's folder; runs/PRESET-NUMBER if not given")
    add("--resume", type=Path, metavar="RUN", help="go on with the run in this folder")
    _recipe_flags(parser.add_argument_group("recipe").add_argument)
    _ablation_flags(parser.add_argument_group("the paper's experiments: one thing changed")
                    .add_argument)
    return parser.parse_args(argv)


def _recipe_flags(add):
    add("--epochs", type=number(int, 1), help="how often to go through the training pictures")
    add("--batch-size", type=number(int, 1), help="pictures in one update")
    add("--lr", type=number(float, 0), help="learning rate at the start")
    add("--momentum", type=number(float, 0, 1))
    add("--weight-decay", type=number(float, 0))
    add("--schedule", metavar="WHEN", help="what the learning rate does: constant, plateau (÷10 "
        "when the validation error stops improving), plateau:PATIENCE, epochs to ÷10 after (20,30),"
        " or rates from given epochs on, of all or of one layer (25:0.001,67:conv1=0)")
    add("--velocity", choices=["keep", "scale"], help="what becomes of the velocities when the "
        "learning rate changes: kept, as the paper's formula has it, or multiplied alike")
    add("--init", choices=sorted(presets.alexnet.INITS),
        help="weights ~ N(0, 0.01²) as the paper prints; with 0.03 in conv3 to conv5 as the "
        "authors ran; or N(0, 2/inputs)")
    add("--dropout", type=number(float, 0, 0.99), help="share of the units of fc6 and fc7 that are "
        "switched off in training; 0 for none")
    add("--no-augment", dest="augment", action="store_const", const=False,
        help="centre crops only, not mirrored")
    add("--colour", choices=["none", *NOISES],
        help="noise along the colours' principal components, as printed or as run")


def _ablation_flags(add):
    add("--towers", type=number(int, 1, 2), help="2, or 1: the control of section 3.2")
    add("--activation", choices=["relu", "tanh"], help="section 3.1")
    add("--lrn", choices=["none", "before", "after"], help="local response normalisation: none, "
        "before ReLU, or after it (section 3.3)")
    add("--pool", choices=["3/2", "2/2"], help="windows that overlap, or not (section 3.4)")
    add("--without", metavar="LAYERS",
        help=f"take layers out (section 7): {', '.join(ablations.MIDDLE)}")


def settings_of(given: dict) -> Settings:
    """The preset's settings, with those that were given in their place. UserError if they clash."""
    name = given.get("preset", "tiny")
    preset = presets.get(name)
    chosen = {"preset": name, "devices": "auto", "seed": 0, "limit": None,
              "workers": min(4, available_cores()) if available_cores() > 1 else 0}
    chosen |= {f.name: getattr(preset, f.name) for f in fields(Settings)
               if f.name not in chosen}
    settings = Settings(**(chosen | given))
    parse_placement(settings.devices)
    schedule(settings.schedule, settings.lr)
    ablations.edit(settings.activation, settings.lrn, settings.pool, settings.without)
    if settings.data is None:
        raise UserError(f"--preset {name} needs to know the data",
                        "name a folder that has train/<class>/ and val/<class>/: --data FOLDER.")
    return settings


def _resumed(folder: Path, given: dict) -> Run:
    """The run in `folder`, with what may change changed. UserError for what may not."""
    this = Run.open(folder)
    kept = asdict(this.settings)
    for name in given.keys() - RESUMABLE:
        if given[name] != kept[name]:
            raise UserError(
                f"{folder} was started with {name} {kept[name]}, and cannot go on with "
                f"{given[name]}", "leave the flag out, or start a new run.")
    return Run(folder, replace(this.settings, **given))


def _train(this: Run, devices: Devices, resume: bool) -> int:
    settings = this.settings
    picture = presets.get(settings.preset).picture
    train_set = sources.load(settings.data, "train", picture, settings.limit)
    val_set = sources.load(settings.data, "val", picture, settings.limit)
    if len(val_set.classes) != len(train_set.classes):
        raise UserError(f"{settings.data}: {len(train_set.classes)} classes to train and "
                        f"{len(val_set.classes)} to validate", "both need the same class folders.")
    trainer = Trainer(this, train_set, val_set, devices)
    if resume:
        trainer.resume()
    else:
        this.start()
    _announce(trainer, train_set, val_set, devices)
    finished = trainer.train(_report)
    if not finished:
        print(f"stopped after step {trainer.progress.step}; nothing is lost. To go on:\n"
              f"    python -m tinyalex.train --resume {this.folder}")
        return 130
    _farewell(trainer)
    return 0


def _announce(trainer: Trainer, train_set, val_set, devices: Devices):
    """What will run, where, and how much memory it takes."""
    settings, network = trainer.settings, trainer.network
    total = costs.totals(network)
    batch = min(settings.batch_size, len(train_set))
    height, width = train_set.images.shape[1:3]
    lines = {
        "network": f"{settings.preset}: {network.towers} tower{'s' * (network.towers > 1)}, "
                   f"{total['parameters']:,} parameters, "
                   f"{total['multiply_adds']:,} multiply-adds a picture",
        "data": f"{train_set.name}: {len(train_set):,} pictures of {width}×{height} to train on, "
                f"{len(val_set):,} to validate with, {network.classes} classes",
        "devices": ", ".join(repr(device)[1:-1] for device in devices),
        "memory": f"about {megabytes(costs.training_bytes(network, batch))} while "
                  "training, besides the data",
        "recipe": f"batch {settings.batch_size}, lr {settings.lr:g} ({settings.schedule}), "
                  f"momentum {settings.momentum:g}, weight decay {settings.weight_decay:g}, "
                  f"dropout {settings.dropout:g}, {settings.epochs} epochs, seed {settings.seed}",
        "pictures": _augmentation(settings),
        "changed": ", ".join(f"{name} {value}" for name in (
            "activation", "lrn", "pool", "without") if (value := getattr(settings, name))),
        "run": str(trainer.run.folder),
    }
    for name, text in lines.items():
        if text:
            print(f"{name:<8} {text}")
    if trainer.progress.step:
        print(f"resuming after step {trainer.progress.step}, in epoch {trainer.progress.epoch}")
    print("\nepoch       lr train loss   error   val loss   error   top-5   images/s waited"
          "     time", flush=True)


def _augmentation(settings: Settings) -> str:
    crops = "random crops and mirror images" if settings.augment else "centre crops"
    return crops + {"paper": ", colour noise", "original": ", colour noise as it was run"}.get(
        settings.colour, "")


def _report(row: dict):
    minutes, seconds = divmod(round(row["seconds"]), 60)
    print(f"{row['epoch']:>5.0f} {row['lr']:>8.2g} {row['train_loss']:>10.4f} "
          f"{row['train_error']:>7.2%}   {row['val_loss']:>8.4f} {row['val_error']:>7.2%} "
          f"{row['val_top5_error']:>7.2%}   {row['images_per_s']:>8.0f} {row['waited']:>6.1%} "
          f"{minutes:>5}:{seconds:02}", flush=True)


def _farewell(trainer: Trainer):
    """Where the files are and what to try next."""
    folder = trainer.run.folder
    if trainer.result is None:
        print(f"all {trainer.settings.epochs} epochs are done already")
    else:
        print(f"\nvalidation: {1 - trainer.result.error:.2%} right")
    print(f"""
files in {folder}: curves.png, filters.png, log.csv, config.json, checkpoint.npz
next:
    python -m tinyalex.evaluate {folder}
    python -m tinyalex.look {folder} PICTURE
    python -m tinyalex.train --resume {folder} --epochs {trainer.settings.epochs * 2}""")


if __name__ == "__main__":
    sys.exit(run(main))
