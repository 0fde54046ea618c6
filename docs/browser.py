"""The notebooks as a site that needs no installation: they run in the reader's browser.

    python docs/browser.py FOLDER

JupyterLite is a Jupyter without a server; its Python is compiled to WebAssembly (Pyodide). FOLDER
gets JupyterLite, the package as a wheel, the notebooks with what they link to, and a front page
that lists them. Any web server can hand it out; each reader's browser fetches Pyodide itself. Needs
`pip install -e ".[site]"`.

The front page leads to Colab and Binder as well if it is known which repository on GitHub this is:
from GITHUB_REPOSITORY, as in a workflow, or from git's remote called origin.
"""

import html
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import copy, copytree, ignore_patterns, rmtree, which
from tempfile import TemporaryDirectory

from tinyalex.support.cli import ArgumentParser, run
from tinyalex.support.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
FIRST_CELL = {"cell_type": "code", "id": "install", "metadata": {}, "execution_count": None,
              "outputs": [], "source": "%pip install -q tinyalex ipywidgets"}
TO_READ = {"cell_type": "markdown", "id": "to-read", "metadata": {}, "source":
           "*To read only: the cells of this page need threads, and Python in a browser has none.*"}
HERE = "lab/index.html?path=notebooks/{path}"
ELSEWHERE = {
    "Colab": "https://colab.research.google.com/github/{repository}/blob/HEAD/notebooks/{path}",
    "Binder": "https://mybinder.org/v2/gh/{repository}/HEAD?urlpath=lab/tree/notebooks/{path}"}
# JupyterLite's pages look for the script in the site's own index.html, and stay empty without it.
FRONT = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>tinyalex: the notebooks</title>
<style>
body {{ font: 17px/1.6 sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em }}
td {{ padding-right: 1.5em }}
</style>
<script id="jupyter-config-data" type="application/json" data-jupyter-lite-root=".">{{}}</script>
<h1>tinyalex: the notebooks</h1>
<p>A title opens its notebook here: Python runs in your browser, nothing is installed, and what you
write stays on your computer. The first cell that you run fetches Python, which takes a while.</p>
{home}{colab}{tables}
</html>
"""
COLAB = """<p>Binder takes some minutes to start. On Colab, run these two lines first, in a cell of
their own:</p>
<pre>!git clone -q https://github.com/{repository} tinyalex &amp;&amp; pip install -q ./tinyalex
%cd tinyalex/notebooks</pre>
"""


def repository() -> str:
    """OWNER/NAME of the repository on GitHub that this is a clone of; "" where nothing says so."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return name
    asked = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    origin = subprocess.run(asked, capture_output=True, encoding="utf-8").stdout if which(
        "git") else ""
    known = re.fullmatch(r"(?:\w+://)?(?:[^@/]*@)?github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?",
                         origin.strip())
    return known[1] if known else ""


def front_page(repository: str, home: str = "") -> str:
    """A page that lists the lessons and the exercises, each with the ways to open it. home: where
    the front page of the documentation is, if it is part of the same site. What a browser's Python
    cannot run is not opened there."""
    tables = ""
    for heading, pattern in (("Lessons", "*.ipynb"), ("Exercises", "exercises/*.ipynb")):
        rows = ""
        for notebook in sorted((ROOT / "notebooks").glob(pattern)):
            first = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"]
            title = html.escape("".join(first).partition("\n")[0].lstrip("# "))
            ways = ({} if needs_threads(notebook) else {title: HERE}) | (
                ELSEWHERE if repository else {})
            path = notebook.relative_to(ROOT / "notebooks").as_posix()
            links = [f'<td><a href="{way.format(repository=repository, path=path)}">{name}</a>'
                     for name, way in ways.items()]
            rest = "" if title in ways else f"<td>{title} (needs threads: not in a browser)</td>"
            rows += f"<tr>{rest}{''.join(links)}\n"
        tables += f"<h2>{heading}</h2>\n<table>\n{rows}</table>\n"
    return FRONT.format(home=f'<p><a href="{home}">All pages</a></p>\n' if home else "",
                        colab=COLAB.format(repository=repository) if repository else "",
                        tables=tables)


def source(folder: Path) -> Path:
    """A copy of what a reader looks at, without what else lies about."""
    for name in ("notebooks", "docs", "tinyalex"):
        copytree(ROOT / name, folder / name,
                 ignore=ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in ("README.md", "CONTRIBUTING.md", "LICENSE", "setup.cfg", "pyproject.toml"):
        copy(ROOT / name, folder)
    return folder


def needs_threads(notebook: Path) -> bool:
    """Whether threads stand for workers on the page: a browser's Python has none."""
    return "tinyalex.world.threads" in notebook.read_text(encoding="utf-8")


def install_first(notebook: Path):
    """Lets a notebook begin with a cell that installs the package from the site's own wheel (or, if
    it could not run, with one that says so), and writes texts in one piece: JupyterLite would show
    commas between lines, a server joins them."""
    page = json.loads(notebook.read_text(encoding="utf-8"))
    for output in (output for cell in page["cells"] for output in cell.get("outputs", [])):
        for kind, text in output.get("data", {}).items():
            output["data"][kind] = "".join(text)
    page["cells"].insert(1, TO_READ if needs_threads(notebook) else FIRST_CELL)
    notebook.write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8")


def expect_tools() -> None:
    """UserError where something is missing that makes the site."""
    for module in ("jupyterlite_pyodide_kernel", "jupyter_server"):
        if not find_spec(module):
            raise UserError(f"{module}, which the site is made with, is not installed",
                            'pip install -e ".[site]"')


def call(module: str, *arguments: str | Path, cwd: Path):
    """`python -m module` with these arguments; UserError where that fails."""
    if status := subprocess.run([sys.executable, "-m", module, *arguments], cwd=cwd).returncode:
        raise UserError(f"the site is not finished: python -m {module} {arguments[0]} ended with "
                        f"status {status}", "what it said itself, above, should say why.")


def build(site: Path, home: str = ""):
    """Writes the site into this folder. home: as in `front_page`."""
    with TemporaryDirectory() as name:
        work = Path(name)
        contents = copytree(source(work / "source"), work / "contents")
        for notebook in contents.glob("notebooks/**/*.ipynb"):
            install_first(notebook)
        rmtree(work / "source/notebooks")  # the site has them, and what it installs is fetched
        call("pip", "wheel", "-q", "--no-deps", "-w", work, work / "source", cwd=work)
        call("jupyterlite_core.app", "build", "--lite-dir", work,
             "--contents", contents, "--piplite-wheels", next(work.glob("*.whl")),
             "--no-sourcemaps", "--no-unused-shared-packages", "--output-dir", site, cwd=work)
    (site / "index.html").write_text(front_page(repository(), home), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="python docs/browser.py", description=__doc__)
    parser.add_argument("site", metavar="FOLDER", type=Path)
    site = parser.parse_args(argv).site.resolve()
    expect_tools()
    build(site)
    print(f"The site is in {site}; python -m http.server -d {site} shows it.")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
