"""Small valid files of every kind that the package reads, and how it reads them."""

import gzip
import importlib.util
import io
import json
import pickle
import shutil
import sys
import tarfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import damage
import numpy as np
from PIL import Image

from tinyalex import drawing, evaluate, plot, predict, prepare, similar, train
from tinyalex.architectures import others
from tinyalex.convert import __main__ as convert
from tinyalex.convert import published, safetensors, statedict
from tinyalex.data import cifar10, imagenet, labels, pictures, shards
from tinyalex.drawing import page
from tinyalex.gradcheck.marking import submissions
from tinyalex.run import checkpoint

sys.path.append(str(Path(__file__).parents[1] / "convert"))
sys.path.append(str(Path(__file__).parents[1]))
import caffe_writer
import imagenets

RNG = np.random.default_rng(0)


class Kind:
    """name: of the kind. read: what reads it, as a command does. paths: the files that are
    damaged, the others of `folder`, if there is one, are put back as well. valid: what is in them.
    places: where most of the damage is done."""

    def __init__(self, name: str, read: Callable[[], object], paths: list[Path],
                 folder: Path | None = None, alike: tuple[bytes, ...] = ()):
        self.name, self.read, self.folder = name, read, folder
        everything = [path for path in folder.rglob("*") if path.is_file()] if folder else paths
        self.valid = {path: path.read_bytes() for path in everything}
        self.places = {path: damage.structure([self.valid[path], *alike]) for path in paths}

    def restore(self) -> None:
        """Put back everything, and take away what was added."""
        for path in self.folder.rglob("*") if self.folder else ():
            if path.is_file() and path not in self.valid:
                path.unlink()
        for path, content in self.valid.items():
            path.write_bytes(content)


