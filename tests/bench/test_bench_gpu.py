"""Measuring on GPUs: figures that name the right layer, count the right bytes, and add up.

How fast a GPU is cannot be seen on a simulated one. What can go wrong unseen is the rest: a copy
counted to the wrong device, a layer that is measured twice, a floor that lies above what is
possible.
"""

from math import prod

import pytest

from tinyalex.architectures import alexnet
from tinyalex.bench import __main__ as bench
from tinyalex.bench import everything, gpu, report, spans, speed, timeline, work
from tinyalex.bench.everything import figures
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices, cuda, uploads
from tinyalex.inside import costs
from tinyalex.support.errors import UserError

pytestmark = pytest.mark.slow


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
                       "--csv", str(tmp_path / "t.csv"), "--out", str(tmp_path / "t.png")]) == 0
    said = capsys.readouterr().out
    assert "2 pictures, float32" in said and "2 pictures, TF32" in said
    assert "arithmetic ms  bytes ms" in said and "FLOP/s of a large product" in said
    first, second = (figures(tmp_path / f"t-{precision}.csv") for precision in ("float32", "tf32"))
    memory = "tinyalex", "training", "memory peak"
    assert second[memory] == pytest.approx(first[memory], rel=0.2)  # nothing is left of the first
    assert all(value >= 0 for (name, _, _), value in second.items() if name != work.REST)
    times = {name for name, _, quantity in second if quantity == "time"}
    assert {"conv1", "lrn2", "fc8", "update (SGD)"} <= times
    for precision in ("float32", "tf32"):
        assert (tmp_path / f"t-{precision}.png").stat().st_size > 5000


def test_batches_do_not_cross_while_a_gpu_is_measured(gpus, monkeypatch, quick, small_products):
    """PyTorch's do not either. The host's memory would be what is measured."""
    monkeypatch.setattr(uploads.Uploads, "_enlarge", lambda *args: pytest.fail("a batch crossed"))
    with Devices(gpus) as devices:
        speed.measure(Workload("tiny", devices, 2), rounds=1)


def test_what_measures_the_cpu_is_refused_on_a_gpu(gpu):
    with pytest.raises(UserError, match="measure the CPU"):
        bench.main(["--preset", "tiny", "--devices", gpu, "--memory", "2"])


def test_a_timeline_is_drawn_for_cpus_too(tmp_path, quick):
    path = tmp_path / "timeline.png"
    timeline.main(["--preset", "tiny", "--batch-size", "4", "--devices", "cpu,cpu",
                   "--out", str(path)])
    assert path.stat().st_size > 5000
    with pytest.raises(UserError, match="no place for a file"):
        timeline.main(["--out", str(tmp_path / "nowhere" / "t.png")])


@pytest.mark.parametrize(("machine", "folder", "reason"), [
    (cuda.Found(problem="no GPU", hint="buy one."), "new", "no GPU"),
    (cuda.Found([cuda.Gpu(0, "a GPU", 1, (9, 0))]), "", "name a new folder")])
def test_everything_says_why_it_measures_nothing(monkeypatch, tmp_path, machine, folder, reason):
    """Into a folder that is there already it would mix figures of two days."""
    monkeypatch.setattr(cuda, "find", lambda: machine)
    with pytest.raises(UserError) as error:
        everything.main(["--out", str(tmp_path / folder)])
    assert reason in f"{error.value.args[0]} {error.value.hint}"
    assert not any(tmp_path.iterdir())


def test_everything_notes_what_the_commands_say_and_what_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(cuda, "find", lambda: cuda.Found([cuda.Gpu(0, "a GPU", 1, (9, 0))]))
    monkeypatch.setattr(everything, "commands", lambda out, gpus: {
        "good": ["platform"], "bad": ["no_such_module"], "hangs": ["timeit", "-n", "10000000000"]})
    monkeypatch.setattr(everything, "LIMIT", 3)
    assert everything.main(["--out", str(tmp_path / "report")]) == 0
    noted = {path.stem: path.read_text() for path in (tmp_path / "report").iterdir()}
    assert noted["bad"].endswith("exit status 1\n") and "exit status" not in noted["good"]
    assert noted["hangs"].endswith("stopped after 3 seconds\n")
    assert "against_torch: not measured (FileNotFoundError" in noted["goals"]


def test_everything_can_be_done_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(cuda, "find", lambda: cuda.Found([cuda.Gpu(0, "a GPU", 1, (9, 0))]))
    monkeypatch.setattr(everything, "_note", lambda path, command: path.write_text(command[2]))
    out = tmp_path / "report"
    everything.main(["--out", str(out), "--only", "info,train"])
    assert {path.stem for path in out.iterdir()} == {"info", "train", "goals"}
    everything.main(["--out", str(out), "--only", "cifar-gpu"])
    assert {"info", "cifar-gpu"} < {path.stem for path in out.iterdir()}
    with pytest.raises(UserError, match="--only train: "):
        everything.main(["--out", str(out), "--only", "one-gpu,train"])
    assert not (out / "one-gpu.txt").exists()
    with pytest.raises(UserError, match="already exists"):
        everything.main(["--out", str(out)])
    with pytest.raises(UserError, match="there is no such part"):
        everything.main(["--out", str(out), "--only", "speed"])


def test_parts_are_all_that_there_is(tmp_path):
    assert list(everything.commands(tmp_path, 1)) == list(everything.PARTS)


@pytest.mark.parametrize(("gpus", "devices"), [(1, "cuda:0,cuda:0"), (2, "cuda:0,cuda:1")])
def test_everything_measures_two_devices_on_as_many_gpus_as_there_are(tmp_path, gpus, devices):
    assert devices in everything.commands(tmp_path, gpus)["two-devices"]


def write(path, rows):
    report.write_csv(path, [report.row(name, "training", quantity, "", value)
                            for name, quantity, value in rows])


def test_goals_are_judged_by_time_memory_and_the_cpu(tmp_path):
    for precision in ("float32", "tf32"):
        write(tmp_path / f"one-gpu-{precision}.csv", [
            ("tinyalex", "time a picture", 9.0), ("channels_last", "time a picture", 10.0),
            ("tinyalex", "memory peak", 3e3), ("channels_last", "memory peak", 2e3)])
    write(tmp_path / "cifar-gpu-float32.csv", [("tinyalex", "speed", 3000.0)])
    write(tmp_path / "cifar-cpu.csv", [("tinyalex", "speed", 100.0)])
    time, memory, *_, times = everything.judged(tmp_path)
    assert time.startswith("met") and "float32 training: time 0.90" in time
    assert memory.startswith("not met") and "memory 1.50" in memory
    assert times == ("met      cifar: 3,000 images/s on the GPU, 100 on the CPU, 30.0 times "
                     "(goal: 20)")


def test_a_goal_that_cannot_be_judged_says_why_and_the_others_are(tmp_path):
    write(tmp_path / "one-gpu-float32.csv", [("tinyalex", "time a picture", 9.0)])
    (tmp_path / "one-gpu-tf32.csv").write_text("name\nfloat32,")
    first, *others = everything.judged(tmp_path)
    assert first == "against PyTorch, float32: not measured (not installed, or without CUDA)"
    assert others[0] == "against_torch: not measured (KeyError: 'pass')"
    assert others[1].startswith("times_the_cpu: not measured (FileNotFoundError")
