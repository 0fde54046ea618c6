"""Preparing photographs: hours of work that may be killed at any moment.

What could go wrong: half a shard taken for a whole one; pictures made twice, or left out, when it
goes on; bytes that depend on the number of cores; labels that slip by one behind a broken picture;
a mean that counts validation pictures, or what the broken ones left in memory; a source that
changed between two runs; and an error message that names nobody. The kills here are real ones, of
a real process.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyalex
from tinyalex.data import folder, preparation, shards, sources
from tinyalex.data.preparation import prepare
from tinyalex.prepare import main
from tinyalex.run import presets
from tinyalex.support import files
from tinyalex.support.errors import UserError

SHARD = 4


@pytest.fixture(autouse=True)
def small(monkeypatch, data_folder):
    monkeypatch.setattr(preparation, "SHARD", SHARD)
    monkeypatch.setattr(preparation, "GROUP", 2)


def put(path, shade, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 255 - shade, shade // 2)).save(path)


@pytest.fixture
def pets(tmp_path):
    """Ten cats and seven dogs to train on, three of each to validate with: 23 shades, which grow
    with the place in the listing."""
    root = tmp_path / "pets"
    for split, cats, dogs in (("train", 10, 7), ("val", 3, 3)):
        for name, count in (("cat", cats), ("dog", dogs)):
            for i in range(count):
                put(root / split / name / f"{i:02}.png",
                    10 * i + 5 * (name == "dog") + 110 * (split == "val"))
    return root


def shades(dataset):
    return [(int(image[0, 0, 0]), int(label)) for image, label
            in zip(dataset.images, dataset.labels, strict=True)]


def expected(split):
    cats, dogs, more = (10, 7, 0) if split == "train" else (3, 3, 110)
    both = [(10 * i + 5 * label + more, label) for i in range(10) for label in (0, 1)]
    return [(shade, label) for shade, label in both
            if (shade - more) // 10 < (dogs if label else cats)]


def digests(out, ignore=(".lock", "look.png")):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(out.iterdir()) if path.name not in ignore}


def test_every_picture_arrives_with_its_label_in_shards(pets, tmp_path):
    out = tmp_path / "out"
    assert main([str(pets), str(out), "--side", "8"]) == 0
    train, val = shards.load(out, "train", 8), shards.load(out, "val", 8)
    assert shades(train) == expected("train") and shades(val) == expected("val")
    assert train.classes == val.classes == ("cat", "dog")
    assert sorted(name for name in os.listdir(out) if name.endswith(".npy")) == [
        *(f"train-0000{i}.npy" for i in range(5)), "val-00000.npy", "val-00001.npy"]
    with np.load(out / "train-00000.npz", allow_pickle=False) as known:
        assert known["names"].tolist() == [f"train/{a}/{b}.png" for b in ("00", "01")
                                           for a in ("cat", "dog")]


def test_statistics_are_those_of_the_training_pictures(pets, tmp_path):
    prepare(folder.listing(pets), tmp_path / "out", 8)
    train, val = (shards.load(tmp_path / "out", split) for split in ("train", "val"))
    pixels = np.asarray(train.images).reshape(-1, 3).astype(float)
    for dataset in (train, val):
        np.testing.assert_allclose(dataset.statistics.mean[0, 0], pixels.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(dataset.statistics.covariance, np.cov(pixels.T, bias=True))


@pytest.mark.parametrize("workers", [1, 5])
def test_the_bytes_do_not_depend_on_the_workers(workers, pets, tmp_path):
    prepare(folder.listing(pets), tmp_path / "one", 8)
    prepare(folder.listing(pets), tmp_path / "two", 8, workers=workers)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def spoil(pets):
    """A zoo of bad files: a text, a cut one, an empty one, and a header that claims a gigapixel."""
    (pets / "train" / "cat" / "01.png").write_text("<html>")
    content = (pets / "train" / "dog" / "01.png").read_bytes()
    (pets / "train" / "dog" / "01.png").write_bytes(content[:50])
    (pets / "val" / "cat" / "00.png").write_bytes(b"")
    Image.new("1", (12_000, 12_000)).save(pets / "train" / "dog" / "06.png")
    return ["train/cat/01.png", "train/dog/01.png", "train/dog/06.png", "val/cat/00.png"]


def test_broken_pictures_are_reported_and_the_labels_of_the_others_stay(pets, tmp_path, capsys):
    bad, out = spoil(pets), tmp_path / "out"
    assert main([str(pets), str(out), "--side", "8", "--max-broken", "0.2", "--workers", "1"]) == 1
    said = capsys.readouterr().out
    assert "skipped  4: see" in said and "train/cat/01.png: not a picture" in said
    lines = (out / "skipped.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in lines] == bad
    assert "12000×12000 is more than 64,000,000 pixels" in lines[2]
    train, val = shards.load(out, "train"), shards.load(out, "val")
    assert shades(train) == [pair for pair in expected("train") if pair[0] not in (10, 15, 65)]
    assert shades(val) == expected("val")[1:]
    pixels = np.asarray(train.images).reshape(-1, 3)
    np.testing.assert_allclose(train.statistics.mean[0, 0], pixels.mean(axis=0), rtol=1e-6)


def test_a_single_broken_picture_of_few_does_not_keep_the_others(pets, tmp_path):
    shutil.rmtree(pets / "val")
    for i in range(5, 10):
        (pets / "train" / "cat" / f"{i:02}.png").unlink()
    (pets / "train" / "cat" / "01.png").write_text("<html>")
    command = [str(pets), str(tmp_path / "out"), "--side", "8"]
    assert main(command) == main(command) == 1, "the second time as well"
    assert len(shards.load(tmp_path / "out", "train")) == 9
    with pytest.raises(UserError, match=r"1 of 12 pictures .* more than 0.0%"):
        main([*command[:1], str(tmp_path / "other"), *command[2:], "--max-broken", "0"])


def test_what_is_no_picture_of_a_class_is_said(pets, tmp_path, capsys):
    put(pets / "test" / "1.png", 9)
    main([str(pets), str(tmp_path / "out"), "--side", "8"])
    sources.load(str(pets), "val", 8)
    assert capsys.readouterr().out.count("\nleft out: pictures in test/: 1 (test/1.png)\n") == 2
def test_a_name_forges_no_line_of_the_report(pets, tmp_path):
    name = "a\ntrain\x1b[31m.png"
    (pets / "train" / "cat" / name).write_text("<html>")
    prepare(folder.listing(pets), tmp_path / "out", 8)
    (line,) = (tmp_path / "out" / "skipped.txt").read_text("utf-8").splitlines()
    assert line == ("train/cat/a\ufffdtrain\ufffd[31m.png: not a picture that can be read")


def test_shards_that_could_not_be_opened_in_the_end_are_not_made(pets, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (38, 38))
    with pytest.raises(UserError, match="7 shards need 39 open files, and the limit is 38"):
        prepare(folder.listing(pets), tmp_path / "out", 8)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(resource, "getrlimit", lambda which: (39, 39))
    prepare(folder.listing(pets), tmp_path / "out", 8)
    assert len(shards.load(tmp_path / "out", "train")) == 17


def test_too_many_broken_pictures_end_it_with_count_names_and_report(pets, tmp_path):
    bad, out = spoil(pets), tmp_path / "out"
    with pytest.raises(UserError, match=r"2 of 23 pictures .* more than 5.0%: .*cat/01") as caught:
        prepare(folder.listing(pets), out, 8)
    assert str(out / "skipped.txt") in caught.value.hint
    assert all(name in (out / "skipped.txt").read_text() for name in bad[:2])
    assert not preparation.is_finished(out)
    with pytest.raises(UserError, match="only partly prepared"):
        sources.load(str(out), "train", side=8)
    before = digests(out)
    with pytest.raises(UserError, match=r"more than 5\.0%"):
        prepare(folder.listing(pets), out, 8)
    assert digests(out) == before, "it knew from the first run"
    prepare(folder.listing(pets), out, 8, max_broken=4 / 23)
    assert len(shards.load(out, "train")) == 14


def test_what_is_done_is_not_done_again(pets, tmp_path):
    out = tmp_path / "out"
    assert prepare(folder.listing(pets), out, 8) == 23
    before = digests(out)
    assert prepare(folder.listing(pets), out, 8) == 0
    (out / "train-00001.npz").unlink()
    (out / "train-00004.npy").write_bytes((out / "train-00004.npy").read_bytes()[:-1])
    assert prepare(folder.listing(pets), out, 8) == 4 + 1
    assert digests(out) == before


def command(pets, out):
    """The command in a process of its own, with small shards and pictures that take their time, and
    with the Ctrl-C that a shell's background jobs have not."""
    code = ("import signal, sys, time\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "from tinyalex.data import preparation\n"
            "from tinyalex.support.cli import run\n"
            "from tinyalex.prepare import main\n"
            "read = preparation.read_picture\n"
            "def slow(*args):\n"
            "    time.sleep(0.05)\n"
            "    return read(*args)\n"
            f"preparation.SHARD, preparation.GROUP, preparation.read_picture = {SHARD}, 2, slow\n"
            f"sys.exit(run(lambda: main([{str(pets)!r}, {str(out)!r}, '--side', '8', "
            "'--workers', '1'])))")
    environment = dict(os.environ, PYTHONPATH=str(Path(tinyalex.__file__).parents[1]))
    return subprocess.Popen([sys.executable, "-c", code], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT to send")
def test_ctrl_c_ends_it_soon_and_says_how_to_go_on(pets, tmp_path):
    with command(pets, tmp_path / "out") as process:
        wait_for(tmp_path / "out" / "train-00000.npz", process)
        process.send_signal(signal.SIGINT)
        printed, complained = process.communicate(timeout=20)
    assert process.returncode == 130 and "Traceback" not in complained
    assert "of 23 pictures; the same command continues from there" in printed
    assert not preparation.is_finished(tmp_path / "out")


def test_one_worker_needs_no_thread(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", None)
    assert prepare(folder.listing(pets), tmp_path / "out", 8, workers=1) == 23


def test_no_thread_is_left_when_it_ends_early(pets, tmp_path, monkeypatch):
    before = set(threading.enumerate())

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "save_npz", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(folder.listing(pets), tmp_path / "out", 8, workers=4)
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda pets: put(pets / "train" / "cat" / "new.png", 1), "pictures 23, and now it is 24"),
    (lambda pets: put(pets / "train" / "cat" / "00.png", 9, (30, 30)), "begun with other pictures"),
    (lambda pets: os.utime(pets / "val" / "dog" / "02.png", (0, 0)), "begun with other pictures"),
])
def test_a_source_that_changed_since_is_noticed(change, complaint, pets, tmp_path):
    prepare(folder.listing(pets), tmp_path / "out", 8)
    before = digests(tmp_path / "out")
    change(pets)
    with pytest.raises(UserError, match=f"out: .*{complaint}"):
        prepare(folder.listing(pets), tmp_path / "out", 8)
    assert digests(tmp_path / "out") == before


