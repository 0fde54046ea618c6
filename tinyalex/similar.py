"""python -m tinyalex.similar: which pictures a trained network finds similar; see --help."""

import contextlib
import hashlib
import shlex
import sys
from pathlib import Path

import numpy as np

from tinyalex import drawing
from tinyalex.data.gallery import KINDS, Gallery, built_in, gather
from tinyalex.drawing import Near
from tinyalex.inside import features
from tinyalex.inside.features import Features
from tinyalex.run import flags, opened
from tinyalex.run.opened import OpenedNetwork
from tinyalex.run.recipe import NETWORK, READS
from tinyalex.support.cli import add_picture, number, output, run
from tinyalex.support.errors import UserError, reason
from tinyalex.support.files import cache_folder
from tinyalex.support.text import plural, say, warn

DRAWN = 24
UNKNOWN = ""  # the class of a picture whose folder has no class's name
Neighbours = list[tuple[int, float]]  # (which of the pictures, its distance), the nearest first


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.similar`; argv without the program's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    saved, given = _saved(args.among)
    with opened.open_network(args.checkpoint, args.devices) as net:
        queries = gather(args.queries, net.side, args.limit)
        among, pictures, complete = _among(net, saved, given, args.batch_size)
        for shown in (queries, pictures):
            shown.expect_unread(args.out, args.save)
        queries = _known(queries, net.classes, among.true)
        classes = [*{*net.classes, *among.true}]
        names = dict(zip(classes, flags.called(classes, names), strict=True))
        names[UNKNOWN] = "class unknown"
        vectors = _features(net, queries, args.batch_size)
    good = queries.good()
    complete &= len(good) == len(queries)
    queries, vectors = queries.only(good), vectors[good]
    near = [features.neighbours(name, vector, among, args.count)
            for name, vector in zip(queries.names, vectors, strict=True)]
    agreed = _say(queries, near, among, names)
    if agreed is not None:
        print(f"of the {args.count} nearest, {agreed:.1%} are of the query's own class")
    if args.save:
        among.save(args.save)
        say(f"features of {plural(len(among.names), 'picture')}: {args.save}",
            "to search them again: --among " + shlex.join([str(args.save), *given]))
    first = f" (of the first {DRAWN})" if len(near) > DRAWN else ""
    title = (f"{net.name}: nearest of {plural(len(among.names), 'picture')}, by the "
             f"{among.values.shape[1]} activities of the last hidden layer")
    add_picture(args.out, net.path.parent / "similar.png", lambda path: drawing.neighbours(
        [_row(queries, i, neighbours, among, pictures, names)
         for i, neighbours in enumerate(near[:DRAWN])], path, title), f"as a picture{first}: ")
    return int(not complete)


def _parse(argv):
    parser = flags.parser("similar", (
        "Find the pictures that a network finds similar: nearest neighbours by the Euclidean "
        "distance between activities of its last hidden layer (section 6.1 and figure 4, right, of "
        "the paper)."))
    add = parser.add_argument
    add("queries", nargs="+", metavar="QUERY", help=KINDS)
    add("--among", nargs="+", required=True, metavar="PICTURES",
        help="where to look: the same, usually a folder; or a file that --save wrote, followed by "
        "the pictures that it was made from")
    add("--count", type=number(int, 1, 20), default=6, help="how many neighbours of each")
    add("--limit", type=number(int, 1), help="only the first LIMIT queries")
    add("--save", type=output(".npz"), metavar="NPZ",
        help="write the features of PICTURES to this file")
    return parser.parse_args(argv)


def _saved(among: list[str]) -> tuple[Path | None, list[str]]:
    """What --among says: the file of features, if there is one, and the pictures."""
    first = Path(among[0])
    return (first, among[1:]) if first.suffix.lower() == ".npz" else (None, among)


def _known(queries: Gallery, classes: list[str], among: list[str]) -> Gallery:
    """The queries, of an unknown class where a picture's folder has the name of no class of the
    network, nor of one of several folders to look among."""
    known = {*classes, *among} if len(set(among)) > 1 else set(classes)
    return Gallery([shown if shown.true in known else shown._replace(true=UNKNOWN)
                    for shown in queries.pictures], queries.side)


def _among(net: OpenedNetwork, saved: Path | None, given: list[str],
           batch_size: int) -> tuple[Features, Gallery, bool]:
    """The features to look among, their pictures in the same order, and whether all pictures could
    be read. UserError where the features are another network's."""
    if saved is None:
        pictures = gather(given, net.side)
        among = cached(net, pictures, batch_size)
        return (among, _pictures_of(among, pictures, "the cache"),
                len(among.names) == len(pictures))
    among = features.load(saved)
    if among.network != fingerprint(net) or among.values.shape[1] != features.width(net.network):
        raise UserError(f"{saved}: features of a different network from {net.path}",
                        "use those that this network gives: --among FOLDER.")
    pictures = gather([*given, *built_in(among.names)], net.side)
    return among, _pictures_of(among, pictures, str(saved)), True


def _pictures_of(among: Features, given: Gallery, file: str) -> Gallery:
    """The pictures of these features, in their order. UserError for one that was not given: no file
    decides which files are read."""
    known = {picture.name: picture for picture in given.pictures}
    if unknown := [name for name in among.names if name not in known]:
        raise UserError(f"{file}: {unknown[0]} is not among the pictures named after --among",
                        f"name their folder as well: --among {shlex.quote(file)} FOLDER.")
    return Gallery([known[name] for name in among.names], given.side)


def cached(net: OpenedNetwork, shown: Gallery, batch_size: int | None = None) -> Features:
    """The features of these pictures; kept in the cache folder, so that they are extracted once.

    Another network, other weights, a picture that was added, removed or rewritten: each makes
    another file.
    """
    network, pictures = fingerprint(net), shown.digest()
    path = cache_folder() / "features" / f"{network}-{pictures}.npz"
    kept = None
    with contextlib.suppress(UserError, OSError):  # damaged, or not ours to read: made again
        before = features.load(path)
        _pictures_of(before, shown, str(path))
        kept = before
    if kept:
        names = set(kept.names)
        for i in [i for i, name in enumerate(shown.names) if name not in names]:
            shown[i]  # a broken one: it says again what is wrong
        shown.good()
        return kept
    values = _features(net, shown, batch_size)
    good = shown.good()
    shown = shown.only(good)
    fresh = Features(values[good], shown.names, [picture.true for picture in shown.pictures],
                     network, pictures)
    try:
        path.parent.mkdir(exist_ok=True)
        fresh.save(path)
    except (OSError, UserError) as error:  # they are of use all the same
        warn(f"the features are not kept: {path}: {reason(error)}")
    return fresh


def _features(net: OpenedNetwork, shown: Gallery, batch_size: int | None) -> np.ndarray:
    values = features.extract(net.network, net.batches(shown, "features", batch_size))
    net.expect_finite(values, "its last hidden layer")
    return values


def fingerprint(net: OpenedNetwork) -> str:
    """A different text as soon as a weight, the mean picture, the network or what it reads differs;
    how it was trained does not count."""
    counts = {name: getattr(net.recipe, name) for name in sorted(NETWORK | READS)}
    sha = hashlib.sha256(f"{counts}".encode() + net.mean.tobytes())
    for name, value in sorted(net.network.state().items()):
        sha.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return sha.hexdigest()[:16]


def _say(queries: Gallery, near: list[Neighbours], among: Features,
         names: dict[str, str]) -> float | None:
    """Print the neighbours; returns which share of them is of the same class as the query, where
    there is this class among them at all."""
    agree, known = [], set(among.true)
    for shown, neighbours in zip(queries.pictures, near, strict=True):
        say(f"{shown.name} ({names.get(shown.true, shown.true)})")
        for i, distance in neighbours:
            say(f"  {distance:>9.3f}  {names.get(among.true[i], among.true[i])}  "
                f"{among.names[i]}")
        print()
        if shown.true in known:
            agree += [among.true[i] == shown.true for i, _ in neighbours]
    return sum(agree) / len(agree) if agree else None


def _row(queries: Gallery, query: int, neighbours: Neighbours, among: Features,
         pictures: Gallery, names: dict[str, str]) -> list[Near]:
    """The picture that was asked for, and those near it, to be drawn."""
    true = queries.pictures[query].true
    row = [Near(queries[query], names.get(true, true))]
    for i, distance in neighbours:
        other = among.true[i]
        row.append(Near(pictures[i], f"{names.get(other, other)}\n{distance:.2f}",
                        other == true if true in among.true else None))
    return row


if __name__ == "__main__":
    sys.exit(run(main))
