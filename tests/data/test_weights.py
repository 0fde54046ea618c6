"""Published weights, fetched: what comes is what was published, and no byte comes twice.

What could go wrong: a connection that breaks after 240 of 244 MB, and all of them asked for again;
the rest of another file put behind the beginning of this one; a server that sends everything where
a part was asked for, put behind that part; half a file under the name of the whole one.
"""

import hashlib
import os

import numpy as np
import pytest

from tinyalex.data import download, weights
from tinyalex.data.__main__ import main
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError

BODY = np.random.default_rng(0).bytes(300_000)
NAME, FILE = "alexnet-caffe", "bvlc_alexnet.caffemodel"


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """The file as if it were BODY, in a cache of its own."""
    published = weights.Weights(NAME, (hashlib.sha1(BODY).hexdigest(),), len(BODY) + 10,
                                weights.PUBLISHED[NAME].url, "none")
    monkeypatch.setitem(weights.PUBLISHED, NAME, published)
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def fetch(url) -> int:
    return run(lambda: main(["fetch", NAME, "--url", url]))


def test_what_is_published_is_what_the_names_say():
    assert weights.NAMES == ("alexnet-torchvision", "alexnet-caffe")
    published = weights.PUBLISHED["alexnet-torchvision"]
    assert published.file == f"alexnet-owt-{published.checksums[0][:8]}.pth"


def test_what_is_fetched_is_found_and_fetched_only_once(server, place, capsys):
    with pytest.raises(UserError, match="not here yet") as caught:
        weights.find(NAME)
    assert f"python -m tinyalex.data fetch {NAME}" in caught.value.hint
    url = server.url("/w", BODY, parts=True)
    assert [fetch(url), fetch(url)] == [0, 0] and server.asked == ["/w"]
    assert weights.find(NAME) == place / FILE and (place / FILE).read_bytes() == BODY
    assert os.listdir(place) == [FILE]
    assert capsys.readouterr().out.count("licence: none") == 2
    assert main(["list"]) == 0
    assert f"{NAME}       yes      {place / FILE}" in capsys.readouterr().out


def test_a_broken_connection_costs_only_what_has_not_come(server, place, capsys):
    assert fetch(server.url("/w", BODY[:200_000], length=len(BODY))) == 2
    said = capsys.readouterr().err
    assert "cut short: only 200,000 of 300,000 bytes came\nHINT: run it again" in said
    assert os.listdir(place) == [f"{FILE}.part"]
    assert fetch(server.url("/w", BODY[:250_000], length=len(BODY), parts=True)) == 2
    assert fetch(server.url("/w", BODY, parts=True)) == 0
    assert server.parts == [None, "bytes=200000-", "bytes=250000-"]
    assert os.listdir(place) == [FILE] and (place / FILE).read_bytes() == BODY


@pytest.mark.parametrize("come", [0, 200_000])
def test_an_interruption_keeps_what_has_come_and_says_so(server, place, monkeypatch, capsys, come):
    def blocks(*args):
        yield 0, BODY[:come]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "_blocks", blocks)
        assert fetch("http://127.0.0.1/w") == 130
    assert ("what has arrived is kept" in capsys.readouterr().out) == (come > 0)
    assert os.listdir(place) == [f"{FILE}.part"] * (come > 0)
    assert fetch(server.url("/w", BODY, parts=True)) == 0


def test_a_disk_without_room_for_the_rest_is_noticed_before_it_comes(
        server, place, free_space, capsys):
    (place / f"{FILE}.part").write_bytes(BODY[:200_000])
    free_space(100_009)
    url = server.url("/w", BODY, parts=True)
    assert fetch(url) == 2 and server.asked == []
    assert f"the rest of {NAME} would take 0.1 MB" in capsys.readouterr().err
    free_space(100_010)
    assert fetch(url) == 0


OTHER = bytes(200_000)


@pytest.mark.parametrize(("case", "part", "parts", "asked"), [
    ("the server sends no parts", BODY[:200_000], False, ["bytes=200000-"]),
    ("all had come", BODY, True, ["bytes=300000-"]),
    ("the file changed meanwhile", OTHER, True, ["bytes=200000-", None]),
    ("another file, and no parts", OTHER, False, ["bytes=200000-"]),
    ("another file that had come whole", bytes(len(BODY)), True, ["bytes=300000-", None]),
    ("more than there is", BODY + bytes(100), True, [None]),
], ids=lambda value: value if isinstance(value, str) else "")
def test_whatever_was_left_there_the_file_comes_out_right(case, part, parts, asked, server, place):
    (place / f"{FILE}.part").write_bytes(part)
    assert fetch(server.url("/w", BODY, parts=parts)) == 0
    assert server.parts == asked
    assert os.listdir(place) == [FILE] and (place / FILE).read_bytes() == BODY


def test_another_part_than_was_asked_for_is_not_put_behind_ours(server, place, monkeypatch):
    (place / f"{FILE}.part").write_bytes(BODY[:200_000])
    url = server.url("/w", BODY, parts=True)
    send_header = server.RequestHandlerClass.send_header
    monkeypatch.setattr(server.RequestHandlerClass, "send_header", lambda self, name, value:
                        send_header(self, name, value.replace("200000-", "200001-")))
    assert fetch(url) == 0 and server.parts == ["bytes=200000-", None]
    assert (place / FILE).read_bytes() == BODY


def test_a_server_that_calls_everything_a_part_is_not_asked_for_ever(server, place):
    (place / f"{FILE}.part").write_bytes(BODY[:200_000])
    assert fetch(server.url("/w", BODY, 206)) == 0
    assert server.parts == ["bytes=200000-", None]


def test_a_server_that_gives_nothing_leaves_nothing(server, place):
    assert fetch(server.url("/w", BODY, 404)) == 2 and os.listdir(place) == []


@pytest.mark.parametrize(("body", "status", "complaint", "left"), [
    (BODY[:-1] + b"x", 200, "the download has the SHA-1 sum", []),
    (bytes(len(BODY) + 11), 200, "sends more than alexnet-caffe has", [f"{FILE}.part"]),
    (b"", 404, "the server answers 404", [f"{FILE}.part"]),
])
def test_what_is_not_the_published_file_is_refused(body, status, complaint, left, server, place,
                                                   capsys):
    (place / f"{FILE}.part").write_bytes(BODY[:1000])
    assert fetch(server.url("/w", body, status)) == 2
    assert complaint in capsys.readouterr().err
    assert os.listdir(place) == left


def test_a_damaged_file_is_left_to_the_user(server, place, capsys):
    (place / FILE).write_bytes(BODY[:-1])
    assert fetch(server.url("/w", BODY)) == 2
    assert f"{place / FILE} is damaged" in capsys.readouterr().err and server.asked == []
    assert main(["list"]) == 0 and f"{NAME}       broken" in capsys.readouterr().out
