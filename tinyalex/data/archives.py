"""What lies where in a .tar or a .zip: files are read out of the middle of one, and nothing is ever
unpacked to the disk.

A tar is one file after the other, each after a header of 512 bytes, and filled up to such a block:

      0  its name                          156  what it is: 0 a file, 5 a folder, 1 and 2 a link, …
    124  its length, octal                 257  "ustar", in all but the oldest
    148  the sum of the header's bytes     345  what stands before the name

Blocks of zeros are the end. So a file in a tar that is in a tar is a stretch of the outer one, and
the headers alone, less than half a per cent of ImageNet, say where all the stretches are. Python's
own tarfile takes a header that it cannot read for the end: the rest of a damaged archive would be
missing silently. Here it is an error, as are names that lead out of a folder, links and devices.
"""

import errno
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError
from tinyalex.support.text import megabytes

BLOCK = 512
MOST_NAME = 1 << 16  # bytes of a name, and what else pax may say about a file
MOST_FILLING = 1 << 20  # zeros at the end: tar writes whole records, of 10 KB if not told otherwise
FILES, FOLDER = (b"0", b"\0", b"7"), b"5"
LONG_NAME, LONG_LINK, PAX, PAX_FOR_ALL = b"L", b"K", b"x", b"g"  # notes on what follows
KINDS = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe",
         b"S": "a file with holes"}
_NAME = slice(0, 100)
_LENGTH, _CHANGED, _SUM = slice(124, 136), slice(136, 148), slice(148, 156)
_BEFORE = slice(345, 500)
_ZIPPED, _LOCAL = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), struct.Struct("<4s4xH16xHH")
_HINT = "use the archive as it was published: download it again if need be."


class Member(NamedTuple):
    """A file in an archive. name: with slashes. size: in bytes. at: where it begins in the archive;
    in a zip, where its header does. mark: when it was changed, in nanoseconds since 1970; in a zip,
    its CRC-32."""

    name: str
    size: int
    at: int
    mark: int


def refused(where: Path, reason: str) -> UserError:
    """To be raised for an archive that is damaged, or made to do damage. where: it, or the file in
    it."""
    return UserError(f"{where}: {reason}", _HINT)


def tar(file: BinaryIO, where: Path, at: int = 0, end: int | None = None) -> Iterator[Member]:
    """The files of a tar, in its order. at, end: where it begins and ends in `file`, if that is
    not all of it. where: what it is called in errors.

    UserError where it is cut short, damaged or no tar; for a name that leads out of a folder; for
    links, devices and all else that is neither file nor folder.
    """
    end, first, name = file.seek(0, 2) if end is None else end, at, ""
    longer: dict[str, str] = {}  # what stands before the header of a file with a long name
    while True:
        file.seek(at)
        header = file.read(BLOCK) if at + BLOCK <= end else b""
        if len(header) < BLOCK:
            raise refused(where, "the file is empty" if end == first else
                          "cut short" + f", after {name}" * bool(name))
        if not any(header):
            return _expect_end(file, where, end - at - BLOCK, name)
        try:
            kind, size, mark = header[156:157], _number(header[_LENGTH]), _number(header[_CHANGED])
            if _number(header[_SUM]) != sum(header) - sum(header[_SUM]) + 8 * ord(" "):
                raise ValueError("the sum is wrong")
            name = longer.get("path") or _name(header)
            if (size := int(longer.get("size", size))) < 0:
                raise ValueError("less than nothing")
        except ValueError:
            raise refused(where, "not a tar (a compressed one has to be unpacked first)"
                          if at == first else f"damaged, after {name}") from None
        at += BLOCK
        if size > end - at:
            raise refused(where, f"cut short: {name} says that it has {megabytes(size)}, and "
                          f"{megabytes(end - at)} are left")
        if kind in (LONG_NAME, LONG_LINK, PAX, PAX_FOR_ALL):
            if size > MOST_NAME:
                raise refused(where, f"{name} has a name, or notes, of {megabytes(size)}")
            if kind in (LONG_NAME, PAX):
                longer |= _notes(kind, file.read(size), where)
        else:
            _expect_harmless(where, name)
            if kind in FILES and not name.endswith("/"):
                yield Member(name.removeprefix("./"), size, at, mark * 10**9)
            elif kind != FOLDER and kind not in FILES:
                raise refused(where / name, KINDS.get(kind, f"of a kind {kind!r}, not a file"))
            longer = {}
        at += -(-size // BLOCK) * BLOCK


def _number(field: bytes) -> int:
    """Octal digits between blanks; where they would not suffice, base 256 after a byte 128, or 255
    where it is less than 0, such as a day before 1970."""
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field[1:], "big", signed=field[:1] == b"\xff")
    return int(field.strip(b" \0") or b"0", 8)


