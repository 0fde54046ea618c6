"""python -m tinyalex.predict: what a trained network says of pictures; see --help."""

import sys
from pathlib import Path

import numpy as np

from tinyalex import drawing
from tinyalex.data import gallery
from tinyalex.drawing import Guess
from tinyalex.metrics import average, log_probabilities, wrong
from tinyalex.run import flags, opened
from tinyalex.support.cli import number, run

TOP = 5
DRAWN = 24


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.predict`; argv without the programme's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    with opened.open_network(args.checkpoint, args.devices) as net:
        shown = gallery.gather(args.pictures, net.side, args.limit)
        logp = predict(net, shown, args.ten_crop, args.batch_size)
    out = args.out or net.path.parent / "predict.png"
    labels = shown.labels(net.classes)
    classes = [names.get(name, name) for name in net.classes]
    for name, p, label in zip(shown.names, logp, labels, strict=True):
        say(name, p, label, classes)
    _count(logp, labels)
    patches = "ten patches" if args.ten_crop else "centre patch"
    _draw(shown, logp, labels, classes, out, f"{net.name}, {patches}")
    some = f" (the first {DRAWN} of them)" if len(shown) > DRAWN else ""
    print(f"as a picture{some}: {out}")
    return 0


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


def best(logp: np.ndarray, top: int = TOP) -> np.ndarray:
    """The classes of the `top` largest of logp (K,), the best first."""
    return np.argsort(-logp, kind="stable")[:top]


def guesses(logp: np.ndarray, label: int | None, classes: list[str]) -> list[Guess]:
    """The best guesses as bars."""
    return [Guess(classes[g], float(np.exp(logp[g])), bool(g == label)) for g in best(logp)]


def say(name: str, logp: np.ndarray, label: int | None, classes: list[str]):
    """Print a picture's name and its best guesses. label: its true class, or None."""
    print(gallery.readable(name) + ("" if label is None else f" ({classes[label]})"))
    for guess in best(logp):
        mark = "  ← true" if guess == label else ""
        print(f"  {np.exp(logp[guess]):>7.2%}  {classes[guess]}{mark}")
    print()


def _count(logp: np.ndarray, labels: list[int | None]):
    """How many were right, of those whose true class is known."""
    known = [i for i, label in enumerate(labels) if label is not None]
    if not known:
        return
    true, count = np.array([labels[i] for i in known]), len(known)
    right, among = (count - wrong(logp[known], true, top) for top in (1, TOP))
    print(f"right: {right} of {count}; among the first five: {among} of {count}\n")


def _draw(shown: gallery.Gallery, logp: np.ndarray, labels: list[int | None], classes: list[str],
          out: Path, title: str):
    count = min(len(shown), DRAWN)
    found = [guesses(p, label, classes) for p, label in zip(logp[:count], labels, strict=False)]
    captions = [gallery.readable(Path(name).name) if label is None else classes[label]
                for name, label in zip(shown.names[:count], labels[:count], strict=True)]
    drawing.predictions([shown[i] for i in range(count)], captions, found, out, title)


if __name__ == "__main__":
    sys.exit(run(main))
