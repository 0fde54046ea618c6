"""Damages valid files of every kind that the package reads, and lets it read them:

    python tests/campaigns/damaged_files.py 20000 [SEED [KIND …]]

Each has to end well, or in two lines and status 2: with no traceback, within ten seconds of work,
and within 1 GB more memory than the valid file took (where the system can limit it). What fails is
kept, and named.
"""

import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import damage
import numpy as np
from kinds import KINDS, Kind, make_all
from tqdm import tqdm

from tinyalex.support.cli import run

SLOW = 10  # seconds of work
MEMORY = 2**30


class Hang(BaseException):
    """It did not end. (No Exception, or what is tested could catch it.)"""


def command(read) -> bool:
    """Run a command, or a part of one; what it says when it fails has to be two lines. Whether it
    did not fail."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = run(read)
    lines = [line for line in said.getvalue().splitlines() if line][-2:]
    refused = (status == 2 and len(lines) == 2 and lines[0].startswith("error: ")
               and lines[1].startswith("HINT: ") and "not enough memory" not in lines[0])
    if status and not refused:
        raise AssertionError(f"status {status}, {lines}")
    return status == 0


def limit_memory():
    """MEMORY more than now."""
    try:
        import resource
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    size = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextlib.contextmanager
def limited_time():
    def hang(*_):
        raise Hang

    if not hasattr(signal, "SIGPROF"):
        yield
        return
    before = signal.signal(signal.SIGPROF, hang)
    signal.setitimer(signal.ITIMER_PROF, SLOW)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def damaged(kind: Kind, path: Path, rng: np.random.Generator) -> bytes:
    """The content of one of the kind's files, damaged in a way that fits it."""
    content = kind.valid[path]
    ways = [lambda: damage.in_bytes(content, kind.places[path], rng)]
    if path.suffix in (".json", ".csv", ".txt", ".ipynb"):
        ways += 2 * [lambda: damage.in_text(content, rng)]
    if path.suffix in (".json", ".ipynb"):
        ways += 3 * [lambda: damage.in_json(content, rng)]
    if path.suffix == ".npz":
        ways += 2 * [lambda: damage.in_zip(content, rng)]
    return ways[rng.integers(len(ways))]()


def hurt(kind: Kind, count: int, seed: int = 0) -> list[str]:
    """Damage `count` files of a kind; returns what went wrong."""
    kind.restore()
    assert command(kind.read), "the file was not valid to begin with"
    wrong, slowest, still_read = [], 0.0, 0
    rng, paths = np.random.default_rng(seed), [*kind.places]
    for number in tqdm(range(count), kind.name, disable=None, leave=False):
        kind.restore()
        path = paths[rng.integers(len(paths))]
        content = damaged(kind, path, rng)
        path.write_bytes(content)
        start = time.perf_counter()
        try:
            with limited_time(), np.errstate(all="ignore"):
                still_read += command(kind.read)
        except (Exception, Hang, SystemExit):
            kept = Path(tempfile.gettempdir()) / f"damaged-{kind.name}-{number}-{path.name}"
            kept.write_bytes(content)
            wrong.append(f"{kind.name} {number} ({kept}): {traceback.format_exc()}")
        slowest = max(slowest, time.perf_counter() - start)
    kind.restore()
    print(*wrong, sep="", end="", flush=True)
    print(f"{kind.name:<22} {count:>6,} damaged, {still_read:>5,} still read, "
          f"{len(wrong):>3} went wrong, the slowest took {slowest:.2f} s", flush=True)
    return wrong


def campaign(count: int, seed: int = 0, *names: str) -> list[str]:
    """So many damaged files, shared by the kinds."""
    folder = Path(tempfile.mkdtemp(prefix="damaged-"))
    os.environ["TINYALEX_DATA"] = str(folder / "cache")
    os.chdir(folder)
    try:
        make_all(folder)
        kinds = [KINDS[name]() for name in names or KINDS]
        for kind in kinds:  # so that the limit counts from what valid files take
            kind.restore()
            assert command(kind.read), f"{kind.name}: not valid to begin with"
        limit_memory()
        each = -(-count // len(kinds))
        return [failure for kind in kinds for failure in hurt(kind, each, seed)]
    finally:
        os.chdir("/")
        shutil.rmtree(folder)


if __name__ == "__main__":
    count, seed, *names = [*sys.argv[1:], "20000", "0"][: max(2, len(sys.argv) - 1)]
    failures = campaign(int(count), int(seed), *names)
    last_lines = Counter(failure.split()[0] + ": " + failure.strip().splitlines()[-1][:150]
                         for failure in failures)
    print(*(f"{number:>6} × {line}" for line, number in last_lines.most_common()), sep="\n")
    sys.exit(bool(failures))
