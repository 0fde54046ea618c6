"""The benchmark: what it counts and divides, never how long something takes.

A benchmark that is wrong still prints handsome tables. Two towers that ran side by side and are
added up make a layer twice as slow as it is; a first layer credited with a dx that it never makes
works at twice its speed; a floor with larger chunks than the layers have, or with a product left
out, is a floor of something else; and the ratio of two medians compares a slow minute with a fast
one. So the clock is made of numbers here, and the floor's products are counted one by one.
"""

import csv
import sys
import threading
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from runs import assert_same_bits

import tinyalex.bench.__main__ as bench
from tinyalex.bench import floor as floor_module
from tinyalex.bench import memory, picture, report, spans, speed, sweeps, timing, work
from tinyalex.bench.floor import Floor, copy_speed
from tinyalex.bench.gpu import COPY
from tinyalex.bench.spans import Span, Watch
from tinyalex.bench.speed import FLOOR, OURS
from tinyalex.bench.timing import Spread, always, in_turn
from tinyalex.bench.work import BACKWARD, FORWARD, LOSS, PASSES, REST, STEP, UPDATE
from tinyalex.bench.workload import Workload
from tinyalex.devices import HOST, CpuDevice
from tinyalex.layers import Conv2D, Flatten, Linear, ReLU
from tinyalex.network import Network


def two_devices():
    return [CpuDevice("cpu0"), CpuDevice("cpu1")]


# Measuring in turn

class Runner:
    """Stands in for what is measured: two pictures in so many seconds. On a GPU (late) a call has
    only started something, and the time passes in `wait`."""

    batch_size = 2

    def __init__(self, time, order, name, seconds, late=False):
        self.time, self.order, self.name, self.late, self.left = time, order, name, late, 0.0
        self.seconds = seconds

    def train(self):
        self.order.append(self.name)
        self.left += self.seconds
        if not self.late:
            self.wait()

    infer = train

    def wait(self):
        self.time.passes(self.left)
        self.left = 0.0


@pytest.mark.parametrize("late", [False, True])
def test_every_other_round_goes_backwards_and_short_calls_are_repeated(time, late):
    order = []
    contenders = {name: always(Runner(time, order, name, seconds, late))
                  for name, seconds in (("long", 1.0), ("short", 0.0625))}
    spent = in_turn(contenders, 3)
    long, short = ["long"] * 2, ["short"] * 8  # training and inference
    assert order == [*["long"] * 6, *["short"] * 12, *short, *long, *long, *short]
    assert spent == {(name, mode): [seconds / 2] * 3 for name, seconds in (
        ("long", 1.0), ("short", 0.0625)) for mode in timing.MODES}


def test_who_comes_fresh_warms_up_each_time(time):
    order = []
    in_turn({"new": always(Runner(time, order, "new", 1.0))}, 2, fresh=True)
    assert len(order) == 2 * 6


def test_a_watch_notes_when_its_parts_were_at_work_and_ends(time):
    class Part:
        def work(self):
            time.passes(0.25)

    part = Part()
    watch = Watch(lambda: (part.work(), time.passes(1), part.work()), [CpuDevice()])
    watch.add(part, "work", "part1a", FORWARD)
    assert watch.step() == [Span(0, "part1a", FORWARD, 0.0, 0.25),
                            Span(0, "part1a", FORWARD, 1.25, 1.5)]
    watch.stop()
    assert vars(part) == {}


# Where the time goes

def small_network(devices):
    """Two towers, two stages; conv1 has no dx, conv2 has."""
    def tower():
        return [[Conv2D(3, 2, 3, name="conv1", input_gradient=False), ReLU("relu1"),
                 Conv2D(2, 4, 3, name="conv2"), Flatten("flatten")],
                [Linear(2 * 16, 5, name="fc3")]]

    towers = tower(), tower()
    return Network([list(stage) for stage in zip(*towers, strict=True)], (6, 6, 3), devices)


def test_the_work_of_each_layer_by_hand():
    counts = work.operations(small_network([HOST]), batch_size=10)
    conv1, conv2, fc3 = 4 * 4 * 2 * 27, 2 * 2 * 4 * 18, 32 * 5
    per_picture = {"conv1": (2 * conv1, 2 * conv1), "conv2": (2 * conv2, 4 * conv2),
                   "fc3": (2 * fc3, 4 * fc3),
                   STEP: (2 * (conv1 + conv2 + fc3), 2 * conv1 + 4 * (conv2 + fc3))}
    assert counts == {(name, part): 2 * 10 * count  # of two towers
                      for name, both in per_picture.items()
                      for part, count in zip(PASSES, both, strict=True)}


