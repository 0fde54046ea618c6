"""The documentation as a site: the pages, the notebooks, and the docstrings, in one place.

    python docs/website.py FOLDER [--with-browser]

FOLDER/index.html opens without a server and without a network: formulas and search are in it. What
leads nowhere is a warning, and a warning ends the build. Notebooks are shown as they are stored;
with --with-browser they can also be run there, by docs/browser.py's site in FOLDER/browser. Needs
`pip install -e ".[docs]"`, and `".[docs,site]"` for both.

Sphinx reads a copy of the pages in which what GitHub knows is written as Sphinx knows it: links to
code lead to the docstrings, links to tests to the repository if it is known which that is.
"""

import ast
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from posixpath import normpath
from shutil import copy
from tempfile import TemporaryDirectory

import tinyalex
from tinyalex.support.cli import ArgumentParser, run
from tinyalex.support.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import browser  # noqa: E402

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
PARTS = {  # of the table of contents; a page of docs/ that is in none of them comes last
    "Learn": ["notebooks/README", "docs/teaching", "docs/derivations", "docs/gradient-checking",
              "docs/stepping"],
    "Train": ["docs/commands", "docs/training", "docs/data", "docs/transfer", "docs/augmentation",
              "docs/weights", "docs/looking", "docs/gpu", "docs/workers",
              "docs/scaling", "docs/imagenet"],
    "The paper": ["docs/paper", "docs/reproduction", "docs/differences", "docs/original",
                  "docs/initialisation", "docs/momentum"],
    "The program": ["docs/architecture", "api/index", "docs/performance", "docs/reliability",
                    "CONTRIBUTING", "CHANGELOG"],
}
OPTIONS = {
    "project": "tinyalex", "author": "the tinyalex authors", "root_doc": "index",
    "extensions": ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax",
                   "sphinx-mathjax-offline"],
    "html_theme": "furo", "html_title": f"tinyalex {tinyalex.__version__}",
    "highlight_language": "none", "html_copy_source": False,
    "html_show_copyright": False, "html_show_sphinx": False,
    "myst_enable_extensions": ["dollarmath", "amsmath"], "myst_heading_anchors": 4,
    "myst_fence_as_directive": ["math"], "nb_execution_mode": "off",
    "autodoc_mock_imports": ["mpi4py", "torch"], "autodoc_typehints": "signature",
    # What a package takes from its modules is shown with them.
    "autodoc_default_options": {"members": True, "undoc-members": True, "member-order": "bysource",
                                "ignore-module-all": True},
    "suppress_warnings": ["ref.python"],  # an annotation, Result, that several modules define
}


# Pages

