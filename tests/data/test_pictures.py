"""One picture file, of whatever kind, becomes a square of RGB pixels.

What could go wrong without a word: grey, palette or see-through pictures in strange colours, a
camera held upright and a picture that lies, a part of the picture other than its centre, a large
photograph made coarse by unpacking it too small. And what must not go wrong with a traceback, or
with all memory: a picture that is none, or half of one, or a bomb.
"""

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from tinyalex.data import pictures
from tinyalex.data.pictures import BrokenPicture, read_picture

RED, GREEN = (255, 0, 0), (0, 128, 0)


def put(path, colour=RED, size=(4, 4), mode="RGB"):
    Image.new(mode, size, colour).save(path)
    return path


def see_through_palette(path):
    """Colour 0 is half see-through, so the file has an opacity for each colour of the palette."""
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([*GREEN, *RED])
    picture.save(path, transparency=bytes([128, 255]))


def noise(width, height, seed=0):
    return Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def cut_short(kind, keep):
    packed = io.BytesIO()
    noise(64, 64).save(packed, kind)
    return packed.getvalue()[: int(keep * len(packed.getvalue()))]


@pytest.mark.parametrize("content", [
    b"", b"<html>404 not found</html>", cut_short("PNG", 0.3), cut_short("JPEG", 0.5),
    cut_short("JPEG", 0.98), cut_short("BMP", 0.5), b"GIF89a",
], ids=["empty", "html", "half a PNG", "half a JPEG", "nearly a JPEG", "half a BMP", "a header"])
def test_a_file_that_is_no_whole_picture_is_named_and_the_reason_given(content, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(BrokenPicture, match=r"broken\.png: not a picture") as caught:
        read_picture(path, 4)
    assert str(caught.value).count(str(path)) == 1, "the reason alone goes into reports"
    assert len(str(caught.value).splitlines()) == 2


def test_what_the_disk_refuses_is_not_blamed_on_the_picture(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "gone.jpg", 4)


def test_a_gigantic_picture_is_refused_by_its_header_alone(tmp_path):
    path = put(tmp_path / "bomb.png", size=(200, 100))
    header = path.read_bytes()[:45]  # the size stands there; not one pixel does
    path.write_bytes(header)
    with pytest.raises(BrokenPicture, match=r"200×100 is more than 19,999 pixels"):
        read_picture(path, 4, max_pixels=19_999)
    put(path, size=(200, 100))
    assert (read_picture(path, 4, max_pixels=20_000) == RED).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_the_camera_was_held(orientation, tmp_path):
    """The corner at the upper left is red: where it lies in the file, EXIF's number says."""
    upright = np.zeros((8, 8, 3), np.uint8)
    upright[:4, :4], upright[:4, 4:] = RED, GREEN
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
              5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 8: np.rot90(upright, -1),
              7: np.rot90(upright, 2).transpose(1, 0, 2)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert (read_picture(tmp_path / "a.png", 8) == upright).all()


def test_a_damaged_note_of_the_camera_does_not_cost_the_picture(tmp_path):
    put(tmp_path / "a.png", GREEN)
    Image.open(tmp_path / "a.png").save(tmp_path / "b.png", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert (read_picture(tmp_path / "b.png", 4) == GREEN).all()


def test_a_large_jpeg_is_unpacked_smaller_but_not_coarser(tmp_path, monkeypatch):
    """With twice the wanted pixels a smooth photograph comes out as if it were unpacked whole;
    with just as many, the blocks that were averaged would show."""
    noise(52, 39).resize((832, 624), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=95)
    small, asked = read_picture(tmp_path / "a.jpg", 64).astype(int), []
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, mode, size: asked.append(size))
    whole = read_picture(tmp_path / "a.jpg", 64).astype(int)
    assert asked == [(128, 128)]
    assert 0 < abs(small - whole).mean() < 1 and abs(small - whole).max() <= 12


@pytest.mark.parametrize(("save", "expected"), [
    (lambda path: put(path, GREEN), GREEN),
    (lambda path: put(path, 77, mode="L"), (77, 77, 77)),
    (lambda path: put(path, 1, mode="1"), (255, 255, 255)),
    (lambda path: put(path, 77 * 256, mode="I;16"), (77, 77, 77)),
    (lambda path: Image.new("RGB", (4, 4), GREEN).quantize(4).save(path), GREEN),
    (lambda path: put(path, (*GREEN, 255), mode="RGBA"), GREEN),
    (lambda path: put(path, (*GREEN, 0), mode="RGBA"), (255, 255, 255)),
    (lambda path: put(path, (0, 128), mode="LA"), (127, 127, 127)),
    (see_through_palette, (127, 191, 127)),
    (lambda path: Image.new("RGB", (4, 4), GREEN).save(path.with_suffix(".JPEG"), "PNG"), GREEN),
], ids=["RGB", "grey", "black and white", "16 bits", "palette", "RGBA", "see-through",
        "grey see-through", "palette see-through", "PNG named JPEG"])
def test_every_kind_of_picture_gives_the_colours_that_one_sees(save, expected, tmp_path):
    save(tmp_path / "a.png")
    picture = read_picture(next(tmp_path.iterdir()), 4)
    assert picture.shape == (4, 4, 3) and picture.dtype == np.uint8
    assert abs(picture.astype(int) - expected).max() <= 1


def test_a_photograph_for_print_becomes_rgb_too(tmp_path):
    put(tmp_path / "a.jpg", (0, 255, 255, 0), (16, 16), mode="CMYK")
    assert abs(read_picture(tmp_path / "a.jpg", 16).astype(int) - RED).max() <= 3


@pytest.mark.parametrize("size", [(48, 24), (24, 48), (24, 24), (36, 24)])
def test_the_centre_is_taken_once_the_shorter_side_is_scaled(size, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    picture = Image.fromarray(noise).resize(size)
    picture.save(tmp_path / "a.png")
    wide, high = size[0] // 2, size[1] // 2
    left, top = (wide - 12) // 2, (high - 12) // 2
    expected = picture.resize((wide, high), Image.Resampling.BICUBIC).crop(
        (left, top, left + 12, top + 12))
    picture = read_picture(tmp_path / "a.png", 12)
    assert abs(picture.astype(int) - np.asarray(expected)).max() <= 1, "but for rounding"


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 4000), (4000, 5)])
def test_the_tiniest_and_the_longest_picture_fit_as_well(size, tmp_path):
    put(tmp_path / "a.png", GREEN, size)
    assert (read_picture(tmp_path / "a.png", 64) == GREEN).all()


def test_threads_together_unpack_no_more_than_one_of_them_may(tmp_path, monkeypatch):
    """A file of some kilobytes can claim 64 million pixels, and a machine has many cores."""
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    under_way, most = [], []

    def upright(picture):
        under_way.append(picture.width * picture.height)
        most.append(sum(under_way))
        time.sleep(0.02)
        under_way.pop()
        return picture

    monkeypatch.setattr(pictures, "_upright", upright)
    for side, together in ((30, 900), (15, 900), (40, 1600)):  # of the last even one is too many
        path = put(tmp_path / f"{side}.png", size=(side, side))
        most.clear()
        with ThreadPoolExecutor(6) as threads:
            [*threads.map(lambda _, path=path: read_picture(path, 8, 2000), range(12))]
        assert max(most) == together