def make_all(folder: Path) -> None:
    """Pictures, a folder prepared from them, a network trained on that, and its features."""
    page.save = drawing.save = lambda figure, path: None  # which takes long, and reads nothing
    cifar10.PICTURES_A_BATCH = 3
    for split, count in (("train", 4), ("val", 2)):
        for label, name in enumerate(("ant", "bee", "cat")):
            (folder / "photos" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = RNG.integers(0, 255, (32, 32, 3), np.uint8)
                pixels[8:24, 8:24, label] = 255
                Image.fromarray(pixels).save(folder / f"photos/{split}/{name}/{i}.png")
    prepare.main(["photos", "prepared", "--side", "32"])
    train.main(["--preset", "cifar", "--data", "prepared", "--batch-size", "8", "--epochs", "1",
                "--without", "conv3,conv4,conv5", "--towers", "1", "--devices", "cpu",
                "--workers", "0", "--out", "run"])
    similar.main(["run", "photos/val", "--among", "photos/train", "--save", "features.npz"])
    shutil.copytree("run", "resumed")
    Path("names.txt").write_text("ant an ant\nbee a bee, buzzing\ncat a cat\n")


def run_kind(name: str, *files: str) -> Kind:
    folder = Path("resumed")
    paths = [folder / file for file in files]
    return Kind(name, lambda: train.main(["--resume", "resumed", "--epochs", "2"]), paths, folder)


def prepared() -> Kind:
    def read():
        for split in ("train", "val"):
            shards.load("prepared", split, 32).measure().principal_colours()
        evaluate.main(["run", "--data", "prepared", "--devices", "cpu"])

    folder = Path("prepared")
    return Kind("prepared folder", read, [folder / name for name in (
        "prepared.json", "prepared.npz", "train-00000.npy", "val-00000.npy")], folder)


def preparing() -> Kind:
    def read():
        (folder / "prepared.json").unlink(missing_ok=True)
        prepare.main(["photos", "half", "--side", "32", "--workers", "1"])

    folder = Path("half")
    shutil.copytree("prepared", folder)
    return Kind("folder under way", read, [folder / name for name in (
        "plan.json", "train-00000.npz", "val-00000.npz", "train-00000.npy")], folder)


def features() -> Kind:
    return Kind("features", lambda: similar.main(
        ["run", "photos/val", "--among", "features.npz", "photos/train", "--devices", "cpu"]),
        [Path("features.npz")])


def names() -> Kind:
    return Kind("names", lambda: predict.main(
        ["run", "photos/val", "--names", "names.txt", "--devices", "cpu"]), [Path("names.txt")])


def evaluated() -> Kind:
    return Kind("checkpoint", lambda: evaluate.main(
        ["run", "--data", "prepared", "--devices", "cpu"]), [Path("run/checkpoint.npz")])


def log() -> Kind:
    return Kind("log.csv", lambda: plot.main(["run"]), [Path("run/log.csv")])


def val_list() -> Kind:
    path, pictures = Path("list.txt"), [f"{i}.jpg" for i in range(30)]
    path.write_text("".join(f"{name} {'abc'[i % 3]}\n" for i, name in enumerate(pictures)))
    return Kind("list of classes", lambda: labels.read(path, pictures, ("a", "b", "c")) and None,
                [path])


def devkit() -> Kind:
    wnids = [f"n{i:08}" for i in range(1000)]
    path, listed = Path("meta.mat"), Path(labels.GROUND_TRUTH)
    path.write_bytes(imagenets.meta(dict.fromkeys(wnids, "a class"), packed=False))
    listed.write_text("3\n999\n5\n")
    return Kind("meta.mat", lambda: labels.read(listed, ["a", "b", "c"], tuple(wnids)) and None,
                [path, listed])


def packed(name: str, *paths: str) -> Kind:
    """Archives with the photographs in them."""
    folder = Path(name)
    imagenets.pack(Path("photos"), folder)

    def read():
        listing = (imagenet.from_kaggle(folder / paths[0]) if ".zip" in paths[0] else
                   imagenet.from_tars(**imagenet.beside(folder)))
        for photo in [*listing.splits["train"], *listing.splits["val"]]:
            pictures.read_picture(listing.source(photo), 8)

    return Kind(name, read, [folder / path for path in paths])


def rows(seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (3, 3072), np.uint8), rng.integers(0, 10, 3).tolist()


def batch_bin(seed: int = 0) -> bytes:
    return b"".join(bytes([label, *row]) for row, label in zip(*rows(seed), strict=True))


def batch_pickle(seed: int = 0) -> bytes:
    data, classes = rows(seed)
    return pickle.dumps({"data": data, "labels": classes, "filenames": ["a.png"] * 3}, protocol=2)


def cifar(name: str, content: bytes, file: str, *alike: bytes) -> Kind:
    path = Path(name) / file
    path.parent.mkdir()
    path.write_bytes(content)
    return Kind(f"cifar {name}", lambda: cifar10.load(
        "val", path if ".tar" in file else path.parent) and None, [path], alike=alike)


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        member.size = len(batch_bin())
        tar.addfile(member, io.BytesIO(batch_bin()))
    return packed.getvalue()


class Unpacked(Kind):
    """An archive that is packed after it was damaged, so that the damage gets in."""

    def __init__(self):
        inside = cifar("tar", gzip.compress(archive()), "cifar.tar.gz")
        self.packed, = inside.valid
        path = self.packed.with_suffix("")
        path.write_bytes(archive())

        def read():
            self.packed.write_bytes(gzip.compress(path.read_bytes(), 1))
            inside.read()

        super().__init__("cifar tar inside", read, [path])


def picture(ending: str) -> Kind:
    path = Path(f"picture.{ending}")
    image = Image.fromarray(RNG.integers(0, 255, (40, 40, 3), np.uint8))
    (image.convert("P") if ending == "gif" else image).save(path)

    def read():
        pictures.read_picture(path, 32)

    return Kind(f"picture {ending}", read, [path])


def notebook() -> Kind:
    path = Path("exercise.ipynb")
    path.write_text(json.dumps({"cells": [
        {"cell_type": "code", "source": ["x = 1\n", "x"]}, {"cell_type": "markdown"}]}))
    return Kind("notebook", lambda: submissions.cells(path) and None, [path])


def converted(name: str, file: str, write: Callable[[Path, int], None], *flags: str) -> Kind:
    """A file of others; `convert` refuses the arrays of some by their shapes, unread, so they are
    read here as well."""
    path = Path(name.replace(" ", "-")) / file
    path.parent.mkdir()
    alike = []
    for seed in (2, 1, 0):
        write(path, seed)
        alike.append(path.read_bytes())
    source = [str(path)] if not flags else ["good.caffemodel"]

    def read():
        if path.suffix in statedict.SUFFIXES and "checkpoint" not in name:
            for key, stored in statedict.load(path).items():
                published.read_array(path, key, stored, stored.shape)
        else:
            convert.main([*source, f"{name}.out.{'safetensors' if 'ours' in name else 'npz'}",
                          *flags, *([str(path)] if flags else [])])

    return Kind(name, read, [path], alike=tuple(alike[:2]))


def a_caffemodel(path, seed, layer=caffe_writer.layer_2015):
    weights = caffe_writer.weights(caffe_writer.QUICK, seed)
    path.write_bytes(caffe_writer.model("quick", weights, layer))


def an_old_caffemodel(path, seed):
    a_caffemodel(path, seed, caffe_writer.layer_2013)


def an_hdf5_model(path, seed):
    import h5py
    with h5py.File(path, "w") as file:
        for name, blobs in caffe_writer.weights(caffe_writer.QUICK, seed).items():
            for i, array in enumerate(blobs):
                file[f"data/{name}/{i}"] = array


def a_mean(path, seed):
    a_caffemodel(Path("good.caffemodel"), 0)
    mean = np.random.default_rng(seed).random((1, 3, 32, 32))
    path.write_bytes(caffe_writer.blob(mean, old=True))


def arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"features.0.weight": rng.standard_normal((4, 3, 2, 2), np.float32),
            "features.0.bias": rng.standard_normal(4, np.float32),
            "classifier.6.bias": rng.standard_normal(10, np.float32)}


