"""The benchmark: what it counts and divides, never how long something takes.

A benchmark that is wrong still prints handsome tables. Two towers that ran side by side and are
added up make a layer twice as slow as it is; a first layer credited with a dx that it never makes
works at twice its speed; a floor with larger chunks than the layers have, or with a product left
out, is a floor of something else; and the ratio of two medians compares a slow minute with a fast
one. So the clock is made of numbers here, and the floor's products are counted one by one.
"""

import csv
import json
import sys
import threading
from collections import Counter
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info

import tinyalex.bench.__main__ as bench
from tinyalex.architectures import alexnet
from tinyalex.bench import layers, measures, memory, picture, report, sweeps, timing
from tinyalex.bench.floor import Floor
from tinyalex.bench.layers import BACKWARD, FORWARD, REST, UPDATE
from tinyalex.bench.timing import Clock, Spread, in_turn
from tinyalex.bench.workload import Workload
from tinyalex.devices import HOST, CpuDevice
from tinyalex.inside import costs
from tinyalex.kernels import numpy as kernels
from tinyalex.layers import Conv2D, Flatten, Linear, LocalResponseNorm, ReLU
from tinyalex.network import Network
from tinyalex.optim import SGD
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError


@pytest.fixture
def quick(monkeypatch):
    """Nothing is repeated until it takes long enough to be measured."""
    monkeypatch.setattr(timing, "AT_LEAST", 0)


@pytest.fixture
def time(monkeypatch):
    """A clock that stands still until somebody calls time.passes."""

    class Time:
        now = 0.0

        def passes(self, seconds):
            self.now += seconds

    time = Time()
    monkeypatch.setattr(timing, "perf_counter", lambda: time.now)
    return time


def two_devices():
    return [CpuDevice("cpu0"), CpuDevice("cpu1")]


# Measuring in turn

def test_every_other_round_goes_backwards_and_short_calls_are_repeated(time):
    order = []

    def taking(name, seconds):
        def call():
            order.append(name)
            time.passes(seconds)
        return call

    rounds = in_turn({"long": taking("long", 1.0), "short": taking("short", 0.0625)}, 3)
    assert order[:2 + 2] == ["long", "long", "short", "short"]  # warming up
    assert order[4:] == ["long", *["short"] * 4, *["short"] * 4, "long", "long", *["short"] * 4]
    assert rounds == [{("long",): 1.0, ("short",): 0.0625}] * 3


def test_the_clock_notes_parts_by_contender_for_one_call(time):
    class Part:
        def work(self):
            time.passes(1 / 32)
            return "done"

    one, clock = Part(), Clock()
    clock.watch(one, "work", ("one", FORWARD))
    rounds = in_turn({"twice": lambda: (one.work(), one.work()), "never": lambda: time.passes(1)},
                     1, clock)
    assert rounds == [{("twice",): 1 / 16, ("twice", "one", FORWARD): 1 / 16, ("never",): 1.0}]
    assert one.work() == "done"
    clock.stop()
    assert "work" not in vars(one)


def test_a_spread_is_the_median_and_the_ends():
    assert Spread.of([5.0, 1.0, 2.0]) == Spread(2.0, 1.0, 5.0)


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
    work = layers.operations(small_network([HOST]), batch_size=10)
    conv1, conv2, fc3 = 4 * 4 * 2 * 27, 2 * 2 * 4 * 18, 32 * 5
    per_picture = {"conv1": (2 * conv1, 2 * conv1), "conv2": (2 * conv2, 4 * conv2),
                   "fc3": (2 * fc3, 4 * fc3), "relu1": (0, 0), "flatten": (0, 0)}
    assert work == {(name, each): 2 * 10 * count  # of two towers
                    for name, both in per_picture.items()
                    for each, count in zip((FORWARD, BACKWARD), both, strict=True)}


@pytest.mark.parametrize("towers", [1, 2])
def test_the_work_adds_up_to_the_summary(towers):
    network = alexnet.tiny(towers=towers)
    work, total = layers.operations(network, 3), costs.totals(network)["multiply_adds"]
    first = sum(layer.multiply_adds(shape) for layer, (shape, _) in network.shapes.items()
                if layer.name.startswith("conv1"))
    assert sum(count for (_, each), count in work.items() if each == FORWARD) == 2 * 3 * total
    assert (sum(count for (_, each), count in work.items() if each == BACKWARD)
            == 2 * 3 * (2 * total - first))


