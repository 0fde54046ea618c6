"""The list of mutants, and the decorator that enters one."""

from collections.abc import Callable
from dataclasses import dataclass

PLANTED: list["Mutant"] = []


@dataclass(frozen=True)
class Mutant:
    """kind: the shipped class it is a variant of. mistake: the name that the diagnosis should give
    it. about: what is wrong, in a sentence. cls: the class."""

    kind: str
    mistake: str
    about: str
    cls: type


def plant(kind: str, mistake: str) -> Callable[[type], type]:
    """Enter a class into the list; its docstring says what is wrong."""

    def enter(cls):
        PLANTED.append(Mutant(kind, mistake, cls.__doc__, cls))
        return cls

    return enter
