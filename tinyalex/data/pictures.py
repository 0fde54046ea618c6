"""One picture file, of whatever kind, becomes a square of RGB pixels (paper, section 2)."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinyalex.support.errors import UserError

ENDINGS = {".jpeg", ".jpg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm"}
MAX_PIXELS = 64_000_000  # 200 MB once unpacked; a file of some kilobytes can claim far more


class BrokenPicture(UserError):
    """A file that is no picture, or half of one, or a far too large one. reason: which."""

    def __init__(self, path: str | Path, reason: str):
        super().__init__(f"{path}: {reason}", "remove it, or mend it.")
        self.reason = reason


def read_picture(path: str | Path, side: int, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture as (side, side, 3) uint8 RGB: shorter side scaled to `side`, centre taken.

    It is turned the way the camera was held, and what is transparent is shown on white. Raises
    BrokenPicture where the file is at fault, and for more than `max_pixels`, before they are
    unpacked; OSError where the disk is.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
            raise BrokenPicture(path, "not a regular file")
        with Image.open(path) as picture:
            wide, high = picture.size
            if wide * high > max_pixels:
                raise BrokenPicture(path, f"{wide}×{high} is more than {max_pixels:,} pixels")
            # A JPEG can be unpacked at 1/2, 1/4 or 1/8 of its size, which is much faster, but
            # crudely: blocks of pixels are averaged. With twice the pixels that are wanted, what
            # bicubic then keeps is nearly what it keeps of the whole picture.
            picture.draft(None, (2 * side, 2 * side))
            with _unpacking(picture.size[0] * picture.size[1]):
                picture.load()
                return _square(_rgb(_upright(picture)), side)
    except (BrokenPicture, MemoryError):
        raise
    except Exception as error:  # a broken picture can raise almost anything
        if isinstance(error, OSError) and error.errno:
            raise
        about = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise BrokenPicture(path, f"not a picture that can be read{about}") from None


_turn, _unpacked = threading.Condition(), 0  # pixels, by all threads


@contextlib.contextmanager
def _unpacking(pixels: int) -> Iterator[None]:
    """Wait until so many more pixels may be unpacked: all threads together never hold more than
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


def _square(picture: Image.Image, side: int) -> np.ndarray:
    # Cut and scaled in one go: of a panorama, all but the centre would be made only to be dropped.
    short = min(picture.size)
    left, top = ((length - short) / 2 for length in picture.size)
    square = (left, top, left + short, top + short)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=square))


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a damaged note of the camera does not make the pixels worse
        return picture


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which convert would clip to white
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")
