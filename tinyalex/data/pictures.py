"""One picture file, of whatever kind, becomes a square of RGB pixels (paper, section 2)."""

import contextlib
import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinyalex.support.errors import UserError

ENDINGS = {".apng", ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg",
           ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
# No others are tried, whatever a file is called: some of Pillow's readers start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000", "TGA")
SAMPLE_FORMAT, UNSIGNED = 339, 1  # TIFF's tag for the kind of its numbers; if missing, this one
READER = 2  # raised when the same files give other pixels
MAX_PIXELS = 64_000_000  # 200 MB once unpacked; a file of some kilobytes can claim far more


class BrokenPicture(UserError):
    """A file that is not a picture, or half of one, or far too large. reason: which."""

    def __init__(self, path: object, reason: str):
        super().__init__(f"{path}: {reason}", "remove it, or repair it.")
        self.reason = reason


def read_picture(path: str | Path | BinaryIO, side: int,
                 max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture, from a path or an opened file, as (side, side, 3) uint8 RGB: shorter side scaled
    to `side`, centre taken.

    It is turned the way the camera was held, transparent parts are shown on white, and grey of
    more than 8 bits is scaled by its values, see `_eight_bits`.

    Raises BrokenPicture where the file is at fault, and for more than `max_pixels`, before they are
    unpacked; OSError where the disk is.
    """
    try:
        # A pipe would be waited for.
        if isinstance(path, str | Path) and Path(path).exists() and not Path(path).is_file():
            raise BrokenPicture(path, "not a regular file")
        with Image.open(path, formats=_formats()) as picture:
            wide, high = picture.size
            if wide * high > max_pixels:
                raise BrokenPicture(path, f"{wide}×{high} is more than {max_pixels:,} pixels")
            # A JPEG can be unpacked at 1/2, 1/4 or 1/8 of its size, which is much faster, but
            # crudely: blocks of pixels are averaged. With twice the pixels that are wanted, what
            # bicubic then keeps is nearly what it keeps of the whole picture.
            picture.draft(None, (2 * side, 2 * side))
            with _unpacking(picture.size[0] * picture.size[1]):
                picture.load()
                _turn_upright(picture)
                return _square(_rgb(picture), side)
    except (BrokenPicture, MemoryError):
        raise
    except Exception as error:  # a broken picture can raise almost anything
        if isinstance(error, OSError) and error.errno:
            error.filename = error.filename or str(path)  # what `read` raises has none
            raise
        if not isinstance(error, UnidentifiedImageError):
            raise BrokenPicture(path, f"not a picture that can be read ({error})") from None
        raise BrokenPicture(path, "the file is empty" if _is_empty(path) else
                            "not a picture that can be read") from None


def _is_empty(path: str | Path | BinaryIO) -> bool:
    return not (os.path.getsize(path) if isinstance(path, str | Path) else path.seek(0, 2))


_turn, _unpacked = threading.Condition(), 0  # pixels, by all threads


@contextlib.contextmanager
def _unpacking(pixels: int) -> Iterator[None]:
    """Wait until this many more pixels may be unpacked: all threads together never hold more than
    one of them alone may."""
    global _unpacked
    with _turn:
        _turn.wait_for(lambda: not _unpacked or _unpacked + pixels <= MAX_PIXELS)
        _unpacked += pixels
    try:
        yield
    finally:
        with _turn:
            _unpacked -= pixels
            _turn.notify_all()


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 as (side, side, 3): itself where it is one, else as read_picture
    would have it."""
    if image.shape[:2] == (side, side):
        return image
    return _square(Image.fromarray(image), side)


def centre(pictures: np.ndarray, side: int) -> np.ndarray:
    """The middle (…, side, side, C) of a picture, or of several."""
    top, left = ((length - side) // 2 for length in pictures.shape[-3:-1])
    return pictures[..., top : top + side, left : left + side, :]


def _square(picture: Image.Image, side: int) -> np.ndarray:
    # Cut and scaled in one go: of a panorama, all but the centre would be made only to be dropped.
    short = min(picture.size)
    left, top = ((length - short) / 2 for length in picture.size)
    square = (left, top, left + short, top + short)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=square))


@lru_cache
def _formats() -> list[str]:
    Image.init()
    return [kind for kind in FORMATS if kind in Image.OPEN]  # an older Pillow has no AVIF


def _turn_upright(picture: Image.Image) -> None:
    # A damaged note by the camera does not make the pixels worse.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(picture, in_place=True)


def _rgb(picture: Image.Image) -> Image.Image:
    clear = picture.info.get("transparency")
    if picture.mode.startswith(("I", "F")):
        grey = _eight_bits(picture)
        if clear is not None:
            grey[np.asarray(picture) == clear] = 255
        return Image.fromarray(grey).convert("RGB")
    if isinstance(clear, tuple) and max(clear) > 255:  # of 16 bits, as the pixels no longer are
        picture.info["transparency"] = tuple(value >> 8 for value in clear)
    if picture.mode in ("LA", "PA", "RGBA") or clear is not None:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> np.ndarray:
    """Grey of 16 or 32 bits as (H, W) uint8.

    Files do not say which number is white: programs keep 8 or 12 bits in 16, and 16 in 32. Black is
    0, and white the smallest of 255, 4095 and 65535 that no value exceeds; for floats 1. Where
    there are other values, the smallest is black, and the largest is white.
    """
    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", None)  # a TIFF has some
    if picture.mode == "I" and tags and tags.get(SAMPLE_FORMAT, (UNSIGNED,)) == (UNSIGNED,):
        values = values.view(np.uint32)  # Pillow hands them over as if they were signed
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its values are NaN or infinite")
    whites = [1] if picture.mode == "F" else [255, 4095, 65535]
    if low >= 0 and high <= whites[-1]:
        low, high = 0.0, float(next(white for white in whites if high <= white))
    grey = values.astype(np.float32)
    grey -= low
    grey *= 255 / (high - low or 1)
    return np.rint(grey, out=grey).astype(np.uint8)
