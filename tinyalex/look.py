"""python -m tinyalex.look: one picture's way through a network, on a page; see --help."""

import sys

from tinyalex import drawing
from tinyalex.data import gallery
from tinyalex.data.gallery import Gallery
from tinyalex.drawing.look_page import Exciting, excited_tile, look_page, shown_maps
from tinyalex.inside.guesses import answer
from tinyalex.inside.inspection import Inspection, inspect
from tinyalex.metrics import log_probabilities
from tinyalex.run import flags, opened
from tinyalex.run.opened import OpenedNetwork
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError
from tinyalex.support.files import expect_place
from tinyalex.support.text import say


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.look`; argv without the program's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    with opened.open_network(args.checkpoint, args.devices) as net:
        out = args.out or net.path.parent / "look.png"
        for path in (out, out.with_suffix(".html")):
            expect_place(path)
        shown = gallery.gather([args.picture], net.side)
        if len(shown) > 1:
            raise UserError(f"{args.picture}: {len(shown)} pictures", "name one of them.")
        others = gallery.gather(args.among, net.side) if args.among else None
        for gathered in filter(None, (shown, others)):
            gathered.expect_unread(args.out)
        classes = flags.called(net.classes, names)
        (true,) = shown.labels(net.classes)
        (x,) = net.batches(shown, "reading")
        shown.good()  # or an error
        logp = log_probabilities(net.network, x)[0]
        net.expect_finite(logp)
        said = answer(shown.names[0], logp, true, classes)
        seen = inspect(net.network, net.centre(shown[0]), x, int(logp.argmax()), args.unit,
                       args.batch_size)
        exciting = _exciting(net, seen, others, args.batch_size) if others else None
        page = look_page(seen, said.guesses, classes[seen.label], exciting)
        title = f"{said.caption}, on its way through {net.name}"
    say(*said.lines(), "")
    drawing.write_png(title, page, out)
    drawing.write_html(title, page, out.with_suffix(".html"))
    say(f"its way through the network: {out}",
        f"the same, with all maps, for a browser: {out.with_suffix('.html')}")
    return int(bool(others and others.broken))


def _parse(argv):
    parser = flags.parser("look", (
        "Follow a picture through a trained network, on one page: what each layer gives, by tower; "
        "what crosses between the towers; what a unit sees; which pixels matter for what the "
        "network says. The same is written as HTML beside the PNG."))
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="a file, or one of a dataset: shapes/val/3")
    add("--unit", metavar="LAYER:MAP[:ROW:COLUMN]", help="whose receptive field to show: conv3a:17 "
        "(where it is strongest) or conv3a:17:4:5, counted from 0; if not given, the strongest of "
        "the last layer whose units see at most half of the picture's width")
    add("--among", nargs="+", metavar="PICTURES", help="where to look for what excites most the "
        "maps that have a picture of their own on the page (not the others of “all maps”); in the "
        f"HTML, a click on one shows it: {gallery.KINDS}")
    return parser.parse_args(argv)


def _exciting(net: OpenedNetwork, seen: Inspection, others: Gallery, batch_size: int) -> Exciting:
    """What excites the maps of the page most."""
    best = net.most_exciting(shown_maps(seen), others, batch_size)
    searched = len(others.good())  # or an error
    return Exciting(searched, {
        (unit.layer, unit.map): [
            excited_tile(net.network, unit, place, net.centre(others[place.picture]),
                         others.names[place.picture])
            for place in places if place.value > 0] for unit, places in best.items()})


if __name__ == "__main__":
    sys.exit(run(main))
