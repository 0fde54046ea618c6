"""The built-in dataset: ten classes of small pictures, drawn here, so that nothing is downloaded.

Five shapes (fish, butterfly, house, boat, mushroom), each in warm and in cool colours. The class is
the pair, so a network has to see both. Everything else is chance and says nothing about the class:
where the thing is and how large, the light, the background and the bits lying about, in any colour.
A classifier that only weighs pixels gets about 40 % right; a small convolutional network nearly
all.

A picture is made like a paper collage: the bits and the thing are cut out (cutouts.py, Pillow),
shrunk, lit, and laid on a background (here, NumPy).
"""

import contextlib
import io
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFilter

from tinyalex.data.cutouts import FINER, FORMS, HUES, RGB, Pen, clutter, palette, rgb
from tinyalex.data.dataset import Dataset
from tinyalex.devices import available_cores
from tinyalex.support import arrays, files
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress

SIZE = 64  # pixels, of a side
VERSION = 2  # part of the cache file's name: raise it whenever a picture would look different
SPLITS = {"train": (8000, 1), "val": (1000, 2)}  # pictures, seed
SHARE = 500  # pictures; to draw fewer takes no longer than to start a process for them
ROWS = 8  # of the sheet that shows the first of them
HELPER = ("import sys; sys.path[0] = sys.argv[1]; from tinyalex.data import shapes; "
          "shapes.send(*map(int, sys.argv[2:]))")
TEXTURES = ("stripes", "waves", "spots", "rings", "hills", "clouds")
CLASSES = tuple(f"{family} {form}" for form in FORMS for family in HUES)


