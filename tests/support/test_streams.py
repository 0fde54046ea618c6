"""Where words go: into other alphabets, closed streams, and pipes that nobody reads.

A sign that a terminal lacks, or a reader that has seen enough, is met in the middle of the work. It
must not cost a training its end, nor be told as a mistake of ours; but what was not done must not
exit with 0 either, or a script takes it for done.
"""

import io
import os
import subprocess
import sys

import pytest

from tinyalex.support.cli import run

LINES = "[print('a line', flush=True) for _ in range(9999)]"
UNHEARD = f"unheard()(lambda: {LINES} and 0)()"
ERROR = "[][0]"


@pytest.mark.parametrize(("encoding", "text", "written"), [
    ("ascii", "256×256 pictures – 3 · 4 …", b"256x256 pictures - 3 * 4 ..."),
    ("cp1252", "256×256 – ─ 猫", "256×256 – - ?".encode("cp1252")),
    ("utf-8", "256×256 – ─ 猫", "256×256 – ─ 猫".encode()),
    ("utf-8", os.fsdecode(b"caf\xe9.png"), b"caf?.png"),
])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_an_alphabet_lacks_is_replaced(monkeypatch, stream, encoding, text, written):
    monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding))
    assert run(lambda: print(text, file=getattr(sys, stream))) == 0
    assert getattr(sys, stream).buffer.getvalue() == written + b"\n"


def started(command: str, shell: str) -> tuple[int, bytes]:
    """The exit status and stderr of a command, given as an expression, that a shell starts."""
    code = ("import sys\n"
            "from tinyalex.support.cli import ArgumentParser, run\n"
            "from tinyalex.support.streams import unheard\n"
            f"sys.exit(run(lambda: {command}))")
    does = f'unset PYTHONUNBUFFERED; {shell}; exec "$0" -c "$1"'
    done = subprocess.run(["sh", "-c", does, sys.executable, code], timeout=60,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return done.returncode, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(("command", "shell", "status", "said"), [
    ("print('\\udce9')", "exec >&-", 0, b""),
    ("print('\\udce9', file=sys.stderr)", "exec 2>&-", 0, b""),
    (UNHEARD, "exec >&- 2>&-", 0, b""),
    ("print('done')", "exec >/dev/full", 2, b"error: stdout: No space left"),
    ("ArgumentParser().parse_args(['--help'])", "exec >/dev/full", 2,
     b"error: stdout: No space left"),
    (UNHEARD, "exec >/dev/full", 0, b""),
    (UNHEARD, "exec >/dev/full 2>&1", 0, b""),
    (ERROR, "exec 2>/dev/full", 70, b""),
    (ERROR, "exec 2>&-", 70, b""),
    (f"{LINES} and {ERROR}", "exec >/dev/full 2>&1", 2, b""),
])
def test_a_stream_that_takes_nothing_is_no_mistake_of_ours(command, shell, status, said):
    ended, stderr = started(command, shell)
    assert ended == status and stderr.startswith(said) and (said or not stderr)
    assert stderr.count(b"\n") in (0, 2), "the interpreter has something to say about its end"


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(("command", "status"), [
    (LINES, 141), ("ArgumentParser().parse_args(['--help'])", 141), (UNHEARD, 0)])
@pytest.mark.parametrize("streams", [">&3", ">&3 2>&3"])
def test_only_training_goes_on_when_the_reader_has_left(tmp_path, command, status, streams):
    """The reader of a named pipe, which opens it and closes it before anything is printed."""
    pipe = tmp_path / "pipe"
    shell = f"mkfifo '{pipe}'; (: <'{pipe}') & exec 3>'{pipe}'; wait; exec {streams}"
    assert started(command, shell) == (status, b"")
