"""A class's exercises, marked: each as it deserves, whatever it is up to.

Among forty that are handed in, somebody's never ends, somebody's file is broken, and somebody would
rather have the marks than do the work. None of them may cost another one a point, or earn itself
one: what is handed in only computes, and the checks run where its code does not.
"""

import csv
import io
import json
import operator
import time
from contextlib import closing
from inspect import getsource
from pathlib import Path

import numpy as np
import pytest
from handed_in import MyReLU, MyTanh

from tinyalex.gradcheck.__main__ import main
from tinyalex.gradcheck.marking import marks, remote
from tinyalex.gradcheck.marking.exercises import EXERCISES
from tinyalex.gradcheck.marking.frames import MOST, Ask, receive, send
from tinyalex.gradcheck.marking.submissions import find
from tinyalex.support.errors import UserError

ROOT = Path(__file__).parents[2]
HEAD = "import numpy as np\nfrom tinyalex import gradcheck\n"
RELU = getsource(MyReLU) + 'gradcheck.check(MyReLU, like="ReLU")\n'
TANH = getsource(MyTanh) + 'gradcheck.check(MyTanh, like="Tanh")\n'
RIGHT = HEAD + RELU + TANH


@pytest.fixture(autouse=True)
def two_small_parts(monkeypatch):
    """What is handed in here is about the marker, and leaves out what goes beyond the lesson."""
    name = "02_relu_and_tanh"
    monkeypatch.setitem(EXERCISES, name, EXERCISES[name][:2])


def in_relu(line):
    """Right, but for what ReLU does first."""
    return RIGHT.replace("        self.on = x", f"        {line}\n        self.on = x")


