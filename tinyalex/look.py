"""python -m tinyalex.look: one picture's way through a network, on a page; see --help."""

import sys

from tinyalex import drawing
from tinyalex.data import gallery
from tinyalex.drawing.look_page import look_page
from tinyalex.inside.guesses import answer
from tinyalex.inside.inspection import inspect
from tinyalex.metrics import log_probabilities
from tinyalex.run import flags, opened
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
        classes = [names.get(name, name) for name in net.classes]
        (true,) = shown.labels(net.classes)
        (x,) = net.batches(shown, "reading")
        shown.good()  # or an error
        logp = log_probabilities(net.network, x)[0]
        said = answer(shown.names[0], logp, true, classes)
        seen = inspect(net.network, net.centre(shown[0]), x, int(logp.argmax()), args.unit,
                       args.batch_size)
        page = look_page(seen, said.guesses, classes[seen.label])
        title = f"{said.caption}, on its way through {net.name}"
    say(*said.lines(), "")
    drawing.write_png(title, page, out)
    drawing.write_html(title, page, out.with_suffix(".html"))
    say(f"its way through the network: {out}",
        f"the same, with all maps, for a browser: {out.with_suffix('.html')}")
    return 0


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
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(run(main))
