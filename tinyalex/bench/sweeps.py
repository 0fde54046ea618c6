"""The speed against one thing that changes: batch size, cores, pictures' size, towers."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tqdm import tqdm

from tinyalex.bench.speed import MODES
from tinyalex.bench.tables import Row, milliseconds, row, with_spread
from tinyalex.bench.timing import Spread, seconds, warm_up
from tinyalex.bench.workload import Workload
from tinyalex.devices import CpuDevice, Devices, available_cores
from tinyalex.run import presets
from tinyalex.support.errors import UserError
from tinyalex.support.text import align

LARGEST_BATCH = 256
SIDES = (0.5, 0.75, 1, 1.25, 1.5)  # of the preset's


@dataclass(frozen=True)
class Point:
    """One thing to measure. label: how it is called. value: where it stands on the axis.
    cores: of each device. towers, side: None for the preset's."""

    label: str
    value: float
    cores: tuple[int, ...]
    batch_size: int
    towers: int | None = None
    side: int | None = None


Seconds = dict[Point, dict[str, list[float]]]  # a picture, by mode, round by round


def _batches(preset: str, batch_size: int, devices: Devices) -> list[Point]:
    sizes = [2**i for i in range(LARGEST_BATCH.bit_length())]
    return [Point(f"batch {size}", size, _cores(devices), size) for size in sizes]


def _threads(preset: str, batch_size: int, devices: Devices) -> list[Point]:
    return [Point(f"cpu, {n} core{'s' * (n > 1)}", n, (n,), batch_size)
            for n in range(1, available_cores() + 1)]


def _sides(preset: str, batch_size: int, devices: Devices) -> list[Point]:
    recipe = presets.get(preset)
    usual = recipe.network(towers=recipe.towers).input_shape[0]
    sides = [round(usual * times) for times in SIDES]
    return [Point(f"{side}×{side}", side, _cores(devices), batch_size, side=side) for side in sides]


def _towers(preset: str, batch_size: int, devices: Devices) -> list[Point]:
    n = available_cores()
    wanted = [("one tower, 1 core", (1,), 1), (f"one tower, {n} cores", (n,), 1),
              ("two towers, 1 core", (1,), 2), (f"two towers, one device, {n} cores", (n,), 2),
              (f"two towers, two devices, {n} cores", (max(1, n // 2),) * 2, 2)]
    return [Point(label, i, cores, batch_size, towers)
            for i, (label, cores, towers) in enumerate(wanted)]


# What a sweep goes through; what it does not change is as given.
SWEEPS: dict[str, Callable[[str, int, Devices], list[Point]]] = {
    "batch": _batches, "threads": _threads, "side": _sides, "towers": _towers}
ABOUT = {"batch": "against the batch size", "threads": "against the cores of one device",
         "side": "against the size of the pictures", "towers": "with one tower and two"}


def _cores(devices: Devices) -> tuple[int, ...]:
    return tuple(device.cores for device in devices)


def measure(preset: str, points: list[Point], rounds: int) -> Seconds:
    """Seconds that a picture takes at each point. One whose network cannot be built is left out.

    The points come in turn, and each network is built anew for its turn: several would not fit into
    memory together.
    """
    spent: Seconds = {point: {mode: [] for mode in MODES} for point in points}
    with tqdm(total=rounds * len(points), desc="measuring", unit="run", disable=None,
              leave=False) as bar:
        for i in range(rounds):
            for point in points[:: -1 if i % 2 else 1]:
                try:
                    for mode, batch in zip(MODES, _visit(preset, point), strict=True):
                        spent[point][mode].append(batch / point.batch_size)
                except UserError:
                    spent.pop(point, None)
                bar.update()
    return spent


def _visit(preset: str, point: Point) -> tuple[float, float]:
    """Seconds for a batch, in training and in inference."""
    with ExitStack() as closing:
        devices = [CpuDevice(f"cpu{i}", cores) for i, cores in enumerate(point.cores)]
        for device in devices:
            closing.callback(device.close)
        workload = Workload(preset, devices, point.batch_size, point.towers, point.side)
        return (seconds(workload.train, warm_up(workload.train)),
                seconds(workload.infer, warm_up(workload.infer)))


def rate(seconds: list[float]) -> Spread:
    """Pictures a second."""
    return Spread.of(1 / spent for spent in seconds)


def table(sweep: str, seconds: Seconds) -> str:
    """A line a point: images/s, milliseconds a picture, and how many times as fast as the first
    point, compared within each round."""
    rows = [(sweep, "training images/s", "ms a picture", "× the first", "inference images/s",
             "ms a picture", "× the first")]
    first = next(iter(seconds.values()))
    for point, modes in seconds.items():
        cells = []
        for mode, spent in modes.items():
            times = Spread.ratio(first[mode], spent).median
            cells += [with_spread(rate(spent)), milliseconds(Spread.of(spent).median),
                      f"{times:.2f}"]
        rows.append((point.label, *cells))
    return align(rows, total=False)


def csv_rows(seconds: Seconds) -> list[Row]:
    return [row(point.label, mode, *figure) for point, modes in seconds.items()
            for mode, spent in modes.items()
            for figure in (("speed", "images/s", rate(spent)),
                           ("time a picture", "ms", Spread.of(spent), 1000))]
