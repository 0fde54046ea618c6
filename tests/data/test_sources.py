"""What a user writes after --data, and which dataset that becomes.

A guess that goes wrong trains on the wrong pictures, or complains about the wrong thing: a folder
of photographs taken for CIFAR-10, a damaged archive for no archive at all. Every wrong answer here
is a UserError that names what was written.
"""

import io
import sys
import tarfile

import pytest
from PIL import Image

from tinyalex.data import cifar10, shapes, sources
from tinyalex.data.__main__ import main as data_command
from tinyalex.support.errors import UserError


@pytest.fixture(autouse=True)
def tiny(monkeypatch, data_folder):
    monkeypatch.setattr(shapes, "SPLITS", {"train": (20, 1), "val": (10, 2)})
    monkeypatch.setattr(cifar10, "PICTURES_A_BATCH", 2)


def write_cifar(folder):
    folder.mkdir(parents=True)
    for i, batch in enumerate([*cifar10.SPLITS["train"], *cifar10.SPLITS["val"]]):
        (folder / f"{batch}.bin").write_bytes(2 * (bytes([i]) + bytes([i]) * 3072))
    return folder


def pack(folder):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder, folder.name)
    return packed.getvalue()


def write_pictures(folder):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            Image.new("RGB", (9, 9)).save(folder / split / name / "a.png")
    return folder


def test_the_built_in_names_come_first(data_folder):
    assert sources.load("shapes", "val").classes == shapes.CLASSES
    with pytest.raises(UserError, match="CIFAR-10 is not here yet"):
        sources.load("cifar10", "val")
    write_cifar(data_folder / "cifar-10-batches-bin")
    assert len(sources.load("cifar10", "val")) == 2 and len(sources.load("cifar10", "train")) == 10


def test_cifar_is_found_as_folder_and_as_archive(tmp_path):
    folder = write_cifar(tmp_path / "cifar-10-batches-bin")
    (tmp_path / "cifar.tar.gz").write_bytes(pack(folder))
    (tmp_path / "download").write_bytes(pack(folder))  # the name need not say what it is
    for source in (folder, tmp_path, tmp_path / "cifar.tar.gz", tmp_path / "download"):
        assert sources.load(str(source), "val").labels.tolist() == [5, 5]


@pytest.mark.parametrize("kind", ["shapes", "cifar10", "pictures", "own"])
def test_a_limit_holds_for_every_kind(kind, data_folder, tmp_path, monkeypatch):
    write_cifar(data_folder / "cifar-10-batches-bin")
    write_module(tmp_path, monkeypatch)
    source = {"pictures": str(write_pictures(tmp_path / "pets")), "own": "my_data:load"}
    assert len(sources.load(source.get(kind, kind), "val", side=6, limit=1)) == 1
    assert len(sources.load(source.get(kind, kind), "val", side=6)) > 1


def write_module(folder, monkeypatch):
    (folder / "my_data.py").write_text(
        "import numpy as np\n"
        "from tinyalex.data.dataset import Dataset\n"
        "def load(split):\n"
        "    count = {'train': 4, 'val': 3}[split]\n"
        "    return Dataset(np.zeros((count, 8, 8, 3), np.uint8), np.zeros(count, int),\n"
        "                   ('one',), 'mine')\n"
        "def arrays(split):\n"
        "    return load(split).images, load(split).labels\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "my_data", raising=False)


def test_a_function_of_ones_own_is_called_with_the_split_and_has_to_return_a_dataset(
        tmp_path, monkeypatch):
    write_module(tmp_path, monkeypatch)
    assert len(sources.load("my_data:load", "train")) == 4
    assert sources.load("my_data:load", "val").name == "mine"
    with pytest.raises(UserError, match="my_data:arrays returned a tuple") as caught:
        sources.load("my_data:arrays", "val")
    assert "Dataset" in caught.value.hint


def test_a_module_in_the_current_folder_is_found_however_the_command_was_started(
        tmp_path, monkeypatch):
    """The command `tinyalex` has its own folder in front of the path, `python -m` the current."""
    write_module(tmp_path, monkeypatch)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    monkeypatch.chdir(tmp_path)
    assert len(sources.load("my_data:load", "train")) == 4


@pytest.mark.parametrize("source", [
    r"C:\pictures", "C:/pictures", "https://example.org/pictures", "s3://bucket/pictures", "a b:c",
    "my-data:load", "mod:f()", "mod:", ":f", "mod..a:f"])
def test_what_no_module_can_be_called_is_not_taken_for_one(source):
    with pytest.raises(UserError, match="no such dataset, file or folder"):
        sources.load(source, "val")
    assert not sources.is_code(source)


def test_what_is_not_there_at_all_is_answered_with_what_there_is(tmp_path):
    for source in ("shape", str(tmp_path / "nowhere")):
        with pytest.raises(UserError, match=r"no such dataset, file or folder") as caught:
            sources.load(source, "val")
        assert source in caught.value.args[0] and "cifar10" in caught.value.hint
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UserError, match=r"a\.jpg: a single picture"):
        sources.load(str(tmp_path / "a.jpg"), "val")
    with pytest.raises(UserError, match=r"gone\.tar\.gz: there is no such file"):
        sources.load(str(tmp_path / "gone.tar.gz"), "val")


@pytest.mark.parametrize(("there", "said"), [
    ("", "x: the folder is empty"),
    ("cat/", r"x: no class folders .* empty folders: 1 \(cat\)"),
    ("cat.txt", r"x: no class folders .* not pictures: 1 \(cat.txt\)"),
    ("cat.png", r"x: no class folders .* outside the class folders: 1 \(cat.png\)")])
def test_a_folder_without_a_dataset_is_told_what_it_lacks(there, said, tmp_path):
    """And not what another dataset would look like."""
    (tmp_path / "x").mkdir()
    place = tmp_path / "x" / there
    place.mkdir(exist_ok=True) if there[-1:] in ("", "/") else place.touch()
    with pytest.raises(UserError, match=said) as caught:
        sources.load(str(tmp_path / "x"), "val")
    assert "CIFAR" not in caught.value.hint


def test_show_draws_some_pictures_of_what_is_named(tmp_path):
    out = tmp_path / "pictures.png"
    assert data_command(["show", "shapes", "--count", "4", "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.format == "PNG" and picture.width == 4 * 120
    with pytest.raises(UserError, match="nowhere"):
        data_command(["show", "nowhere", "--out", str(out)])
