"""A server on this machine, for what is fetched from the web; and archives like ImageNet's."""

import imagenets
import pytest
import web


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with web.serving() as server:
        yield server


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """The pictures of `imagenets.draw`, in folders."""
    return imagenets.draw(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def packed(photos, tmp_path_factory):
    """The archives with them."""
    return imagenets.pack(photos, tmp_path_factory.mktemp("archives"))
