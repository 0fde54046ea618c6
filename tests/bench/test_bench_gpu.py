"""Measuring on GPUs: figures that name the right layer, count the right bytes, and add up.

How fast a GPU is cannot be seen on a simulated one. What can go wrong unseen is the rest: a copy
counted to the wrong device, a layer that is measured twice, a floor that lies above what is
possible.
"""

import csv
import sys
from math import prod
from types import SimpleNamespace

import pytest

from tinyalex.architectures import alexnet
from tinyalex.bench import __main__ as bench
from tinyalex.bench import everything, gpu, spans, tables, timeline, work
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices, cuda
from tinyalex.inside import costs
from tinyalex.support.errors import UserError


@pytest.fixture
def small_products(monkeypatch):
    """The GPU's own speed is measured with a product that a CPU is done with at once."""
    limits = gpu.limits
    monkeypatch.setattr(gpu, "limits", lambda device: limits(device, 64))


def watched(workload):
    return spans.watched_steps({"step": spans.watch_step(workload)}, 1)["step"]


def test_every_layer_is_seen_once_on_its_device(gpus, quick):
    with Devices(gpus) as devices:
        workload = Workload("tiny", devices, 4)
        (step,) = watched(workload)
        seen = [(span.name, span.part) for span in step]
        for layer in workload.network.shapes:
            for part in work.PASSES:
                (span,) = [s for s in step if (s.name, s.part) == (layer.name, part)]
                assert workload.devices[span.device] is layer.device
        copies = sum(name == spans.COPIES for name, _ in seen)
        # Four exchanges there and back for two towers, a tower's scores there and back.
        assert copies == (18 if len(devices) == 2 else 0)
        assert {span.device for span in step} == set(range(len(devices)))
        assert all(0 <= span.start <= span.end for span in step)


def test_the_least_bytes_of_a_layer_are_those_of_its_arrays():
    network = alexnet.tiny()
    least = work.least_bytes(network, 10)
    (layer,) = [layer for layer in network.shapes if layer.name == "conv2a"]
    shape, out = network.shapes[layer]
    x, y, weights = 40 * prod(shape), 40 * prod(out), 4 * costs.parameters(layer)
    assert least["conv2", "forward"] == 2 * (x + y + weights)
    assert least["conv2", "backward"] == 2 * (y + x + x + 2 * weights)
    assert ("flatten", "forward") not in least


