"""What training prints in the terminal: what will run, how it goes, and what to try next."""

from tinyalex import freezing
from tinyalex.data import sources
from tinyalex.data.dataset import Dataset
from tinyalex.devices import Devices
from tinyalex.inside import costs
from tinyalex.metrics import Result
from tinyalex.run import balance, best, mistakes
from tinyalex.run.folder import Run
from tinyalex.run.recipe import Recipe
from tinyalex.run.trainer import Trainer
from tinyalex.support.cli import add_picture
from tinyalex.support.text import align, command, megabytes, plural, say


def again(this: Run) -> str:
    """The command that continues the run."""
    return command("train", "--resume", this.folder, *_own_data(this.recipe))


def _own_data(recipe: Recipe) -> list[str]:
    """The flag that names a function of the user's own: no file may decide that it is called."""
    return ["--data", recipe.data] if sources.is_code(recipe.data) else []


def announce(trainer: Trainer, devices: Devices) -> None:
    """What will run, where, and how much memory it takes."""
    recipe, network = trainer.recipe, trainer.network
    train_set, val_set = trainer.train_loader.dataset, trainer.val_loader.dataset
    total = costs.totals(network)
    batch = min(recipe.batch_size, len(train_set))
    height, width = train_set.images.shape[1:3]
    lines = {
        "network": f"{recipe.preset}: {plural(network.towers, 'tower')}, "
                   f"{total['parameters']:,} parameters, "
                   f"{total['multiply_adds']:,} multiply-adds a picture",
        "data": f"{train_set.name}: {plural(len(train_set), 'picture')} of {width}×{height} to "
                "train on, "
                f"{len(val_set):,} to validate with, {plural(network.classes, 'class')}",
        "classes": balance.about(train_set, val_set, recipe.balance),
        "workers": _workers(trainer),
        "devices": ", ".join(repr(device)[1:-1] for device in devices),
        "memory": f"about {megabytes(costs.training_bytes(network, batch))} while "
                  "training, besides the data",
        "recipe": f"batch {_batch(recipe, train_set)}, lr {recipe.lr:g} ({recipe.schedule}"
                  f"{_slowly(recipe)}), "
                  f"momentum {recipe.momentum:g}, weight decay {recipe.weight_decay:g}, "
                  f"dropout {recipe.dropout:g}, {plural(recipe.epochs, 'epoch')}, "
                  f"seed {recipe.seed}",
        "pictures": _augmentation(recipe),
        "changed": ", ".join(f"{name} {value}" for name in (
            "activation", "lrn", "pool", "without")
            if (value := getattr(recipe, name)) and recipe.differs(name, None)),
        "from": recipe.source,
        "run": str(trainer.run.folder),
    }
    for name, text in lines.items():
        if text:
            say(f"{name:<8} {text}")
    if recipe.freeze or recipe.lr_of:
        say("", *align(_layers(trainer), total=False).splitlines())
    if trainer.progress.step:
        print(f"resuming after step {trainer.progress.step}, in epoch {trainer.progress.epoch}")
    print("\nepoch       lr train loss   error   val loss   error   top-5   images/s waited"
          "     time", flush=True)


def _workers(trainer: Trainer) -> str:
    """How many, where they are several. All of them have to be asked."""
    world = trainer.world
    if world.size == 1:
        return ""
    machines, sums = len({*world.share(world.host)}), trainer.parallel and trainer.parallel.sums
    how = {"data": "", "hybrid-b": " and of the units of each fully connected layer (b)",
           "hybrid-c": " and of the units of each fully connected layer (c)"}
    return (f"{world.size} on {plural(machines, 'machine')}, each with a part of every "
            f"batch{how[trainer.recipe.parallel]}; gradients are added up "
            + (f"by {sums.about}" if sums else "exactly"))


def _slowly(recipe: Recipe) -> str:
    return (f", warm-up {plural(recipe.warmup, 'epoch')}" if recipe.warmup else "") + (
        f", lars {recipe.trust:g}" if recipe.optimiser == "lars" else "")