def test_other_settings_than_before_are_noticed(pets, tmp_path):
    shutil.rmtree(pets / "val")
    prepare(folder.listing(pets), tmp_path / "out", 8)
    with pytest.raises(UserError, match="begun with side 8, and now it is 9"):
        prepare(folder.listing(pets), tmp_path / "out", 9)
    with pytest.raises(UserError, match=r"begun with val_share 0\.1, and now it is 0\.2"):
        prepare(folder.listing(pets, val_share=0.2), tmp_path / "out", 8)


def test_places_where_it_must_not_write_are_refused(pets, tmp_path):
    with pytest.raises(UserError, match=r"inside .*pets, whose pictures"):
        prepare(folder.listing(pets), pets / "out", 8)
    assert sorted(os.listdir(pets)) == ["train", "val"]
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to a friend.txt").touch()
    with pytest.raises(UserError, match="letters: not empty, and not begun"):
        prepare(folder.listing(pets), tmp_path / "letters", 8)
    assert os.listdir(tmp_path / "letters") == ["to a friend.txt"]


def test_two_runs_in_one_folder_do_not_mix(pets, tmp_path):
    """Not even their plans: the second one would leave the first one's pictures under its own."""
    pytest.importorskip("fcntl")
    (tmp_path / "out").mkdir()
    with files.alone(tmp_path / "out"), pytest.raises(UserError, match="working in this folder"):
        prepare(folder.listing(pets), tmp_path / "out", 8)
    assert os.listdir(tmp_path / "out") == []


