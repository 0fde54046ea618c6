"""The notebooks as a site that needs no installation: they run in the reader's browser.

    python docs/browser.py FOLDER

JupyterLite is a Jupyter without a server; its Python is compiled to WebAssembly (Pyodide). FOLDER
gets JupyterLite, the package as a wheel, and the notebooks with what they link to. Any web server
can hand it out; each reader's browser fetches Pyodide itself. Needs `pip install -e ".[site]"`.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import copy, copytree, ignore_patterns
from tempfile import TemporaryDirectory

from tinyalex.support.cli import ArgumentParser, run
from tinyalex.support.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
FIRST_CELL = {"cell_type": "code", "id": "install", "metadata": {}, "execution_count": None,
              "outputs": [], "source": "%pip install -q tinyalex ipywidgets"}


def source(folder: Path) -> Path:
    """A copy of what a reader looks at, without what else lies about."""
    for name in ("notebooks", "docs", "tinyalex"):
        copytree(ROOT / name, folder / name,
                 ignore=ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in ("README.md", "CONTRIBUTING.md", "LICENSE", "setup.cfg", "pyproject.toml"):
        copy(ROOT / name, folder)
    return folder


def install_first(notebook: Path):
    """Lets a notebook begin with a cell that installs the package from the site's own wheel."""
    page = json.loads(notebook.read_text(encoding="utf-8"))
    page["cells"].insert(1, FIRST_CELL)
    notebook.write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8")


def build(site: Path):
    """Writes the site into this folder."""
    with TemporaryDirectory() as name:
        work = Path(name)
        contents = copytree(source(work / "source"), work / "contents")
        for notebook in contents.glob("notebooks/**/*.ipynb"):
            install_first(notebook)
        python = [sys.executable, "-m"]
        subprocess.run([*python, "pip", "wheel", "-q", "--no-deps", "-w", work, work / "source"],
                       check=True)
        subprocess.run([*python, "jupyterlite_core.app", "build", "--lite-dir", work,
                        "--contents", contents, "--piplite-wheels", next(work.glob("*.whl")),
                        "--no-sourcemaps", "--no-unused-shared-packages", "--output-dir", site],
                       check=True, cwd=work)


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="python docs/browser.py", description=__doc__)
    parser.add_argument("site", metavar="FOLDER", type=Path)
    site = parser.parse_args(argv).site.resolve()
    if not find_spec("jupyterlite_pyodide_kernel"):
        raise UserError("jupyterlite-pyodide-kernel, which the site is made with, is not installed",
                        'pip install -e ".[site]"')
    build(site)
    print(f"The site is in {site}; python -m http.server -d {site} shows it.")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
