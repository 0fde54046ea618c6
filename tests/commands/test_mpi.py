"""`mpiexec -n N python -m mpi4py -m tinyalex.train`, and evaluate: real processes, on whatever MPI
there is."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import campaign
import numpy as np
import pytest
from runs import assert_close, assert_same_bits, log_rows, settings, weights

from tinyalex.run import checkpoint

MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
OPEN_MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
            "OMPI_MCA_rmaps_base_oversubscribe": "1"}


def mpi_is_here() -> bool:
    """Whether two processes find each other."""
    if MPIEXEC is None:
        return False
    try:
        return subprocess.run(
            [MPIEXEC, "-n", "2", sys.executable, "-c",
             "from mpi4py.MPI import COMM_WORLD as c; raise SystemExit(c.size != 2)"],
            capture_output=True, check=False, env=os.environ | OPEN_MPI,
            timeout=60).returncode == 0
    except subprocess.TimeoutExpired:  # as where a part of MPI is missing
        return False


pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    not mpi_is_here(), reason="needs MPI: pip install 'tinyalex[mpi]'")]


def start(count, *flags, command="train", **more):
    """Start a training, or another command, with so many workers."""
    own = [sys.executable, "-m", "mpi4py", "-m", f"tinyalex.{command}", *map(str, flags)]
    return subprocess.Popen([MPIEXEC, "-n", str(count), *own], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.PIPE, env=os.environ | OPEN_MPI | more)


def trained(count, *flags, command="train"):
    """The same, to its end; returns what it printed."""
    with start(count, *flags, command=command) as run:
        out, err = run.communicate(timeout=200)
    assert run.returncode == 0, err
    return out


def complaint(count, *flags, **more):
    """What a training prints that fails, or another command, less what the launcher says of it."""
    with start(count, *flags, **more) as run:
        _, err = run.communicate(timeout=60)
    assert run.returncode == 2, err
    return err.split("Abort(2)")[0]


def test_the_bits_depend_neither_on_the_workers_nor_on_how_they_share_nor_on_who_goes_on(
        patches, tmp_path):
    """Two towers, dropout, velocities; a batch of 16 and a last one of 8, of six; four epochs by
    one process; or the first by 4, then one by 1, by 3 who share the units, by 2 in another way."""
    flags = settings(patches, "--exact", "--limit", "88", "--keep", "best", "--epochs", "4")
    trained(1, *flags, "--out", "one")
    trained(4, *flags, "--epochs", "1", "--out", "by-turns")
    for count, epochs, *parallel in ((1, 2), (3, 3, "--parallel", "hybrid-b"),
                                     (2, 4, "--parallel", "hybrid-c")):
        out = trained(count, "--resume", "by-turns", "--epochs", epochs, "--data", patches,
                      *parallel)
    assert "units of each fully connected layer (c); gradients are added up exactly" in out
    for of in ("checkpoint", "best"):
        assert_same_bits(weights(tmp_path / "by-turns", of), weights(tmp_path / "one", of))
    for theirs, ours in zip(*(log_rows(tmp_path / run) for run in ("by-turns", "one")),
                            strict=True):
        for name in ("step", "lr", "train_loss", "train_error", "val_loss", "val_top5_error"):
            assert theirs[name] == ours[name], name


def test_without_exact_it_is_the_same_but_for_rounding(patches, tmp_path):
    flags = settings(patches, "--epochs", "1")
    trained(1, *flags, "--out", "one")
    for parallel in ("hybrid-c", "data"):
        out = trained(3, *flags, "--parallel", parallel, "--out", parallel)
        assert_close(weights(tmp_path / parallel), weights(tmp_path / "one"), rtol=1e-3, atol=1e-5)
        assert len(re.findall(r"^ +1 +0\.01 ", out, re.MULTILINE)) == 1, "only worker 0 prints"
    assert re.search(r"workers waited for data \+ for others: \d+% \+ \d+%, \d+% \+ \d+%, \d+% \+ "
                     r"\d+%; slowest: \d on \S+", out)


def test_evaluation_prints_and_draws_what_one_process_does(patches, tmp_path):
    """Of 10 pictures in batches of 4, two for worker 0; and of 2, with a worker that has none."""
    trained(1, *settings(patches, "--epochs", "1"), "--out", "run")
    for flags in (["--batch-size", "40", "--ten-crop", "--limit", "10"],
                  ["run", "--batch-size", "1", "--limit", "2"]):
        said = [trained(count, "run", *flags, "--data", patches, "--out", f"{count}.png",
                        command="evaluate").replace(f"{count}.png", "OUT") for count in (1, 3)]
        assert said[0] == said[1] and "as a picture: OUT" in said[0]
        assert (tmp_path / "1.png").read_bytes() == (tmp_path / "3.png").read_bytes()


def test_a_command_that_works_alone_says_so_once(patches):
    err = complaint(3, "run", "picture.jpg", command="predict")
    assert err.count("started as 3 processes, and it works alone") == err.count("HINT:") == 1


@pytest.mark.parametrize("command", ["summary", "bench.workers"])
def test_a_flag_that_is_wrong_for_all_is_said_once(patches, command):
    assert complaint(2, "--nope", command=command).count("--nope") == 1


def test_frozen_layers_are_computed_once_and_the_rest_is_shared(patches, tmp_path, data_folder):
    trained(1, *settings(patches, "--epochs", "1"), "--out", "old")
    flags = ("--from", "old", "--data", patches, "--epochs", "2", "--freeze", "all-but fc8")
    for count in (1, 2):
        out = trained(count, *flags, "--out", f"new-{count}")
        made = [*(data_folder / "kept").glob("*.npy")]
        assert out.count("what the frozen layers make of") == 2  # train, val
        assert len(made) == 2, "worker 1 finds those of worker 0"
        for path in made:
            path.unlink()
    assert_close(weights(tmp_path / "new-2"), weights(tmp_path / "new-1"), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_worker_stops_all_after_the_same_step(patches, tmp_path, how):
    with start(2, *settings(patches, "--epochs", "1000", "--out", "run")) as run:
        until((tmp_path / "run/checkpoint.npz").exists)
        os.kill(worker(run, rank=1), how)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 128 + how, err
    assert "nothing is lost" in out and out.count("To continue") == 1
    step = re.search(r"stopped after step (\d+)", out).group(1)
    assert json.loads(str(np.load("run/checkpoint.npz")["about"]))["progress"]["step"] == int(step)


def test_a_worker_that_is_told_twice_to_stop_leaves_worker_0_the_time_to_save(patches, tmp_path):
    (tmp_path / "slowly.py").write_text(
        "import time\nfrom patches import load\nfrom tinyalex.run.checkpoint import Checkpoint\n"
        "save = Checkpoint.save\n"
        "def slow(self, path):\n    time.sleep(2 * path.exists())\n    save(self, path)\n"
        "Checkpoint.save = slow\n")
    with start(2, *settings("slowly:load", "--epochs", "1000", "--out", "run"),
               PYTHONPATH=f"{tmp_path}:{os.environ['PYTHONPATH']}") as run:
        until((tmp_path / "run/checkpoint.npz").exists)
        one = worker(run, rank=1)
        for _ in range(6):  # one comes between the last step and the end of worker 0's writing
            os.kill(one, signal.SIGTERM)
            time.sleep(0.5)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM and "nothing is lost" in out, err


def test_a_killed_worker_ends_all_and_the_checkpoint_stays(patches, tmp_path):
    with start(2, *settings(patches, "--epochs", "1000", "--out", "run")) as run:
        until((tmp_path / "run/checkpoint.npz").exists)
        os.kill(worker(run, rank=1), signal.SIGKILL)
        since = time.perf_counter()
        run.communicate(timeout=60)
        assert time.perf_counter() - since < 20
    assert run.returncode != 0
    step = json.loads(str(np.load("run/checkpoint.npz")["about"]))["progress"]["step"]
    out = trained(2, "--resume", "run", "--data", patches, "--epochs", step // 6 + 1)
    assert f"resuming after step {step}" in out


@pytest.mark.campaign
@pytest.mark.skipif(not campaign.ASKED, reason="takes minutes")
def test_workers_killed_at_any_moment_leave_a_run_that_goes_on(patches, tmp_path):
    """Twenty kills of either worker, from the import to the third epoch."""
    random, hung, lost = Random(0), 0, 0
    for number in range(20):
        folder = tmp_path / f"run-{number}"
        with start(2, *settings(patches, "--epochs", "100", "--out", folder.name)) as run:
            time.sleep(random.uniform(0.3, 6))
            try:
                os.kill(worker(run, random.randrange(2)), signal.SIGKILL)
            except LookupError:  # not there yet
                run.kill()
            try:
                run.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                hung += 1
                run.kill()
        if (folder / "checkpoint.npz").exists():
            step = checkpoint.load(folder / "checkpoint.npz").about["progress"]["step"]
            out = trained(2, "--resume", folder.name, "--data", patches, "--epochs", step // 6 + 1)
            lost += f"after step {step}" not in out
    assert (hung, lost) == (0, 0)


def worker(run, rank):
    """The process of this worker: of those that the launcher has started, the one whose
    environment says so."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        ranks = {b"PMI_RANK=%d" % rank, b"OMPI_COMM_WORLD_RANK=%d" % rank}
        if (ranks & {*variables} and b"tinyalex.train" in words
                and (entry / "cwd").resolve() == Path.cwd()):
            return int(entry.name)
    raise LookupError(f"no worker {rank} of {run.args}")