def a_safetensors(path, seed):
    safetensors.save(path, arrays(seed), {"preset": "paper"})


def an_npz(path, seed):
    np.savez(path, **arrays(seed))


def a_pth(path, seed, **how):
    import torch
    torch.save({k: torch.from_numpy(v) for k, v in arrays(seed).items()}, path, **how)


def an_old_pth(path, seed):
    a_pth(path, seed, _use_new_zipfile_serialization=False)


def ours(path, seed):
    network = others.cifar10_quick(seed=seed)
    about = {"preset": "cifar10-quick", "classes": [*map(str, range(10))],
             "settings": asdict(published._recipe("cifar10-quick"))}
    checkpoint.Checkpoint(about, np.zeros((32, 32, 3), np.float32), network.state()).save(path)


def an_export(path, seed):
    ours(Path("source.npz"), seed)
    convert.main(["source.npz", str(path)])


KINDS: dict[str, Callable[[], Kind]] = {
    "checkpoint": evaluated,
    "resume": lambda: run_kind("resume", "checkpoint.npz"),
    "config": lambda: run_kind("config", "config.json"),
    "resumed log": lambda: run_kind("resumed log", "log.csv"),
    "log": log,
    "prepared": prepared,
    "preparing": preparing,
    "features": features,
    "names": names,
    "list": val_list,
    "devkit": devkit,
    "tars": lambda: packed("tars", *(file.what for file in imagenet.PUBLISHED.values())),
    "kaggle": lambda: packed("kaggle", "imagenet-object-localization-challenge.zip"),
    "cifar bin": lambda: cifar("bin", batch_bin(), "test_batch.bin"),
    "cifar pickle": lambda: cifar("pickle", batch_pickle(), "test_batch", batch_pickle(1)),
    "cifar gz": lambda: cifar("gz", gzip.compress(archive()), "cifar.tar.gz"),
    "cifar tar": Unpacked,
    "notebook": notebook,
    "caffemodel": lambda: converted("caffemodel", "a.caffemodel", a_caffemodel),
    "old caffemodel": lambda: converted("old caffemodel", "a.caffemodel", an_old_caffemodel),
    "hdf5": lambda: converted("hdf5", "a.caffemodel.h5", an_hdf5_model),
    "binaryproto": lambda: converted("binaryproto", "a.binaryproto", a_mean, "--mean"),
    "safetensors": lambda: converted("safetensors", "a.safetensors", a_safetensors),
    "npz": lambda: converted("npz", "a.npz", an_npz),
    "ours": lambda: converted("checkpoint of ours", "a.npz", ours),
    "exported": lambda: converted("exported checkpoint", "a.npz", an_export),
    "exported safetensors": lambda: converted(
        "exported checkpoint 2", "a.safetensors", an_export),
    "pth": lambda: converted("pth", "a.pth", a_pth),
    "old pth": lambda: converted("old pth", "a.pth", an_old_pth),
} | {f"picture {end}": lambda end=end: picture(end)
     for end in ("png", "jpg", "gif", "bmp", "tif", "webp", "ppm")}

for package, needing in (("torch", ["pth", "old pth"]), ("h5py", ["hdf5"])):
    if importlib.util.find_spec(package) is None:
        for missing in needing:
            del KINDS[missing]
