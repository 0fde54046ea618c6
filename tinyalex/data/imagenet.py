"""ImageNet as it is handed out: its pictures are read from where they lie in the archives.

    ILSVRC2012_img_train.tar       n01440764.tar …, each with n01440764_18.JPEG …
    ILSVRC2012_img_val.tar         ILSVRC2012_val_00000001.JPEG …
    ILSVRC2012_devkit_t12.tar.gz   the classes of the latter, and what all classes are called

or Kaggle's .zip, whose folders folder.py reads as well. What is listed has the names that the files
would have in folders, in the same order: a folder that was prepared from archives has the same
bytes as one from folders.
"""

import io
import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from tinyalex.data import archives, labels
from tinyalex.data.archives import Member, refused
from tinyalex.data.download import PublishedFile, checksum
from tinyalex.data.folder import (
    KAGGLE,
    OTHERS,
    OUTSIDE,
    LeftOut,
    Listing,
    Picture,
    in_turn,
    labelled,
)
from tinyalex.data.pictures import ENDINGS, BrokenPicture
from tinyalex.support import reading
from tinyalex.support.arrays import Damaged
from tinyalex.support.errors import UserError
from tinyalex.support.files import expect_content
from tinyalex.support.progress import progress
from tinyalex.support.text import composed, megabytes, say

# Their MD5 sums stand on image-net.org's page of downloads.
PUBLISHED = {"train": PublishedFile("ILSVRC2012_img_train.tar",
                                    ("1d675b47d978889d74fa0da5fadfb00e",), 147_897_477_120),
             "val": PublishedFile("ILSVRC2012_img_val.tar",
                                  ("29b22e2961454d5413ddabcf34fc5622",), 6_744_924_160),
             "devkit": PublishedFile("ILSVRC2012_devkit_t12.tar.gz",
                                     ("fa75699e90414af021442c21a62c3abf",), 2_568_145)}
COUNTS = {"train": 1_281_167, "val": 50_000}
MOST_PICTURE = 64_000_000  # bytes, packed; its largest has 16 million
MOST_DEVKIT = 64_000_000  # bytes, unpacked
ZIP = ".zip"
PACKED = (".tar", ".gz", ".tgz", ZIP)
ByClass = dict[str, list[Picture]]


@dataclass(frozen=True)
class Packed(Listing):
    """Pictures in archives. paths: of the archive of each split. zipped: whether it is a .zip."""

    paths: dict[str, Path] = field(default_factory=dict)
    zipped: bool = False

    def source(self, picture: Picture) -> BinaryIO:
        """The picture's file, in memory. BrokenPicture where it was damaged since it was packed."""
        path = self.paths[picture.name.partition("/")[0]]
        try:
            return io.BytesIO(
                archives.unzipped(path, picture.at, picture.size, picture.changed) if self.zipped
                else archives.stretch(path, picture.at, picture.size))
        except Damaged as error:
            raise BrokenPicture(picture.name, str(error)) from None
        except OSError as error:
            error.filename = error.filename or f"{path}/{picture.name}"  # `read` names none
            raise


def beside(folder: Path) -> dict[str, Path]:
    """The archives that lie in a folder under their published names; none where one has already
    unpacked them there."""
    if (folder / "train").is_dir() or (folder / "val").is_dir():
        return {}
    paths = {split: folder / published.what for split, published in PUBLISHED.items()}
    return {split: path for split, path in paths.items() if path.is_file()}


def verify(paths: Mapping[str, Path]) -> None:
    """Compare the archives with their published checksums. UserError where one is another file."""
    for split, path in paths.items():
        expect_content(path)
        published = PUBLISHED[split]
        found = checksum(path, published)
        if found not in published.checksums:
            raise UserError(f"{path}: its MD5 sum is {found}; {published.what} has "
                            f"{' or '.join(published.checksums)}", "download it again.")
        say(f"verified {path}: MD5 {found}")


def from_tars(val: Path, devkit: Path, train: Path | None = None) -> Packed:
    """The pictures in the published archives. devkit: the archive, or the folder that it unpacks
    to. Without `train` there is only what validates.

    UserError where an archive is damaged, is another one, or was made to do damage: see
    archives.tar; where a class or a picture is there twice; where pictures have no class.
    """
    left_out: LeftOut = defaultdict(list)
    by_class = _train(train, left_out) if train else {}
    expect_content(val)
    with open(val, "rb") as file:
        pictures = _pictures("val", val, archives.tar(file, val), left_out)
    listed, packed = _devkit(devkit)
    layout = "ImageNet's archives" if train else "ImageNet's archives, without that to train on"
    return _listing({"val": val} | ({"train": train} if train else {}), layout, by_class, pictures,
                    left_out, listed, packed)