def test_bench_measures_both_precisions(gpus, quick, small_products, tmp_path, capsys):
    assert bench.main(["--preset", "tiny", "--batch-size", "2", "--rounds", "1", "--devices", gpus,
                       "--csv", str(tmp_path / "all.csv"), "--out", str(tmp_path / "t.png")]) == 0
    said = capsys.readouterr().out
    assert "2 pictures, float32" in said and "2 pictures, TF32" in said
    assert "arithmetic ms  bytes ms" in said and "FLOP/s of a large product" in said
    with open(tmp_path / "all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["precision"] for row in rows} == {"float32", "TF32"}
    assert all(float(row["median"]) >= 0 for row in rows if row["name"] != work.REST)
    memory = [float(row["median"]) for row in rows if row["quantity"] == "memory peak"]
    assert memory[1] == pytest.approx(memory[0], rel=0.2)  # nothing is left of the first
    times = [row for row in rows if row["quantity"] == "time" and row["precision"] == "TF32"]
    assert {"conv1", "lrn2", "fc8", "update (SGD)"} <= {row["name"] for row in times}
    assert (tmp_path / "t-float32.png").stat().st_size > 5000
    assert (tmp_path / "t-tf32.png").exists()


def test_batches_do_not_cross_while_a_gpu_is_measured(gpus, monkeypatch, quick, small_products):
    """PyTorch's do not either. The host's memory would be what is measured."""
    monkeypatch.setattr(cuda.CudaDevice, "_enlarge", lambda *args: pytest.fail("a batch crossed"))
    with Devices(gpus) as devices:
        gpu.measure("tiny", devices, 2, "float32", 1)


def test_what_measures_the_cpu_is_refused_on_a_gpu(gpus):
    with pytest.raises(UserError, match="measure the CPU"):
        bench.main(["--preset", "tiny", "--devices", gpus, "--memory", "2"])


def test_a_timeline_is_drawn_for_cpus_too(tmp_path, quick):
    path = tmp_path / "timeline.png"
    timeline.main(["--preset", "tiny", "--batch-size", "4", "--devices", "cpu,cpu",
                   "--out", str(path)])
    assert path.stat().st_size > 5000
    with pytest.raises(UserError, match="no place for a file"):
        timeline.main(["--out", str(tmp_path / "nowhere" / "t.png")])


def test_everything_says_why_there_is_nothing_to_measure(monkeypatch, tmp_path):
    monkeypatch.setattr(cuda, "find", lambda: cuda.Found(problem="no GPU", hint="buy one."))
    with pytest.raises(UserError, match="no GPU"):
        everything.main(["--out", str(tmp_path / "report")])
    assert not (tmp_path / "report").exists()


def test_everything_notes_what_the_commands_say_and_what_fails(tmp_path, monkeypatch):
    for code, last in (("print('good')", "good\n"), ("print('bad'); exit(3)", "exit status 3\n")):
        everything._note(tmp_path / "said.txt", [sys.executable, "-c", code])
        assert (tmp_path / "said.txt").read_text().endswith(last)
    monkeypatch.setattr(everything, "LIMIT", 0.3)
    everything._note(tmp_path / "said.txt", [sys.executable, "-c", "import time; time.sleep(99)"])
    assert (tmp_path / "said.txt").read_text() == "stopped after 0.3 seconds\n"
    args = SimpleNamespace(out=tmp_path, batch_size=128, rounds=5)
    assert "cuda:0,cuda:0" in everything.commands(args, gpus=1)["two-devices"]
    assert "cuda:0,cuda:1" in everything.commands(args, gpus=2)["two-devices"]


def write(path, rows, precision=("float32",)):
    tables.write_csv(path, [(*precision, name, "training", quantity, "", value, value, value)
                            for name, quantity, value in rows],
                     ("precision",) * len(precision) + tables.COLUMNS)


def test_goals_are_judged_by_time_memory_and_the_cpu(tmp_path):
    write(tmp_path / "one-gpu.csv", [
        ("tinyalex", "time a picture", 9.0), ("channels_last", "time a picture", 10.0),
        ("tinyalex", "memory peak", 3e3), ("channels_last", "memory peak", 2e3)])
    time, memory = everything.judged(everything.against_torch, tmp_path)
    assert time.startswith("met") and "time 0.90" in time
    assert memory.startswith("not met") and "memory 1.50" in memory
    write(tmp_path / "cifar-gpu.csv", [("tinyalex", "speed", 3000.0)])
    write(tmp_path / "cifar-cpu.csv", [("tinyalex", "speed", 100.0)], precision=())
    (times,) = everything.judged(everything.times_the_cpu, tmp_path)
    assert times == ("met      cifar: 3,000 images/s on the GPU, 100 on the CPU, 30.0 times "
                     "(goal: 20)")


def test_a_goal_that_cannot_be_judged_says_why(tmp_path):
    (tmp_path / "one-gpu.csv").write_text("precision,name\nfloat32,")
    assert everything.judged(everything.against_torch, tmp_path) == [
        "against_torch: not measured (KeyError: 'pass')"]
    (said,) = everything.judged(everything.times_the_cpu, tmp_path)
    assert said.startswith("times_the_cpu: not measured (FileNotFoundError")


def test_goals_are_not_judged_by_the_figures_of_another_day(tmp_path, monkeypatch):
    monkeypatch.setattr(cuda, "find", lambda: cuda.Found([cuda.Gpu(0, "a GPU", 1, (9, 0))]))
    monkeypatch.setattr(everything, "commands", lambda args, gpus: {})
    write(tmp_path / "one-gpu.csv", [("tinyalex", "speed", 1.0)])
    assert everything.main(["--out", str(tmp_path)]) == 0
    assert "against_torch: not measured" in (tmp_path / "goals.txt").read_text()
