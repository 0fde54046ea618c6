"""Pictures in folders, as ImageNet has them: FOLDER/train/<class>/* and FOLDER/val/<class>/*."""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from tinyalex.data.dataset import Dataset
from tinyalex.errors import UserError

ENDINGS = {".jpeg", ".jpg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm"}


def load(split: str, folder: str | Path, side: int = 256, limit: int | None = None) -> Dataset:
    """The pictures of one split ("train" or "val"), each as its central side×side pixels.

    The shorter side is scaled to `side` first (paper, section 2). Everything is in memory: fit for
    some thousand pictures. The classes are those of train/, where there is one: a label means the
    same in every split, though some class may have no pictures in val/. limit: take so many, from
    all classes alike. Raises UserError for a folder without pictures, for a class that train/ does
    not have, and for a picture that cannot be read.
    """
    folder, train = Path(folder) / split, Path(folder) / "train"
    names = class_names(folder)
    classes = class_names(train) if train.is_dir() else names
    if unknown := set(names) - set(classes):
        raise UserError(f"{folder / min(unknown)}: there is no such class in {train}",
                        "every split needs the class folders of train/, with the same names.")
    files = [_pictures(folder / name) for name in classes]
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
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and _is_seen(p)))
    if not names:
        raise UserError(f"{folder}: no class folders in it",
                        f"pictures are expected in {folder}/<class>/.")
    return names


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and _is_seen(p))


def _is_seen(path: Path) -> bool:
    # .ipynb_checkpoints is not a class, and macOS leaves ._cat.jpg, no picture, beside cat.jpg.
    return not path.name.startswith(".")


def read_picture(path: Path, side: int) -> np.ndarray:
    """A picture as (side, side, 3) uint8 RGB: shorter side scaled to `side`, centre taken.

    What is transparent is shown on white. Raises UserError where it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            picture = _rgb(picture)
    except Exception as error:  # a broken picture can raise almost anything
        raise UserError(f"{path}: not a picture that can be read ({error})",
                        "remove it, or mend it.") from None
    # Cut and scaled in one go: of a panorama, all but the centre would be made only to be dropped.
    short = min(picture.size)
    left, top = ((length - short) / 2 for length in picture.size)
    square = (left, top, left + short, top + short)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=square))


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which convert would clip to white
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")
