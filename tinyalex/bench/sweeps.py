"""The speed against one thing that changes: batch size, cores, pictures' size, towers."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tqdm import tqdm

from tinyalex.bench.report import milliseconds, with_spread
from tinyalex.bench.timing import Spread, seconds, warm_up
from tinyalex.bench.workload import Workload
from tinyalex.devices import CpuDevice, Devices, available_cores
from tinyalex.run import presets
from tinyalex.support.errors import UserError
from tinyalex.support.text import align

COLUMNS = ("sweep", "point", "mode", "images_per_s", "lowest", "highest", "ms_a_picture")
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


def points(sweep: str, preset: str, batch_size: int, devices: str) -> list[Point]:
    """What a sweep goes through; what it does not change is as given."""
    return SWEEPS[sweep](preset, batch_size, devices)


def _batches(preset: str, batch_size: int, devices: str) -> list[Point]:
    cores = _cores(devices, presets.get(preset).towers)
    sizes = [2**i for i in range(LARGEST_BATCH.bit_length())]
    return [Point(f"batch {size}", size, cores, size) for size in sizes]


def _threads(preset: str, batch_size: int, devices: str) -> list[Point]:
    return [Point(f"cpu, {n} core{'s' * (n > 1)}", n, (n,), batch_size)
            for n in range(1, available_cores() + 1)]


def _sides(preset: str, batch_size: int, devices: str) -> list[Point]:
    recipe = presets.get(preset)
    cores = _cores(devices, recipe.towers)
    usual = recipe.network(towers=recipe.towers).input_shape[0]
    sides = [round(usual * times) for times in SIDES]
    return [Point(f"{side}×{side}", side, cores, batch_size, side=side) for side in sides]


def _towers(preset: str, batch_size: int, devices: str) -> list[Point]:
    n = available_cores()
    wanted = [("one tower, 1 core", (1,), 1), (f"one tower, {n} cores", (n,), 1),
              ("two towers, 1 core", (1,), 2), (f"two towers, one device, {n} cores", (n,), 2),
              (f"two towers, two devices, {n} cores", (max(1, n // 2),) * 2, 2)]
    return [Point(label, i, cores, batch_size, towers)
            for i, (label, cores, towers) in enumerate(wanted)]


SWEEPS: dict[str, Callable[[str, int, str], list[Point]]] = {
    "batch": _batches, "threads": _threads, "side": _sides, "towers": _towers}
ABOUT = {"batch": "against the batch size", "threads": "against the cores of one device",
         "side": "against the size of the pictures", "towers": "with one tower and two"}
AXES = {"batch": "pictures in a batch", "threads": "cores", "side": "pixels along one side"}


def _cores(placement: str, towers: int) -> tuple[int, ...]:
    with Devices(placement, towers) as devices:
        return tuple(device.cores for device in devices)


def measure(preset: str, wanted: list[Point], rounds: int) -> dict[Point, dict[str, list[float]]]:
    """Seconds that a picture takes in training and inference, round by round, at each point.

    The points come in turn, and each network is built anew for its turn: several would not fit into
    memory together. A point whose network cannot be built is left out.
    """
    found = {point: {"training": [], "inference": []} for point in wanted}
    with tqdm(total=rounds * len(wanted), desc="measuring", unit="run", disable=None,
              leave=False) as bar:
        for i in range(rounds):
            for point in wanted[:: -1 if i % 2 else 1]:
                try:
                    for mode, spent in _visit(preset, point).items():
                        found[point][mode].append(spent / point.batch_size)
                except UserError:
                    found.pop(point, None)
                bar.update()
    return found


def _visit(preset: str, point: Point) -> dict[str, float]:
    with ExitStack() as closing:
        closing.enter_context(Devices("cpu", 1))  # keeps BLAS to one thread a call
        devices = [CpuDevice(f"cpu{i}", cores) for i, cores in enumerate(point.cores)]
        for device in devices:
            closing.callback(device.close)
        workload = Workload(preset, devices, point.batch_size, point.towers, point.side)
        spent = {}
        for mode, call in (("training", workload.train), ("inference", workload.infer)):
            spent[mode] = seconds(call, warm_up(call))
        return spent


def speeds(found: dict[Point, dict[str, list[float]]]) -> dict[Point, dict[str, Spread]]:
    """Pictures a second."""
    return {point: {mode: Spread.of(1 / one for one in spent) for mode, spent in modes.items()}
            for point, modes in found.items()}


def table(sweep: str, found: dict[Point, dict[str, list[float]]]) -> str:
    """A line a point: images/s, milliseconds a picture, and how many times as fast as the first
    point, compared within each round."""
    rows = [(sweep, "training images/s", "ms a picture", "× the first", "inference images/s",
             "ms a picture", "× the first")]
    first = next(iter(found.values()))
    for point, modes in found.items():
        cells = []
        for mode, spent in modes.items():
            ratios = Spread.of(a / b for a, b in zip(first[mode], spent, strict=True))
            cells += [with_spread(speeds(found)[point][mode]),
                      milliseconds(Spread.of(spent).median), f"{ratios.median:.2f}"]
        rows.append((point.label, *cells))
    return align(rows, total=False)


def csv_rows(sweep: str, found: dict[Point, dict[str, list[float]]]) -> list[tuple]:
    """For each point and mode a row of COLUMNS."""
    return [(sweep, point.label, mode, rate.median, rate.low, rate.high, 1000 / rate.median)
            for point, modes in speeds(found).items() for mode, rate in modes.items()]
