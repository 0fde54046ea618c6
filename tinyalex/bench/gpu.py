"""What a GPU can do at best: the floors of a network there.

Each layer has two. Arithmetic: its multiplications and additions at the speed of a large
square product, measured here and now. Bytes: what it must read and write at least, each array once,
at the speed of a large copy. No kernel can be faster than the longer of the two; how close a
layer's time is to it says how good the layer is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from tinyalex.bench.timing import Spread, seconds
from tinyalex.bench.work import Part, least_bytes, operations
from tinyalex.bench.workload import Workload
from tinyalex.devices import cuda
from tinyalex.devices.cuda import CudaDevice

PRECISIONS = ("float32", "TF32")
PRODUCT, COPY = "FLOP/s of a large product", "bytes/s of a large copy"


@contextmanager
def multiplying(precision: str) -> Iterator[None]:
    """Let GPUs multiply in one of PRECISIONS."""
    cuda.use_tf32(precision == "TF32")
    try:
        yield
    finally:
        cuda.use_tf32(False)


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


def floors(workload: Workload, limits: dict[str, float]) -> dict[str, dict[Part, Spread]]:
    """The least seconds of each row and pass, by what limits them."""
    network, N = workload.network, workload.batch_size
    gpus = len({device.index for device in workload.gpus})
    return {name: {part: Spread.of([amount / limits[limit] / gpus])
                   for part, amount in amounts.items()}
            for name, amounts, limit in (("arithmetic", operations(network, N), PRODUCT),
                                         ("bytes", least_bytes(network, N), COPY))}
