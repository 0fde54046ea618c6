"""python -m tinyalex.predict: what a trained network says of pictures; see --help."""

import sys

import numpy as np

from tinyalex import drawing
from tinyalex.data import gallery
from tinyalex.inside.guesses import TOP, answer
from tinyalex.metrics import average, log_probabilities, wrong
from tinyalex.run import flags, opened
from tinyalex.support.cli import add_picture, number, run
from tinyalex.support.text import say

DRAWN = 24


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.predict`; argv without the program's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    with opened.open_network(args.checkpoint, args.devices) as net:
        shown = gallery.gather(args.pictures, net.side, args.limit)
        logp = predict(net, shown, args.ten_crop, args.batch_size)
    good = shown.good()
    some_broken, shown, logp = len(good) < len(shown), shown.only(good), logp[good]
    labels = shown.labels(net.classes)
    classes = [names.get(name, name) for name in net.classes]
    answers = [answer(name, p, label, classes)
               for name, p, label in zip(shown.names, logp, labels, strict=True)]
    for said in answers:
        say(*said.lines(), "")
    _count(logp, labels)
    drawn, patches = answers[:DRAWN], "ten patches" if args.ten_crop else "centre patch"
    first = f" (the first {DRAWN} of them)" if len(shown) > DRAWN else ""
    add_picture(args.out, net.path.parent / "predict.png", lambda path: drawing.predictions(
        [shown[i] for i in range(len(drawn))], [said.caption for said in drawn],
        [said.guesses for said in drawn], path, f"{net.name}, {patches}"), f"as a picture{first}: ")
    return int(some_broken)


def _parse(argv):
    parser = flags.parser("predict", (
        "Show pictures to a trained network: its five best guesses, with their probabilities, in "
        "words and as a picture (figure 4, left, of the paper). Where a picture's folder is called "
        "like a class, that is taken for the true one."))
    add = parser.add_argument
    add("pictures", nargs="+", metavar="PICTURE", help=gallery.KINDS)
    add("--ten-crop", action="store_true", help="average the predictions for ten patches of each "
        "picture: four corners and centre, and their mirror images (section 4.1)")
    add("--limit", type=number(int, 1), help="only the first LIMIT pictures")
    return parser.parse_args(argv)


def predict(net: opened.OpenedNetwork, shown: gallery.Gallery, ten_crops: bool = False,
            batch_size: int | None = None) -> np.ndarray:
    """(N, K) float64: the logarithms of the probabilities of each picture's classes."""
    parts = []
    for x in net.batches(shown, "predicting", batch_size, ten_crops):
        logp = log_probabilities(net.network, x).reshape(-1, 10 if ten_crops else 1,
                                                         len(net.classes))
        parts.append(average(logp, axis=1))
    return np.concatenate(parts)


def _count(logp: np.ndarray, labels: list[int | None]) -> None:
    """Print how many were right, of those whose true class is known."""
    known = [i for i, label in enumerate(labels) if label is not None]
    if not known:
        return
    true, count = np.array([labels[i] for i in known]), len(known)
    right, among = (count - wrong(logp[known], true, top) for top in (1, TOP))
    print(f"right: {right} of {count}; among the first five: {among} of {count}\n")


if __name__ == "__main__":
    sys.exit(run(main))