def test_a_disk_that_is_too_small_is_noticed_before_the_work(pets, tmp_path, free_space):
    free_space(23 * 1000 * 1000 * 3)
    with pytest.raises(UserError, match=r"23 pictures of 1000×1000 would take 69\.7 MB, and 69\.0"):
        prepare(folder.listing(pets), tmp_path / "out", 1000)
    assert os.listdir(tmp_path / "out") == []


def test_it_leaves_a_look_and_says_what_to_do_next(pets, tmp_path, capsys):
    out = tmp_path / "out"
    main([str(pets), str(out), "--side", "8"])
    printed = capsys.readouterr().out
    train = shards.load(out, "train")
    red = train.statistics.mean[..., 0].mean(dtype=float)
    assert f"mean     {red:.2f}, {255 - red:.2f}, " in printed
    assert "17 to train on, 6 to validate with" in printed
    assert "no preset reads pictures of this side: they want 32, 33, 64, 128, 256" in printed
    with Image.open(out / "look.png") as look:
        assert look.width == 1200, "17 pictures and their mean: two rows, the first one full"


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_what_it_says_to_do_next_can_be_done(side, pets, tmp_path, capsys):
    """It named --preset paper, whose pictures are of 256×256, whatever had been prepared."""
    main([str(pets), str(tmp_path / "out"), "--side", str(side)])
    preset, data = re.search(r"tinyalex\.train --preset (\S+) --data (\S+)",
                             capsys.readouterr().out).groups()
    assert presets.get(preset).picture == side
    assert len(sources.load(data, "train", side))


