"""Draws docs/architecture.png: the modules of tinyalex by floor, and the imports between them, read
from their code.

    python docs/architecture.py OUT.png

The floors are those of the table in architecture.md, which the tests read with the same functions.
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path

from tinyalex.drawing import page
from tinyalex.support.cli import ArgumentParser, output, run

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "tinyalex"
WIDTH, FLOOR, BOX, LEFT = 1500, 92, 28, 130  # pixels
CROWDED = 7  # more boxes than that stand by turns higher and lower
COLOURS = page.TRAIN, page.VALIDATION, "#009E73", "#CC79A7", "#8A6D00", "#3A8FBF"


def floors(text: str) -> list[tuple[str, list[str]]]:
    """(floor, its modules from left to right), the ground first, from the page's table."""
    rows = re.findall(r"^\| ([\w ]+) \| ((?:`[\w.]+` ?)+)\|", text, re.MULTILINE)
    return [(name, re.findall(r"`([\w.]+)`", modules)) for name, modules in reversed(rows)]


@cache
def imports(package: Path) -> set[tuple[str, str]]:
    """(importer, imported) of all imports within the package, those inside functions too; names
    are without the package's own, which is __init__ itself."""
    files = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        files[name] = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for importer, tree in files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                targets = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                raise ValueError(f"{importer}: imports are written in full: {package.name}.…")
            else:
                continue
            for target in targets:
                first, _, rest = target.partition(".")
                if first == package.name:
                    while rest and rest not in files:  # a name in a module: the module
                        rest = rest.rpartition(".")[0]
                    found.add((importer, rest or "__init__"))
    return found


def home(module: str, places: dict[str, tuple[int, int]]) -> str:
    """The entry of the table that a module belongs to: its own, or that of its package."""
    while module not in places and "." in module:
        module = module.rpartition(".")[0]
    return module


def places(storeys: list[tuple[str, list[str]]]) -> dict[str, tuple[int, int]]:
    """Of each entry (floor, place from the left): an import must lead to a smaller pair."""
    return {module: (height, i) for height, (_, modules) in enumerate(storeys)
            for i, module in enumerate(modules)}


def edges(package: Path, where: dict[str, tuple[int, int]]) -> set[tuple[str, str]]:
    """The imports between the entries of the table."""
    pairs = {(home(a, where), home(b, where)) for a, b in imports(package)}
    return {(a, b) for a, b in pairs if a != b}


def needed(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Without those that follow from others: where a imports b and b, over whatever, c, a line from
    a to c says nothing new about who depends on whom. There must be no circles."""
    below: dict[str, set[str]] = {}
    for a, b in pairs:
        below.setdefault(a, set()).add(b)

    @cache
    def under(a):
        return below.get(a, set()).union(*map(under, below.get(a, ())))

    return {(a, c) for a, c in pairs if not any(c in under(b) for b in below[a])}


def spread(storeys: list[list[str]], pairs: set[tuple[str, str]]) -> dict[str, float]:
    """Where each box stands, from the left: in the order of its floor, near what it is tied to."""
    home = {}
    for floor in storeys:
        widths = [box_width(m) for m in floor]
        home |= {m: LEFT + (sum(widths[:i]) + widths[i] / 2) * (WIDTH - LEFT - 30) / sum(widths)
                 for i, m in enumerate(floor)}
    tied = {m: [b if a == m else a for a, b in sorted(pairs) if m in (a, b)] or [m] for m in home}
    x = dict(home)
    for _ in range(60):
        for floor in storeys:
            if len(floor) > CROWDED:
                continue
            wish = [(home[m] + sum(x[o] for o in tied[m]) / len(tied[m])) / 2 for m in floor]
            half = [box_width(m) / 2 + 9 for m in floor]
            for i in range(1, len(floor)):
                wish[i] = max(wish[i], wish[i - 1] + half[i - 1] + half[i])
            wish[-1] = min(wish[-1], WIDTH - half[-1] - 20)
            for i in reversed(range(len(floor) - 1)):
                wish[i] = min(wish[i], wish[i + 1] - half[i + 1] - half[i])
            x.update(zip(floor, wish, strict=True))
    return x


def box_width(module: str) -> float:
    return 26 + 8.6 * len(module)


def draw(storeys: list[tuple[str, list[str]]], pairs: set[tuple[str, str]],
         upwards: set[tuple[str, str]], path: Path):
    """A band a floor, a box an entry, a line from each to what it imports; dashed: upwards."""
    from matplotlib.patches import FancyBboxPatch

    height = FLOOR * len(storeys) + 20
    figure = page.figure(WIDTH, height)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    axes.axis("off")
    xs, where = spread([modules for _, modules in storeys], pairs), {}
    for floor, (name, modules) in enumerate(storeys):
        y = floor * FLOOR + 10 + FLOOR / 2
        if floor % 2 == 0:
            axes.axhspan(y - FLOOR / 2, y + FLOOR / 2, color="#F2F2F2", zorder=0)
        axes.text(14, y, name, va="center", fontsize=8, color=page.QUIET)
        for i, module in enumerate(modules):
            shift = 18 * (-1) ** i if len(modules) > CROWDED else 0  # by turns higher and lower
            where[module] = xs[module], y + shift
    colours = {module: COLOURS[i % len(COLOURS)] for i, module in enumerate(where)}
    for a, b in sorted(pairs):
        axes.add_patch(curve(where[a], where[b], colours[b], "-"))
    for a, b in sorted(upwards):
        axes.add_patch(curve(where[a], where[b], page.QUIET, "--"))
    for module, (x, y) in where.items():
        width = box_width(module)
        axes.add_patch(FancyBboxPatch(
            (x - width / 2, y - BOX / 2), width, BOX, boxstyle="round,pad=0,rounding_size=7",
            facecolor="white", edgecolor=colours[module], linewidth=1.4, zorder=2))
        axes.text(x, y, module, ha="center", va="center", fontsize=8, zorder=3)
    page.save(figure, path)


def curve(start, end, colour, style):
    """From below one box to above another; between neighbours of a floor, along their sides."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    (x0, y0), (x1, y1) = start, end
    if abs(y0 - y1) < FLOOR / 2:
        side = -1 if style == "-" else 1
        y0, y1 = y0 + side * BOX / 2, y1 + side * BOX / 2
        points = [(x0, y0), (x0, y0 + side * 24), (x1, y1 + side * 24), (x1, y1)]
    else:
        y0, y1 = y0 - BOX / 2, y1 + BOX / 2
        points = [(x0, y0), (x0, y0 - 45), (x1, y1 + 45), (x1, y1)]
    return PathPatch(Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]),
                     fill=False, edgecolor=colour, linestyle=style, linewidth=1.1, alpha=0.8,
                     zorder=1)


def main(argv: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="python docs/architecture.py", description=__doc__)
    parser.add_argument("out", type=output(".png"), metavar="OUT.png")
    out = parser.parse_args(argv).out
    storeys = floors((HERE / "architecture.md").read_text(encoding="utf-8"))
    where = places(storeys)
    pairs = edges(PACKAGE, where)
    upwards = {(a, b) for a, b in pairs if where[a] <= where[b]}
    ground = storeys[0][1]  # nearly all import from it: that would only be a grey cloud of lines
    shown = {(a, b) for a, b in pairs - upwards if b not in ground or a in ground}
    draw(storeys, needed(shown), upwards, out)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