def until(true):
    end = time.perf_counter() + 60
    while not true():
        assert time.perf_counter() < end
        time.sleep(0.05)


def test_one_worker_that_fails_says_who_it_is_and_ends_all(patches, tmp_path):
    (tmp_path / "odd.py").write_text(
        "import os, numpy as np\nfrom patches import load as same\nfrom tinyalex.data.dataset "
        "import Dataset\ndef load(split):\n    data = same(split)\n"
        "    if os.environ.get('PMI_RANK', os.environ.get('OMPI_COMM_WORLD_RANK')) == '1':\n"
        "        HOW\n    return data\n")
    path = f"{tmp_path}:{os.environ['PYTHONPATH']}"
    text = (tmp_path / "odd.py").read_text()
    for how, said in (
            ("raise OSError(28, 'No space left on device', 'disk')",
             "^worker 1 on .*\nerror: .*No space left"),
            ("data.images[0] = 7", r"error: worker 1 on \S+: the pictures .* are not those of "
                                   r"worker 0 on \S+ ")):
        (tmp_path / "odd.py").write_text(text.replace("HOW", how))
        err = complaint(2, *settings("odd:load", "--out", "run"), PYTHONPATH=path,
                        PYTHONDONTWRITEBYTECODE="1")
        assert re.search(said, err), err
        assert err.count("HINT:") == 1
        assert not (tmp_path / "run/checkpoint.npz").exists()