def made_up_round():
    """A round of small_network: tower a needs longer, so b waits; 1 s of forward nobody counted."""
    times = {"conv1": (4.0, 8.0), "relu1": (1.0, 1.0), "conv2": (6.0, 12.0), "flatten": (0.5, 0.5),
             "fc3": (2.0, 4.0)}
    one = {("training",): 60.0, ("inference",): 20.0, ("floor",): 24.0,
           ("floor", "all", FORWARD): 8.0, ("floor", "all", BACKWARD): 16.0}
    for name, both in times.items():
        for each, spent in zip((FORWARD, BACKWARD), both, strict=True):
            for letter, more in (("a", 1.5), ("b", 0.5)):
                one["training", "network", name + letter, each] = more * spent
                if name.startswith(("conv", "fc")):
                    one["floor", "floor", name + letter, each] = more * spent / 2
    one |= {("training", "exchanges", "fc3", FORWARD): 1.0,
            ("training", "exchanges", "fc3", BACKWARD): 2.0,
            ("training", "loss", FORWARD): 0.25, ("training", "loss", BACKWARD): 0.125,
            ("training", "all", FORWARD): 20.0, ("training", UPDATE, BACKWARD): 3.0}
    return one


@pytest.mark.parametrize(("devices", "times"), [(two_devices, 1), (lambda: [HOST], 2)])
def test_a_layers_time_is_the_mean_over_the_devices(devices, times):
    network, one = small_network(devices()), made_up_round()
    parts = layers.breakdown(network, one, "training")
    assert parts["conv1", FORWARD] == 4.0 * times
    assert parts["conv2", BACKWARD] == 12.0 * times
    assert layers.floors(network, one)["conv2", FORWARD] == 3.0 * times
    assert sum(parts.values()) == pytest.approx(60.0)


def test_what_is_left_over_is_waiting():
    parts = layers.breakdown(small_network(two_devices()), made_up_round(), "training")
    assert parts[REST, FORWARD] == pytest.approx(20 - (4 + 1 + 6 + 0.5 + 2) - 1)
    assert parts[REST, BACKWARD] == pytest.approx(
        60 - 20.25 - (8 + 1 + 12 + 0.5 + 4) - 2 - 0.125 - 3)


@pytest.mark.parametrize(("devices", "towers"), [
    (two_devices, 2), (lambda: [CpuDevice("cpu0", cores=2)], 2), (lambda: [HOST], 1)])
def test_the_rows_of_a_real_step_add_up_and_none_is_missing(quick, devices, towers):
    workload = Workload("tiny", devices(), 2, towers)
    result = bench.measure(workload, rounds=2)
    for one in result.rounds:
        parts = layers.breakdown(workload.network, one, "training")
        assert sum(parts.values()) == pytest.approx(one["training",])
        assert min(parts.values()) >= 0 and one["inference",] > 0
        for layer in workload.network.shapes:
            name = layers.base(workload.network, layer.name)
            assert parts[name, FORWARD] > 0 and parts[name, BACKWARD] > 0
        floor = layers.floors(workload.network, one)
        assert len(floor) == 2 * 8 and sum(floor.values()) <= one["floor",]
    assert "forward" not in vars(workload.network)  # the network is its own again


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
    assert 2 * multiply_adds == sum(layers.operations(workload.network, 5).values())


def test_the_floor_leaves_the_weights_and_its_own_numbers_alone():
    workload = Workload("tiny", [HOST], 2)
    before = {name: value.copy() for name, value in workload.network.state().items()}
    floor = Floor(workload.network, 2)
    conv = floor.stages[0][0][1]
    given = conv.dy.copy()
    for _ in range(3):
        floor.train()
    np.testing.assert_array_equal(conv.dy, given)
    assert 1e-3 < np.abs(conv.cols[0]).mean() < 1e3  # not on its way to nothing or to infinity
    for name, value in workload.network.state().items():
        np.testing.assert_array_equal(value, before[name])


# Reports

def made_up_result():
    """Three rounds, the second on a machine that was four times as slow."""
    rounds = [made_up_round() for _ in range(3)]
    for one, ours, floor, theirs in zip(rounds, (60.0, 240.0, 60.0), (30.0, 160.0, 40.0),
                                        (120.0, 120.0, 90.0), strict=True):
        one["training",], one["floor",] = ours, floor
        one["eager training",], one["eager inference",] = theirs, 40.0
    return report.Result(small_network(two_devices()), 12, rounds,
                         {"compile": "no compiler"}, {report.OURS: {"peak": 3_000_000}})


def test_ratios_are_made_within_each_round():
    result = made_up_result()
    assert result.above_floor("training") == Spread(1.5, 1.5, 2.0)
    assert result.speed_against("eager", "training") == Spread(1.5, 0.5, 2.0)
    assert result.rate("tinyalex", "training") == Spread(0.2, 0.05, 0.2)
    # 8 s is the forward part of the floor, 20 s our inference
    assert result.above_floor("inference") == Spread(2.5, 2.5, 2.5)
    assert result.rate("eager", "inference").median == pytest.approx(12 / 40)


