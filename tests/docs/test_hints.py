"""What an error tells a user to do, the user can do: a flag that it names is one of the command
that was called, or the hint says of which. A module far below does not know who called it, so each
hint is held against every command that imports its module."""

import ast
import re

import pytest
from doors import main_of
from pages import ROOT
from test_architecture import architecture

from tinyalex.__main__ import COMMANDS

IMPORTS = architecture.imports(ROOT / "tinyalex")
# Modules that many import, whose hints only these come to: they start runs, and reproduce, which
# starts others, gives no hints of theirs.
RAISED_BY = {"run.folder": {"train"}, "run.trainer": {"train"}, "run.tuning": {"train"},
             "run.kept": {"train"}, "convert.caffe": {"convert"}, "freezing": {"train"},
             "architectures.ablations": {"train"}}
FLAG = r"(?<![\w-])--[a-z][a-z-]*"


def hints():
    """(module, hint) of every UserError in the package, and of `_complain`, which prints them."""
    for path in sorted((ROOT / "tinyalex").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "tinyalex").with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (isinstance(node, ast.Call) and getattr(node.func, "id", "") in
                    ("UserError", "_complain") and len(node.args) == 2):
                yield module.removesuffix(".__init__"), text(node.args[1])


def text(node):
    return "".join(part.value for part in ast.walk(node)
                   if isinstance(part, ast.Constant) and isinstance(part.value, str))


def door(command):
    return command if (ROOT / f"tinyalex/{command}.py").exists() else f"{command}.__main__"


def behind(module):
    """The module, and all that it imports."""
    seen, new = set(), {module}
    while new:
        seen |= new
        new = {b for a, b in IMPORTS if a in new} - seen
    return seen


BEHIND = {command: behind(door(command)) for command in COMMANDS}


def flags(command, capsys):
    """What the help of the command lists, and of its own commands if it has some."""
    def shown(argv):
        with pytest.raises(SystemExit):
            main_of(f"tinyalex.{command}")([*argv, "--help"])
        return capsys.readouterr().out

    helps = [shown([])]
    if own := re.search(r"\{([a-z,]+)\} \.\.\.", helps[0]):
        helps += [shown([name]) for name in own[1].split(",")]
    return set(re.findall(FLAG, "".join(helps)))


def test_a_hint_names_no_flag_that_the_command_does_not_have(capsys):
    known = {command: flags(command, capsys) for command in COMMANDS}
    assert "--val-labels" in known["prepare"] and "--workers" in known["data"]
    wrong, count = [], 0
    for module, hint in hints():
        for flag in re.findall(FLAG, hint):
            count += 1
            named = set(re.findall(r"tinyalex\.([a-z]+)", hint))
            commands = named or RAISED_BY.get(module) or {
                command for command in COMMANDS if module in BEHIND[command]}
            wrong += [f"{module}: {hint!r}: {command} has no {flag}"
                      for command in sorted(commands) if flag not in known[command]]
    assert count > 10
    assert not wrong, "\n".join(wrong)
