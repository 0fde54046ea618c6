"""The exercises as plain Python files, for those who write without Jupyter.

    python docs/handout.py FOLDER

Each exercise becomes a .py file of the same name: its cells begin with `# %%`, as editors know
them, and its text is comments. It runs as a script, which prints what its checks say, and is
handed in as it is.
"""

import re
import sys
import textwrap
from pathlib import Path

from tinyalex.support import reading
from tinyalex.support.cli import ArgumentParser, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing

EXERCISES = Path(__file__).resolve().parents[1] / "notebooks/exercises"
CHECK = re.compile(r"^gradcheck\.check\(.*\)$", re.MULTILINE)  # a notebook shows it by itself
LINK = re.compile(r"\[([^][]*)\]\([^)]*\.(?:ipynb|py)\)")  # to pages, which lie elsewhere
TAGS = {"<details><summary>": "", "</summary>": ": ", "</details>": "",
        "<code>": "`", "</code>": "`", "<b>": "*", "</b>": "*"}


def script(notebook: Path) -> str:
    """The notebook as a Python script with the same cells."""
    cells = []
    for cell in reading.record(notebook)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for tag, plain in TAGS.items():  # a hint is folded on a page, and not in a file
                source = source.replace(tag, plain)
            paragraphs = LINK.sub(r"\1", source).splitlines()
            lines = [line for text in paragraphs for line in wrapped(text)]
            source = "\n".join(f"# {line}".rstrip() for line in lines)
            cells.append(f"# %% [markdown]\n{source}\n")
        else:
            cells.append(f"# %%\n{CHECK.sub(lambda call: f'print({call[0]})', source)}\n")
    return "\n".join(cells)


def wrapped(text: str) -> list[str]:
    """A paragraph in lines that editors show without scrolling; a formula stays as it is."""
    return [text] if text.startswith("$$") else textwrap.wrap(text, 96) or [""]


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="python docs/handout.py", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    folder = parser.parse_args(argv).folder
    files = {folder / f"{notebook.stem}.py": notebook for notebook in EXERCISES.glob("*.ipynb")}
    for path in files:
        if path.exists():
            raise UserError(f"{path}: there already, perhaps with somebody's work in it",
                            "name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for path, notebook in files.items():
        with replacing(path) as part:
            part.write_text(script(notebook), encoding="utf-8")
    print(f"{folder} holds the exercises; python -m tinyalex.gradcheck --exercises {folder} marks "
          "what is written there.")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