def _texture(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of TEXTURES, at places (u, v): (size, size), around -1..1."""
    often, phase = rng.uniform(4, 13), rng.uniform(0, 2 * math.pi)
    kind = TEXTURES[rng.integers(len(TEXTURES))]
    if kind == "stripes":
        return np.sin(often * u + phase)
    if kind == "waves":
        return np.sin(often * u + phase + 1.5 * np.sin(0.5 * often * v))
    if kind == "spots":
        return 1.6 * np.sin(often * u + phase) * np.sin(often * v) - 0.6
    if kind == "rings":
        return np.sin(often * np.hypot(u - math.cos(phase), v - math.sin(phase)))
    if kind == "hills":
        return 4 * (v - 0.6 * math.sin(phase)) + np.sin(2 * u + phase) + 0.3 * np.sin(often * u)
    waves = rng.normal(0, 4, (6, 3)).tolist()
    return sum(np.sin(a * u + b * v + c) for a, b, c in waves) / 2


def _background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Two neighbouring hues blend into each other, under a soft texture and some patches.

    Returns (3, size, size) float32, 0..1: NumPy is quicker with the long axes last. No colour
    here knows the class.
    """
    hue = rng.random()
    hues = hue, hue + rng.uniform(-0.15, 0.15), hue + rng.uniform(-0.4, 0.4)
    first, second, third = (
        _planes(rgb(h, rng.uniform(0.15, 0.7), rng.uniform(0.4, 1))) for h in hues)
    angle = rng.uniform(0, 2 * math.pi)
    x, y = _axes(size)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    edge, cover = rng.uniform(0.8, 4), rng.uniform(0.15, 0.8)
    ground = first + (second - first) * (0.5 + 0.35 * u)
    ground += (third - ground) * (cover * (0.5 + 0.5 * np.tanh(edge * _texture(u, v, rng))))
    for _ in range(rng.integers(1, 5)):
        inside = _patch(u, v, rng)
        colour = rgb(rng.random(), rng.uniform(0.3, 0.95), rng.uniform(0.5, 1))
        ground += (_planes(colour) - ground) * inside
    return ground


def _patch(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A disc, an ellipse or a band, as large and as bright as the things: without patches, the
    colour that stands out would give the family away. (size, size): 1 inside, 0 outside."""
    x, y = rng.uniform(-0.9, 0.9, 2)
    radius, squeeze = rng.uniform(0.15, 0.6), (1, 1, 0.5, 0)[rng.integers(4)]
    inside = radius - np.hypot(u - x, squeeze * (v - y))
    return (0.5 + inside * len(u) / 2).clip(0, 1)


def _planes(colour: RGB) -> np.ndarray:
    return np.array(colour, np.float32).reshape(3, 1, 1) / 255


def _axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels' places, -1..1: a row (1, size) of x and a column (size, 1) of y."""
    centres = ((np.arange(size) + 0.5) * 2 / size - 1).astype(np.float32)
    return centres[None, :], centres[:, None]


def _lay(sheet: Image.Image, ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay the cut-outs on the ground: thick paper, light from one side, a soft shadow.

    The blurred outline is the paper's height; moved away from the light it is the shadow, and
    where the height is above the shadow, the edge faces the light. Returns (3, size, size).
    """
    angle, far = rng.uniform(0, 2 * math.pi), 0.035 * sheet.width
    outline = sheet.getchannel("a").filter(ImageFilter.GaussianBlur(0.04 * sheet.width))
    moved = Image.new("L", sheet.size)
    moved.paste(outline, (round(far * math.cos(angle)), round(far * math.sin(angle))))
    height, shadow = (np.asarray(image, np.float32) / 255 for image in (outline, moved))
    cut = np.ascontiguousarray(np.asarray(sheet).transpose(2, 0, 1), np.float32) / 255
    ground = ground * ((1 - rng.uniform(0.2, 0.6) * shadow) * (1 - cut[3]))
    return ground + cut[:3] * (1 + rng.uniform(0.3, 0.9) * (height - shadow))


def _photograph(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lamp, contrast and grain. scene: (3, size, size), 0..1; returns (size, size, 3) uint8."""
    size = scene.shape[1]
    x, y = _axes(size)
    lamp = np.float32(1 + rng.uniform(-0.2, 0.15) + rng.uniform(-0.06, 0.06, (3, 1, 1)))
    slope = 1 + rng.uniform(-0.2, 0.2) * x + rng.uniform(-0.2, 0.2) * y
    contrast, grain = rng.uniform(0.75, 1.1), rng.uniform(0, 0.02)
    noise = 0.5 - 0.5 * contrast + grain * rng.standard_normal((size, size), np.float32)
    picture = scene * (slope * lamp * contrast) + noise
    bright = (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(bright.transpose(1, 2, 0))


def draw(label: int, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """One picture of class `label`: (size, size, 3) uint8.

    The same state of `rng` gives the same picture at any size, only sharper. Raises UserError for
    a label outside 0..9.
    """
    if label not in range(len(CLASSES)):
        raise UserError(f"label {label}: there is no such class",
                        f"labels run from 0 to {len(CLASSES) - 1}; see CLASSES.")
    family, form = CLASSES[label].split()
    ground = _background(size, rng)
    pen = Pen(size)
    clutter(pen, rng, int(rng.integers(2, 8)))
    half = 0.36 + 0.42 * rng.random() ** 1.5  # small ones are more common
    x, y = rng.uniform(half - 1, 1 - half, 2)
    pen.place(x, y, half, rng.uniform(-0.4, 0.4), mirror=rng.random() < 0.5)
    FORMS[form](pen, palette(family, rng), rng)
    clutter(pen, rng, int(rng.integers(0, 3)))
    return _photograph(_lay(pen.sheet.reduce(FINER), ground, rng), rng)


def numbered(i: int, seed: int) -> np.ndarray:
    """Picture i of those of this seed, on which it depends alone. (64, 64, 3) uint8."""
    return draw(i % len(CLASSES), np.random.default_rng([seed, i]))


def make(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` pictures (count, 64, 64, 3) uint8 and their labels (count,), the classes in turn.

    Where there are several cores, and pictures enough, processes draw them in turns with this one,
    which also draws what one of them fails to send.
    """
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    turns = max(1, min(available_cores(), count // SHARE))
    with contextlib.ExitStack() as stack:
        senders = [io.BytesIO(), *(stack.enter_context(_helper(turn, count, turns, seed))
                                   for turn in range(1, turns))]
        for i in progress(range(count), "drawing pictures", unit="picture", delay=0.5):
            sent = np.frombuffer(senders[i % turns].read(images[i].nbytes), np.uint8)
            images[i] = (sent.reshape(images[i].shape) if sent.size == images[i].size
                         else numbered(i, seed))
    return images, np.arange(count) % len(CLASSES)


@contextlib.contextmanager
def _helper(*numbers: int) -> Iterator[IO[bytes]]:
    """What a process of its own writes, which calls `send` with these numbers; nothing where none
    can be started. It ends with the block."""
    root = str(Path(__file__).parents[2])  # of this package, whatever the folder here may hold
    try:
        process = subprocess.Popen(
            [sys.executable or "", "-c", HELPER, root, *map(str, numbers)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        yield io.BytesIO()
        return
    assert process.stdout
    with process:
        try:
            yield process.stdout
        finally:
            process.kill()


def send(first: int, stop: int, step: int, seed: int) -> None:
    """Write the pictures of range(first, stop, step) to stdout, as bytes."""
    for i in range(first, stop, step):
        sys.stdout.buffer.write(numbered(i, seed).tobytes())


def _draw_sheet(path: Path, seed: int) -> None:
    """Write the first pictures of this seed to `path`, a column for each class."""
    pictures = np.stack([numbered(i, seed) for i in range(ROWS * len(CLASSES))])
    rows = pictures.reshape(ROWS, len(CLASSES), SIZE, SIZE, 3).swapaxes(1, 2)
    with files.replacing(path, ".png") as part:
        Image.fromarray(rows.reshape(ROWS * SIZE, -1, 3)).save(part)


def load(split: str, tell: Callable[[str], object] | None = None) -> Dataset:
    """The pictures to learn from ("train") or to be tested on ("val").

    They are drawn on first use, which takes some seconds, and kept in the cache folder. tell: is
    told so, and where to look at the first of them meanwhile. Raises UserError for another split,
    OSError where the folder can't be written.
    """
    if split not in SPLITS:
        raise UserError(f"the built-in shapes have no split {split!r}",
                        f"choose one of: {', '.join(SPLITS)}.")
    count, seed = SPLITS[split]
    path = files.cache_folder() / f"shapes-v{VERSION}-{split}.npz"
    files.remove_leftovers(path.parent, path.name)
    images = _cached(path, (count, SIZE, SIZE, 3))
    if images is None:
        with files.alone(path.parent, path.name, wait=True):
            images = _cached(path, (count, SIZE, SIZE, 3))  # drawn by whoever we waited for
            if images is None:
                if tell:
                    _draw_sheet(sheet := path.with_suffix(".png"), seed)
                    tell(f"drawing {count:,} pictures, once; the first of them: {sheet}")
                images, _ = make(count, seed)
                arrays.save_npz(path, images=images)
    return Dataset(images, np.arange(count) % len(CLASSES), CLASSES, f"shapes ({split})")


def _cached(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The pictures of an earlier run; None where there are none, or not all of them whole."""
    try:
        images = arrays.npz(path)["images"].read()
    except (UserError, arrays.Damaged, KeyError, OSError):
        return None  # whatever is wrong with the file, drawing it again repairs it
    return images if images.shape == shape and images.dtype == np.uint8 else None
