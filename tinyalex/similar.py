"""python -m tinyalex.similar: which pictures a trained network finds similar; see --help."""

import contextlib
import hashlib
import sys
from pathlib import Path

import numpy as np

from tinyalex import drawing
from tinyalex.data.gallery import KINDS, Gallery, gather, readable
from tinyalex.drawing import Near
from tinyalex.inside import features
from tinyalex.inside.features import Features
from tinyalex.run import flags, opened
from tinyalex.run.opened import OpenedNetwork
from tinyalex.support.cli import number, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import cache_folder

DRAWN = 24
Neighbours = list[tuple[int, float]]  # (which of the pictures, its distance), the nearest first


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.similar`; argv without the program's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    with opened.open_network(args.checkpoint, args.devices) as net:
        queries = gather(args.queries, net.side, args.limit)
        among = _among(net, args.among, args.batch_size)
        vectors = features.extract(net.network, net.batches(queries, "features", args.batch_size))
    if args.save:
        among.save(args.save)
    near = [features.neighbours(name, vector, among, args.count)
            for name, vector in zip(queries.names, vectors, strict=True)]
    agreed = _say(queries, near, among, names)
    rows = [_row(queries, i, neighbours, among, names) for i, neighbours in enumerate(near[:DRAWN])]
    out = args.out or net.path.parent / "similar.png"
    drawing.neighbours(rows, out, f"{net.name}: nearest of {len(among.names):,} pictures, by the "
                                  f"{among.values.shape[1]} activities of the last hidden layer")
    if agreed is not None:
        print(f"of the {args.count} nearest, {agreed:.1%} are of the query's own class")
    if args.save:
        print(f"features of {len(among.names):,} pictures: {args.save}")
    first = f" (of the first {DRAWN})" if len(near) > DRAWN else ""
    print(f"as a picture{first}: {out}")
    return 0


def _parse(argv):
    parser = flags.parser("similar", (
        "Find the pictures that a network takes for similar: nearest neighbours by the Euclidean "
        "distance of the activities of its last hidden layer (section 6.1 and figure 4, right, of "
        "the paper)."))
    add = parser.add_argument
    add("queries", nargs="+", metavar="QUERY", help=KINDS)
    add("--among", nargs="+", required=True, metavar="PICTURES",
        help="where to look: the same, mostly a folder; or one file that --save wrote")
    add("--count", type=number(int, 1, 20), default=6, help="how many neighbours of each")
    add("--limit", type=number(int, 1), help="only the first LIMIT queries")
    add("--save", type=Path, metavar="NPZ", help="write the features of PICTURES to this file")
    return parser.parse_args(argv)


def _among(net: OpenedNetwork, wanted: list[str], batch_size: int) -> Features:
    """The features of the pictures to look among. UserError where they are another network's."""
    path = Path(wanted[0])
    if len(wanted) > 1 or path.suffix != ".npz":
        return cached(net, gather(wanted, net.side), batch_size)
    saved = features.load(path)
    if saved.network != fingerprint(net) or saved.values.shape[1] != features.width(net.network):
        raise UserError(f"{path}: features of another network than {net.path}",
                        "use those that this network gives: --among FOLDER.")
    return saved


def cached(net: OpenedNetwork, shown: Gallery, batch_size: int | None = None) -> Features:
    """The features of these pictures; kept in the cache folder, so that they are extracted once.

    Another network, other weights, a picture that came, went or was written anew: all make another
    file.
    """
    network, pictures = fingerprint(net), shown.digest()
    path = cache_folder() / "features" / f"{network}-{pictures}.npz"
    with contextlib.suppress(UserError):  # a damaged one is made anew
        return features.load(path)
    values = features.extract(net.network, net.batches(shown, "features", batch_size))
    fresh = Features(values, shown.names, [picture.true for picture in shown.pictures], network,
                     pictures)
    path.parent.mkdir(exist_ok=True)
    fresh.save(path)
    return fresh


def fingerprint(net: OpenedNetwork) -> str:
    """Another text as soon as a weight, the mean picture or the network is another."""
    sha = hashlib.sha256(f"{net.recipe}".encode() + net.mean.tobytes())
    for name, value in sorted(net.network.state().items()):
        sha.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return sha.hexdigest()[:16]


def _say(queries: Gallery, near: list[Neighbours], among: Features,
         names: dict[str, str]) -> float | None:
    """Print the neighbours; returns which share of them is of the same class as the query, where
    there is this class among them at all."""
    agree, known = [], set(among.true)
    for shown, neighbours in zip(queries.pictures, near, strict=True):
        print(f"{readable(shown.name)} ({names.get(shown.true, shown.true)})")
        for i, distance in neighbours:
            print(f"  {distance:>9.3f}  {names.get(among.true[i], among.true[i])}  "
                  f"{readable(among.names[i])}")
        print()
        if shown.true in known:
            agree += [among.true[i] == shown.true for i, _ in neighbours]
    return sum(agree) / len(agree) if agree else None


def _row(queries: Gallery, query: int, neighbours: Neighbours, among: Features,
         names: dict[str, str]) -> list[Near]:
    """The picture that was asked for, and those near it, to be drawn."""
    true = queries.pictures[query].true
    row = [Near(queries[query], names.get(true, true))]
    pictures = gather([among.names[i] for i, _ in neighbours], queries.side)
    for k, (i, distance) in enumerate(neighbours):
        other = among.true[i]
        row.append(Near(pictures[k], f"{names.get(other, other)}\n{distance:.2f}",
                        other == true if true in among.true else None))
    return row


if __name__ == "__main__":
    sys.exit(run(main))
