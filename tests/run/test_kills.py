"""Killed at any moment and started again; or two at the same time: nothing is lost, mixed, or left
lying about.

What could go wrong: a moment after which the next start finds a folder that is there already, or a
run without a checkpoint, and refuses; an epoch that counts twice, or rows of the log that do; half
a file taken for a whole one; files under other names, which nobody ever removes; two processes that
both believe a folder to be theirs. Each work here is done once undisturbed. Then it is killed
(SIGKILL, in a process of its own) when it opens, renames or removes its n-th file, for a few n, and
in the long campaign for every one, and after any time.

    TINYALEX_CAMPAIGN=1 python -m pytest tests/run/test_kills.py
"""

import hashlib
import io
import json
import multiprocessing
import os
import random
import signal
import sys
import tarfile
import time
from pathlib import Path

import campaign
import imagenets
import numpy as np
import pytest
import web
from PIL import Image
from runs import log_rows, settings, weights

from tinyalex import drawing, train
from tinyalex.data import cifar10, fetch, folder, imagenet, preparation, shapes
from tinyalex.data import weights as published
from tinyalex.run import checkpoint
from tinyalex.support.files import HAS_LOCKS, replacing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_LOCKS, reason="no locks, no forks")]

KILLS = 200 if campaign.ASKED else 3  # of each work
PROCESSES = multiprocessing.get_context("forkserver")  # real ones, that need not import it all
PROCESSES.set_forkserver_preload(["pytest", "matplotlib.figure", "tinyalex.train"])
TOUCHES = {"open", "os.rename", "os.remove", "os.mkdir", "fcntl.flock", "shutil.rmtree"}


class Training:
    """Two epochs of two steps, in a folder that the user names."""

    def start(self, place: Path, seed: int = 0, out: str = "run"):
        def draw(*args, **more):  # for what takes time are the figures
            path = next(arg for arg in args if isinstance(arg, Path))
            with replacing(path, suffix=".png") as part:
                part.write_text("a picture")

        drawing.curves = drawing.filters = drawing.samples = draw
        flags = settings("patches:load", "--limit", "32", "--epochs", "2", "--seed", str(seed),
                         "--without", "conv3,conv4,conv5,fc6", "--keep", "best",
                         "--out", str(place / out))
        begun = (place / out / "config.json").exists()
        train.main(["--resume", str(place / out), "--data", "patches:load"] if begun else flags)

    def result(self, place: Path):
        rows = log_rows(place / "run")
        for row in rows:
            for column in ("images_per_s", "waited", "seconds"):
                del row[column]
        return rows, [{name: array.tobytes() for name, array in weights(place / "run", of).items()}
                      for of in ("checkpoint", "best")]


class Preparing:
    """Three shards of photographs."""

    def start(self, place: Path):
        preparation.SHARD = 3
        preparation.prepare(folder.listing(place.parent / "pets"), place / "out", 8, wait=True)

    def result(self, place: Path):
        return digests(place / "out")


class Unpacking(Preparing):
    """The same photographs, out of archives."""

    kills = 10

    def start(self, place: Path):
        preparation.SHARD = 3
        listing = imagenet.from_tars(**imagenet.beside(place.parent / "archives"))
        preparation.prepare(listing, place / "out", 8, wait=True)


class Drawing:
    """The built-in pictures; each time they are drawn is noted."""

    def start(self, place: Path):
        shapes.SPLITS, make = {"train": (8, 1)}, shapes.make
        shapes.make = lambda *args: print("drawn") or make(*args)
        os.environ["TINYALEX_DATA"] = str(place)
        shapes.load("train")

    def result(self, place: Path):
        with np.load(place / f"shapes-v{shapes.VERSION}-train.npz") as file:
            return file["images"].tobytes()


class Fetching:
    """A download, from a server that takes its time."""

    def start(self, place: Path):
        url, md5 = (place.parent / "server").read_text().split()
        cifar10.PICTURES_A_BATCH = 1
        fetch.fetch(place, url, {md5: cifar10.FOLDERS[0]})

    def result(self, place: Path):
        return digests(place / cifar10.FOLDERS[0])


class Weighing:
    """A download that goes on where it was killed."""

    def start(self, place: Path):
        url, md5 = (place.parent / "server").read_text().split()
        published.PUBLISHED["it"] = published.Weights("it", (md5,), 10**6, url, "none")
        published.fetch("it", place)

    def result(self, place: Path):
        return digests(place)


class Picturing:
    """A picture where the user wants it, beside other files of his."""

    def start(self, place: Path):
        (place / ".x.png.mine").touch()
        drawing.samples(np.zeros((2, 8, 8, 3), np.uint8), ["a", "b"], place / "x.png")

    def result(self, place: Path):
        return digests(place)


WORKS = {work.__name__.lower(): work()
         for work in (Training, Preparing, Unpacking, Drawing, Fetching, Weighing, Picturing)}


def digests(place: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()}


