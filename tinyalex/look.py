"""python -m tinyalex.look: one picture's way through a network, on a page; see --help."""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinyalex import drawing
from tinyalex.data import gallery
from tinyalex.data.augment import CENTRE, ten_crops
from tinyalex.drawing.sections import Walk, named_blocks, sections
from tinyalex.inside import looking
from tinyalex.inside.looking import Unit
from tinyalex.layers import Layer
from tinyalex.metrics import log_probabilities
from tinyalex.network import Network
from tinyalex.predict import guesses, say
from tinyalex.run import flags, opened
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.look`; argv without the programme's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    with opened.open_network(args.checkpoint, args.devices) as net:
        shown = gallery.gather([args.picture], net.side)
        if len(shown) > 1:
            raise UserError(f"{args.picture}: {len(shown)} pictures", "name one of them.")
        classes = [names.get(name, name) for name in net.classes]
        (true,) = shown.labels(net.classes)
        (x,) = net.batches(shown, "reading")
        logp = log_probabilities(net.network, x)[0]
        walk = _walk(net, shown[0], x, int(logp.argmax()), args)
        page = sections(walk, guesses(logp, true, classes), classes)
        out = args.out or net.path.parent / "look.png"
        what = gallery.readable(Path(shown.names[0]).name) if true is None else classes[true]
        title = f"{what}, on its way through {net.name}"
        drawing.draw_story(title, page, out)
        drawing.write_html(title, page, out.with_suffix(".html"))
    say(shown.names[0], logp, true, classes)
    print(f"its way through the network: {out}\nthe same, with all maps, for a browser: "
          f"{out.with_suffix('.html')}")
    return 0


def _parse(argv):
    parser = flags.parser("look", (
        "Follow a picture through a trained network, on one page: what each layer gives, by tower; "
        "what crosses between the towers; what a unit sees; which pixels matter for what the "
        "network says. Beside the PNG the same is written as HTML."))
    add = parser.add_argument
    add("picture", metavar="PICTURE", help="a file, or one of a dataset: shapes/val/3")
    add("--unit", metavar="LAYER:MAP[:ROW:COLUMN]", help="whose receptive field to show: conv3a:17 "
        "(where it is strongest) or conv3a:17:4:5, counted from 0; if not given, the strongest of "
        "the last layer whose units see at most half of the picture's width")
    return parser.parse_args(argv)


def _walk(net: opened.OpenedNetwork, picture: np.ndarray, x: np.ndarray, label: int, args) -> Walk:
    """All that is to be seen of one picture (S, S, 3), of which the network reads x."""
    network = net.network
    given = looking.activities(network, x)
    unit = choose(network, given, args.unit)
    side = network.input_shape[0]
    top, left, _ = ten_crops(*picture.shape[:2], side)[CENTRE]
    patch = max(2, side // 6)
    stride = max(1, patch // 4)
    with tqdm(total=looking.occlusion_count(side, patch, stride), desc="covering parts",
              unit="pictures", disable=None, leave=False) as bar:
        covered = looking.occlusion(network, x, label, patch, stride, args.batch_size, bar.update)
    return Walk(network, picture[top : top + side, left : left + side], x[0], given, label,
                looking.crossings(network, given), unit,
                looking.receptive_field(network, unit), covered, patch,
                looking.pixel_gradient(network, x, label))


def choose(network: Network, given: dict[Layer, np.ndarray], wanted: str | None) -> Unit:
    """The unit that `wanted` names, see --unit. UserError where there is none."""
    maps = {name: layer for name, layer in named_blocks(network).items() if given[layer].ndim == 3}
    if wanted is None:
        return _default(network, given, list(maps.values()))
    name, *numbers = wanted.split(":")
    if name not in maps:
        raise UserError(f"--unit {wanted}: no layer of maps is called {name!r}",
                        f"choose one of {', '.join(maps)}.")
    layer = maps[name]
    H, W, F = given[layer].shape
    try:
        f, *place = (int(number) for number in numbers)
        if not 0 <= f < F:
            raise ValueError
        row, column = place or looking.strongest(layer, given[layer], f)[2:]
        if not (0 <= row < H and 0 <= column < W):
            raise ValueError
    except ValueError:
        raise UserError(f"--unit {wanted}: {name} has the maps 0 to {F - 1}, with rows 0 to "
                        f"{H - 1} and columns 0 to {W - 1}",
                        f"name one as {name}:MAP or {name}:MAP:ROW:COLUMN.") from None
    return Unit(layer, f, row, column)


def _default(network: Network, given: dict[Layer, np.ndarray], maps: list[Layer]) -> Unit:
    """The strongest unit of the last layer whose units see at most half of the picture's width;
    of the first layer if all see more."""
    def wide(layer):
        field = looking.receptive_field(network, Unit(layer, 0, 0, 0))
        return field.right - field.left

    narrow = [layer for layer in maps if wide(layer) <= network.input_shape[1] / 2] or maps[:1]
    units = [looking.strongest(layer, given[layer]) for layer in narrow
             if wide(layer) == wide(narrow[-1])]
    return max(units, key=lambda unit: given[unit.layer][unit.row, unit.column, unit.map])


if __name__ == "__main__":
    sys.exit(run(main))
