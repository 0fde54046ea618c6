"""Commands as the tests call them."""

import importlib


def main_of(module: str):
    """The main that `python -m MODULE` runs, of a module or of a package."""
    command = importlib.import_module(module)
    if hasattr(command, "__path__"):
        command = importlib.import_module(f"{module}.__main__")
    return command.main
