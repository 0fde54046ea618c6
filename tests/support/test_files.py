"""Files that are never half-written, and the folder for data.

A run is stopped while it saves its checkpoint, or the disk is full: whoever writes straight into
the file has then lost the old checkpoint and has no new one. `replacing` must leave the old file
untouched until the new one is whole, leave nothing lying about, and give the file the permissions
that any other file of the user gets. What a writer that was killed could not remove, the next one
does; but a file that another process is still writing must stay.
"""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinyalex.support import files
from tinyalex.support.errors import UserError
from tinyalex.support.files import alone, cache_folder, expect_place, replacing

locks = pytest.mark.skipif(not files.HAS_LOCKS, reason="there are no locks on this system")


@contextlib.contextmanager
def holding(block: str, folder: Path):
    """Another process that has entered this block, and stays in it until it is killed."""
    code = (f"import os, time; from tinyalex.support.files import *; os.chdir({str(folder)!r})\n"
            f"with {block}: print('in', flush=True); time.sleep(600)")
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "in\n"
            yield process
        finally:
            process.kill()


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


@pytest.mark.skipif(os.name != "posix", reason="permission bits are a thing of POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o444, 0o640, 0o755], ids=oct)
def test_a_file_that_is_replaced_keeps_its_permissions_and_is_never_more_open(mode, tmp_path):
    path = tmp_path / "checkpoint"
    path.touch()
    path.chmod(mode)
    with replacing(path) as part:
        assert part.stat().st_mode & 0o077 & ~mode == 0
        part.write_text("new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("there", [True, False], ids=["file", "nothing"])
def test_a_link_stays_and_what_it_leads_to_is_replaced(there, tmp_path):
    link, target = tmp_path / "here" / "link", tmp_path / "there" / "target"
    for path in (link, target):
        path.parent.mkdir()
    link.symlink_to("../there/target")
    if there:
        target.write_text("old")
    expect_place(link)
    with replacing(link) as part:
        part.write_text("new")
        assert part.parent == target.parent, "a rename across disks would be a copy"
    assert link.is_symlink() and target.read_text() == "new" and not target.is_symlink()
    assert os.listdir(target.parent) == ["target"] and os.listdir(link.parent) == ["link"]


def make(kind, path):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "circle":
        path.symlink_to(path.name)
    else:
        path.symlink_to("/dev/null")


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices are things of POSIX")
@pytest.mark.parametrize("kind", ["folder", "pipe", "circle", "link to a device"])
def test_only_files_are_replaced(kind, tmp_path):
    path = tmp_path / "out.csv"
    make(kind, path)
    before = os.lstat(path)
    with pytest.raises(UserError, match=r"out.csv: no place for a file \((a folder|a device)"):
        expect_place(path)
    with pytest.raises(UserError, match="no place for a file"), replacing(path):
        pytest.fail("work for nothing")
    assert os.path.samestat(os.lstat(path), before) and os.listdir(tmp_path) == ["out.csv"]


def test_a_place_is_refused_before_the_work(tmp_path, monkeypatch):
    expect_place(tmp_path / "new.png")
    with pytest.raises(UserError, match=r"nowhere/x\.png: no place for a file \(there is"):
        expect_place(tmp_path / "nowhere" / "x.png")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(UserError, match="cannot be written to"):
        expect_place(tmp_path / "new.png")


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


def test_a_disk_that_can_only_be_read_names_the_file_and_not_the_temporary_one(
        tmp_path, monkeypatch):
    def refuse(path, *args, **more):
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OSError) as caught, replacing(tmp_path / "a.npy"):
        pass
    assert caught.value.filename == str(tmp_path / "a.npy")


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
@locks
def test_what_a_killed_writer_left_goes_with_the_next_one_and_what_is_being_written_stays(tmp_path):
    names = [".x.png.0123abcd.png", ".x.png.0123abcd.part", ".y.png.0123abcd.png", ".x.png.png"]
    for name in names:
        (tmp_path / name).touch()
    with holding("replacing('x.png')", tmp_path):
        with replacing(tmp_path / "x.png"):
            kept = set(os.listdir(tmp_path)) - set(names[2:])
        assert len(kept) == 2, f"of the other process, and ours: {kept}"
    with replacing(tmp_path / "x.png"):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted([*names[2:], "x.png"])


@locks
def test_a_folder_is_one_process_s_alone_until_that_ends_however_it_ends(tmp_path, capfd):
    with holding("alone(Path('.'))", tmp_path) as other:
        with pytest.raises(UserError, match=f"{tmp_path}: process {other.pid} on .* is working"), \
                alone(tmp_path):
            pytest.fail("two are at work")
        with alone(tmp_path, "another thing"):
            pass
    assert other.returncode == -signal.SIGKILL
    with alone(tmp_path) as locked:
        assert locked
    assert os.listdir(tmp_path) == [] and capfd.readouterr().err == ""


@locks
def test_who_waits_gets_in_when_the_other_has_gone(tmp_path):
    """The lock's file is removed by the first: who waited for that very file must not take it for
    the one that a third has made since."""
    with holding("alone(Path('.'))", tmp_path) as first:
        code = "from tinyalex.support.files import *\nwith alone(Path('.'), wait=True): print('in')"
        waiting = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert f"waiting for process {first.pid} on " in waiting.stderr.readline()
        time.sleep(0.3)  # until it waits
        (tmp_path / ".lock").unlink()
        with alone(tmp_path):
            first.kill()
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(0.5)
        assert waiting.communicate(timeout=60)[0] == "in\n"
    assert os.listdir(tmp_path) == []


@locks
def test_where_files_cannot_be_locked_it_goes_on_and_says_so(tmp_path, monkeypatch, capsys):
    """And nothing is taken for a leftover, for it may be somebody's."""
    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    (tmp_path / ".x.png.0123abcd.png").touch()
    with alone(tmp_path) as locked:
        assert not locked
        assert f"{tmp_path}: cannot be locked here" in capsys.readouterr().err
        with replacing(tmp_path / "x.png") as part:
            part.touch()
    assert sorted(os.listdir(tmp_path)) == [".x.png.0123abcd.png", "x.png"]


@locks
def test_a_lock_that_is_a_link_is_refused_and_what_it_leads_to_stays(tmp_path):
    """A folder that came from elsewhere may hold one."""
    (tmp_path / "diary").write_text("dear diary")
    (tmp_path / ".lock").symlink_to("diary")
    with pytest.raises(OSError, match=r"\.lock"), alone(tmp_path):
        pass
    assert (tmp_path / "diary").read_text() == "dear diary"


def test_room_is_asked_for_before_the_work(tmp_path, free_space):
    free_space(999_999)
    files.expect_room(tmp_path, 999_999, "it")
    with pytest.raises(UserError, match=r"it would take 1\.5 MB, and 1\.0 MB are free"):
        files.expect_room(tmp_path, 1_500_000, "it")


def test_a_disk_that_does_not_say_how_large_it_is_may_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: SimpleNamespace(total=0, free=0))
    files.expect_room(tmp_path, 1, "it")
    monkeypatch.delattr(files.shutil, "disk_usage")  # as in WebAssembly's Python
    files.expect_room(tmp_path, 1, "it")
