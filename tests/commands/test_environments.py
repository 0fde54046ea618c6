"""Where a command runs: on terminals of other alphabets, without a home, without threads.

On the author's machine the locale is UTF-8, a home can be written to, and somebody reads what is
printed. A command that needs any of these ends in a traceback elsewhere, often after all its work.
So every command meets all of it at once, and, if TINYALEX_CAMPAIGN is set, one thing after the
other. The pictures, their class and the run have names that are not UTF-8, as unpacked archives of
old systems do.
"""

import os
import subprocess
import sys
from pathlib import Path

import campaign
import numpy as np
import pytest
from PIL import Image
from runs import log_rows, settings

from tinyalex import train

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="needs a shell")]

BROKEN_NAME = os.fsdecode(b"caf\xe9")  # latin-1
RUN, PICTURES = f"run {BROKEN_NAME}", f"pictures {BROKEN_NAME}"
PICTURE = f"{PICTURES}/val/{BROKEN_NAME}/{BROKEN_NAME}-0.png"
COMMANDS = {
    "help": ["train", "--help"],
    "refusal": ["train", "--data", BROKEN_NAME],
    "train": ["train", *settings(PICTURES, "--epochs", "1", "--out", "OUT")],
    "resume": ["train", "--resume", RUN, "--epochs", "1"],
    "evaluate": ["evaluate", RUN],
    "predict": ["predict", RUN, PICTURE],
    "similar": ["similar", RUN, PICTURE, "--among", f"{PICTURES}/val/0-9", "--save", "OUT.npz"],
    "look": ["look", RUN, PICTURE],
    "dream": ["dream", RUN, "--steps", "2", "--among", PICTURE],
    "filters": ["filters", RUN],
    "plot": ["plot", RUN],
    "summary": ["summary", "--preset", "tiny"],
    "data list": ["data", "list"],
    "data show": ["data", "show", PICTURES, "--count", "4"],
    "data augment": ["data", "augment", "--data", PICTURES],
    "prepare": ["prepare", PICTURES, "OUT", "--side", "32"],
    "gradcheck": ["gradcheck", "--layer", "ReLU"],
    "convert": ["convert", f"{RUN}/checkpoint.npz", "OUT.safetensors"],
    "info": ["info"],
    "notebooks": ["notebooks", "OUT"],
    "bench": ["bench", "--help"],
}
ENVIRONMENTS = {  # what a shell does before it starts the command
    "ascii": "export PYTHONIOENCODING=ascii",
    "cp1252": "export PYTHONIOENCODING=cp1252",
    "cp437": "export PYTHONIOENCODING=cp437",
    "latin-1": "export PYTHONIOENCODING=latin-1",
    "UTF-8": "export PYTHONIOENCODING=utf-8",
    "C locale": "export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
    "unnamed encodings": "export PYTHONWARNDEFAULTENCODING=1 "
                         "PYTHONPATH=$PWD/unnamed:$PYTHONPATH",
    "no home": "unset HOME; export PYTHONPATH=$PWD/homeless:$PYTHONPATH",
    "a home that is not there": "export HOME=/nonexistent/home",
    "relative caches": "export XDG_CACHE_HOME=here XDG_CONFIG_HOME=here",
    "a kernel's backend": "export MPLBACKEND=module://not_installed.backend",
    "an unknown backend": "export MPLBACKEND=unknown",
    "a style of one's own": "export MATPLOTLIBRC=$PWD/styled",
    "no stdin": "exec <&-",
    "no stdout": "exec >&-",
    "no stderr": "exec 2>&-",
    "none of the three": "exec <&- >&- 2>&-",
    "no threads": "export PYTHONPATH=$PWD/threadless:$PYTHONPATH",
    "few files": "ulimit -n 600",
    "little memory": "ulimit -v 4000000",
}
ALL = "; ".join(ENVIRONMENTS[name] for name in (
    "C locale", "a home that is not there", "relative caches", "an unknown backend",
    "a style of one's own", "no stdin", "no threads", "few files", "little memory"))
QUICK = ("help", "refusal", "train", "evaluate", "predict", "similar", "look", "plot", "prepare",
         "convert")
CASES = [pytest.param(ALL, command, id=command) for command in QUICK]
if campaign.ASKED:
    CASES = [pytest.param(does, command, id=f"{name}: {command}")
             for name, does in ENVIRONMENTS.items() for command in COMMANDS]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with PICTURES, and with a run on them."""
    folder = tmp_path_factory.mktemp("environments")
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 5)):
        for k, name in enumerate(("plain", BROKEN_NAME)):
            (to := folder / PICTURES / split / name).mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(60, 190, (32, 32, 3)).astype(np.uint8)
                noise[..., k] = 255
                Image.fromarray(noise).save(to / f"{name}-{i}.png")
    for name, lines in {
        "homeless/sitecustomize.py": ["import pwd", "pwd.getpwuid = {}.__getitem__"],
        "threadless/sitecustomize.py": [
            "import _thread", "def start(*args, **kwargs):",
            "    raise RuntimeError(\"can't start new thread\")",
            "_thread.start_new_thread = _thread.start_joinable_thread = start"],
        "unnamed/sitecustomize.py": [
            "import warnings", "warnings.simplefilter('ignore', EncodingWarning)",
            "warnings.filterwarnings('error', '', EncodingWarning, 'tinyalex|__main__')"],
        "styled/matplotlibrc": ["text.usetex: True", "font.family: Font Of Nobody",
                                "savefig.bbox: tight", "savefig.format: pdf"],
    }.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYALEX_DATA", str(folder / "cache"))
        patch.chdir(folder)
        train.main([*settings(PICTURES, "--epochs", "1", "--out", RUN)])
    return folder


def started(place: Path, environment: str, arguments: list[str]) -> subprocess.CompletedProcess:
    env = dict(os.environ, TINYALEX_DATA=str(place / "cache"))
    return subprocess.run(
        ["sh", "-c", f'{environment}; exec "$@"', "sh", sys.executable, "-m",
         f"tinyalex.{arguments[0]}", *arguments[1:]], cwd=place, env=env, capture_output=True,
        timeout=120, check=False)


@pytest.mark.parametrize(("environment", "command"), CASES)
def test_a_command_works_wherever_it_runs(place, environment, command, tmp_path):
    out = str(tmp_path / BROKEN_NAME)
    arguments = [out + word[3:] if word.startswith("OUT") else word for word in COMMANDS[command]]
    done = started(place, environment, arguments)
    if command == "refusal":
        lines = done.stderr.split(b"\n")
        assert done.returncode == 2 and (lines == [b""] or lines[0].startswith(b"error: "))
        assert len(lines) in (1, 3)
    else:
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()


@pytest.mark.parametrize(("command", "status"), [("train", 0), ("predict", 141)])
def test_only_training_goes_on_when_its_reader_has_left(place, command, status, tmp_path):
    """`tinyalex.train | head -1` is trained to the end; see also test_streams.py."""
    pipe, run = tmp_path / "pipe", tmp_path / "run"
    arguments = [str(run) if word == "OUT" else word for word in COMMANDS[command]]
    done = started(place, f"mkfifo {pipe}; (: <{pipe}) & exec >{pipe} 2>&1; wait", arguments)
    assert done.returncode == status
    if command == "train":
        assert len(log_rows(run)) == 1 and (run / "checkpoint.npz").exists()
