"""tinyalex: AlexNet from scratch in NumPy and CuPy."""

import os
import sys

__version__ = "0.2.0"


def _say_interrupted(kind, *error):
    """Ctrl-C while NumPy is imported, before anybody can catch it; Python's status is 130."""
    if issubclass(kind, KeyboardInterrupt):
        print("\ninterrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, *error)


if {"-m", "tinyalex"} & {*map(os.path.basename, sys.argv[:1])}:  # python -m tinyalex.X, tinyalex X
    sys.excepthook = _say_interrupted
