"""python -m tinyalex.notebooks: the lessons and their exercises, in a folder of the reader's."""

import re
import shlex
import sys
from pathlib import Path

import tinyalex
from tinyalex.support.cli import ArgumentParser, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing
from tinyalex.support.text import command, say

KINDS = ("*.ipynb", "*.py", "exercises/*.ipynb", "solutions/*.ipynb")
FIRST = "00_tour.ipynb"
LEADS_OUT = re.compile(  # a link or a picture
    rb"!?\[([^][]*)\]\((?:(?:\.\./)+(?:docs|tinyalex|tests)/|[./]*README)[^)]*\)")


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.notebooks`; argv without the program's name."""
    parser = ArgumentParser(
        prog="python -m tinyalex.notebooks",
        description="Put the notebooks, their exercises and the solutions into a folder to work "
                    "in. What is there already stays as it is, so nobody's work is lost.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="made if it is not there")
    folder = parser.parse_args(argv).folder
    new, kept = copy_new(source(), folder)
    for path in kept:
        say(f"kept as it is: {path} (differs from the one that comes with this version)")
    say(f"{folder}: {len(new)} new files", "next:", "    pip install jupyter ipywidgets",
        f"    jupyter lab {shlex.quote(str(folder / FIRST))}",
        f"    {command('gradcheck', '--exercises', folder / 'exercises')}    # marks them")
    return 0


def source() -> Path:
    """Where the notebooks of this version are: beside the package in a clone; where it was
    installed, in the share/ that belongs to its site-packages. UserError where they are in
    neither."""
    above = Path(tinyalex.__file__).resolve().parents[1:]
    for folder in (above[0] / "notebooks", *(up / "share/tinyalex/notebooks" for up in above)):
        if (folder / FIRST).is_file():
            return folder
    raise UserError("the notebooks were not installed with the package",
                    "install it with pip, from a wheel or from a clone.")


def copy_new(source: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy the files that `folder` does not have. Of links and pictures that lead to what stays
    behind, only the words come along.

    Returns the new files, and those that were there already and are different.
    """
    new, kept = [], []
    for path in sorted(path for kind in KINDS for path in source.glob(kind)):
        target = folder / path.relative_to(source)
        content = LEADS_OUT.sub(rb"\1", path.read_bytes())
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as part:
                part.write_bytes(content)
            new.append(target)
        elif not target.is_file() or target.read_bytes() != content:
            kept.append(target)
    return new, kept


if __name__ == "__main__":
    sys.exit(run(main))
