"""python -m tinyalex.info: what there is to compute with, whether it works, and what is missing."""

import platform
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from itertools import combinations, permutations
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

import tinyalex
from tinyalex.architectures import alexnet
from tinyalex.devices import CpuDevice, available_cores, cuda, parse_placement, python_version
from tinyalex.devices.cuda import CudaDevice
from tinyalex.support.cli import ArgumentParser, add_json, run
from tinyalex.support.text import plural, print_json

TOLERANCE = 1e-3  # of the self-test: float32, added up in another order


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.info`; argv without the program's name."""
    parser = ArgumentParser(
        prog="python -m tinyalex.info",
        description="Say what there is to compute with, try whether it works, and say what to "
                    "install if something is missing.")
    add_json(parser)
    args = parser.parse_args(argv)
    numbers: dict[str, Any] = {}
    for name, text in report(numbers):
        if not args.json:
            print(f"{name:<9} {text}", flush=True)
    if args.json:
        print_json(numbers)
    return 0


def report(numbers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines of the report, (name, text) each, as they are found out. `numbers` gets what they say,
    for other programs."""
    system = platform.system()
    numbers |= {"tinyalex": tinyalex.__version__, "python": platform.python_version(),
                "system": system}
    yield "tinyalex", f"{tinyalex.__version__}, Python {python_version()}, {system}"
    pools = [f"{pool['internal_api']} {pool['version']}" for pool in threadpool_info()
             if pool["user_api"] == "blas"]
    numbers |= {"cores": available_cores(), "numpy": np.__version__, "blas": pools}
    yield "cpu", (f"{plural(available_cores(), 'core')}, numpy {np.__version__}, BLAS: "
                  f"{', '.join(pools) or 'not known'}")
    cuda_report = cuda.find()
    numbers |= {"cupy": cuda_report.cupy, "problem": cuda_report.problem or None, "gpus": []}
    yield "cupy", cuda_report.cupy
    if cuda_report.problem:
        yield "gpu", f"none: {cuda_report.problem}"
        yield "HINT:", cuda_report.hint
    else:
        yield from _gpus(cuda_report.gpus, numbers)
    numbers["auto"] = parse_placement("auto")
    yield "auto", f"--devices auto is {','.join(numbers['auto'])}"


def _gpus(gpus: list[cuda.Gpu], numbers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    runtime = cuda.load().cuda.runtime
    numbers |= {"driver": _version(runtime.driverGetVersion()),
                "runtime": _version(runtime.runtimeGetVersion())}
    yield "cuda", f"driver {numbers['driver']}, runtime {numbers['runtime']}"
    for gpu in gpus:
        major, minor = gpu.capability
        yield f"cuda:{gpu.index}", (f"{gpu.name}, {gpu.memory / 1e9:.1f} GB, compute capability "
                                    f"{major}.{minor}")
        numbers["gpus"].append(asdict(gpu))
        yield from _try(gpu, numbers["gpus"][-1])
    for source, target in combinations(gpus, 2):
        yield "copies", _copies(source.index, target.index)


def _version(number: int) -> str:
    """ "12.9" of 12090."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _try(gpu: cuda.Gpu, numbers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A whole training step; whatever goes wrong is said in a line. `numbers` gets how far it is
    from the CPU's, and whether it is right."""
    numbers |= {"works": False, "differs": {}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            difference = self_test(gpu.index)
    except Exception as error:  # a missing library shows in many ways
        yield "self-test", f"does not work: {type(error).__name__}: {cuda.first_line(error)}"
        yield "HINT:", f"install CuPy with the toolkit's libraries: {cuda.INSTALL}."
        return
    works = difference < TOLERANCE
    numbers |= {"works": works, "differs": {"self-test": difference}}
    yield "self-test", f"{'right' if works else 'WRONG'}: differs from the CPU by {difference:.1e}"


def self_test(index: int) -> float:
    """A training step of the preset `tiny` on this GPU: the largest difference of a gradient from
    the CPU's, relative to the largest number of that gradient."""
    gradients = []
    for device in (CpuDevice(), CudaDevice(index)):
        network, rng = alexnet.tiny(devices=[device]), np.random.default_rng(0)
        x = rng.standard_normal((4, *network.input_shape), np.float32)
        _, dscores = network.loss_and_gradient(network.forward(x, remember=True, drop=True),
                                               rng.integers(0, network.classes, 4))
        network.backward(dscores)
        gradients.append([device.get(p.grad) for p in network.parameters])
        device.close()
    return max(float(np.abs(a - b).max() / np.abs(a).max())
               for a, b in zip(*gradients, strict=True))


def _copies(source: int, target: int) -> str:
    ways = []
    for a, b in permutations((CudaDevice(source), CudaDevice(target))):
        if not cuda.copies_arrive(a, b):
            ways.append(f"{a.name} to {b.name}: arrive damaged, so they go through the host")
        elif cuda.load().cuda.runtime.deviceCanAccessPeer(b.index, a.index):
            ways.append(f"{a.name} to {b.name}: direct")
        else:
            ways.append(f"{a.name} to {b.name}: the driver takes them through the host")
    return "; ".join(ways)


if __name__ == "__main__":
    sys.exit(run(main))