def work(name: str, place: Path, kill_at: int | None = None, gate=None, **more):
    """In a process of its own: do it, and be killed when a file in there is touched for the n-th
    time. A file beside the place says how many times there were, and how many seconds it took."""
    touched, started = 0, time.perf_counter()

    def watch(event: str, args: tuple):
        nonlocal touched
        if event in TOUCHES and (event == "fcntl.flock" or str(place) in str(args[0])):
            touched += 1
            if touched == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    os.environ["no_proxy"] = "127.0.0.1"
    sys.stdout = sys.stderr = open(place.with_suffix(".txt"), "a")  # noqa: SIM115
    if gate:
        gate.wait()
    sys.addaudithook(watch)
    WORKS[name].start(place, **more)
    place.with_suffix(".took").write_text(f"{touched} {time.perf_counter() - started}")


def begin(*args, **more):
    process = PROCESSES.Process(target=work, args=args, kwargs=more)
    process.start()
    return process


def ends(process, place: Path) -> int:
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), place.with_suffix(".txt").read_text()
    return process.exitcode


def left_lying_about(place: Path) -> list[str]:
    return [str(path) for path in place.rglob(".*") if path.name != ".x.png.mine"]


@pytest.fixture
def place(tmp_path):
    """Where new folders come from; beside them lie photographs, and a server's address."""
    for i in range(8):
        path = tmp_path / "pets" / ("train" if i < 6 else "val") / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (30 * i, 0, 0)).save(path)
    imagenets.pack(tmp_path / "pets", tmp_path / "archives")
    packed, batches = io.BytesIO(), [*cifar10.SPLITS["train"], *cifar10.SPLITS["val"]]
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for i, batch in enumerate(batches):
            member = tarfile.TarInfo(f"{cifar10.FOLDERS[0]}/{batch}.bin")
            member.size = 3073
            archive.addfile(member, io.BytesIO(bytes([i]) + os.urandom(3072)))
    content = packed.getvalue()
    with web.serving() as server:
        server.pause = 0.01
        url = server.url("/cifar.tar.gz", content, parts=True)
        (tmp_path / "server").write_text(f"{url} {hashlib.md5(content).hexdigest()}")

        def new(name: str) -> Path:
            (tmp_path / name).mkdir()
            return tmp_path / name

        new.asked = server.asked
        yield new


@pytest.mark.parametrize("name", WORKS)
def test_killed_at_any_moment_it_ends_as_if_it_had_not_been(name, place):
    whole, chance = place("whole"), random.Random(name)
    ends(begin(name, whole), whole)
    expected = WORKS[name].result(whole)
    times, seconds = whole.with_suffix(".took").read_text().split()
    moments, kills = range(1, 1 + int(times)), max(KILLS, getattr(WORKS[name], "kills", 0))
    chosen = sorted(chance.sample(moments, min(kills, len(moments))))
    for i in range(kills):
        here = place(f"killed-{i}")
        if i < len(chosen):
            assert ends(begin(name, here, chosen[i]), here) == -signal.SIGKILL
        else:
            process = begin(name, here)
            time.sleep(chance.uniform(0, float(seconds)))
            process.kill()
            process.join()
        if chance.random() < 0.3:
            ends(begin(name, here, chance.choice(moments)), here)  # again, if it comes to that
        assert ends(begin(name, here), here) == 0
        assert WORKS[name].result(here) == expected, f"killed at {chosen[i:i + 1]}"
        assert left_lying_about(here) == []


def both(name: str, here: Path, *more: dict) -> list[int]:
    """Two processes that start in the same moment; how they ended."""
    gate = PROCESSES.Barrier(2)
    processes = [begin(name, here, gate=gate, **flags) for flags in more or ({}, {})]
    for process in processes:
        process.join(120)
    return sorted(process.exitcode for process in processes)


@pytest.mark.parametrize("name", [name for name in WORKS if name != "training"])
def test_two_at_once_make_the_same_thing_once(name, place):
    whole, here = place("whole"), place("both")
    ends(begin(name, whole), whole)
    assert both(name, here) == [0, 0], here.with_suffix(".txt").read_text()
    assert WORKS[name].result(here) == WORKS[name].result(whole)
    assert left_lying_about(here) == []
    assert len(place.asked) == 2 * (name in ("fetching", "weighing"))
    assert here.with_suffix(".txt").read_text().count("drawn") == (name == "drawing")


def test_of_two_trainings_in_one_folder_one_is_refused_or_finds_it_done(place):
    here = place("both")
    assert both("training", here, {"seed": 1}, {"seed": 2}) in ([0, 1], [0, 0])
    told = json.loads((here / "run" / "config.json").read_text())["settings"]
    assert checkpoint.load(here / "run" / "checkpoint.npz").about["settings"] == told
    assert [row["step"] for row in log_rows(here / "run")] == ["2", "4"]


def test_of_two_that_resume_one_run_one_is_refused_or_has_nothing_left_to_do(place):
    whole, here = place("whole"), place("both")
    ends(begin("training", whole), whole)
    ends(begin("training", here), here)
    for name in ("checkpoint.npz", "best.npz", "log.csv"):
        (here / "run" / name).unlink()
    assert both("training", here) in ([0, 1], [0, 0])
    assert WORKS["training"].result(here) == WORKS["training"].result(whole)
    assert left_lying_about(here) == []
