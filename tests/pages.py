"""The pages of the documentation as the tests read them: links, headings, names, commands."""

import ast
import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
         *sorted((ROOT / "docs").glob("*.md")), ROOT / "notebooks/README.md"]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
COMMAND = re.compile(r"(?:\w+=\S+ )*(?:\.venv/bin/)?python -m (tinyalex[\w.]*)(.*)")
INLINE = re.compile(r"`(?:tinyalex |python -m tinyalex\.)([\w.]+)( [^`]+)`")


def script(name: str):
    """A script of docs/, as a module. It may import others there, as when it is started."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        spec.loader.exec_module(module)
    return module


def prose(text: str) -> str:
    """A page without its blocks of code, in which # is a comment and [i](j) an index."""
    return FENCE.sub("", text)


def links(text: str) -> list[tuple[str, str]]:
    """(text, target) of each link and picture, but not of those that are shown as code."""
    return [(link[1], link[2]) for link in LINK.finditer(prose(text))
            if prose(text)[:link.start()].rpartition("\n")[2].count("`") % 2 == 0]


def anchors(text: str) -> set[str]:
    """What # can name in a page, by GitHub's rule: the heading in small letters, without
    punctuation, with - for each space; a second one of the same name has -1 behind it."""
    taken: dict[str, int] = {}
    for title in re.findall(r"^#+ +(.*?) *$", prose(text), re.MULTILINE):
        shown = LINK.sub(r"\1", title)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        taken[name] = taken.get(name, -1) + 1
    return {f"{name}-{i}" if i else name for name, last in taken.items() for i in range(last + 1)}


def broken_links(page: Path) -> list[str]:
    """The relative links that lead to no file, or to no heading of it."""
    broken = []
    for _, target in links(page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        to = (page.parent / name).resolve() if name else page
        if target.startswith(("http://", "https://")):
            continue
        if not to.exists() or (anchor and anchor not in anchors(to.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


def unknown_names(page: Path) -> list[str]:
    """What a link to a Python file calls by a name, in code, or in words if it is a test, and the
    file does not define."""
    unknown = []
    for text, target in links(page.read_text(encoding="utf-8")):
        to = (page.parent / target).resolve()
        if to.suffix != ".py" or text.strip("`").endswith(".py") or target.startswith("http"):
            continue
        if text.startswith("`"):
            name = text.strip("`").partition("(")[0]
        elif to.name.startswith("test_"):
            name = "test_" + "_".join(re.findall(r"\w+", text.lower().replace("'", "")))
        else:
            continue
        if name not in defined(to):
            unknown.append(name)
    return unknown


@cache
def defined(path: Path) -> frozenset[str]:
    """What a Python file defines: names of its top level, and Class.name of what is in a class."""
    names = set()

    def add(body, prefix=""):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    add(node.body, f"{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names.update(prefix + t.id for t in targets if isinstance(t, ast.Name))

    add(ast.parse(path.read_text(encoding="utf-8")).body)
    return frozenset(names)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """(module, arguments) of each `python -m tinyalex…` in the page's blocks of shell commands, and
    of each such command, or `tinyalex COMMAND …`, that its text shows with arguments, unless an
    ellipsis says that there are more.

    A line that begins with … repeats the command above it, with more arguments.
    """
    shown = [(f"tinyalex.{module}", shlex.split(rest))
             for module, rest in INLINE.findall(prose(text)) if "…" not in rest]
    for language, block in FENCE.findall(text):
        if language != "sh":
            continue
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                if command := COMMAND.fullmatch(part.strip()):
                    shown.append((command[1], shlex.split(command[2], comments=True)))
                elif part.startswith("… "):
                    module, arguments = shown[-1]
                    shown.append((module, arguments + shlex.split(part[2:], comments=True)))
    return shown