def stage(folder: Path, live: bool) -> None:
    """Write what Sphinx is to read. live: the notebooks can be run in browser/ of the same site."""
    names = documented()
    for page in pages():
        name = page.relative_to(ROOT).as_posix()
        place = folder / ("index.md" if name == "README.md" else name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            place.write_text(adapted(page.read_text("utf-8"), name, names), "utf-8")
        else:
            place.write_text(json.dumps(notebook(page, name, names, live)), "utf-8")
    for picture in ROOT.glob("docs/**/*.png"):
        place = folder / picture.relative_to(ROOT)
        place.parent.mkdir(exist_ok=True)
        copy(picture, place)
    modules(folder / "api")
    if live:
        with open(folder / "index.md", "a", encoding="utf-8") as file:
            file.write('\n<a href="browser/index.html">Run the notebooks in your browser</a>\n')
    contents(folder)


def pages() -> list[Path]:
    """All pages of the site but those of the docstrings. Solutions are left out."""
    return [*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")),
            ROOT / "notebooks/README.md", *(path for pattern in (
                "docs/*.md", "notebooks/*.ipynb", "notebooks/exercises/*.ipynb")
                for path in sorted(ROOT.glob(pattern)))]


def adapted(text: str, name: str, names: set[str]) -> str:
    """A page of this name in the repository, as Sphinx reads it: its formulas and its links."""
    parts = FENCE.split(text)
    for i in range(0, len(parts), 2):  # the others are code
        prose = re.sub(r"\$`(.*?)`\$", r"$\1$", parts[i])
        parts[i] = LINK.sub(lambda link: linked(link, name, names), prose)
    return "".join(parts)


def linked(link: re.Match, name: str, names: set[str]) -> str:
    """A link or picture of the page as it is on the site."""
    picture, text, target = link.groups()
    path, _, heading = target.partition("#")
    if re.match(r"\w+:", target) or not path:
        return link[0]
    path = normpath(f"{Path(name).parent.as_posix()}/{path}")
    if path == "README.md":
        up = os.path.relpath("index.md", Path(name).parent).replace(os.sep, "/")
        return f"[{text}]({up}#{heading})" if heading else f"[{text}]({up})"
    if path.endswith((".md", ".png")) or (path.endswith(".ipynb") and "solutions" not in path):
        return link[0]
    if path.startswith("tinyalex/"):
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        inside = f"{module}.{text.strip('`').partition('(')[0]}"
        if there := {inside, module} & names:
            return f"[{text}](#{max(there, key=len)})"
    if repository := browser.repository():
        return f"{picture}[{text}](https://github.com/{repository}/blob/HEAD/{path})"
    return text


def notebook(path: Path, name: str, names: set[str], live: bool) -> dict:
    """A notebook with links and formulas for the site. Cells that only draw are folded, as they are
    in Jupyter, and what describes a picture in words comes along."""
    page = json.loads(path.read_text("utf-8"))
    for cell in page["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = adapted("".join(cell["source"]), name, names)
            continue
        if cell["metadata"].pop("jupyter", None):
            cell["metadata"]["tags"] = ["hide-input"]
        for out in cell["outputs"]:
            if words := out.get("metadata", {}).get("image/png", {}).get("alt"):
                cell["metadata"]["mystnb"] = {"image": {"alt": words}}
    if live and not browser.needs_threads(path):
        place = "../" * name.count("/") + f"browser/lab/index.html?path={name}"
        page["cells"][0]["source"] += f'\n\n<a href="{place}">Run this page in your browser</a>'
    return page


def contents(folder: Path) -> None:
    """The table of contents, behind the pages that open its parts."""
    known = {name for names in PARTS.values() for name in names}
    rest = [page for path in sorted(folder.glob("docs/*.md"))
            if (page := f"docs/{path.stem}") not in known and page != "docs/index"]
    with open(folder / "index.md", "a", encoding="utf-8") as file:
        file.write("\n```{toctree}\n:hidden:\nWhere to read <docs/index>\n```\n")
        for part, names in ({**PARTS, "More": rest} if rest else PARTS).items():
            there = [name for name in names if [*folder.glob(f"{name}.*")]]
            lines = ["\n```{toctree}\n:hidden:", f":caption: {part}", *there, "```\n"]
            file.write("\n".join(lines))
    with open(folder / "notebooks/README.md", "a", encoding="utf-8") as file:
        file.write("\n```{toctree}\n:hidden:\n:glob:\n*_*\nexercises/*\n```\n")


# Docstrings

def documented() -> set[str]:
    """The full names of what the pages of the docstrings show: modules, their public functions and
    classes, and the methods of these."""
    names: set[str] = set()

    def add(body, prefix):
        for node in body:
            name = getattr(node, "name", "_")
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not name.startswith("_"):
                names.add(f"{prefix}.{name}")
                if isinstance(node, ast.ClassDef):
                    add(node.body, f"{prefix}.{name}")

    for path in sources():
        names.add(module_of(path))
        add(ast.parse(path.read_text("utf-8")).body, module_of(path))
    return names


def sources() -> Iterator[Path]:
    """The modules, without those that only start a command."""
    return (path for path in sorted(ROOT.glob("tinyalex/**/*.py")) if path.name != "__main__.py")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules(folder: Path) -> None:
    """Write a page for each package, with all of its modules, and one for the modules on top."""
    packages: dict[str, str] = {}
    for path in sources():
        module = module_of(path)
        top = (*module.split("."), "")[1]
        page = top if top and (ROOT / "tinyalex" / top).is_dir() else "tinyalex"
        packages[page] = packages.get(page, f"{page}\n{'=' * len(page)}\n\n") + (
            f"{module}\n{'-' * len(module)}\n\n.. automodule:: {module}\n\n")
    folder.mkdir()
    for package, text in packages.items():
        (folder / f"{package}.rst").write_text(text, "utf-8")
    (folder / "index.rst").write_text(
        "The docstrings\n==============\n\nWhat each module says of itself, package by package. "
        "Those of the layers derive their backward passes.\n\n.. toctree::\n\n   "
        + "\n   ".join(packages), "utf-8")


def as_written(app, what, name, thing, options, lines: list[str]) -> None:
    """Docstrings are plain text: what is indented, or stands in columns, stays in its lines; the
    rest flows, and what is in backticks is code."""
    text = []
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        if re.search(r"^\s|\S {2,}\S", block, re.MULTILINE):
            text += ["::", "", *(f"    {line}" for line in block.splitlines()), ""]
        else:
            words = re.split(r"(`[^`]*`)", block)
            words[::2] = [re.sub(r"([\\*_|])", r"\\\1", word) for word in words[::2]]
            words[1::2] = [f"`{word}`\\ " for word in words[1::2]]
            text += [*"".join(words).splitlines(), ""]
    lines[:] = text


# The site

def build(site: Path, live: bool) -> str:
    """Write the site. Returns what Sphinx warned of, "" if nothing."""
    from sphinx.application import Sphinx
    warnings = StringIO()
    with TemporaryDirectory() as name:
        source, work = Path(name) / "source", Path(name) / "work"
        stage(source, live)
        app = Sphinx(source, None, site, work, "html", confoverrides=OPTIONS, status=None,
                     warning=warnings)
        app.connect("autodoc-process-docstring", as_written)
        app.build()
    if live:
        browser.build(site / "browser", home="../index.html")
    return warnings.getvalue()


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="python docs/website.py", description=__doc__)
    parser.add_argument("site", metavar="FOLDER", type=Path)
    parser.add_argument("--with-browser", action="store_true",
                        help="with notebooks that run in the reader's browser")
    args = parser.parse_args(argv)
    for module in ("myst_nb", "furo"):
        if not importlib.util.find_spec(module):
            raise UserError(f"{module}, which the site is made with, is not installed",
                            'pip install -e ".[docs]"')
    if args.with_browser:
        browser.expect_tools()
    if warned := build(args.site.resolve(), args.with_browser):
        raise UserError(f"the site has faults:\n{warned}", "mend the pages that are named.")
    print(f"The site is in {args.site}: open {args.site / 'index.html'}.")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
