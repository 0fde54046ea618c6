"""Published weights of AlexNet: where they come from, and where they are once fetched."""

from dataclasses import dataclass
from pathlib import Path

from tinyalex.data.download import PublishedFile, checksum, download
from tinyalex.support.errors import UserError
from tinyalex.support.files import alone, cache_folder
from tinyalex.support.text import command, say


@dataclass(frozen=True)
class Weights(PublishedFile):
    """What is published: where, and under which licence. The file keeps the name it has there."""

    url: str
    licence: str

    @property
    def file(self) -> str:
        """What it is called."""
        return self.url.split("/")[-1]


# torchvision's file has the first eight digits of its SHA-256 in its name; Caffe's readme, in
# models/bvlc_alexnet, gives the SHA-1.
_ALL = (
    Weights("alexnet-torchvision",
            ("7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",), 244_408_911,
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "BSD 3-Clause, as torchvision; what ImageNet's terms (research and education, not "
            "commercial) mean for weights is left to you"),
    Weights("alexnet-caffe", ("9116a64c0fbe4459d18f4bb6b56d647b63920377",), 250_000_000,
            "http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
            "released for unrestricted use by its authors (BVLC); trained on ImageNet"),
)
PUBLISHED = {weights.what: weights for weights in _ALL}
NAMES = tuple(PUBLISHED)


def find(name: str) -> Path:
    """The fetched file of these weights, one of NAMES. UserError where it is not there."""
    path = folder() / PUBLISHED[name].file
    if not path.is_file():
        raise UserError(f"{name}: not here yet (it would be {path})",
                        f"run: {command('data', 'fetch', name)}")
    return path


def folder() -> Path:
    """Where fetched weights are."""
    return cache_folder() / "weights"


def present(name: str, place: Path) -> Path | None:
    """The file of these weights in the folder `place`, its checksum compared; None where there is
    none. UserError where it is another file, or damaged."""
    published = PUBLISHED[name]
    path = place / published.file
    if not path.exists():
        return None
    if checksum(path, published) not in published.checksums:
        raise UserError(f"{path} is damaged, or is not {name}",
                        f"delete {path} or move it away, then fetch again.")
    return path


def fetch(name: str, place: Path, url: str | None = None) -> Path:
    """Download these weights into the folder `place`, unless they are there; returns the file.

    A download that broke, or was killed, continues from the `.part` beside it. url: of a mirror.
    Raises UserError where the download fails or is not what was published (only what has arrived
    stays, as the `.part`), and OSError where the disk refuses.
    """
    published = PUBLISHED[name]
    place.mkdir(parents=True, exist_ok=True)
    with alone(place, published.file, wait=True):
        path = place / published.file
        if not present(name, place):
            part = place / f"{published.file}.part"
            try:
                download(url or published.url, part, published,
                         "run it again (what has arrived is kept), or download "
                         f"{published.url} in a browser and put it there: {path}")
            except KeyboardInterrupt:
                if part.exists():
                    say("", "what has arrived is kept; the same command continues from there")
                raise
            part.replace(path)
    return path
