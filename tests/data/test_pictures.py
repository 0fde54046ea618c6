"""One picture file, of whatever kind, becomes a square of RGB pixels.

What could go wrong without a word: grey, palette or see-through pictures in strange colours, a
camera held upright and a picture that lies, a part of the picture other than its centre, a large
photograph made coarse by unpacking it too small. And what must not go wrong with a traceback, or
with all memory: a picture that is none, or half of one, or a bomb.
"""

import errno
import io
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, PngImagePlugin
from PIL.JpegImagePlugin import JpegImageFile

from tinyalex.data import pictures
from tinyalex.data.pictures import ENDINGS, BrokenPicture, read_picture

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
    with pytest.raises(BrokenPicture, match=r"broken\.png: (not a pict|the file is e)") as caught:
        read_picture(path, 4)
    assert str(caught.value).count(str(path)) == 1, "the reason alone goes into reports"
    assert len(str(caught.value).splitlines()) == 2


def test_what_the_disk_refuses_is_not_blamed_on_the_picture(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "gone.jpg", 4)


def test_a_disk_that_fails_in_the_middle_of_a_picture_says_of_which_one(tmp_path, monkeypatch):
    """What `read` raises has no file's name: one in a million of them could not be found again."""
    Image.new("RGB", (4, 4)).save(path := tmp_path / "a.png")

    def load(picture):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    with pytest.raises(OSError, match="Input/output") as caught:
        read_picture(path, 4)
    assert caught.value.filename == str(path)


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


SHADES = np.linspace(0, 1, 64)[None].repeat(64, axis=0)  # dark at the left, light at the right


def write_tiff(path, values, kind):
    """A grey TIFF with all its numbers, which Pillow writes only in some types. kind: of numbers, 1
    unsigned, 2 signed, 3 floats."""
    data, (high, wide) = values.tobytes(), values.shape
    tags = {256: wide, 257: high, 258: 8 * values.itemsize, 259: 1, 262: 1, 273: 8, 277: 1,
            278: high, 279: len(data)} | ({339: kind} if kind > 1 else {})  # 1 is the default
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    path.write_bytes(struct.pack("<4sI", b"II*\0", 8 + len(data)) + data
                     + struct.pack("<H", len(tags)) + table + bytes(4))


@pytest.mark.parametrize(("black", "white", "dtype"), [
    (0, 255, "<u2"), (0, 4095, "<u2"), (0, 65535, "<u2"), (-32768, 32767, "<i2"),
    (0, 255, "<i4"), (0, 65535, "<i4"), (0, 2**24 - 1, "<i4"), (-32768, 32767, "<i4"),
    (0, 2**32 - 1, "<u4"), (0, 1, "<f4"), (0, 255, "<f4"), (0, 65535, "<f4"), (-1, 1, "<f4"),
])
def test_grey_of_many_bits_is_neither_black_nor_wrapped(black, white, dtype, tmp_path):
    values = (black + SHADES * (white - black)).astype(dtype)
    write_tiff(tmp_path / "a.tif", values, "uif".index(dtype[1]) + 1)
    picture = read_picture(tmp_path / "a.tif", 64).astype(int)
    assert abs(picture - np.rint(255 * SHADES)[..., None]).max() <= 1


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path):
    write_tiff(tmp_path / "a.tif", (SHADES * 6553.5).astype("<u2"), 1)
    assert read_picture(tmp_path / "a.tif", 64).max() == 25


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_numbers_that_are_none_are_named(odd, tmp_path):
    write_tiff(tmp_path / "a.tif", np.where(SHADES > 0.5, odd, SHADES).astype("<f4"), 3)
    with pytest.raises(BrokenPicture, match="some of its values are NaN or infinite"):
        read_picture(tmp_path / "a.tif", 4)


@pytest.mark.parametrize(("colours", "clear"), [(1, 0), (1, 33000), (3, 0), (3, 33000)])
def test_the_see_through_colour_of_16_bits_is_shown_on_white(colours, clear, tmp_path):
    """A PNG names it as it names its pixels: with 16 bits, of which Pillow keeps 8 in colours."""
    values = np.full((4, 4, colours), 50000, ">u2")
    values[:2] = clear
    def chunk(name, content):
        return (struct.pack(">I", len(content)) + name + content
                + struct.pack(">I", zlib.crc32(name + content)))
    header = struct.pack(">IIBBBBB", 4, 4, 16, 0 if colours == 1 else 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", values[0, 0].tobytes())
        + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    picture = read_picture(tmp_path / "a.png", 4)
    assert (picture[0] == 255).all() and (abs(picture[3].astype(int) - 195) <= 1).all()


def test_a_file_never_reaches_another_program(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    called = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **more: called.append(args))
    (tmp_path / "a.jpg").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(BrokenPicture, match=r"a\.jpg: not a picture that can be read"):
        read_picture(tmp_path / "a.jpg", 4)
    assert not called


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_every_ending_stands_for_a_format_that_is_read(ending, tmp_path):
    kind = Image.registered_extensions().get(ending) or pytest.skip("not in this Pillow")
    if kind not in Image.SAVE:
        pytest.skip("Pillow was built without it")
    Image.new("L" if ending != ".pbm" else "1", (16, 16), 255).save(tmp_path / f"a{ending}")
    assert (read_picture(tmp_path / f"a{ending}", 4) >= 250).all()


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

    monkeypatch.setattr(pictures, "_turn_upright", upright)
    for side, together in ((30, 900), (15, 900), (40, 1600)):  # of the last even one is too many
        path = put(tmp_path / f"{side}.png", size=(side, side))
        most.clear()
        with ThreadPoolExecutor(6) as threads:
            [*threads.map(lambda _, path=path: read_picture(path, 8, 2000), range(12))]
        assert max(most) == together
