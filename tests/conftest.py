"""What the tests share."""

import contextlib
from collections.abc import Iterator

import cuda_as_cpp
import pytest
import simulated_cupy
from threadpoolctl import threadpool_limits

from tinyalex import cuda


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_blas() -> Iterator[None]:
    """As on the devices. On a busy machine the threads of BLAS wait for each other at full speed,
    and small products take a hundred times as long."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """An empty folder for made and downloaded data, so that no test meets the user's own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("TINYALEX_DATA", str(folder))
    return folder


def machines(*placements: str) -> list:
    """Parameters: each placement on simulated GPUs and, marked gpu or multi_gpu, on real ones."""
    found = [pytest.param(("simulated", one), id=f"simulated {one}") for one in placements]
    for one in placements:
        marks = [pytest.mark.gpu] + [pytest.mark.multi_gpu] * ("cuda:1" in one)
        found.append(pytest.param(("real", one), id=one, marks=marks))
    return found


@pytest.fixture(params=machines("cuda:0"))
def gpu(request) -> Iterator[str]:
    """ "cuda:0", a simulated GPU or a real one."""
    with on(*request.param):
        yield request.param[1]


@pytest.fixture(params=machines("cuda:0", "cuda:0,cuda:0", "cuda:0,cuda:1"))
def gpus(request) -> Iterator[str]:
    """A placement on one GPU or two, simulated or real."""
    with on(*request.param):
        yield request.param[1]


@contextlib.contextmanager
def on(kind: str, placement: str) -> Iterator[None]:
    if kind == "simulated":
        if cuda_as_cpp.COMPILER is None:
            pytest.skip("no C++ compiler (c++, g++ or clang++) was found")
        with simulated_cupy.installed(gpus=2):
            yield
        return
    found = cuda.find()
    if found.problem:
        pytest.skip(found.problem)
    if len(found.gpus) < 2 and "cuda:1" in placement:
        pytest.skip("there is only one GPU here")
    yield
