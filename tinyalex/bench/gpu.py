"""The speed of a network on GPUs, in float32 and in TF32: what `python -m tinyalex.bench --devices
cuda:0` prints.

Two floors stand beside each layer. Arithmetic: its multiplications and additions at the speed of a
large square product, measured here and now. Bytes: what it must read and write at least, each array
once, at the speed of a large copy. No kernel can be faster than the longer of the two; the share of
it that a layer's time is says how good the layer is.

The batch lies on the GPU already, ours and PyTorch's: how a training run gets it there is another
question.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from statistics import median
from time import perf_counter

import numpy as np

from tinyalex.bench import layers, peer, report, spans, timeline
from tinyalex.bench.layers import BACKWARD, FORWARD, PASSES, UPDATE
from tinyalex.bench.workload import Workload
from tinyalex.devices import HOST, Devices, cuda
from tinyalex.devices.cuda import CudaDevice
from tinyalex.inside import costs
from tinyalex.network import Network
from tinyalex.run import presets
from tinyalex.support.errors import UserError
from tinyalex.support.text import align, megabytes

PRECISIONS = ("float32", "TF32")
PEERS = {"channels_last": "PyTorch eager, channels_last",
         "tuned": "PyTorch eager, channels_last, own LRN"}
COLUMNS = ("precision", "name", "pass", "quantity", "unit", "value")


@dataclass
class Measured:
    """One precision. peak: FLOP/s of a large product; copying: bytes/s, read and written together.
    steps: spans of watched steps. seconds: of a batch, by (who, mode), round by round. memory:
    bytes, by who."""

    precision: str
    network: Network
    batch_size: int
    peak: float
    copying: float
    steps: list = field(default_factory=list)
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def images(self, who: str, mode: str) -> float:
        return self.batch_size / median(self.seconds[who, mode])

    def against(self, who: str, mode: str) -> float:
        """Our time divided by theirs, the median over the rounds: below 1 we are faster."""
        pairs = zip(self.seconds["tinyalex", mode], self.seconds[who, mode], strict=True)
        return median(ours / theirs for ours, theirs in pairs)


def bench(args) -> int:
    """The command, with the arguments of `bench.__main__`."""
    if args.sweep or args.measures or args.memory or args.memory_of:
        raise UserError("--sweep, --measures, --memory and --memory-of measure the CPU",
                        "leave them out, or name --devices cpu,cpu.")
    rows = [row for precision in PRECISIONS for row in _bench(args, precision)]
    if args.csv:
        report.write_csv(rows, COLUMNS, args.csv)
        print(f"all figures: {args.csv}")
    return 0


def _bench(args, precision: str) -> list[tuple]:
    """Rows of COLUMNS. Nothing of it is left on the GPU afterwards: the next one's memory counts
    from there."""
    with Devices(args.devices, presets.get(args.preset).towers) as devices:
        measured = measure(args.preset, devices, args.batch_size, precision, args.rounds,
                           PEERS if args.against else ())
        print(text(measured, args.preset, devices), flush=True)
        if args.out:
            path = args.out.with_stem(f"{args.out.stem}-{precision.lower()}")
            title = f"a training step of {args.preset}, {args.batch_size} pictures, {precision}"
            timeline.draw(timeline.typical(measured.steps), path, _named(devices), title)
            print(f"as a picture: {path}")
        return csv_rows(measured)


def measure(preset: str, devices: Devices, batch_size: int, precision: str, rounds: int,
            peers=()) -> Measured:
    """Everything about one precision; PyTorch's too, for the peers named, in turn with ours."""
    cuda.use_tf32(precision == "TF32")
    try:
        peaks = speeds(devices[0])
        gc.collect()  # a device that is gone may still hold memory
        for device in devices:
            device.pool.forget_peak()
        workload = Workload(preset, devices, batch_size)
        workload.x = Resident(workload.x, devices)
        measured = Measured(precision, workload.network, batch_size, *peaks)
        contenders = {("tinyalex", "training"): workload.train,
                      ("tinyalex", "inference"): workload.infer}

        def wait():
            for device in devices:
                device.synchronize()

        for name in peers:
            theirs = GpuPeer(name, preset, batch_size, devices[0].index, precision)
            contenders |= {(name, "training"): theirs.step, (name, "inference"): theirs.infer}
            wait = _both(wait, theirs.wait)
        in_turn(contenders, rounds, wait, measured.seconds)
        measured.steps = spans.watched_steps(workload, rounds)
        indices = {device.index: device for device in devices}
        measured.memory["tinyalex"] = sum(device.pool.peak for device in indices.values())
        for name in peers:
            measured.memory[name] = GpuPeer.memory_of(name, preset, batch_size, devices[0].index,
                                                      precision)
        return measured
    finally:
        cuda.use_tf32(False)


