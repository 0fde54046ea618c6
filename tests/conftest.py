"""What the tests share."""

import pytest


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """An empty folder for made and downloaded data, so that no test meets the user's own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("TINYALEX_DATA", str(folder))
    return folder