def _layers(trainer: Trainer) -> list[tuple[str, ...]]:
    """Of each layer, of all its towers together, what is done with it."""
    network = trainer.network
    rows: list[tuple[str, ...]] = [("layer", "parameters", "learning rate", "")]
    for name in freezing.names(network):
        layers = freezing.layers_called(network, name)
        rates = {trainer.optimiser.rate(p) for p in network.learning if p.layer in layers}
        rows.append((name, f"{sum(map(costs.parameters, layers)):,}",
                     ", ".join(f"{rate:g}" for rate in sorted(rates)) or "frozen",
                     "" if trainer.taken is None or name in trainer.taken else "new"))
    return rows


def _batch(recipe: Recipe, train_set: Dataset) -> str:
    if recipe.batch_size <= len(train_set):
        return str(recipe.batch_size)
    return (f"{recipe.batch_size} (larger than the data: one step an epoch, of "
            f"{plural(len(train_set), 'picture')}; a smaller --batch-size makes more steps)")


def _augmentation(recipe: Recipe) -> str:
    crops = "random crops and mirror images" if recipe.augment else "centre crops"
    if recipe.views:
        crops = ("the centre of each" if recipe.views == 1 else f"{recipe.views} views of each"
                 ) + ", once through the frozen layers"
    return crops + {"paper": ", colour noise", "original": ", colour noise as it was run"}.get(
        recipe.colour, "")


def report(row: dict) -> None:
    """A line of the table, from a row of log.csv."""
    minutes, seconds = divmod(round(row["seconds"]), 60)
    print(f"{row['epoch']:>5.0f} {row['lr']:>8.2g} {row['train_loss']:>10.4f} "
          f"{row['train_error']:>7.2%}   {row['val_loss']:>8.4f} {row['val_error']:>7.2%} "
          f"{row['val_top5_error']:>7.2%}   {row['images_per_s']:>8.0f} {row['waited']:>6.1%} "
          f"{minutes:>5}:{seconds:02}", flush=True)


def farewell(trainer: Trainer) -> None:
    """How good the network is, where the files are and what to try next."""
    this, recipe = trainer.run, trainer.recipe
    done = trainer.progress.epoch - 1
    early = done < recipe.epochs  # no signal has stopped it, so its patience has
    rows = best.epochs(this)  # none where the log was lost
    if early:
        say(f"no lower validation error since epoch {best.best(rows)['epoch']:.0f}: the run ends "
            f"after epoch {done}")
    if trainer.result is not None:
        print(f"\nvalidation: {1 - trainer.result.error:.2%} right")
        if recipe.data not in sources.BUILT_IN:
            _mistakes(trainer, trainer.result)
    elif not early:
        print(f"already done, after {plural(done, 'epoch')}")
    if this.best.exists() and rows:
        row = best.best(rows)
        say(f"best.npz: epoch {row['epoch']:.0f}, {1 - (row['val_error'] or 0):.2%} right")
    files = [path.name for path in (this.curves, this.filters, this.wrong, this.log, this.best)
             if path.exists()]
    data = _own_data(recipe)
    picture = f"{recipe.data}/val/0" if recipe.data in sources.BUILT_IN else "PICTURE"
    longer = ["--patience", 2 * recipe.patience] if early else ["--epochs", 2 * done]
    say("", f"files in {this.folder}: {', '.join(files)}, config.json, checkpoint.npz", "next:",
        f"    {command('evaluate', this.best if this.best.exists() else this.folder, *data)}",
        f"    {command('look', this.folder, picture)}",
        f"    {command('train', '--resume', this.folder, *longer, *data)}")


def _mistakes(trainer: Trainer, result: Result) -> None:
    """What the network confuses, and its worst guesses as a sheet. Not for built-in data, with
    which people try the program out."""
    this, val_set = trainer.run, trainer.val_loader.dataset
    say("", *mistakes.by_class(result.confusion, val_set.classes, worst=10))
    if (result.guesses != val_set.labels).any():
        add_picture(None, this.wrong, lambda path: mistakes.draw_worst(result, val_set, path),
                    "its surest mistakes: ")
    else:
        this.wrong.unlink(missing_ok=True)  # from a time when it was not as good
