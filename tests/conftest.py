"""What the tests share."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


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
