"""Where the tests for GPUs run: on simulated ones and, where there are any, on real ones."""

import contextlib
import re
from collections.abc import Iterator

import cuda_as_cpp
import pytest
import simulated_cupy

from tinyalex.devices import cuda


def machines(*placements: str) -> list:
    """Parameters: each placement on simulated GPUs and, marked gpu or multi_gpu, on real ones."""
    params = [pytest.param(("simulated", place), id=f"simulated {place}") for place in placements]
    for place in placements:
        marks = [pytest.mark.gpu] + [pytest.mark.multi_gpu] * ("cuda:1" in place)
        params.append(pytest.param(("real", place), id=place, marks=marks))
    return params


@contextlib.contextmanager
def on(kind: str, placement: str) -> Iterator[None]:
    """A machine of this kind, with the GPUs that the placement names; or the test is skipped."""
    wanted = 1 + max(int(gpu) for gpu in re.findall("cuda:([0-9]+)", placement))
    if kind == "simulated":
        if cuda_as_cpp.COMPILER is None:
            pytest.skip("no C++ compiler (c++, g++ or clang++) was found")
        with simulated_cupy.installed(gpus=max(2, wanted)):
            yield
        return
    machine = cuda.find()
    if machine.problem:
        pytest.skip(machine.problem)
    if len(machine.gpus) < wanted:
        pytest.skip(f"needs {wanted} GPUs, and there are {len(machine.gpus)} here")
    yield
