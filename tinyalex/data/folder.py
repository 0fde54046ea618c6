"""Pictures in folders, as ImageNet has them: FOLDER/train/<class>/* and FOLDER/val/<class>/*."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from tinyalex.data.dataset import Dataset
from tinyalex.errors import UserError

ENDINGS = {".jpeg", ".jpg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm"}


def load(split: str, folder: str | Path, side: int = 256, limit: int | None = None) -> Dataset:
    """The pictures of one split ("train" or "val"), each as its central side×side pixels.

    The shorter side is scaled to `side` first (paper, section 2). Everything is in memory: fit for
    some thousand pictures. limit: take so many, from all classes alike. Raises UserError for a
    folder without pictures and for a picture that cannot be read.
    """
    folder = Path(folder) / split
    classes = class_names(folder)
    files = [sorted(p for p in (folder / name).iterdir() if p.suffix.lower() in ENDINGS)
             for name in classes]
    # One of each class in turn, so that any first part of the list has all classes.
    listed = sorted((place, label, path) for label, paths in enumerate(files)
                    for place, path in enumerate(paths))[:limit]
    if not listed:
        raise UserError(f"{folder}: no pictures in {len(classes)} class folders",
                        f"put pictures ({', '.join(sorted(ENDINGS))}) into {folder}/<class>/.")
    images = np.empty((len(listed), side, side, 3), np.uint8)
    for i, (_, _, path) in enumerate(tqdm(listed, f"reading {folder}", unit="pictures",
                                          disable=None, leave=False)):
        images[i] = read_picture(path, side)
    return Dataset(images, np.array([label for _, label, _ in listed]), classes, str(folder))


def class_names(folder: Path) -> tuple[str, ...]:
    """The names of the class folders, sorted. UserError where there are none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder",
                        "pictures are expected in FOLDER/train/<class>/ and FOLDER/val/<class>/.")
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir()))
    if not names:
        raise UserError(f"{folder}: no class folders in it",
                        f"pictures are expected in {folder}/<class>/.")
    return names


def read_picture(path: Path, side: int) -> np.ndarray:
    """A picture as (side, side, 3) uint8 RGB: shorter side scaled to `side`, centre taken."""
    try:
        with Image.open(path) as picture:
            picture = picture.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not a picture that can be read ({error})",
                        "remove it, or mend it.") from None
    ratio = side / min(picture.size)
    wide, high = (max(side, round(length * ratio)) for length in picture.size)
    picture = picture.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - side) // 2, (high - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)))