def _both(one: Callable, other: Callable) -> Callable:
    def both():
        one()
        other()

    return both


def in_turn(contenders: dict, rounds: int, wait: Callable, seconds: dict):
    """Add to seconds[key] what a call of contenders[key] takes, round by round: of several in a row
    until the GPU is done with all of them, as in a training run. wait: until all GPUs are idle."""
    calls = {}
    for key, call in contenders.items():
        for _ in range(3):
            call()
        calls[key] = max(3, round(0.3 / _seconds(call, 3, wait)))
    for _ in range(rounds):
        for key, call in contenders.items():
            seconds.setdefault(key, []).append(_seconds(call, calls[key], wait))


def _seconds(call: Callable, times: int, wait: Callable) -> float:
    wait()
    start = perf_counter()
    for _ in range(times):
        call()
    wait()
    return (perf_counter() - start) / times


def speeds(device: CudaDevice, side: int = 8192) -> tuple[float, float]:
    """FLOP/s of a product of two square matrices, and bytes/s of a copy of one of them."""
    side = min(side, int((device.chunk_bytes / 4) ** 0.5))
    # Noise: numbers that are all the same take less power, and the GPU runs at a higher clock.
    noise = np.random.default_rng(0).standard_normal((side, side), np.float32)
    a, b, c = (device.put(noise) for _ in range(3))

    def time(work):
        for _ in range(3):
            device.run(work)
        first = device.run(spans.mark, device).result()
        for _ in range(10):
            device.run(work)
        last = device.run(spans.mark, device).result()
        device.synchronize()
        return spans.milliseconds(device, first, last) / 1000 / 10

    product, copying = time(lambda: np.matmul(a, b, out=c)), time(lambda: c.__setitem__(..., a))
    return 2 * side**3 / product, 2 * a.nbytes / copying


class Resident:
    """A batch that lies on the devices already; for a network like `Crops`, with nothing to do."""

    def __init__(self, batch: np.ndarray, devices: Devices):
        self.shape, self.copies = batch.shape, {device: device.put(batch) for device in devices}

    def __len__(self) -> int:
        return self.shape[0]

    def finish(self, device: CudaDevice):
        return self.copies[device]


class GpuPeer:
    """The same network in PyTorch on a GPU: built from ours on the CPU, with its weights."""

    def __init__(self, variant: str, preset: str, batch_size: int, index: int, precision: str):
        torch = self.torch = peer.load_torch()
        if not torch.cuda.is_available():
            raise UserError("--against torch: this PyTorch has no CUDA",
                            "install one that has, see pytorch.org.")
        torch.backends.cuda.matmul.allow_tf32 = precision == "TF32"
        torch.backends.cudnn.allow_tf32 = precision == "TF32"
        torch.backends.cudnn.benchmark = True  # it tries, at the first step, what is fastest
        self.device = torch.device("cuda", index)
        self.peer = one = peer.Peer(variant, Workload(preset, [HOST], batch_size), cores=1)
        one.module.to(self.device)
        one.x, one.labels = one.x.to(self.device), one.labels.to(self.device)

    def step(self):
        """One training step, which waits for nothing."""
        one = self.peer
        one.module.train()
        one.optimiser.zero_grad()
        one.loss(one.module(one.x), one.labels).backward()
        one.optimiser.step()

    def infer(self):
        return self.peer.infer()

    def wait(self):
        self.torch.cuda.synchronize(self.device)

    @classmethod
    def memory_of(cls, variant: str, preset: str, batch_size: int, index: int,
                  precision: str) -> int:
        """Bytes that PyTorch takes from the GPU to train, at the most: of its pool, as ours. What
        it tried to find what is fastest does not count: it has done that before."""
        cuda_of = peer.load_torch().cuda
        cuda_of.empty_cache()
        before = cuda_of.memory_reserved(index)
        cuda_of.reset_peak_memory_stats(index)
        one = cls(variant, preset, batch_size, index, precision)
        for _ in range(3):
            one.step()
        one.wait()
        return cuda_of.max_memory_reserved(index) - before


