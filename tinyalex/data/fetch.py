"""Fetching CIFAR-10 from its author's page: all of it, checked, or nothing.

The archive is downloaded and unpacked in a temporary folder next to the place where it belongs.
Only when every check has passed does one rename put the finished folder there, so whoever finds
`cifar-10-batches-bin` finds all of it.
"""

import hashlib
import http.client
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from tinyalex.data import cifar10
from tinyalex.support.errors import UserError
from tinyalex.support.files import alone
from tinyalex.support.progress import progress

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
# The MD5 sums published on his page, and the folder that each archive holds.
CHECKSUMS = {
    "c32a1d4ab5d03f1284b67883e8d87530": cifar10.FOLDERS[0],  # cifar-10-binary.tar.gz
    "c58f30108f718f92721af3b95e74349a": cifar10.FOLDERS[1],  # cifar-10-python.tar.gz
}
LARGEST = 170_498_071  # bytes of the larger archive, the python version
TIMEOUT = 30.0  # seconds without a sign of life from the server

_BLOCK = 1 << 16  # bytes at a time: small enough that the progress bar moves on a slow line


def fetch(folder: Path, url: str = URL, checksums: Mapping[str, str] = CHECKSUMS) -> Path:
    """Download CIFAR-10, check it, and unpack it into `folder`; returns the new folder in there.

    What killed downloads left there is removed. Where CIFAR-10 is there already, or comes while
    this process waits for another one, nothing is downloaded.

    checksums: which MD5 sums are good, and what the folder in that archive is called. So `url`
        may be a mirror of either version.

    Raises UserError where the download fails or is not what it should be, and OSError where the
    disk refuses; `folder` is then as it was before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, "cifar10", wait=True) as locked:
        for leftover in folder.glob(".cifar10-*.part") if locked else ():
            shutil.rmtree(leftover, ignore_errors=True)  # it may be somebody else's
        return present(folder) or _fetched(folder, url, checksums)


def _fetched(folder: Path, url: str, checksums: Mapping[str, str]) -> Path:
    hint = f"try again, or download {URL} in a browser and unpack it in {folder}"
    try:
        with tempfile.TemporaryDirectory(prefix=".cifar10-", suffix=".part", dir=folder) as part:
            archive = Path(part) / "archive.tar.gz"
            md5 = _download(url, archive, hint)
            if md5 not in checksums:
                raise UserError(f"{url}: what came has the MD5 sum {md5}; "
                                f"CIFAR-10 has {' or '.join(checksums)}", hint)
            unpacked = Path(part) / checksums[md5]
            _unpack(archive, unpacked)
            return unpacked.rename(folder / unpacked.name)
    except OSError as error:
        error.filename = str(folder)  # nobody knows the temporary one; a full disk names none
        raise


def present(folder: Path) -> Path | None:
    """Where CIFAR-10 lies in `folder`, read once from end to end to be sure; None if it does not.

    Raises UserError where its place is taken by something that is not a whole copy.
    """
    try:
        for split in cifar10.SPLITS:
            cifar10.load(split, folder)
        return cifar10.find(folder)
    except UserError as error:
        for place in (folder / name for name in cifar10.FOLDERS):
            if os.path.lexists(place):
                raise UserError(
                    f"{place} is not a whole copy of CIFAR-10: {error.args[0]}",
                    f"delete {place} or move it away, then fetch again.") from error
        return None


def _download(url: str, path: Path, hint: str) -> str:
    """Write what `url` gives to `path`; its MD5 sum in hexadecimal digits."""
    md5 = hashlib.md5(usedforsecurity=False)
    with open(path, "wb") as file:
        for block in _blocks(url, hint):
            file.write(block)
            md5.update(block)
    return md5.hexdigest()


def _blocks(url: str, hint: str) -> Iterator[bytes]:
    """What `url` gives, a block at a time, with a progress bar on a terminal.

    A generator of its own so that an OSError caught here is the network's, never the disk's.
    """
    if not re.match(r"https?://", url):
        raise UserError(f"{url}: not a page to download from", hint)
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            length = int(answer.headers.get("Content-Length") or 0)  # 0: the server does not say
            with progress(None, url.split("/")[-1], length or None, "B", unit_scale=True) as bar:
                while max(length, received) <= LARGEST and (block := answer.read(_BLOCK)):
                    received += len(block)
                    bar.update(len(block))
                    yield block
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UserError(f"{url}: {_what_happened(error)}", hint) from error
    if max(length, received) > LARGEST:
        raise UserError(f"{url}: sends more than CIFAR-10 has, which is {LARGEST:,} bytes", hint)
    if length and received != length:
        raise UserError(
            f"{url}: the download was cut short: {received:,} of {length:,} bytes came", hint)


def _what_happened(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no sign of life from the server for {TIMEOUT:g} seconds"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _unpack(archive: Path, folder: Path) -> None:
    """Write the batches to `folder`, under names of ours, and read them once to check them."""
    batches = [batch for batches in cifar10.SPLITS.values() for batch in batches]
    names = [*cifar10.file_names(batches), "batches.meta", "batches.meta.txt", "readme.html"]
    folder.mkdir()
    for name, content in cifar10.files_in_archive(archive, names):
        with open(folder / name, "wb") as file:
            file.write(content)
            os.fsync(file.fileno())  # or a power cut after the rename could leave holes
    for split in cifar10.SPLITS:
        cifar10.load(split, folder)
