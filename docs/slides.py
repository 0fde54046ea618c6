"""The slides of the course: a deck for each week, one page that needs nothing besides itself.

    python docs/slides.py FOLDER

The sources are docs/slides/week1.md and so on. A picture such as 01#cell-06b is what that cell of
notebook 01 shows, with the words that are stored with it. Pandoc makes the pages, because it writes
formulas as MathML, which browsers draw without help; needs `pip install -e ".[slides]"`. A slide
fills the window: Page Down, or a presenter's button, shows the next one, and printing gives a page
for each.
"""

import base64
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from tinyalex.support.cli import ArgumentParser, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing

HERE = Path(__file__).resolve().parent / "slides"
NOTEBOOKS = HERE.parents[1] / "notebooks"
PICTURE = re.compile(r"!\[\]\((\d\d)#([\w-]+)\)")


def with_pictures(text: str) -> str:
    """Markdown with its pictures in it. UserError names one that is not there."""
    def embedded(picture: re.Match) -> str:
        said, data = shown(*picture.groups())
        return f"![{said}](data:image/png;base64,{base64.b64encode(data).decode()})"

    return PICTURE.sub(embedded, text)


def shown(number: str, cell: str) -> tuple[str, bytes]:
    """The last picture that a notebook's cell shows: (what it says, PNG)."""
    for notebook in NOTEBOOKS.glob(f"{number}_*.ipynb"):
        for one in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            for output in reversed(one.get("outputs", []) if one["id"] == cell else []):
                if "image/png" in output.get("data", {}):
                    return (output["metadata"]["image/png"]["alt"],
                            base64.b64decode("".join(output["data"]["image/png"])))
    raise UserError(f"{number}#{cell}: there is no such picture", "name a cell that shows one.")


def page(source: Path) -> str:
    """A deck as HTML."""
    import pypandoc

    return pypandoc.convert_text(
        with_pictures(source.read_text(encoding="utf-8")), "html5", "markdown-implicit_figures",
        ["--standalone", "--section-divs", "--mathml", f"--template={HERE / 'page.html'}"])


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="python docs/slides.py", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    folder = parser.parse_args(argv).folder
    if not find_spec("pypandoc"):
        raise UserError("pypandoc, which brings pandoc, is not installed",
                        'pip install -e ".[slides]"')
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(HERE.glob("*.md")):
        with replacing(folder / f"{source.stem}.html") as part:
            part.write_text(page(source), encoding="utf-8")
    print(f"The slides are in {folder}; a browser shows them, F11 without its frame.")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
