"""Packs a folder of photographs into archives that are built as ImageNet's are, to try things out,
and measures whether pictures come out of them as fast as out of folders.

    python docs/imagenet.py pack FOLDER OUT
    python docs/imagenet.py speed FOLDER

FOLDER has train/<WNID>/* and val/<WNID>/*. In the devkit, classes that FOLDER does not have are
invented.
"""

import argparse
import io
import struct
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from tinyalex.data import devkit, folder, imagenet
from tinyalex.data.folder import KAGGLE, Listing
from tinyalex.data.imagenet import COUNTS, PUBLISHED
from tinyalex.data.labels import GROUND_TRUTH, MAPPING
from tinyalex.data.preparation import prepare
from tinyalex.support.cli import ArgumentParser, number, run
from tinyalex.support.errors import UserError
from tinyalex.support.text import align, say

DEVKIT = "ILSVRC2012_devkit_t12/data"
Files = Mapping[str, Path | bytes]  # what goes into an archive, by the name that it gets there


def pack(source: Path, out: Path) -> dict[str, Path]:
    """Write ImageNet's three archives, and Kaggle's "zip", to the folder `out`; returns them."""
    for split in ("train", "val"):
        if not (source / split).is_dir():
            raise UserError(f"{source}: has no folder {split}/",
                            "name a folder with train/<WNID>/* and val/<WNID>/*.")
    classes = {path.name: {file.name: file for file in sorted(path.iterdir())}
               for path in sorted((source / "train").iterdir())}
    val = {f"ILSVRC2012_val_{i:08}.JPEG": path for i, path in enumerate(
        sorted((source / "val").glob("*/*"), key=lambda path: path.name), 1)}
    wnids = [*reversed(classes), *(f"n9{i:07}" for i in range(devkit.CLASSES - len(classes)))]
    words = {wnid: f"{wnid} in words, and in others" for wnid in wnids}
    truth = "".join(f"{wnids.index(path.parent.name) + 1}\n" for path in val.values())

    out.mkdir(parents=True, exist_ok=True)
    paths = {split: out / published.what for split, published in PUBLISHED.items()}
    paths["zip"] = out / "imagenet-object-localization-challenge.zip"
    # Backwards, so that nobody relies on an order of the files.
    paths["train"].write_bytes(tar({f"{wnid}.tar": tar(dict(reversed(files.items())))
                                    for wnid, files in reversed(classes.items())}))
    paths["val"].write_bytes(tar(dict(reversed(val.items()))))
    paths["devkit"].write_bytes(tar({f"{DEVKIT}/meta.mat": meta(words),
                                     f"{DEVKIT}/{GROUND_TRUTH}": truth.encode()}, "w:gz"))
    with zipfile.ZipFile(paths["zip"], "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kaggles(classes, val, words):
            archive.writestr(name, content)
    return paths


def kaggles(classes: Mapping[str, Mapping[str, Path]], val: Mapping[str, Path],
            words: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """The files of Kaggle's archive."""
    for wnid, files in classes.items():
        for name, path in files.items():
            yield f"{KAGGLE}/train/{wnid}/{name}", path.read_bytes()
    for name, path in val.items():
        yield f"{KAGGLE}/val/{name}", path.read_bytes()
    rows = [f"{Path(name).stem},{path.parent.name} 1 2 30 40 \n" for name, path in val.items()]
    yield "LOC_val_solution.csv", "".join(["ImageId,PredictionString\n", *rows]).encode()
    yield MAPPING, "".join(f"{wnid} {words[wnid]}\n" for wnid in classes).encode()


def tar(files: Files, mode: str = "w") -> bytes:
    """A tar of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode,  # type: ignore[call-overload]
                      format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, Path):
                member.mtime, content = int(content.stat().st_mtime), content.read_bytes()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def meta(words: Mapping[str, str], letters: str = "utf-8", packed: bool = True,
         groups: int = 2) -> bytes:
    """The devkit's meta.mat, as MATLAB writes it; devkit.py has the format. words: of each class,
    in the order of the numbers. letters: "utf-8" or "utf-16-le". groups: of classes, after them."""
    columns = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children")
    rows = [*words.items(), *((f"n0000000{i}", "a group") for i in range(groups))]
    cells, kind = b"", 16 if letters == "utf-8" else 4
    for i, (wnid, text) in enumerate(rows, 1):
        cells += _array(6, 1, _element(4, struct.pack("<H", i)))
        for cell in (wnid, text, f"what {text} is"):
            cells += _array(4, len(cell), _element(kind, cell.encode(letters)))
        cells += _array(6, 1, _element(2, bytes([2 * (i > len(words))])))
        cells += _array(6, 0, _element(9, b""))
    names = b"".join(name.encode().ljust(32, b"\0") for name in columns)
    table = _array(2, len(rows), _element(5, struct.pack("<i", 32)) + _element(1, names) + cells,
                   b"synsets")
    if packed:
        table = zlib.compress(table)
        table = struct.pack("<II", 15, len(table)) + table
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + table


def _element(kind: int, content: bytes) -> bytes:
    if 0 < len(content) <= 4:
        return struct.pack("<HH4s", kind, len(content), content)
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def _array(kind: int, length: int, content: bytes = b"", name: bytes = b"") -> bytes:
    return _element(14, _element(6, struct.pack("<II", kind, 0)) + _element(5, struct.pack(
        "<ii", 1, length)) + _element(1, name) + content)


def speed(source: Path, rounds: int, side: int) -> str:
    """A table: pictures a second from folders and from archives, which take turns."""
    took: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        paths = pack(source, Path(temporary) / "archives")
        kaggle = paths.pop("zip")
        ways = {"folders": lambda: folder.listing(source),
                "tars": lambda: imagenet.from_tars(**paths),
                "Kaggle's zip": lambda: imagenet.from_kaggle(kaggle)}
        for turn in range(rounds):
            for way, listing in ways.items():
                start = time.perf_counter()
                found: Listing = listing()
                listed = time.perf_counter()
                prepare(found, Path(temporary) / f"{way}-{turn}", side, max_broken=1.0)
                took.setdefault(way, []).append(
                    ((listed - start) / len(found), (time.perf_counter() - listed) / len(found)))
    rows = [("pictures from", "a second", "lowest", "highest", "listing one", "all of ImageNet")]
    for way, times in took.items():
        listing_one, one = (median(column) for column in zip(*times, strict=True))
        paces = [1 / seconds for _, seconds in times]
        rows.append((way, f"{1 / one:,.0f}", f"{min(paces):,.0f}", f"{max(paces):,.0f}",
                     f"{1e6 * listing_one:,.0f} µs",
                     f"{(one + listing_one) * sum(COUNTS.values()) / 3600:.1f} h"))
    return align(rows, total=False)


def main(argv: list[str] | None = None) -> int:
    """The command; see above."""
    parser = ArgumentParser(prog="python docs/imagenet.py", description=__doc__,
                            formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pack", "speed"])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT", default="archives")
    parser.add_argument("--rounds", type=number(int, 1, 100), default=5)
    parser.add_argument("--side", type=number(int, 1, 4096), default=256)
    args = parser.parse_args(argv)
    if args.what == "speed":
        print(speed(args.folder, args.rounds, args.side))
    else:
        say(*map(str, pack(args.folder, args.out).values()))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
