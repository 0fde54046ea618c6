"""The speed against one thing that changes: batch size, cores, pictures' size, towers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tinyalex.bench.report import speed_cells
from tinyalex.bench.timing import Seconds, Spread, in_turn
from tinyalex.bench.workload import Workload
from tinyalex.devices import CpuDevice, Devices, available_cores
from tinyalex.run import presets
from tinyalex.support.errors import UserError
from tinyalex.support.text import align, plural

SWEEPS = ("batch", "threads", "side", "towers")
LARGEST_BATCH = 256
SIDES = (0.5, 0.75, 1, 1.25, 1.5)  # of the preset's


@dataclass(frozen=True)
class Point:
    """What is measured for one line of the table. cores: of each device. towers, side: None for the
    preset's."""

    label: str
    cores: tuple[int, ...]
    batch_size: int
    towers: int | None = None
    side: int | None = None


def points(sweep: str, preset: str, batch_size: int, devices: Devices) -> list[Point]:
    """What a sweep goes through; what it does not change is as given. Pictures that are too small
    for the network are left out."""
    as_placed, n = tuple(device.cores for device in devices), available_cores()
    if sweep == "batch":
        sizes = [2**i for i in range(LARGEST_BATCH.bit_length())]
        return [Point(f"batch {size}", as_placed, size) for size in sizes]
    if sweep == "threads":
        return [Point(f"cpu, {plural(cores, 'core')}", (cores,), batch_size)
                for cores in range(1, n + 1)]
    if sweep == "side":
        usual = presets.get(preset).network().input_shape[0]
        sides = [round(usual * times) for times in SIDES]
        return [Point(f"{side}×{side}", as_placed, batch_size, side=side) for side in sides
                if _fits(preset, side)]
    towers = [("one tower, 1 core", (1,), 1), (f"one tower, {n} cores", (n,), 1),
              ("two towers, 1 core", (1,), 2), (f"two towers, one device, {n} cores", (n,), 2),
              (f"two towers, two devices, {n} cores", (max(1, n // 2),) * 2, 2)]
    return [Point(label, cores, batch_size, count) for label, cores, count in towers]


def measure(preset: str, points: list[Point], rounds: int) -> Seconds:
    """By the labels of the points. Each network is built anew when it is its turn: several would
    not fit into memory together."""
    return in_turn({point.label: partial(_visit, preset, point) for point in points}, rounds,
                   fresh=True)


@contextmanager
def _visit(preset: str, point: Point) -> Iterator[Workload]:
    devices = [CpuDevice(f"cpu{i}", cores, own_thread=len(point.cores) > 1)
               for i, cores in enumerate(point.cores)]
    try:
        yield Workload(preset, devices, point.batch_size, point.towers, point.side)
    finally:
        for device in devices:
            device.close()


def _fits(preset: str, side: int) -> bool:
    """Whether there is such a network: some are too deep for small pictures."""
    try:
        presets.get(preset).network(side=side)
    except UserError:
        return False
    return True


def table(seconds: Seconds, mode: str) -> str:
    """A line a point: milliseconds a picture, images/s, and how many times as fast as the first
    point, compared within each round."""
    rows = {who: spent for (who, of), spent in seconds.items() if of == mode}
    first = next(iter(rows.values()))
    return align([(mode, "ms a picture", "images/s", "× the first"),
                  *((who, *speed_cells(spent), f"{Spread.ratio(first, spent).median:.2f}")
                    for who, spent in rows.items())], total=False)