def from_kaggle(path: Path) -> Packed:
    """The pictures in Kaggle's imagenet-object-localization-challenge.zip. UserError as above."""
    splits: dict[str, dict[str, list[Member]]] = {"train": defaultdict(list), "val": {"": []}}
    packed, left_out = dict[Path, bytes](), defaultdict[str, list[str]](list)
    expect_content(path)
    for member in archives.zipped(path):
        top, _, inside = member.name.partition(f"{KAGGLE}/")
        split, _, place = inside.partition("/")
        place = place.rpartition("/")[0]
        if not top and split in splits and (split == "train") == bool(place) and "/" not in place:
            splits[split].setdefault(composed(place), []).append(member)
        elif member.name in (labels.NAMES[0], labels.MAPPING):
            packed[path / member.name] = _text(path, member)
        else:
            kind = f"pictures in {split}/" if split else OUTSIDE
            left_out[kind if _is_picture(member) else OTHERS].append(member.name)
    listed = path / labels.NAMES[0]
    if listed not in packed:
        raise UserError(f"{path}: no {listed.name} in it", "this is Kaggle's list of the classes "
                        "of val/. If another archive is in this one, unpack it.")
    by_class = {name: _pictures(f"train/{name}", path, members, left_out)
                for name, members in splits["train"].items()}
    pictures = _pictures("val", path, splits["val"][""], left_out)
    return replace(_listing(dict.fromkeys(splits, path), "Kaggle's ImageNet, zipped", by_class,
                            pictures, left_out, listed, packed), zipped=True)


def _listing(paths: dict[str, Path], layout: str, by_class: ByClass, to_validate: list[Picture],
             left_out: LeftOut, listed: Path, packed: Mapping[Path, bytes]) -> Packed:
    """The pictures with their classes: those to validate with by the list `listed`, which may be
    one of the `packed` files."""
    if not to_validate:
        raise UserError(f"{paths['val']}: no pictures to validate with in it",
                        "name the archives as they were published.")
    words = labels.words(listed, packed)
    classes = tuple(sorted(name for name, pictures in by_class.items() if pictures))
    classes = classes or tuple(sorted(words))
    known = labels.read(listed, [picture.name.rpartition("/")[2] for picture in to_validate],
                        classes, packed)
    to_train = in_turn([picture._replace(label=label) for picture in by_class.get(name, [])]
                       for label, name in enumerate(classes))
    splits = {"train": to_train, "val": labelled(to_validate, known)}
    return Packed(paths.get("train", paths["val"]), classes, splits, None, left_out, layout, words,
                  paths)


def _train(path: Path, left_out: LeftOut) -> ByClass:
    """The pictures in the tar of tars, by class."""
    by_class: ByClass = {}
    expect_content(path)
    with open(path, "rb") as file, progress(None, "reading what lies where", path.stat().st_size,
                                            "B", unit_scale=True) as bar:
        for inner in archives.tar(file, path):
            name, _, ending = inner.name.rpartition("/")[2].rpartition(".")
            where = path / inner.name
            if ending != "tar":
                raise refused(where, "not the tar of a class")
            if composed(name) in by_class:
                raise refused(path, f"{inner.name} is there twice")
            members = archives.tar(file, where, inner.at, inner.at + inner.size)
            by_class[composed(name)] = _pictures(f"train/{name}", where, members, left_out)
            bar.update(inner.at + inner.size - bar.n)
    return by_class


def _pictures(folder: str, where: Path, members: Iterable[Member],
              left_out: LeftOut) -> list[Picture]:
    """The members that are pictures, as files of `folder`, sorted."""
    pictures: dict[str, Picture] = {}
    for member in members:
        file = member.name.rpartition("/")[2]
        name = f"{folder}/{file}"
        if file.endswith(PACKED):
            raise refused(where / member.name, "an archive, where a picture is expected")
        if file.startswith(".") or not _is_picture(member):
            left_out["hidden" if file.startswith(".") else OTHERS].append(name)
            continue
        if member.size > MOST_PICTURE:
            raise refused(where / member.name, f"says that it has {megabytes(member.size)}, as no "
                          "picture has")
        if name in pictures:
            raise refused(where, f"{file} is there twice")
        pictures[name] = Picture(name, 0, member.size, member.mark, member.at)
    return [pictures[name] for name in sorted(pictures)]


def _is_picture(member: Member) -> bool:
    return os.path.splitext(member.name)[1].lower() in ENDINGS


def _devkit(path: Path) -> tuple[Path, dict[Path, bytes]]:
    """The kit's list of classes, and the contents of its files; {} where they are in a folder."""
    if path.is_dir():
        return labels.find(path), {}
    content = reading.content(path, MOST_DEVKIT)
    if content[:2] == b"\x1f\x8b":  # packed by gzip
        unpack = zlib.decompressobj(31)
        try:
            content = unpack.decompress(content, MOST_DEVKIT)
        except zlib.error as error:
            raise refused(path, f"damaged ({error})") from None
        if not unpack.eof:
            raise refused(path, f"cut short, or it unpacks to more than {megabytes(MOST_DEVKIT)}")
    packed = {path / member.name: content[member.at : member.at + member.size]
              for member in archives.tar(io.BytesIO(content), path)}
    for listed in packed:
        if listed.name == labels.GROUND_TRUTH:
            return listed, packed
    raise UserError(f"{path}: no {labels.GROUND_TRUTH} in it",
                    f"name the archive {PUBLISHED['devkit'].what}.")


def _text(path: Path, member: Member) -> bytes:
    if member.size > reading.MOST:
        raise refused(path / member.name, f"says that it has {megabytes(member.size)}")
    try:
        return archives.unzipped(path, member.at, member.size, member.mark)
    except Damaged as error:
        raise refused(path / member.name, f"damaged: {error}") from None