def test_the_tables_say_what_was_measured():
    result = made_up_result()
    result.batch_size = 12_000_000
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


def test_the_csv_has_every_figure_with_its_unit(tmp_path):
    path = tmp_path / "bench.csv"
    report.write_csv(report.layer_rows(made_up_result()), report.COLUMNS, path)
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        rows = {(r["name"], r["pass"], r["quantity"], r["unit"]):
                [float(r[key]) for key in ("median", "lowest", "highest")] for r in reader}
    assert reader.fieldnames == ["name", "pass", "quantity", "unit", "median", "lowest", "highest"]
    assert rows["conv1", "backward", "time", "ms"] == [8000, 8000, 8000]
    assert rows["conv1", "backward", "floor", "ms"] == [4000, 4000, 4000]
    assert rows["tinyalex", "training", "time", "ms"] == [60_000, 60_000, 240_000]
    assert rows["eager", "training", "our speed / theirs", ""] == [1.5, 0.5, 2.0]
    assert rows["tinyalex", "training", "memory peak", "MB"] == [3, 3, 3]
    assert rows["conv1", "forward", "work", "GFLOP"][0] == pytest.approx(2 * 2 * 12 * 864 / 1e9)


def test_the_bars_of_the_picture_are_the_times(tmp_path, monkeypatch):
    figures, save = [], picture._save
    monkeypatch.setattr(picture, "_save", lambda figure, path: (figures.append(figure),
                                                                save(figure, path)))
    picture.draw(made_up_result(), tmp_path / "b.png", "made up")
    with Image.open(tmp_path / "b.png") as drawn:
        assert drawn.format == "PNG" and drawn.width == 1500
    left, right = figures[0].axes
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
    (["--sweep", "batch", "--against", "torch"], "--against"),
    (["--csv", "nowhere/b.csv"], "nowhere"),
    (["--out", "nowhere/b.png"], "nowhere"),
])
def test_bad_input_is_two_lines_before_anything_is_measured(argv, named, capsys, monkeypatch):
    monkeypatch.setattr(bench, "Workload", None)
    assert run(lambda: bench.main(argv)) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 2
    assert named in err and "HINT: " in err


def test_without_pytorch_the_hint_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(lambda: bench.main(["--preset", "tiny", "--against", "torch"])) == 2
    assert 'pip install -e ".[peers]"' in capsys.readouterr().err


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
    rows = csv.DictReader((tmp_path / "m.csv").read_text().splitlines())
    assert [row["step"] for row in rows] == ["1", "2", "3"]