def least_bytes(network: Network, batch_size: int) -> dict[tuple[str, str], int]:
    """Bytes by row and pass that must be moved at least: every array that a layer reads or writes,
    once. Columns are not among them: they are how we compute, not what."""
    counts: dict[tuple[str, str], int] = {}

    def add(row, part, size):
        counts[row, part] = counts.get((row, part), 0) + size

    for layer, (shape, out) in network.shapes.items():
        x, y = (4 * prod(one) * batch_size for one in (shape, out))
        weights, kept = 4 * costs.parameters(layer), layer.extra_bytes(shape, 4) * batch_size
        row = layers.base(network, layer.name)
        if x == y and not layer.params and not layer.keeps and not kept:
            continue  # a Flatten moves nothing
        read_again = sum({"x": x, "y": y}[one] for one in layer.keeps)
        first = not getattr(layer, "input_gradient", True)
        add(row, FORWARD, x + y + weights + kept)
        add(row, BACKWARD, y + (0 if first else x) + read_again + kept + 2 * weights)
    add(UPDATE, BACKWARD, 5 * 4 * costs.totals(network)["parameters"])  # w, v, g; w, v
    return counts


def rows(measured: Measured) -> list[tuple[str, str, float, float, float]]:
    """(row, pass, milliseconds, the arithmetic floor, the floor of bytes) for each layer."""
    network, times = measured.network, spans.table(measured.network, measured.steps)
    work = layers.operations(network, measured.batch_size)
    size = least_bytes(network, measured.batch_size)
    gpus = len({device.index for device in network.devices})
    found = []
    for name in [*layers.names(network)[:-1], spans.COPIES]:
        for part in [*PASSES, ""]:
            if (name, part) in times:
                found.append((name, part, times[name, part],
                              1000 * work.get((name, part), 0) / measured.peak / gpus,
                              1000 * size.get((name, part), 0) / measured.copying / gpus))
    return found


def text(measured: Measured, preset: str, devices: Devices) -> str:
    """What was measured, as printed."""
    table = [("layer", "pass", "ms", "arithmetic", "bytes", "share of the floor")]
    for name, part, spent, arithmetic, moved in rows(measured):
        floor = max(arithmetic, moved)
        share = f"{floor / spent:.0%}" if floor and spent else ""
        cells = [report.milliseconds(one / 1000) if one else "" for one in (arithmetic, moved)]
        table.append((name, part, report.milliseconds(spent / 1000), *cells, share))
    total = [sum(row[i] for row in rows(measured)) for i in (3, 4)]
    whole = 1000 * median(measured.seconds["tinyalex", "training"])
    table.append(("step", "", report.milliseconds(whole / 1000),
                  *(report.milliseconds(one / 1000) for one in total), ""))
    network, traffic = measured.network, sum(
        costs.traffic(measured.network, measured.batch_size).values())
    kept = costs.kept_bytes(network, measured.batch_size)
    lines = [
        f"\n{preset}, batch {measured.batch_size}, {measured.precision}, "
        f"on {', '.join(_named(devices))}",
        f"a large product {measured.peak / 1e12:.1f} TFLOP/s, a large copy "
        f"{measured.copying / 1e12:.2f} TB/s read and written", "",
        align(table, left=2), "",
        f"between devices {megabytes(traffic)} a step; activations kept where they are "
        f"{megabytes(kept)}", "", _speeds(measured)]
    return "\n".join(lines)


def _speeds(measured: Measured) -> str:
    table = [("", "training images/s", "ours / theirs", "inference images/s", "ours / theirs",
              "memory")]
    for who in dict.fromkeys(who for who, _ in measured.seconds):
        cells = []
        for mode in report.MODES:
            ratio = f"{measured.against(who, mode):.2f}" if who != "tinyalex" else ""
            cells += [f"{measured.images(who, mode):,.0f}", ratio]
        table.append((PEERS.get(who, who), *cells, megabytes(measured.memory[who])))
    return align(table, total=False) + "\n(time: ours / theirs, below 1 we are faster)"


def csv_rows(measured: Measured) -> list[tuple]:
    """Rows of COLUMNS."""
    found = [("peak", "", "product", "FLOP/s", measured.peak),
             ("copy", "", "read and written", "bytes/s", measured.copying)]
    for name, part, spent, arithmetic, moved in rows(measured):
        found += [(name, part, "time", "ms", spent), (name, part, "arithmetic floor", "ms",
                                                      arithmetic),
                  (name, part, "bytes floor", "ms", moved)]
    for (who, mode), _ in measured.seconds.items():
        found.append((who, mode, "speed", "images/s", measured.images(who, mode)))
    found += [(who, "training", "memory", "bytes", float(size))
              for who, size in measured.memory.items()]
    return [(measured.precision, *row) for row in found]


def _named(devices: Devices) -> list[str]:
    return [repr(device)[1:-1] for device in devices]