def test_only_worker_0_needs_the_folder_of_the_run(patches, tmp_path):
    """Of machines that share no disk: here worker 1 begins in another folder, and with weights."""
    trained(1, *settings(patches, "--epochs", "1"), "--out", "old")
    shutil.copytree("old", "elsewhere/old")
    own = [sys.executable, "-m", "mpi4py", "-m", "tinyalex.train", "--data", patches]
    for flags in (["--from", "old", "--epochs", "1", "--out", "run"],
                  ["--resume", "run", "--epochs", "2"]):
        subprocess.run([MPIEXEC, "-n", "1", *own, *flags, ":", "-n", "1", "env", "-C", "elsewhere",
                        *own, *flags], check=True, timeout=100, env=os.environ | OPEN_MPI)
    assert log_rows(tmp_path / "run")[-1]["epoch"] == "2"
    assert not (tmp_path / "elsewhere/run").exists()


@pytest.mark.parametrize(("flags", "said"), [
    (["--epochs", "none"], "argument --epochs: 'none' is not a whole number"),
    (["--data", "nowhere"], "error: --data nowhere: no such"),
    (["--batch-size", "1"], "error: --batch-size 1: less than a picture for each of 2 workers"),
    (["--parallel", "hybrid-b", "--optimiser", "lars"], "error: --parallel hybrid-b: with "),
])
def test_what_is_wrong_for_all_is_said_once(patches, tmp_path, flags, said):
    err = complaint(2, *settings(patches), *flags)
    assert said in err and err.count("HINT:") == 1


def test_without_mpi4py_the_hint_says_what_to_install(patches, tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ImportError('No module named mpi4py')\n")
    done = subprocess.run(
        [MPIEXEC, "-n", "2", sys.executable, "-m", "tinyalex.train", *settings(patches)],
        capture_output=True, text=True, check=False,
        env=os.environ | OPEN_MPI | {"PYTHONPATH": f"{tmp_path}:{os.environ['PYTHONPATH']}"})
    assert "launched as one of 2 processes" in done.stderr
    assert "HINT: pip install 'tinyalex[mpi]'" in done.stderr and done.returncode == 2


def test_the_bench_prints_a_step_in_every_way_once(tmp_path):
    own = [sys.executable, "-m", "mpi4py", "-m", "tinyalex.bench.workers"]
    done = subprocess.run([MPIEXEC, "-n", "2", *own, "--preset", "mini", "--batch-size", "16",
                           "--rounds", "1", "--out", str(tmp_path / "step.png")], check=True,
                          capture_output=True, text=True, timeout=200, env=os.environ | OPEN_MPI)
    for row in ("sums during backward", "sums after backward", "--exact", "no sums", "hybrid, b",
                "hybrid, c"):
        assert done.stdout.count(row) == 1
    assert (tmp_path / "step.png").stat().st_size > 10_000
