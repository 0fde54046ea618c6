"""What every picture is made of: a page counted in pixels, text on it, images pixel for pixel.

Matplotlib by its objects alone: a Figure that nobody else knows of, drawn and written. Without
pyplot there is no display to find and no current figure to share, so any thread may draw. It is
imported when the first picture is drawn: a command that draws none does not wait for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from PIL import Image

from tinyalex.drawing.fonts import families
from tinyalex.support.files import replacing
from tinyalex.support.text import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DPI = 128  # a power of two: a size in pixels survives conversion to inches and back
TRAIN, VALIDATION, QUIET = "#0072B2", "#D55E00", "#666666"  # told apart by colour-blind readers too
COLOURS = (TRAIN, VALIDATION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARGIN = 16  # pixels around and between the parts of a picture
LINE = 22  # pixels from one line of text to the next
CAPTION = 16  # the same, between the smaller lines of a caption
WIDEST = 300  # letters of a line: more fit on no page, and take long to measure
_SETTINGS = RLock()  # Matplotlib's, which all threads share


@contextmanager
def our_style() -> Iterator[None]:
    """Before a function that draws: Matplotlib as it comes. The user's own style, from matplotlibrc
    or a notebook, may want LaTeX, or fonts that are not there, and comes back afterwards."""
    import matplotlib

    with _SETTINGS, matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def fitted(image: np.ndarray, width: int) -> np.ndarray:
    """The picture at most `width` wide: small ones magnified, large ones made smaller."""
    if image.shape[1] <= width:
        return magnified(image, width)
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def magnified(image: np.ndarray, width: int) -> np.ndarray:
    """As many whole times larger as fits `width`: every pixel becomes a square."""
    times = max(1, width // image.shape[1])
    return image.repeat(times, axis=0).repeat(times, axis=1)


def enlarged(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map (H, W) of numbers as large as a picture, what is between its places interpolated."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def tamed(values: np.ndarray) -> np.ndarray:
    """Signed numbers without their extremes: a few pixels must not leave all others grey. Those
    that are 0, as outside of a receptive field, do not count."""
    most = np.quantile(np.abs(values[values != 0]), 0.995) if values.any() else 0.0
    return values.clip(-most, most)


def tiled(pictures: Sequence[np.ndarray] | np.ndarray, columns: int,
          white: float = 255) -> np.ndarray:
    """Pictures (H, W, 3) of one size as one, row by row, with white lines of one pixel between and
    around them; places left over are white."""
    H, W, C = pictures[0].shape
    down = -(-len(pictures) // columns)
    sheet = np.full((down * (H + 1) + 1, columns * (W + 1) + 1, C), white, pictures[0].dtype)
    for i, picture in enumerate(pictures):
        top, left = 1 + i // columns * (H + 1), 1 + i % columns * (W + 1)
        sheet[top : top + H, left : left + W] = picture
    return sheet


def heat(values: np.ndarray, peak: float | None = None, signed: bool = False) -> np.ndarray:
    """Numbers (H, W) as colours (H, W, 3) uint8: from 0, black, to `peak`, nearly white; signed
    ones from -peak, blue, over 0, white, to peak, red. peak: the largest there is, if not given.
    What is not finite is drawn as 0."""
    from matplotlib import colormaps

    values = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
    share = values / (peak or np.abs(values).max(initial=0) or 1)
    coloured = colormaps["RdBu_r"](0.5 + share / 2) if signed else colormaps["magma"](share)
    return np.rint(255 * coloured[..., :3]).astype(np.uint8)


def shorten(text: Text, width: float) -> None:
    """Cut a text short, with an ellipsis, until it is at most so many pixels wide."""
    full = text.get_text()
    if text.get_window_extent().width <= width:
        return

    def too_wide(kept: int) -> bool:
        text.set_text(full[:kept].rstrip() + "…")
        return text.get_window_extent().width > width

    kept = bisect_right(range(1, len(full)), False, key=too_wide)
    text.set_text(full[: max(1, kept)].rstrip() + "…")


def figure(width: int, height: int, **kwargs) -> Figure:
    """An empty page of so many pixels. kwargs: of matplotlib's Figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    page = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, **kwargs)
    FigureCanvasAgg(page)  # which measures texts without a new canvas for each
    return page


def plain(axes: Axes, grid: Literal["both", "x", "y"] = "both", **labels) -> None:
    """Set the axes' labels and limits, with a pale grid behind all else, not a box around them."""
    axes.set(axisbelow=True, **labels)
    axes.grid(axis=grid, color="#E5E5E5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def paste(figure: Figure, image: np.ndarray, x: int, y: int) -> None:
    """Set an image pixel for pixel; x and y count from the figure's upper left corner."""
    figure.figimage(image, x, round(figure.bbox.height) - y - image.shape[0], origin="upper")


def line(text: str) -> str:
    """A text that others wrote, as one line that a page has room for."""
    return shown(text)[:WIDEST]


def write(figure: Figure, text: str, x: float, y: float, **kwargs) -> Text:
    """Write a line with its top at y; x and y in pixels from the figure's upper left corner."""
    from matplotlib.transforms import IdentityTransform

    text = line(text)
    return figure.text(x, figure.bbox.height - y, text, va="top", parse_math=False,
                       transform=IdentityTransform(), family=families(text), **kwargs)


def caption(figure: Figure, text: str, x: float, y: float, width: float, **kwargs) -> None:
    """Write lines below each other, centred at x, each cut short to so many pixels."""
    for n, line in enumerate(text.split("\n")):
        shorten(write(figure, line, x, y + CAPTION * n, ha="center", **kwargs), width)


@our_style()
def png(figure: Figure, file: Path | BinaryIO, dpi: float = DPI) -> None:
    """Draw the page, with fonts that have its letters."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # those of axes and legends as well
        text.set_fontfamily(families(text.get_text()))
    figure.savefig(file, format="png", dpi=dpi)


def save(figure: Figure, path: str | Path) -> None:
    """Write the page as a PNG, in one move."""
    with replacing(path, suffix=".png") as part:
        png(figure, part)