@pytest.mark.skipif(not memory.STATUS.exists(), reason="memory is read from /proc")
def test_a_network_is_weighed_in_a_process_of_its_own(capsys):
    assert bench.main(["--preset", "tiny", "--batch-size", "2", "--memory-of", "ours"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"peak", "before", "pools"}
    small, large = (memory.of("ours", "tiny", size, "cpu") for size in (2, 64))
    assert large["peak"] - small["peak"] > 0.5 * (large["pools"] - small["pools"]) > 5e6
    assert memory.of("nobody", "tiny", 2, "cpu") == {}


# Sweeps

def test_what_the_sweeps_go_through(monkeypatch):
    monkeypatch.setattr(sweeps, "available_cores", lambda: 4)
    batches = sweeps.points("batch", "tiny", 8, "cpu")
    assert [point.batch_size for point in batches] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert [p.cores for p in sweeps.points("threads", "tiny", 8, "cpu")] == [(1,), (2,), (3,), (4,)]
    assert [p.side for p in sweeps.points("side", "paper", 8, "cpu")] == [112, 168, 224, 280, 336]
    assert [(p.towers, p.cores) for p in sweeps.points("towers", "tiny", 8, "cpu")] == [
        (1, (1,)), (1, (4,)), (2, (1,)), (2, (4,)), (2, (2, 2))]


def test_a_sweep_leaves_out_what_does_not_fit_and_writes_the_rest(quick, monkeypatch, tmp_path,
                                                                  capsys):
    monkeypatch.setattr(sweeps, "SIDES", (0.5, 1))
    files = tmp_path / "s.csv", tmp_path / "s.png"
    assert bench.main(["--preset", "tiny", "--sweep", "side", "--batch-size", "2", "--rounds", "2",
                       "--csv", str(files[0]), "--out", str(files[1])]) == 0
    assert "28×28: not available" in capsys.readouterr().out
    rows = list(csv.DictReader(files[0].read_text().splitlines()))
    assert [(row["point"], row["mode"]) for row in rows] == [("56×56", "training"),
                                                             ("56×56", "inference")]
    assert float(rows[0]["lowest"]) <= float(rows[0]["images_per_s"]) <= float(rows[0]["highest"])
    assert files[1].stat().st_size > 5_000


def test_a_sweep_divides_by_the_batch_and_compares_with_the_first_point(monkeypatch):
    points = sweeps.points("batch", "tiny", 8, "cpu")[:3:2]  # 1 and 4 pictures
    monkeypatch.setattr(sweeps, "_visit", lambda preset, point: {"training": 2.0, "inference": 1.0})
    found = sweeps.measure("tiny", points, rounds=2)
    assert found[points[1]] == {"training": [0.5, 0.5], "inference": [0.25, 0.25]}
    assert sweeps.speeds(found)[points[1]]["training"] == Spread(2.0, 2.0, 2.0)
    assert sweeps.table("batch", found).splitlines()[-1].split()[4:6] == ["500.0", "4.00"]


def test_pictures_too_small_for_the_network_are_refused():
    with pytest.raises(UserError, match="28×28 are too small"):
        alexnet.tiny(side=28)
    assert alexnet.tiny(side=84).shapes and alexnet.tiny().input_shape == (56, 56, 3)


# What each measure gains

def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


@pytest.mark.parametrize(("K", "S", "P", "side"), [(5, 1, (2, 2), 9), (11, 4, (0, 3), 32),
                                                   (3, 2, (0, 0), 7)])
def test_the_plain_columns_are_the_fast_ones(K, S, P, side):
    places = (side + sum(P) - K) // S + 1
    x, cols = numbers(2, side, side, 3), numbers(2, places, places, K, K, 3)
    outs = np.empty_like(cols), np.empty_like(cols)
    kernels.im2col(x, (K, K), S, P, outs[0])
    measures.im2col_by_numbers(x, (K, K), S, P, outs[1])
    np.testing.assert_array_equal(*outs)
    outs = np.empty_like(x), np.empty_like(x)
    kernels.col2im(cols, S, P, outs[0])
    measures.col2im_by_places(cols, S, P, outs[1])
    np.testing.assert_allclose(*outs, rtol=1e-5, atol=1e-5)


def test_the_plain_pooling_and_window_sums_are_the_fast_ones():
    x = np.maximum(numbers(2, 7, 7, 6), 0)  # with equal zeros
    results = []
    for pool in (kernels.max_pool, measures.max_pool_by_places):
        y, where = np.empty((2, 3, 3, 6), np.float32), np.empty((2, 3, 3, 6), np.uint8)
        pool(x, (3, 3), 2, y, where)
        results.append((y, where))
    for fast, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, plain)
    sums = np.empty_like(x), np.empty_like(x)
    kernels.window_sum(x, 5, sums[0])
    measures.window_sum_by_additions(x, 5, sums[1])
    np.testing.assert_allclose(*sums, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("one", measures.MEASURES, ids=lambda one: one.name)
def test_without_a_measure_the_network_computes_the_same_and_afterwards_it_has_it(one):
    """The update too; what is taken back must really be taken back, and come again."""
    steps = 0 if "BLAS" in one.name else 2  # its threads fight where other programmes run

    def step(*contexts):
        workload = Workload("tiny", two_devices(), 3)
        workload.optimiser.lr = 0.01
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context(workload))
            during = fingerprint(workload)
            losses = [workload.train() for _ in range(steps)]
        return losses, workload.network.state(), during, fingerprint(workload)

    losses, state, before, _ = step()
    again, plain_state, during, after = step(one.without)
    assert during != before == after
    assert again == pytest.approx(losses, rel=1e-5)
    for name, value in state.items():
        np.testing.assert_allclose(plain_state[name], value, rtol=1e-3, atol=1e-6)


def fingerprint(workload):
    """All that measures change."""
    first, device = workload.network.stages[0][0], workload.network.devices[0]
    return (kernels.im2col, kernels.col2im, kernels.max_pool, kernels.window_sum,
            kernels.sum_rows, workload.network._before_relus == [],
            type(device.pool).empty, device.chunk_bytes, Conv2D.places,
            LocalResponseNorm._power,
            first[0].input_gradient, first[1].inplace, SGD.PIECE,
            [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"])


def test_slowdowns_are_ratios_within_a_round(monkeypatch, time, capsys, tmp_path):
    workload = Workload("tiny", [HOST], 2)
    monkeypatch.setattr(measures, "MEASURES", [
        measures.Measure("nothing", lambda w: patch.object(workload, "pace", 3.0))])
    workload.pace = 2.0
    workload.train = workload.infer = lambda: time.passes(workload.pace)
    found = measures.measure(workload, rounds=2)
    assert found == {"nothing": {"training": [1.5, 1.5], "inference": [1.5, 1.5]}}
    assert "× 1.500 (1.500–1.500)" in measures.table(found)
    assert measures.csv_rows(found) == [("nothing", *[1.5] * 6)]