def test_data_reads_a_raw_folder_through_the_cache(pets, data_folder, capsys):
    train = sources.load(str(pets), "train", side=8)
    cache, = (data_folder / "prepared").iterdir()
    assert capsys.readouterr().out.startswith(f"preparing 23 pictures, once, in {cache}: ")
    assert shades(train) == expected("train") and train.name == str(pets / "train")
    val = sources.load(str(pets), "val", side=8)
    assert capsys.readouterr().out == "", "the second time there is nothing to say"
    assert shades(val) == expected("val") and val.statistics is not None
    put(pets / "train" / "cat" / "00.png", 200)
    assert shades(sources.load(str(pets), "train", side=8))[0] == (200, 0), "not the old ones"
    assert sources.load(str(pets), "train", side=6).images.shape[1:] == (6, 6, 3)


def test_a_limit_prepares_no_more_than_it_needs(pets, data_folder):
    first = sources.load(str(pets), "train", side=8, limit=3)
    assert shades(first) == expected("train")[:3]
    cache, = (data_folder / "prepared").iterdir()
    about = json.loads((cache / "prepared.json").read_text())
    assert about["shards"] == {"train": [3], "val": [3]}


def test_data_opens_a_prepared_folder_with_any_limit(pets, tmp_path):
    prepare(folder.listing(pets), tmp_path / "out", 8)
    shutil.rmtree(pets)  # it does not need them any more
    assert shades(sources.load(str(tmp_path / "out"), "val", side=8)) == expected("val")
    assert shades(sources.load(str(tmp_path / "out"), "train", 8, limit=6)) == expected("train")[:6]
    assert sources.load(str(tmp_path / "out"), "train", side=None).images.shape[1] == 8
