"""Files from the web: with the published checksum or not at all, continuing where a broken download
stopped."""

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tinyalex.support.errors import UserError
from tinyalex.support.files import expect_room
from tinyalex.support.progress import progress

TIMEOUT = 30.0  # seconds without an answer from the server

_BLOCK = 1 << 16  # bytes at a time: small enough that the progress bar moves on a slow line
_SUMS = {32: "MD5", 40: "SHA-1", 64: "SHA-256"}  # by the number of hexadecimal digits


@dataclass(frozen=True)
class PublishedFile:
    """What is published of a file: its name in messages, its checksums (one of which it must have,
    in hexadecimal digits: MD5, SHA-1 or SHA-256), and how many bytes it has at most."""

    what: str
    checksums: Collection[str]
    largest: int


def download(url: str, part: Path, published: PublishedFile, hint: str) -> str:
    """Make `part` the whole file; returns the checksum that it has.

    What is already there is taken as its beginning, and only the rest is requested. A broken
    connection or a kill leaves what has arrived for the next time. The checksum says whether
    beginning and rest belong together: if not, the whole file is downloaded again.

    Raises UserError where the download fails or is not what it should be, and OSError where the
    disk refuses.
    """
    begun = part.exists()
    have = part.stat().st_size if begun else 0
    expect_room(part.parent, published.largest - have, f"the rest of {published.what}")
    try:
        with open(part, "ab") as file:
            if file.tell() > published.largest:
                file.truncate(0)
            for start, block in _blocks(url, file.seek(0, os.SEEK_END), published, hint):
                if start < file.tell():  # the server sends all of it again
                    file.truncate(file.seek(start))
                file.write(block)
            os.fsync(file.fileno())  # or a power cut after a rename could leave holes
    except OSError as error:
        error.filename = str(part)  # a full disk does not say for which file
        raise
    except (UserError, KeyboardInterrupt):
        if not part.stat().st_size:
            part.unlink()
        raise
    found = checksum(part, published)
    if found in published.checksums:
        return found
    part.unlink()
    if begun:
        return download(url, part, published, hint)
    kind = _SUMS[len(found)]
    raise UserError(f"{url}: the download has the {kind} sum {found}; {published.what} has "
                    f"{' or '.join(published.checksums)}", hint)


def checksum(path: Path, published: PublishedFile) -> str:
    """The file's checksum, of the kind that is published."""
    kind = _SUMS[len(next(iter(published.checksums)))]
    digest = hashlib.new(kind.replace("-", ""), usedforsecurity=False)
    with open(path, "rb") as file, progress(None, f"checking {path.name}", path.stat().st_size,
                                            "B", unit_scale=True) as bar:
        while block := file.read(1 << 20):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def _blocks(url: str, have: int, published: PublishedFile, hint: str,
            ) -> Iterator[tuple[int, bytes]]:
    """What `url` gives after the first `have` bytes, a block at a time, with the place of each in
    the file, and a progress bar on a terminal. The whole file, where the server does not send
    parts.

    A generator of its own so that an OSError caught here is the network's, never the disk's.
    """
    if not re.match(r"https?://", url):
        raise UserError(f"{url}: not a page to download from", hint)
    at = length = 0
    try:
        at, answer = _answer(url, have)
        rest = int(answer.headers.get("Content-Length") or 0)  # 0: the server does not say
        length = rest and at + rest
        with answer, progress(None, url.split("/")[-1], length or None, "B", unit_scale=True,
                              initial=at) as bar:
            while max(length, at) <= published.largest and (block := answer.read(_BLOCK)):
                yield at, block
                at += len(block)
                bar.update(len(block))
    except (OSError, http.client.HTTPException, ValueError) as error:
        if have and isinstance(error, urllib.error.HTTPError) and error.code == 416:
            error.close()
            return  # there is nothing after them: everything has come
        raise UserError(f"{url}: {_what_happened(error)}", hint) from error
    if max(length, at) > published.largest:
        raise UserError(f"{url}: sends more than {published.what} has, which is at most "
                        f"{published.largest:,} bytes", hint)
    if length and at != length:
        raise UserError(
            f"{url}: the download was cut short: only {at:,} of {length:,} bytes came", hint)


def _answer(url: str, have: int) -> tuple[int, http.client.HTTPResponse]:
    """The server's answer, and with which byte of the file it begins: `have`, or 0."""
    wanted = {"Range": f"bytes={have}-"} if have else {}
    answer = urllib.request.urlopen(urllib.request.Request(url, headers=wanted), timeout=TIMEOUT)
    if not have or answer.status != 206:
        return 0, answer
    if answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        return have, answer
    answer.close()
    return _answer(url, 0)  # another part than was asked for


def _what_happened(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer from the server for {TIMEOUT:g} seconds"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
