"""What all commands share: flags that are checked, errors in two lines, exit statuses."""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tinyalex.support.errors import UserError
from tinyalex.support.text import shown


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        return action.help if action.default is None else super()._get_help_string(action)


class ArgumentParser(argparse.ArgumentParser):
    """argparse, whose complaints are UserErrors like all the others, and whose help shows the
    defaults, where there are some."""

    def __init__(self, **kwargs):
        kwargs.setdefault("formatter_class", _HelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_known_args(self, args=None, namespace=None):
        words = sys.argv[1:] if args is None else list(args)
        for before, word in zip([self.prog, *words], words, strict=False):
            if not word or (word.startswith("--") and word.endswith("=")):
                self.error(f"{word or before}: nothing follows it (a variable that is not set?)")
        return super().parse_known_args(words, namespace)

    def error(self, message: str):
        raise UserError(message, f"{self.prog} --help lists what there is.")


def number(kind: type, low: float, high: float = float("inf")) -> Callable[[str], float]:
    """An argparse type: a finite number with low <= number <= high; of whole numbers without a
    `high`, up to the largest that array sizes can be computed with.

    number(int, 1) for a batch size, number(float, 0) for a learning rate.
    """

    if kind is int and high == float("inf"):
        high = 2**31 - 1

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high or value == float("inf"):
            upto = "" if high == float("inf") else f" and at most {high}"
            kinds = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {kinds} of at least {low}{upto}")
        return value

    return parse


def png_path(text: str) -> Path:
    """An argparse type: where a PNG is to be written."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no place for a file")
    return path


def run(command: Callable[[], int | None]) -> int:
    """Run a command and turn what went wrong into an exit status.

    0: done; 2: a UserError, an OSError or too little memory, printed as two lines; 130:
    interrupted.
    """
    try:
        status = command() or 0
        sys.stdout.flush()
        return status
    except UserError as error:
        return _complain(error.args[0], error.hint)
    except BrokenPipeError:
        # The reader of our output left (| head). What is still to be flushed at exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        return _complain(f"there is not enough memory ({str(error) or 'for one more array'})",
                         "try a smaller --batch-size, or another --preset.")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", _os_hint(error))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def _complain(message: str, hint: str) -> int:
    print(f"error: {shown(message)}\nHINT: {shown(hint)}", file=sys.stderr)
    return 2


def _os_hint(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "free some space, or name a folder on another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "name a folder that you may write to, or mend its permissions."
    if error.errno == errno.ENOENT:
        return "check the path."
    return "check the path and the disk."
