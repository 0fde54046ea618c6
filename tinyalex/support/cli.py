"""What all commands share: flags that are checked, errors in two lines, exit statuses."""

import argparse
import errno
import logging
import os
import signal
import sys
import traceback
from bdb import BdbQuit
from collections.abc import Callable, Iterable
from pathlib import Path

from tinyalex.support import launched, signals, streams
from tinyalex.support.errors import UserError, reason
from tinyalex.support.files import expect_place
from tinyalex.support.text import say, shown, warn

HINTS = {  # by what the system refuses
    errno.ENOSPC: "free some space, or name a folder on another disk.",
    errno.ENOENT: "check the path.",
    errno.EROFS: "name a folder that you may write to.",
    **dict.fromkeys((errno.EACCES, errno.EPERM),
                    "change its permissions, or name a place that you may read or write to."),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR),
                    "a file stands where a folder has to be: name another folder.")}
NETWORKS = ("checkpoint.npz", "best.npz")  # what a run cannot do without


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        return action.help if action.default is None else super()._get_help_string(action)


class ArgumentParser(argparse.ArgumentParser):
    """argparse, whose complaints are UserErrors like all others, and whose help shows the defaults,
    where there are any. shares: whether processes that mpiexec starts share the command's work;
    else it refuses to be several."""

    def __init__(self, shares: bool = False, **kwargs):
        kwargs.setdefault("formatter_class", _HelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)
        self.shares, self.said = shares, set[str]()

    def parse_known_args(self, args=None, namespace=None):
        if not self.shares:
            launched.expect_one(self.prog)
        words = sys.argv[1:] if args is None else list(args)
        for before, word in zip([self.prog, *words], words, strict=False):
            if not word or (word.startswith("--") and word.endswith("=")):
                self.error(f"{word or before}: nothing follows it (a variable that is not set?)")
        self.said = {word.partition("=")[0] for word in words} & {*self._option_string_actions}
        args, rest = super().parse_known_args(words, namespace)
        self._expect_unread(args)
        return args, rest

    def _expect_unread(self, args: argparse.Namespace) -> None:
        """UserError where a file to be written is one that the command line names to be read, or
        the network of a run that it names."""
        written, read = set[Path](), set[Path]()
        for action in self._actions:
            value = getattr(args, action.dest, None)
            paths = {Path(each) for each in (value if isinstance(value, list) else [value])
                     if isinstance(each, str | Path)}
            (written if isinstance(action.type, output) else read).update(paths)
        for path in filter(os.path.isfile, written):
            if any(os.path.isfile(other) and path.samefile(other) for place in read
                   for other in (place, *(place / name for name in NETWORKS))):
                raise UserError(f"{path}: that is a file to read", "name another file to write.")

    def refuse(self, flags: Iterable[str], why: str) -> None:
        """UserError where one of these flags is on the command line: nothing would read it, and
        whoever wrote it believes that it counts."""
        if idle := self.said & {*flags}:
            raise UserError(f"{min(idle)}: {why}", "leave it out.")

    def error(self, message: str):
        raise UserError(message, f"{self.prog} --help lists what there is.")

    def print_help(self, file=None):
        print(self.format_help(), end="", file=file, flush=True)  # argparse swallows errors


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


class output:  # called as number is
    """An argparse type: where a file is to be written. Its name has one of the endings, where some
    are given; a place where nothing can be written is refused before there is any work."""

    def __init__(self, *endings: str):
        self.endings = endings

    def __call__(self, text: str) -> Path:
        path = Path(text)
        if self.endings and path.suffix.lower() not in self.endings:
            raise argparse.ArgumentTypeError(
                f"{text!r} does not end in {' or '.join(self.endings)}")
        expect_place(path)
        return path


def add_json(parser: argparse.ArgumentParser) -> None:
    """The flag --json of commands whose result other programs read."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document "
                        "and nothing else; what else there is to say goes to stderr")


def add_picture(asked: Path | None, usual: Path, draw: Callable[[Path], object],
                about: str = "as a picture: ") -> None:
    """Draw the picture that comes on top of a printed result, and say where it is.

    asked: where the user wants it; `usual` is where it goes otherwise. That may be beside somebody
    else's network: then a warning says that there is no picture, and the result stands.
    """
    try:
        draw(asked or usual)
    except (OSError, UserError) as error:
        if asked:
            raise
        warn("there is no picture: " + (reason(error) if isinstance(error, UserError)
                                        else f"{usual}: {reason(error)}"))
    else:
        say(f"{about}{asked or usual}")


def run(command: Callable[[], int | None]) -> int:
    """Run a command and turn what went wrong into an exit status.

    0: done; 1: done, but pictures were broken, or exercises or gradients wrong; 2: a UserError, an
    OSError or too little memory, printed as two lines; 70: a bug of ours, likewise, and its
    traceback if TINYALEX_DEBUG=1; 130: interrupted by Ctrl-C, and 128 and its number by another
    signal; 141: the reader of what is printed left early (| head), as shells have it of programs
    that SIGPIPE ends.
    """
    _move_in()
    with signals.interrupting() as asked:
        try:
            return _status(command)
        except KeyboardInterrupt as error:
            asked.over = True
            _say("\ninterrupted")
            return 128 + getattr(error, "number", asked.number or signal.SIGINT)
        except BdbQuit:
            raise  # whoever steps through the command has left the debugger
        except Exception as error:
            return _confess(error)
        finally:
            asked.over = True
            streams.finish()


def _status(command: Callable[[], int | None]) -> int:
    try:
        status = command() or 0
        sys.stdout.flush()
        return status
    except UserError as error:
        if error.__cause__:
            _show(error.__cause__)
        return _complain(error.args[0], error.hint)
    except BrokenPipeError:
        return 141
    except MemoryError as error:
        return _complain(f"there is not enough memory ({str(error) or 'for one more array'})",
                         "use fewer or smaller pictures at a time, or a smaller network.")
    except OSError as error:
        where = error.filename or ("stdout" if streams.is_stuck(sys.stdout) else "")
        where = f"{where}: " if where else ""
        return _complain(f"{where}{reason(error)}",
                         HINTS.get(error.errno or 0, "check the path and the disk."))


def _move_in() -> None:
    """Make the process fit for a command, whatever it was started from."""
    streams.prepare()
    os.environ.pop("MPLBACKEND", None)  # a notebook's, maybe, which is not installed here
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where it has no home


def _complain(message: str, hint: str) -> int:
    _say(f"error: {shown(message)}\nHINT: {shown(hint)}")
    return 2


def _show(error: BaseException) -> None:
    """Its traceback, for those who want to see it."""
    if os.environ.get("TINYALEX_DEBUG") == "1":
        _say("".join(traceback.format_exception(error)))


def _confess(error: Exception) -> int:
    """What should not have happened."""
    _show(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    _complain(f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})",
              "this is a bug in the program: please report it with the command line; "
              "TINYALEX_DEBUG=1 shows the traceback.")
    return 70


def _say(text: str) -> None:
    print(text, file=streams.Unheard(sys.stderr))
