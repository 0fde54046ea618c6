"""python -m tinyalex.dream: what excites units of a trained network; see --help."""

import sys
from itertools import groupby

import numpy as np

from tinyalex import drawing
from tinyalex.data import gallery
from tinyalex.data.gallery import Gallery
from tinyalex.drawing.dream_page import Dreamt, dream_page
from tinyalex.inside.backwards import RULES
from tinyalex.inside.dreams import MOST_BLUR, dream
from tinyalex.inside.fields import Unit, shown_field
from tinyalex.inside.patches import Excited, reconstructions
from tinyalex.inside.units import FORMS, class_unit, units_called, values
from tinyalex.run import flags, opened
from tinyalex.run.opened import OpenedNetwork
from tinyalex.support.cli import number, run
from tinyalex.support.errors import UserError
from tinyalex.support.files import expect_place
from tinyalex.support.text import say

MOST = 100  # units on a page
CLASSES = 8  # that are shown if no unit is named
RULE = "deconvnet"  # as in Zeiler and Fergus's figures


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.dream`; argv without the program's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    with opened.open_network(args.checkpoint, args.devices) as net:
        out = args.out or net.path.parent / "dream.png"
        expect_place(out)
        units = _units(net, args.units or [], flags.called(net.classes, names))
        shown = gallery.gather(args.among, net.side, args.limit) if args.among else None
        if shown:
            shown.expect_unread(args.out)
        dreams = _dreams(net, units, args)
        if shown:
            dreams = _searched(net, units, dreams, shown, args)
    for dreamt in dreams:
        among = (f"; of the pictures, {max(dreamt.values):.3g} to {min(dreamt.values):.3g}"
                 if dreamt.values else "")
        say(f"{dreamt.name}: {dreamt.value:.3g} for what was made for it{among}")
    drawing.write_png(f"What excites units of {net.name}", dream_page(dreams, args.rule), out)
    say(f"as a picture: {out}")
    return int(bool(shown and shown.broken))


def _parse(argv):
    parser = flags.parser("dream", (
        "Make pictures that excite units of a trained network, by gradient ascent on the pixels; "
        "and find the pictures of a dataset that excite them most, with the pixels that count."))
    add = parser.add_argument
    add("--unit", nargs="+", dest="units", metavar="UNIT", help=f"{FORMS}, such as "
        f"conv3a:17; the first {CLASSES} classes if none is named")
    add("--among", nargs="+", metavar="PICTURES", help="where to look for what excites them: "
        f"{gallery.KINDS}")
    add("--limit", type=number(int, 1), help="only the first LIMIT of these pictures")
    add("--rule", choices=[*RULES], help="how ReLUs answer on the way back from a unit to the "
        f"pixels that count in those pictures; {RULE} if not given")
    add("--steps", type=number(int, 1, 100_000), default=120, help="of the ascent")
    add("--step", type=number(float, 0, 255), default=4.0,
        help="how far an average pixel moves in one, of 255")
    add("--decay", type=number(float, 0, 1), default=0.01, help="the share of the contrast that "
        "goes in each step")
    add("--blur", type=number(float, 0, MOST_BLUR), default=0.1, help="the share of a pixel that "
        f"comes from each of its neighbours in each step, at most {MOST_BLUR}")
    add("--jitter", type=number(int, 0, 1000), default=4, help="by how many pixels, at most, the "
        "picture is moved before a step, and back")
    add("--seed", type=number(int, 0), default=0, help="of what the pictures begin as, and of the "
        "jitter")
    args = parser.parse_args(argv)
    for flag in ("rule", "limit"):
        if getattr(args, flag) is not None and not args.among:
            raise UserError(f"--{flag} is for the pictures of --among, and there are none",
                            "name them: --among PICTURES.")
    args.rule = args.rule or RULE
    return args


def _units(net: OpenedNetwork, wanted: list[str], classes: list[str]) -> dict[str, Unit]:
    """The units by their names, those of a layer one after the other."""
    units = {name: unit for text in wanted
             for name, unit in units_called(net.network, classes, text).items()}
    if not wanted:
        units = {f"class:{name}": class_unit(net.network, k)
                 for k, name in enumerate(classes[:CLASSES])}
    if len(units) > MOST:
        raise UserError(f"{len(units)} units", f"a page has room for {MOST}.")
    order = [*net.network.shapes]
    return dict(sorted(units.items(), key=lambda item: order.index(item[1].layer)))


def _dreams(net: OpenedNetwork, units: dict[str, Unit], args) -> list[Dreamt]:
    """A picture made for each unit."""
    mean, scale = net.centre(net.mean), net.recipe.scale
    low, high = ((edge - mean).astype(np.float32) * np.float32(scale) for edge in (0, 255))
    dreams = []
    for layer, group in groupby(units.items(), key=lambda item: item[1].layer):
        here = [*group]
        for start in range(0, len(here), args.batch_size):
            labels, mine = zip(*here[start : start + args.batch_size], strict=True)
            x = dream(net.network, mine, low, high, steps=args.steps, step=args.step * scale,
                      decay=args.decay, blur=args.blur, jitter=args.jitter, seed=args.seed)
            responses = values(net.network, mine, x)
            net.expect_finite(responses, layer.name)
            pixels = np.rint(x / scale + mean).clip(0, 255).astype(np.uint8)
            dreams += [Dreamt(label, picture, value, shown_field(net.network, unit))
                       for label, unit, picture, value in zip(
                           labels, mine, pixels, responses, strict=True)]
    return dreams


def _searched(net: OpenedNetwork, units: dict[str, Unit], dreams: list[Dreamt], shown: Gallery,
              args) -> list[Dreamt]:
    """The dreams, with the pictures that excite each unit most."""
    best = net.most_exciting([*units.values()], shown, args.batch_size)
    shown.good()  # or an error
    return [_with_patches(net, unit, dreamt, shown, best[unit], args.rule)
            for unit, dreamt in zip(units.values(), dreams, strict=True)]


def _with_patches(net: OpenedNetwork, unit: Unit, dreamt: Dreamt, shown: Gallery,
                  best: list[Excited], rule: str) -> Dreamt:
    nine = shown.only([place.picture for place in best])
    (x,) = net.batches(nine, "", len(nine))
    return dreamt._replace(
        crops=[net.centre(nine[i]) for i in range(len(nine))],
        counts=[*reconstructions(net.network, unit, best, x, rule)],
        fields=[shown_field(net.network, unit._replace(row=place.row, column=place.column))
                for place in best],
        values=[place.value for place in best])


if __name__ == "__main__":
    sys.exit(run(main))
