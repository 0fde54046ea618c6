"""python -m tinyalex.similar: which pictures a trained network finds similar; see --help."""

import sys
from pathlib import Path

from tinyalex import drawing
from tinyalex.data import gallery
from tinyalex.drawing import Near
from tinyalex.inside import features
from tinyalex.inside.features import Features
from tinyalex.run import flags, opened
from tinyalex.support.cli import number, run
from tinyalex.support.errors import UserError

DRAWN = 24


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.similar`; argv without the programme's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    with opened.open_network(args.checkpoint, args.devices) as net:
        queries = gallery.gather(args.queries, net.side, args.limit)
        among = _among(net, args.among, args.batch_size)
        vectors = features.extract(net, queries, args.batch_size)
    if args.save:
        among.save(args.save)
    out = args.out or net.path.parent / "similar.png"
    found = [features.neighbours(name, vector, among, args.count)
             for name, vector in zip(queries.names, vectors, strict=True)]
    agreed = _say(queries, found, among, names)
    rows = [_row(queries, i, near, among, names) for i, near in enumerate(found[:DRAWN])]
    drawing.neighbours(rows, out, f"{net.name}: nearest of {len(among.names):,} pictures, by the "
                                f"{among.values.shape[1]} activities of the last hidden layer")
    if agreed is not None:
        print(f"of the {args.count} nearest, {agreed:.1%} are of the query's own class")
    if args.save:
        print(f"features of {len(among.names):,} pictures: {args.save}")
    some = f" (of the first {DRAWN})" if len(found) > DRAWN else ""
    print(f"as a picture{some}: {out}")
    return 0


def _parse(argv):
    parser = flags.parser("similar", (
        "Find the pictures that a network takes for similar: nearest neighbours by the Euclidean "
        "distance of the activities of its last hidden layer (section 6.1 and figure 4, right, of "
        "the paper)."))
    add = parser.add_argument
    add("queries", nargs="+", metavar="QUERY", help=gallery.KINDS)
    add("--among", nargs="+", required=True, metavar="PICTURES",
        help="where to look: the same, mostly a folder; or one file that --save wrote")
    add("--count", type=number(int, 1, 20), default=6, help="how many neighbours of each")
    add("--limit", type=number(int, 1), help="only the first LIMIT queries")
    add("--save", type=Path, metavar="NPZ", help="write the features of PICTURES to this file")
    return parser.parse_args(argv)


def _among(net: opened.OpenedNetwork, wanted: list[str], batch_size: int) -> Features:
    """The features of the pictures to look among. UserError where they are another network's."""
    path = Path(wanted[0])
    if len(wanted) > 1 or path.suffix != ".npz":
        return features.cached(net, gallery.gather(wanted, net.side), batch_size)
    if not path.is_file():
        raise UserError(f"{path}: no such file", "name one that similar --save wrote, or a folder.")
    found = features.load(path)
    if found.network != features.fingerprint(net):
        raise UserError(f"{path}: features of another network than {net.path}",
                        "use those that this network gives: --among FOLDER.")
    return found


def _say(queries: gallery.Gallery, found: list, among: Features,
         names: dict[str, str]) -> float | None:
    """Print the neighbours; returns which share of them is of the same class as the query, where
    there is this class among them at all."""
    agree, known = [], set(among.true)
    for shown, near in zip(queries.pictures, found, strict=True):
        print(f"{gallery.readable(shown.name)} ({names.get(shown.true, shown.true)})")
        for i, distance in near:
            print(f"  {distance:>9.3f}  {names.get(among.true[i], among.true[i])}  "
                  f"{gallery.readable(among.names[i])}")
        print()
        if shown.true in known:
            agree += [among.true[i] == shown.true for i, _ in near]
    return sum(agree) / len(agree) if agree else None


def _row(queries: gallery.Gallery, i: int, near: list, among: Features,
         names: dict[str, str]) -> list[Near]:
    pictures = gallery.gather([among.names[j] for j, _ in near], queries.side)
    true = queries.pictures[i].true
    row = [Near(queries[i], names.get(true, true))]
    for picture, (j, distance) in zip(map(pictures.__getitem__, range(len(near))), near,
                                      strict=True):
        other = among.true[j]
        row.append(Near(picture, f"{names.get(other, other)}\n{distance:.2f}",
                        other == true if true in among.true else None))
    return row


if __name__ == "__main__":
    sys.exit(run(main))
