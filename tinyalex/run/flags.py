"""The flags shared by all commands that open a network."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tinyalex.support import reading
from tinyalex.support.cli import ArgumentParser, number, output
from tinyalex.support.errors import UserError
from tinyalex.support.text import composed


def parser(command: str, description: str) -> ArgumentParser:
    """The parser of a command that opens a network: with its checkpoint, and the flags that all of
    them have."""
    flags = ArgumentParser(prog=f"python -m tinyalex.{command}", description=description)
    flags.add_argument("checkpoint", type=Path, metavar="RUN_OR_CHECKPOINT",
                       help="a run folder, or an .npz file")
    flags.add_argument("--names", type=Path, metavar="FILE", help="how to call the classes: a line "
                      "for each with its folder's name and, after a space, another (ImageNet's "
                      "synset_words.txt)")
    flags.add_argument("--devices", metavar="LIST", default="auto", help="cpu, cpu,cpu, cuda:0, "
                      "cuda:0,cuda:1 or auto")
    flags.add_argument("--batch-size", type=number(int, 1), default=64)
    flags.add_argument("--out", type=output(".png"), metavar="PNG", help="where to draw it; "
                      f"{command}.png beside the checkpoint if not given")
    return flags


def spoken_names(path: Path | None) -> dict[str, str]:
    """What a file of --names says: "n01440764 tench, Tinca tinca" gives {"n01440764": "tench"}.

    UserError where it is no such file.
    """
    if path is None:
        return {}
    try:
        lines = [line.split(None, 1) for line in composed(reading.text(path)).splitlines()
                 if line.strip()]
        return {name: words.split(",")[0].strip() for name, words in lines}
    except ValueError as error:
        raise UserError(f"{path}: not a list of names ({error})",
                        "a line is a class's folder, a space, and its name.") from None


def called(classes: Sequence[str], names: dict[str, str]) -> list[str]:
    """What to call the classes of these folders. ImageNet has two cranes, a bird and a machine:
    where several would be called the same, the folder follows: "crane (n02012849)"."""
    spoken = [names.get(name, name) for name in classes]
    count = Counter(spoken)
    return [f"{word} ({name})" if count[word] > 1 else word
            for name, word in zip(classes, spoken, strict=True)]