def _name(header: bytes) -> str:
    before = header[_BEFORE] if header[257:263] == b"ustar\0" else b""
    return "/".join(_text(part) for part in (before, header[_NAME]) if part.strip(b"\0"))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _notes(kind: bytes, content: bytes, where: Path) -> dict[str, str]:
    """What stands before a header: a name, or pax's lines "length key=value"."""
    if kind == LONG_NAME:
        return {"path": _text(content)}
    notes = {}
    while content.strip(b"\0"):
        match = re.match(rb"(\d{1,6}) ([^=]+)=", content)
        length = int(match[1]) if match else 0
        if not match or not match.end() < length <= len(content):
            raise refused(where, "damaged: notes of pax that cannot be read")
        notes[_text(match[2])] = _text(content[match.end() : length - 1])
        content = content[length:]
    if any(key.startswith("GNU.sparse") for key in notes):
        raise refused(where, f"{notes.get('GNU.sparse.name', 'one')} is {KINDS[b'S']}")
    return notes


def _expect_harmless(where: Path, name: str) -> None:
    """UserError for a name that would lead out of the folder that it was unpacked to."""
    if not name.strip("/."):
        if name not in (".", "./"):
            raise refused(where, f"a file is called {name!r}")
    elif name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        raise refused(where, f"the name {name} is absolute")
    elif ".." in re.split(r"[/\\]", name):
        raise refused(where, f"the name {name} leads out of the archive")


def _expect_end(file: BinaryIO, where: Path, left: int, name: str) -> None:
    """UserError where more than zeros comes after the end: then it was a hole, and no end."""
    if left > MOST_FILLING or any(file.read(left)):
        raise refused(where, f"damaged: a hole, after {name or 'nothing'}")


def zipped(path: Path) -> Iterator[Member]:
    """The files of a .zip. UserError as for `tar`, and for encrypted ones."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise refused(path, f"cut short, damaged, or not a .zip ({error})") from None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise refused(path, "damaged: its parts lie outside it") from None
    for info in infos:
        _expect_harmless(path, info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)  # as Unix has it; 0 from other systems
        if info.is_dir():
            continue
        if kind not in (0, stat.S_IFREG):
            raise refused(path / info.filename, "a link" if stat.S_ISLNK(kind) else "not a file")
        if not 0 <= info.header_offset < path.stat().st_size:
            raise refused(path, "damaged: its parts lie outside it")
        if info.flag_bits & 1 or info.compress_type not in _ZIPPED:
            raise refused(path / info.filename, "encrypted, or packed in a way that is not read")
        yield Member(info.filename, info.file_size, info.header_offset, info.CRC)


def stretch(path: Path, at: int, size: int) -> bytes:
    """`size` bytes of a file. UserError where it has become shorter."""
    with open(path, "rb") as file:
        file.seek(at)
        content = file.read(size)
    if len(content) < size:
        raise refused(path, "cut short since it was opened")
    return content


def unzipped(path: Path, at: int, size: int, crc: int) -> bytes:
    """The content of a file in a .zip; no more than `size` bytes are unpacked. Damaged where they
    are not what the archive's list says."""
    with open(path, "rb") as file:
        file.seek(at)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
            raise Damaged("its header is not where the archive says")
        _, method, *lengths = _LOCAL.unpack(header)
        file.seek(sum(lengths), 1)
        content = file.read(size + size // 1000 + 1024)  # deflate makes nothing longer than that
    try:
        content = (zlib.decompressobj(-15).decompress(content, size + 1)
                   if method == zipfile.ZIP_DEFLATED else content[:size])
    except zlib.error as error:
        raise Damaged(str(error)) from None
    if len(content) != size or zlib.crc32(content) != crc:
        raise Damaged("it is not what the archive says that it is")
    return content