def nb(*sources):
    return json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Exercise"]}] + [
        {"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources]})


SLEEP = "1001.25"
NAMED_SO = "class MyReLU(R): pass\nclass MyTanh(T): pass\n"
DEAF = "import signal\nsignal.signal = signal.setitimer = lambda *a: None\n" \
       "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"
# name: what is handed in, as a notebook unless it is bytes; the points, of 2; what is said.
CLASS = {
    "right": (nb(HEAD, RELU, TANH), 2, ""),
    "right-plain": (RIGHT.encode(), 2, ""),
    "right-magic": (nb("%matplotlib inline\n!pip list\n" + HEAD, RELU, TANH), 2, ""),
    "right-two-names": (nb(HEAD, RELU, TANH, "MyTanh = type('MyTanh', (MyTanh,), {})"), 2, ""),
    "right-after-an-error": (nb(HEAD, "undefined", RELU, "1 / 0", TANH), 2, "NameError"),
    "right-exits": (nb(HEAD, "import sys; sys.exit(0)", RELU, TANH), 2, "SystemExit"),
    "right-reads": (nb(HEAD, RELU, "input('name?')", TANH), 2, "EOFError"),
    "right-plots": (nb("import matplotlib.pyplot as plt\n" + HEAD, RELU, TANH, "plt.plot()"), 2,
                    "NumPy alone"),
    "right-slow": (in_relu("import time; time.sleep(0.002)").encode(), 2, ""),
    "right-prints-100-MB": (nb(HEAD, "for _ in range(100): print('x' * 10**6)", RELU, TANH), 2, ""),
    "right-loops-elsewhere": (nb(HEAD, RELU, TANH, "while True: pass"), 2, "does not end"),
    "right-leaves-a-thread": (nb(HEAD, "import threading, time\ndef run():\n    while True: "
                                 "time.sleep(0.01)\nfor _ in range(3): threading.Thread("
                                 "target=run).start()", RELU, TANH), 2, ""),
    "right-takes-all-memory": (nb(HEAD, "a = [np.empty(10**8) for _ in range(100)]", RELU, TANH), 2,
                               "MemoryError"),
    "right-starts-processes": (nb(HEAD, "import subprocess\nsubprocess.Popen(['sleep', '1000'])",
                                  "import os\nos.fork()", RELU, TANH), 2, "not allowed"),
    "right-leaves-a-process": (nb(HEAD, "from multiprocessing.util import spawnv_passfds",
                                  f"spawnv_passfds(b'/bin/sleep', [b'sleep', b'{SLEEP}'], [])",
                                  RELU, TANH), 2, ""),
    "right-without-end": (nb(HEAD, "def f(): return f()\nf()", RELU, TANH), 2, "RecursionError"),
    "half": (nb(HEAD, RELU), 1, "there is no MyTanh"),
    "half-broken-python": (nb(HEAD, RELU, "class MyTanh:\n    def forward(self, x)\n"), 1,
                           "SyntaxError"),
    "half-ends-later": (in_relu("import os; os._exit(0)").encode(), 1, "ends Python"),
    "half-aborts-later": (in_relu("import os; os.abort()").encode(), 1, "ends Python"),
    "half-loops": (in_relu("while True: pass").encode(), 1, "an endless loop"),
    "half-takes-memory": (in_relu("return np.ones(10**9)").encode(), 1, "MemoryError"),
    "half-returns-much": (in_relu("return np.ones(10**7)").encode(), 1, "cannot be read"),
    "half-wrong": (RIGHT.replace("return dy * self.on", "return dy * (dy > 0)").encode(), 1,
                   "HINT: "),
    "half-twice-the-easier": (nb(HEAD, RELU, "MyTanh = MyReLU"), 1, "wrong output"),
    "half-unwritten": (RIGHT.replace("self.y = np", "raise NotImplementedError('y')#").encode(), 1,
                       "still to be written, in forward: y"),
    "empty-notebook": (nb(), 0, "there is no MyReLU"),
    "empty-file": (b"", 0, "there is no MyReLU"),
    "broken-json": ('{"cells": [{"cell_type": "co', 0, "not a notebook"),
    "other-json": ("[1, 2]", 0, "not a notebook"),
    "no-text": (b"\xff\xfe\x00" * 100, 0, "not a text"),
    "loops-deaf": (nb(HEAD, DEAF, RELU, TANH, "while True: pass"), 0, "does not end"),
    "ends": (nb(HEAD, RELU, TANH, "import os; os._exit(0)"), 0, "ends Python"),
    "imports": (nb(HEAD, "from tinyalex.layers import ReLU as R, Tanh as T", NAMED_SO), 0,
                "without the package"),
    "imports-torch": (nb(HEAD, "from torch.nn import ReLU as R, Tanh as T", NAMED_SO), 0,
                      "No module named 'torch'"),
    "imports-by-path": (nb(HEAD, f"import sys; sys.path.append({str(ROOT)!r})\n"
                           "for name in [*sys.modules]:\n    if 'tinyalex' in name: "
                           "del sys.modules[name]\n"
                           "from tinyalex.layers import ReLU as R, Tanh as T", NAMED_SO), 0,
                        "there is no MyReLU"),
    "executes-the-solution": (nb(HEAD, "import glob, json", "for path in glob.glob("
                                 f"{str(ROOT / 'notebooks/solutions/02*')!r}):\n"
                                 "    for cell in json.load(open(path))['cells']:\n"
                                 "        if cell['cell_type'] == 'code': "
                                 "exec(''.join(cell['source']))"), 0, "there is no MyReLU"),
    "copies-a-neighbour": (nb(HEAD, "import os\nfor at, _, files in os.walk(HERE):\n"
                              "    for file in files:\n        if file.endswith('.py'): "
                              "exec(open(os.path.join(at, file)).read())"), 0,
                           "there is no MyReLU"),
    "deletes": (nb(HEAD, "import os, shutil\nshutil.rmtree(HERE)", "open(os.path.join(HERE, 'a'), "
                   "'w').write('a')"), 0, "there is no MyReLU"),
    "forges": (nb(HEAD, "from tinyalex.gradcheck.report import Report", "Report.ok = True",
                  "gradcheck.Report('MyReLU')", "gradcheck.check = lambda *a, **k: True",
                  "class MyReLU:\n    ok = True\n    def forward(self, x): return self\n"
                  "    def backward(self, dy): return dy\n    __eq__ = lambda *a: True",
                  "MyTanh = 'ok'"), 0, "gives MyReLU"),
    "writes-into-the-pipes": (nb(HEAD, "import os\nfor fd in range(3, 30):\n    try: "
                                 "os.write(fd, b'{\"dict\": [[\"ok\", true]]}\\n' * 9)\n"
                                 "    except OSError: pass"), 0, "cannot be read"),
}


def hand_in(folder, backwards=False):
    """Everybody's files, in folders of their own, in the order of the names or against it."""
    for number, (name, (content, _, _)) in enumerate(CLASS.items()):
        place = folder / f"{len(CLASS) - number if backwards else number:02}-{name}"
        place.mkdir(parents=True)
        if isinstance(content, bytes):
            (place / "02_relu_and_tanh.py").write_bytes(content)
        else:
            content = content.replace("HERE", json.dumps(str(folder))[1:-1].join("''"))
            (place / "02.ipynb").write_text(content, encoding="utf-8")
    return folder


def marked(folder, capsys, *options):
    """What JSON says of each, by name; and the status of the command."""
    out = folder.parent / f"{folder.name}.json"
    status = main(["--exercises", str(folder), "--seed", "7", "--json", str(out), *options])
    capsys.readouterr()
    return {sheet["student"].partition("-")[2]: sheet
            for sheet in json.loads(out.read_text())["students"]}, status


def unlike(name, sheet):
    """What of a sheet is not as it should be, "" where all of it is."""
    _, points, phrase = CLASS[name]
    said = " ".join([*(mark["said"] for mark in sheet["marks"]), *sheet["remarks"]])
    return "" if (sheet["points"], phrase in said) == (points, True) else f"{name}: {sheet}"


@pytest.mark.slow
def test_a_class_is_marked_each_as_it_deserves_whatever_the_order(tmp_path, capsys, monkeypatch):
    """Once with all that this machine offers against them, once with what any has."""
    start = time.monotonic()
    first, status = marked(hand_in(tmp_path / "a"), capsys, "--seconds", "20")
    assert status == 1
    monkeypatch.setattr(marks, "walls_stand", lambda: False)
    second, _ = marked(hand_in(tmp_path / "b", backwards=True), capsys, "--seconds", "20")
    assert time.monotonic() - start < 600
    for sheets in (first, second):
        assert "\n".join(filter(None, (unlike(name, sheets[name]) for name in CLASS))) == ""
    assert not [p for p in Path("/proc").glob("[1-9]*/cmdline") if SLEEP.encode() in p.read_bytes()]
    for folder in "ab":  # nobody's is gone, and there is nothing that was not there
        assert len([*(tmp_path / folder).rglob("*")]) == 2 * len(CLASS)


def there_and_back(message):
    pipe = io.BytesIO()
    send(pipe, message)
    pipe.seek(0)
    return receive(pipe)


def test_what_crosses_is_what_was_sent():
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    values = {"x": x, "gaps": x[..., ::2], "whole": np.arange(3), "none": np.zeros((0, 2)),
              "one": np.float64(0.1), "tuple": (1, [2.5, None, "ü\n"]), "ask": Ask(3)}
    back = there_and_back(values)
    for key, value in values.items():
        same = np.array_equal if isinstance(value, np.ndarray) else operator.eq
        assert same(back[key], value), key
        assert type(back[key]) is type(value)
    assert back["x"].dtype == np.float32 and not back["gaps"].flags.c_contiguous
    x.flags.writeable = False
    assert back["x"].flags.writeable and not there_and_back({"x": x})["x"].flags.writeable
    assert type(there_and_back({"thing": io.BytesIO()})["thing"]).__name__ == "BytesIO"


@pytest.mark.parametrize("line", [
    b"\n", b"no JSON\n", b"3\n", b"[" * 10**5, b"x" * (MOST + 9), b'{"dict": [[]]}', b'{"a": 1}',
    b'{"dict": [["a", {"array": "AAAA", "dtype": "O", "shape": [1]}]]}',
    b'{"dict": [["a", {"array": "AAAA", "dtype": "<f8", "shape": [9000000000]}]]}',
    b'{"dict": [["a", {"array": "AAAA", "dtype": "<f8"}]]}'])
def test_what_is_no_message_is_refused(line):
    with pytest.raises(ValueError):
        receive(io.BytesIO(line))


def test_the_student_is_the_first_folder_and_the_exercise_is_in_the_name(tmp_path):
    for name in ("anna/04.ipynb", "ben/week 1/02_relu_and_tanh.py", "ben/02 again.ipynb",
                 "cem/.ipynb_checkpoints/04.ipynb", "dora/homework.ipynb", "dora/040.py",
                 "06_backpropagation.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "cem/05.py").symlink_to(tmp_path / "anna/04.ipynb")
    found = {student.name: student for student in find([tmp_path])}
    assert list(found) == sorted(["anna", "ben", "cem", "dora", tmp_path.name])
    assert found["anna"].files == {"04_local_response_normalisation": tmp_path / "anna/04.ipynb"}
    assert [path.name for path in found["ben"].files.values()] == ["02_relu_and_tanh.py"]
    assert "02 again.ipynb: one more file" in found["ben"].remarks[0]
    assert not found["cem"].files and "05.py: a link" in found["cem"].remarks[0]
    assert [remark[:8] for remark in found["dora"].remarks] == ["040.py: ", "homework"]
    assert find([tmp_path / "anna/04.ipynb"])[0].name == "anna"


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_where_there_is_nothing_to_mark_is_said(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"{name}: (no such|nothing)"):
        find([tmp_path / name])


@pytest.mark.slow
def test_tables_letters_and_what_is_missing(tmp_path):
    folder = tmp_path / "class"
    for name in ("=anna", "ben", "cem"):
        (folder / name).mkdir(parents=True)
    (folder / "=anna/02.py").write_text(RIGHT)
    (folder / "ben/02.py").write_text(HEAD + RELU)
    assert main(["--exercises", str(folder / "=anna")]) == 0
    assert main(["--exercises", str(folder), "--csv", f"{tmp_path}/t.csv", "--expected", "02",
                 "--feedback", f"{tmp_path}/letters"]) == 1
    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    assert rows[0][1:] == ["02_relu_and_tanh/MyReLU", "02_relu_and_tanh/MyTanh", "points", "of"]
    assert rows[1:] == [["'=anna", "1", "1", "2", "2"], ["ben", "1", "0", "1", "2"],
                        ["cem", "0", "0", "0", "2"]]
    assert "there is no MyTanh" in (tmp_path / "letters/ben.txt").read_text()
    assert "not handed in" in (tmp_path / "letters/cem.txt").read_text()


def test_a_class_that_handed_in_nothing_is_not_all_right(tmp_path):
    (tmp_path / "anna").mkdir()
    assert main(["--exercises", str(tmp_path)]) == 1


@pytest.mark.slow
def test_of_parts_that_the_time_did_not_suffice_for_just_that_is_said(tmp_path):
    (tmp_path / "02.py").write_text(DEAF + in_relu("while True: pass"))
    (relu, tanh), _ = marks.mark("02_relu_and_tanh", tmp_path / "02.py", 8, 0, False)
    assert "no further answer within 8 s" in relu.said and "not tried: the 8 s for" in tanh.said


@pytest.mark.slow
def test_whoever_stops_the_marking_leaves_no_process(tmp_path):
    for name in ("anna", "ben"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "02.py").write_text(RIGHT if name == "anna" else "while True: pass")
    marking = marks.mark_all(find([tmp_path]), ["02_relu_and_tanh"], 60, 0)
    assert next(marking).points == 2
    marking.close()
    assert remote.Submission.running == set()


def test_within_walls_there_is_nothing_of_this_machine(tmp_path):
    """The refusals of Python do not hear of os.path.exists: this is what walls do."""
    if not remote.walls_stand():
        pytest.skip("this machine lets nobody make namespaces")
    readme = str(ROOT / "README.md")  # of ROOT the way to a .venv in it is left
    cell = f"import os; raise ValueError([os.path.exists(path) for path in (\n" \
           f"    {str(tmp_path)!r}, {readme!r}, '/bin', '/home', '/proc/1', '/dev/null')])"
    with closing(remote.Submission([cell], "", 20, 5, walls=True)) as submission:
        assert f"{[False] * 5 + [True]}" in submission.failed[0]
