"""Fetching CIFAR-10 from its author's page: all of it, checked, or nothing.

The archive is downloaded and unpacked in a temporary folder next to the place where it belongs.
Only when every check has passed does one rename put the finished folder there, so whoever finds
`cifar-10-batches-bin` finds all of it.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tinyalex.data import cifar10
from tinyalex.data.download import PublishedFile, download
from tinyalex.support.errors import UserError
from tinyalex.support.files import alone

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
# The MD5 sums published on his page, and the folder that each archive holds.
CHECKSUMS = {
    "c32a1d4ab5d03f1284b67883e8d87530": cifar10.FOLDERS[0],  # cifar-10-binary.tar.gz
    "c58f30108f718f92721af3b95e74349a": cifar10.FOLDERS[1],  # cifar-10-python.tar.gz
}
LARGEST = 170_498_071  # bytes of the larger archive, the python version


def fetch(folder: Path, url: str = URL, checksums: Mapping[str, str] = CHECKSUMS) -> Path:
    """Download CIFAR-10, check it, and unpack it into `folder`; returns the new folder in there.

    What killed downloads left there is removed. Where CIFAR-10 is already there, or arrives while
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
            md5 = download(url, archive, PublishedFile("CIFAR-10", checksums, LARGEST), hint)
            unpacked = Path(part) / checksums[md5]
            _unpack(archive, unpacked)
            return unpacked.rename(folder / unpacked.name)
    except OSError as error:
        error.filename = str(folder)  # nobody knows the temporary one; a full disk names none
        raise


def present(folder: Path) -> Path | None:
    """Where CIFAR-10 is in `folder`, read once from end to end to be sure; None if it is not there.

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
