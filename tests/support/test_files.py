"""Files that are never half-written, and the folder for data.

A run is stopped while it saves its checkpoint, or the disk is full: whoever writes straight into
the file has then lost the old checkpoint and has no new one. `replacing` must leave the old file
untouched until the new one is whole, leave nothing lying about, and give the file the permissions
that any other file of the user gets.
"""

import errno
import os
from pathlib import Path

import pytest

from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder, replacing


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
def test_the_old_file_stays_when_writing_fails(error, tmp_path):
    path = tmp_path / "checkpoint"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as part:
        part.write_text("ne")
        assert path.read_text() == "old"
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["checkpoint"]


def test_the_new_file_takes_the_place_of_the_old_one_only_at_the_end(tmp_path):
    path = tmp_path / "checkpoint"
    path.write_text("old")
    with replacing(str(path)) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == tmp_path, "a rename across disks would be a copy, and not at once"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["checkpoint"]


def test_a_writer_that_goes_by_the_ending_gets_the_ending_it_asks_for(tmp_path):
    with replacing(tmp_path / "curves.png", suffix=".png") as part:
        assert part.suffix == ".png" and part != tmp_path / "curves.png"
        part.write_bytes(b"a picture")
    assert os.listdir(tmp_path) == ["curves.png"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are a thing of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077], ids=oct)
def test_the_file_has_the_permissions_that_the_umask_gives(umask, tmp_path):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "new") as part:
            part.touch()
        (tmp_path / "usual").touch()
        assert os.umask(umask) == umask, "replacing changed the umask"
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "cache"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and os.listdir(tmp_path) == ["cache"]


def test_a_folder_that_is_not_there_is_an_error_and_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "runs" / "checkpoint"):
        pytest.fail("there is nowhere to write to")
    assert os.listdir(tmp_path) == []


def test_the_data_folder_is_the_users_choice_then_the_caches_then_the_homes(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path / "chosen" / "data"))
    assert cache_folder() == tmp_path / "chosen" / "data"
    monkeypatch.setenv("TINYALEX_DATA", "")  # as good as not set
    assert cache_folder() == tmp_path / "xdg" / "tinyalex"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "tinyalex"
    assert cache_folder().is_dir()


def test_an_error_that_names_no_file_is_told_which_one_it_was(tmp_path):
    """Writing to a full disk raises an OSError with a number and no name."""
    with pytest.raises(OSError) as caught, replacing(tmp_path / "checkpoint.npz"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename.endswith("checkpoint.npz")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch, tmp_path):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path / "data"))
    assert cache_folder() == tmp_path / "data"
    monkeypatch.delenv("TINYALEX_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # does not count, as its specification has it
    with pytest.raises(UserError, match="no home") as caught:
        cache_folder()
    assert "TINYALEX_DATA" in caught.value.hint


def test_a_place_where_no_folder_can_be_made_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(UserError, match="file/data: cannot be made") as caught:
        cache_folder()
    assert "TINYALEX_DATA" in caught.value.hint
