"""Archives like ImageNet's: what is in them; docs/imagenet.py writes them."""

import io

import numpy as np
from pages import script
from PIL import Image

_written = script("imagenet")
meta, pack, tar, main = _written.meta, _written.pack, _written.tar, _written.main

CLASSES = ("n01440764", "n02105855", "n02979186")
COUNTS = {"train": (5, 4, 3), "val": (2, 3, 1)}
ODD, BROKEN = ("a PNG", "CMYK", "broken EXIF"), ("half a picture", "no picture")


def draw(top):
    """Pictures in folders: twelve to train on and six to validate with; what ImageNet really has, a
    PNG called .JPEG, CMYK, notes of the camera that are damaged; and two that are broken."""
    rng = np.random.default_rng(0)
    for split, counts in COUNTS.items():
        for name, count in zip(CLASSES, counts, strict=True):
            (top / split / name).mkdir(parents=True)
            for i in range(count):
                (top / split / name / f"{i}_{name}_{split}.JPEG").write_bytes(picture(rng))
    contents = [picture(rng, "PNG"), picture(rng, mode="CMYK"),
                picture(rng, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"), picture(rng)[:300], b"<html>"]
    for i, (name, content) in enumerate(zip(ODD + BROKEN, contents, strict=True)):
        (top / "train" / CLASSES[i % 3] / f"{name}.JPEG").write_bytes(content)
    return top


def picture(rng, kind="JPEG", mode="RGB", **how):
    """A picture's file: from black to a colour, so that pictures differ, and JPEG keeps them."""
    grey = np.linspace(0, 1, 12 * 10).reshape(10, 12, 1)
    image = Image.fromarray((grey * rng.integers(64, 255, 3)).astype(np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def tars(packed):
    """The three archives by their flags, without Kaggle's."""
    return {split: packed[split] for split in ("train", "val", "devkit")}


def flags(packed):
    """How a command line names them."""
    return [word for split, path in tars(packed).items() for word in (f"--{split}", str(path))]