def made_up_step(devices=2):
    """Spans of small_network: tower a needs longer, so b waits; 1 s of forward nobody counted."""
    times = {"conv1": (4.0, 8.0), "relu1": (1.0, 1.0), "conv2": (6.0, 12.0), "flatten": (0.5, 0.5),
             "fc3": (2.0, 4.0)}
    step = [Span(t % devices, name + "ab"[t], part, 1.0, 1.0 + (1.5 - t) * spent)
            for t in range(2) for name, both in times.items()
            for part, spent in zip(PASSES, both, strict=True)]
    for device in range(devices):
        step += [Span(device, name, part, 0.0, spent) for name, part, spent in (
            (work.EXCHANGES, FORWARD, 1.0), (work.EXCHANGES, BACKWARD, 2.0),
            (spans.COPIES, "", 0.5))]
        step += [Span(device, LOSS, FORWARD, 20.0, 20.25),
                 Span(device, LOSS, BACKWARD, 20.25, 20.375),
                 Span(device, UPDATE, BACKWARD, 57.0, 60.0)]
    return step


@pytest.mark.parametrize(("devices", "times"), [(2, 1), (1, 2)])
def test_a_layers_time_is_the_mean_over_the_devices_and_what_is_left_over_is_waiting(devices,
                                                                                    times):
    parts = spans.breakdown(small_network([HOST]), made_up_step(devices))
    assert parts["conv1", FORWARD] == 4.0 * times and parts["conv2", BACKWARD] == 12.0 * times
    assert (parts[STEP, FORWARD], parts[STEP, BACKWARD]) == (20.25, 39.75)
    assert parts[REST, FORWARD] == 20.25 - (4 + 1 + 6 + 0.5 + 2) * times - 1 - 0.25
    assert parts[REST, BACKWARD] == 39.75 - (8 + 1 + 12 + 0.5 + 4) * times - 2 - 0.125 - 3


@pytest.mark.parametrize(("devices", "towers"), [
    (two_devices, 2), (lambda: [CpuDevice("cpu0", cores=2)], 2), (lambda: [HOST], 1)])
def test_the_rows_of_a_real_step_add_up_and_none_is_missing(quick, devices, towers):
    workload = Workload("tiny", devices(), 2, towers)
    result = speed.measure(workload, rounds=2)
    for step in result.steps:
        parts = spans.breakdown(workload.network, step)
        for part in PASSES:
            rows = [parts[name, part] for name in work.rows(workload.network)]
            assert sum(rows[:-1]) == pytest.approx(rows[-1]) and min(rows) >= 0
        for layer in workload.network.shapes:
            name = work.row(workload.network, layer.name)
            assert parts[name, FORWARD] > 0 and parts[name, BACKWARD] > 0
    floor = result.floors["floor"]
    assert len(floor) == 2 * 8 + 2  # of each layer with weights, and of the passes
    least = result.floors["bytes"]["lrn1", FORWARD].median * result.limits[COPY]
    assert least == pytest.approx(3 * 4 * 2 * 28 * 28 * 16 * towers)  # x, y, s of two pictures
    assert all(len(rounds) == 2 for rounds in result.seconds.values())
    assert result.contenders == [OURS, FLOOR]
    for thing in (*workload.network.shapes, *workload.devices):  # they are their own again
        assert not {"forward", "backward", "receive"} & vars(thing).keys()


# The floor

class Recorder:
    """Stands in for np.matmul, and counts the products with matrices that a module asks for: by
    device, sizes, and which operand is transposed. (A row of ones adds up biases: no product.)"""

    def __init__(self):
        self.matmul, self.lock, self.seen = np.matmul, threading.Lock(), {}

    def __call__(self, a, b, **kwargs):
        module = sys._getframe(1).f_globals["__name__"]
        thread = threading.current_thread().name.split("_")[0].removesuffix("-helper")
        product = (thread, a.shape, b.shape, *(m.strides[0] < m.strides[1] for m in (a, b)))
        with self.lock:
            if a.shape[0] > 1:
                self.seen.setdefault(module, Counter())[product] += 1
        return self.matmul(a, b, **kwargs)

    def products(self, *modules) -> Counter:
        return sum((self.seen.get(f"tinyalex.{module}", Counter()) for module in modules),
                   Counter())


