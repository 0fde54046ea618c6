"""The speed of a network on GPUs, in float32 and in TF32.

Two floors stand beside each layer. Arithmetic: its multiplications and additions at the speed of a
large square product, measured here and now. Bytes: what it must read and write at least, each array
once, at the speed of a large copy. No kernel can be faster than the longer of the two; the share of
it that a layer's time is says how good the layer is.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from tinyalex.bench import report, speed
from tinyalex.bench.speed import OURS, Result
from tinyalex.bench.timing import Spread, seconds
from tinyalex.bench.work import Part, least_bytes, operations
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices, cuda
from tinyalex.devices.cuda import CudaDevice

PRECISIONS = ("float32", "TF32")
PRODUCT, COPY = "FLOP/s of a large product", "bytes/s of a large copy"
FLOORS = ("arithmetic", operations, PRODUCT), ("bytes", least_bytes, COPY)


def measure(preset: str, devices: Devices, batch_size: int, precision: str, rounds: int,
            variants: Iterable[str] = ()) -> Result:
    """Everything about one precision; PyTorch's too, in turn with ours. The batch lies on the GPU
    already, ours and PyTorch's: how a training run gets it there is another question."""
    cuda.use_tf32(precision == "TF32")
    try:
        speeds = limits(devices[0])
        gc.collect()  # what was measured before may still hold memory
        for device in devices:
            device.pool.forget_peak()
        workload = Workload(preset, devices, batch_size, precision=precision)
        print(report.settings(workload), flush=True)
        result = speed.measure(workload, rounds, variants)
        result.limits = speeds
        for name, amounts, limit in FLOORS:
            least = amounts(workload.network, batch_size)
            result.floors[name] = _seconds(least, speeds[limit], devices)
        pools = {device.index: device.pool.peak for device in devices}
        result.memory[OURS] = {"peak": sum(pools.values())}
        for variant in variants:
            peak = speed.load_peer().gpu_memory(variant, workload)
            result.memory[variant] = {"peak": peak}
        return result
    finally:
        cuda.use_tf32(False)


def _seconds(amounts: Counter[Part], per_second: float, devices: Devices) -> dict[Part, Spread]:
    gpus = len({device.index for device in devices})
    return {part: Spread.of([amount / per_second / gpus]) for part, amount in amounts.items()}


def limits(device: CudaDevice, side: int = 8192) -> dict[str, float]:
    """How fast the GPU multiplies two square matrices, and copies one of them (bytes read and bytes
    written, together)."""
    side = min(side, int((device.chunk_bytes / 4) ** 0.5))
    # Noise: numbers that are all the same take less power, and the GPU runs at a higher clock.
    noise = np.random.default_rng(0).standard_normal((side, side), np.float32)
    a, b, c = (device.put(noise) for _ in range(3))

    def time(work: Callable[[], object]) -> float:
        seconds(lambda: device.run(work), 3, device.synchronize)
        return seconds(lambda: device.run(work), 10, device.synchronize)

    return {PRODUCT: 2 * side**3 / time(lambda: np.matmul(a, b, out=c)),
            COPY: 2 * a.nbytes / time(lambda: c.__setitem__(..., a))}