def test_the_speed_of_copies_counts_bytes_read_and_written(monkeypatch):
    """By a clock that goes on by a second for each look; all of both arrays, by all cores."""
    ticks = iter(range(1000))
    monkeypatch.setattr(timing, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(floor_module, "LARGE", 1000)
    monkeypatch.setattr(floor_module, "_copy", lambda source, target, numbers:
                        copied.append(numbers.stop - numbers.start))
    for devices in (two_devices(), [CpuDevice("cpu0", cores=2)]):
        copied = []
        assert copy_speed(devices) == 8000
        assert sum(copied) == 5 * 1000


def test_normalisation_pooling_and_update_are_compared_with_their_bytes():
    network = Workload("tiny", [HOST], 2).network
    rows = {(row, part): Spread.of([1.0]) for row in work.rows(network) for part in PASSES}
    bytes_of = {part: Spread.of([0.25]) for part in rows}
    for part in PASSES:  # nobody asks for these
        bytes_of["conv1", part] = bytes_of[STEP, part] = Spread.of([100.0])
    result = SimpleNamespace(workload=SimpleNamespace(network=network), parts=rows,
                             floors={"bytes": bytes_of})
    assert report.above_bytes(result) == 4.0
    bytes_of["lrn1", FORWARD] = Spread.of([12.25])  # of 12 parts: two norms, three pools, an update
    assert report.above_bytes(result) == 12 / (11 * 0.25 + 12.25)


@pytest.mark.parametrize("devices", [two_devices, lambda: [CpuDevice("cpu0", cores=2)]])
def test_the_floor_makes_the_very_products_of_the_layers(devices, monkeypatch):
    workload = Workload("tiny", devices(), 5)  # 5: the last chunks are smaller
    for device in workload.network.devices:
        device.chunk_bytes = 1 << 19  # two pictures at a time in conv3 to conv5
    floor, recorder = Floor(workload.network, 5), Recorder()
    monkeypatch.setattr(np, "matmul", recorder)
    workload.train()
    floor.train()
    mine = recorder.products("bench.floor")
    assert mine == recorder.products("layers.conv", "layers.dense")
    multiply_adds = sum(a[0] * a[1] * b[1] * times for (_, a, b, *_), times in mine.items())
    assert 2 * multiply_adds == sum(
        count for (name, _), count in work.operations(workload.network, 5).items() if name == STEP)


def test_the_floor_leaves_the_weights_and_its_own_numbers_alone(monkeypatch):
    """Numbers on their way to nothing, or to infinity, would be multiplied at another speed."""
    workload, sizes, matmul = Workload("tiny", [HOST], 2), [], np.matmul
    before = {name: value.copy() for name, value in workload.network.state().items()}
    floor = Floor(workload.network, 2)

    def noted(a, b, **kwargs):
        sizes.append([np.abs(factor).mean() for factor in (a, b)])
        return matmul(a, b, **kwargs)

    monkeypatch.setattr(np, "matmul", noted)
    for _ in range(3):
        floor.train()
    assert np.min(sizes) > 1e-3 and np.max(sizes) < 1e3
    assert_same_bits(workload.network.state(), before)


# Reports

def made_up_result(batch_size=12):
    """Three rounds, the second on a machine that was four times as slow."""
    workload = SimpleNamespace(network=small_network(two_devices()), batch_size=batch_size,
                               preset="made-up", places=["cpu0", "cpu1"])
    batches = {(OURS, "training"): [60.0, 240.0, 60.0], (OURS, "inference"): [20.0] * 3,
               (FLOOR, "training"): [30.0, 160.0, 40.0], (FLOOR, "inference"): [8.0] * 3,
               ("eager", "training"): [120.0, 120.0, 90.0], ("eager", "inference"): [40.0] * 3}
    seconds = {key: [spent / batch_size for spent in rounds] for key, rounds in batches.items()}
    floor = {("conv2", FORWARD): Spread.of([3.0]), ("conv2", BACKWARD): Spread.of([6.0])}
    return speed.Result(workload, seconds, [made_up_step()] * 3, {"floor": floor}, {},
                        {"compile": "no compiler"}, {OURS: {"peak": 3_000_000}})


def test_ratios_are_made_within_each_round():
    result = made_up_result()
    assert result.ratio(OURS, FLOOR, "training") == Spread(1.5, 1.5, 2.0)
    assert result.ratio("eager", OURS, "training") == Spread(1.5, 0.5, 2.0)
    assert Spread.rate(result.seconds[OURS, "training"]) == Spread(0.2, 0.05, 0.2)


def test_the_tables_say_what_was_measured():
    result = made_up_result(batch_size=12_000_000)
    rows = {line.split("  ")[0]: line.split()[1:] for line in
            report.layer_table(result).splitlines()}
    gflop = [2 * 2 * 288 * 12e6 / 1e9, 4 * 2 * 288 * 12e6 / 1e9]
    assert rows["conv2"] == ["6,000.0", f"{gflop[0] / 6:.1f}", "3,000.0",
                             "12,000.0", f"{gflop[1] / 12:.1f}", "6,000.0", "30.0%"]
    table = report.speed_table(result, "training")
    assert "1.50 (0.50–2.00)" in next(line for line in table.splitlines() if "PyTorch " in line)
    assert "3.0 MB" in next(line for line in table.splitlines() if "tinyalex" in line)
    assert table.splitlines()[-1] == ("PyTorch, channels_last, compiled: "
                                      "not available (no compiler)")


def read(path):
    """The figures of a CSV, by name, pass, quantity and unit."""
    with open(path, newline="") as file:
        return {(row["name"], row["pass"], row["quantity"], row["unit"]):
                [float(row[key]) for key in ("median", "lowest", "highest")]
                for row in csv.DictReader(file)}


def test_the_csv_has_every_figure_with_its_unit(tmp_path, capsys):
    report.write_csv(tmp_path / "bench.csv", report.csv_rows(made_up_result()))
    assert capsys.readouterr().out == f"all figures: {tmp_path / 'bench.csv'}\n"
    rows = read(tmp_path / "bench.csv")
    assert rows["conv1", "backward", "time", "ms"] == [8000, 8000, 8000]
    assert rows["conv2", "backward", "floor", "ms"] == [6000, 6000, 6000]
    assert rows["tinyalex", "training", "time a picture", "ms"] == [5000, 5000, 20_000]
    assert rows["eager", "training", "our speed / theirs", ""] == [1.5, 0.5, 2.0]
    assert rows["tinyalex", "training", "memory peak", "MB"] == [3, 3, 3]
    assert rows["conv1", "forward", "work", "GFLOP"][0] == pytest.approx(2 * 2 * 12 * 864 / 1e9)


def test_the_bars_of_the_picture_are_the_times(tmp_path):
    figure = picture.of_speed(made_up_result())
    picture.save(figure, tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as drawn:
        assert drawn.format == "PNG" and drawn.width == 1500
    left, right = figure.axes
    conv2 = [bar for bar in left.patches if bar.get_y() == pytest.approx(2 - 0.4)]
    widths = [bar.get_width() for bar in conv2]
    assert widths == pytest.approx([3000, 3000, 6000, 6000])  # products, rest; forward, backward
    assert [bar.get_x() for bar in conv2] == pytest.approx([0, 3000, 6000, 12_000])
    assert [text.get_text() for text in right.get_yticklabels()][-1] == "PyTorch"
    speeds = [bar.get_width() for bar in right.patches]  # ours, the floor's, theirs; training first
    assert speeds == pytest.approx([12 / 60, 12 / 40, 12 / 120, 12 / 20, 12 / 8, 12 / 40])


# The command

def test_the_command_prints_writes_and_draws(quick, tmp_path, capsys):
    files = tmp_path / "b.csv", tmp_path / "b.png"
    assert bench.main(["--preset", "tiny", "--batch-size", "2", "--rounds", "1", "--csv",
                       str(files[0]), "--out", str(files[1])]) == 0
    out = capsys.readouterr().out
    for line in ("network  tiny: 2 towers", "numpy    ", "batch    2 pictures", "conv1 ", "step ",
                 "memory   ", "training takes ", "inference takes "):
        assert f"\n{line}" in f"\n{out}"
    assert files[0].read_text().startswith("name,pass,quantity,unit,median,lowest,highest\n")
    assert files[1].stat().st_size > 10_000


@pytest.mark.parametrize(("argv", "named"), [
    (["--preset", "nope"], "--preset nope"),
    (["--devices", "cpu,cpu,cpu"], "--devices"),
    (["--batch-size", "0"], "--batch-size"),
    (["--rounds", "none"], "--rounds"),
    (["--sweep", "seeds"], "--sweep"),
    (["--measures", "magic"], "'magic'"),
    (["--sweep", "batch", "--against", "torch"], "--against"),
    (["--csv", "nowhere/b.csv"], "nowhere"),
    (["--out", "nowhere/b.png"], "nowhere"),
])
def test_bad_input_is_two_lines_before_anything_is_measured(argv, named, refused, monkeypatch):
    monkeypatch.setattr(bench, "Workload", None)
    assert named in refused(bench.main, argv)


def test_without_pytorch_the_hint_says_how_to_get_it(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tinyalex.bench.peer", raising=False)
    monkeypatch.delattr("tinyalex.bench.peer", raising=False)
    assert 'pip install -e ".[peers]"' in refused(
        bench.main, ["--preset", "tiny", "--against", "torch"])


@pytest.mark.skipif(not memory.STATUS.exists(), reason="memory is read from /proc")
def test_memory_is_read_in_bytes_and_watched_step_by_step(capsys, tmp_path):
    before = memory.now()
    held = np.ones(8_000_000)
    assert 0.9 * held.nbytes < memory.now() - before < 1.5 * held.nbytes
    size = held.nbytes
    del held
    assert memory.peak() - memory.now() > 0.9 * size
    assert bench.main(["--preset", "tiny", "--batch-size", "2", "--memory", "3", "--csv",
                       str(tmp_path / "m.csv")]) == 0
    assert "after step 3 " in capsys.readouterr().out
    assert [quantity for _, _, quantity, _ in read(tmp_path / "m.csv")] == [
        "after step 1", "after step 2", "after step 3"]


@pytest.mark.skipif(not memory.STATUS.exists(), reason="memory is read from /proc")
@pytest.mark.slow
def test_a_network_is_weighed_in_a_process_of_its_own():
    small, large = (memory.of(OURS, "tiny", size, "cpu") for size in ("2", "64"))
    assert large["peak"] - small["peak"] > 0.5 * (large["pools"] - small["pools"]) > 5e6
    assert 0 < small["before"] < small["peak"]
    assert memory.of(OURS, "tiny", "2", "nowhere") == {}


# Sweeps

def test_what_the_sweeps_go_through(monkeypatch):
    monkeypatch.setattr(sweeps, "available_cores", lambda: 4)

    def points(sweep):
        return sweeps.points(sweep, "tiny", 8, [CpuDevice()])

    assert [p.batch_size for p in points("batch")] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert [p.cores for p in points("threads")] == [(1,), (2,), (3,), (4,)]
    assert [p.side for p in points("side")] == [42, 56, 70, 84]  # nothing is left of 28×28
    assert [(p.towers, p.cores) for p in points("towers")] == [
        (1, (1,)), (1, (4,)), (2, (1,)), (2, (4,)), (2, (2, 2))]


@pytest.mark.parametrize("sweep", ["towers", "batch"])
def test_a_sweep_is_drawn(tmp_path, sweep):
    points = sweeps.points(sweep, "tiny", 8, [CpuDevice()])
    seconds = {(point.label, mode): [0.5, 0.25] for point in points for mode in timing.MODES}
    figure = picture.of_sweep(seconds, "made up")
    picture.save(figure, tmp_path / "s.png")
    bars = [bar.get_height() for bar in figure.axes[1].patches]
    assert bars == [3.0] * len(points)  # the median of 2 and 4 images/s


def test_a_sweep_leaves_out_what_does_not_fit_and_writes_the_rest(quick, monkeypatch, tmp_path,
                                                                  capsys):
    monkeypatch.setattr(sweeps, "SIDES", (0.5, 1))
    assert bench.main(["--preset", "tiny", "--sweep", "side", "--batch-size", "2", "--rounds", "2",
                       "--csv", str(tmp_path / "s.csv"), "--out", str(tmp_path / "s.png")]) == 0
    assert "sweep    side: 56×56\n" in capsys.readouterr().out
    rows = read(tmp_path / "s.csv")
    assert [key[:2] for key in rows if key[2] == "speed"] == [("56×56", "training"),
                                                              ("56×56", "inference")]
    median, lowest, highest = rows["56×56", "training", "speed", "images/s"]
    assert lowest <= median <= highest
    assert (tmp_path / "s.png").stat().st_size > 5_000


def test_a_sweep_compares_with_the_first_point_within_each_round():
    seconds = {("batch 1", "training"): [0.5, 2.0], ("batch 4", "training"): [0.25, 1.0]}
    last = sweeps.table(seconds, "training").splitlines()[-1]
    assert last.split() == ["batch", "4", "625.0", "2.5", "(1.0–4.0)", "2.00"]
