"""python -m tinyalex.predict: what a trained network says about pictures; see --help."""

import csv
import sys
from itertools import chain
from pathlib import Path

import numpy as np

from tinyalex import drawing
from tinyalex.data import gallery
from tinyalex.inside.guesses import TOP, Answer, answer
from tinyalex.metrics import average, log_probabilities, wrong
from tinyalex.run import flags, opened
from tinyalex.support.cli import add_json, add_picture, number, output, run
from tinyalex.support.files import replacing
from tinyalex.support.text import print_json, say, stdout_free

DRAWN = 24


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.predict`; argv without the program's name."""
    args = _parse(argv)
    names = flags.spoken_names(args.names)
    with stdout_free(args.json), opened.open_network(args.checkpoint, args.devices) as net:
        shown = gallery.gather(args.pictures, net.side, args.limit)
        shown.expect_unread(args.out, args.csv)
        logp = predict(net, shown, args.ten_crop, args.batch_size)
    good = shown.good()
    some_broken, shown, logp = len(good) < len(shown), shown.only(good), logp[good]
    labels = shown.labels(net.classes)
    classes = flags.called(net.classes, names)
    answers = [answer(name, p, label, classes)
               for name, p, label in zip(shown.names, logp, labels, strict=True)]
    if args.json:
        print_json([*map(_record, answers)])
    else:
        for said in answers:
            say(*said.lines(), "")
        _count(logp, labels)
    if args.csv:
        _save_csv(args.csv, answers)
    drawn, patches = answers[:DRAWN], "ten patches" if args.ten_crop else "centre patch"
    first = f" (the first {DRAWN} of them)" if len(shown) > DRAWN else ""
    with stdout_free(args.json):
        add_picture(args.out, net.path.parent / "predict.png", lambda path: drawing.predictions(
            [shown[i] for i in range(len(drawn))], [said.caption for said in drawn],
            [said.guesses for said in drawn], path, f"{net.name}, {patches}"),
            f"as a picture{first}: ")
    return int(some_broken)


def _parse(argv):
    parser = flags.parser("predict", (
        "Show pictures to a trained network: its five best guesses, with their probabilities, in "
        "words and as a picture (figure 4, left, of the paper). If a picture's folder has the "
        "name of a class, that is taken as the true one."))
    add = parser.add_argument
    add("pictures", nargs="+", metavar="PICTURE", help=gallery.KINDS)
    add("--ten-crop", action="store_true", help="average the predictions for ten patches of each "
        "picture: four corners and centre, and their mirror images (section 4.1)")
    add("--csv", type=output(".csv"), metavar="FILE", help="write the guesses to this table too, "
        "one row per picture")
    add_json(parser)
    add("--limit", type=number(int, 1), help="only the first LIMIT pictures")
    return parser.parse_args(argv)


def predict(net: opened.OpenedNetwork, shown: gallery.Gallery, ten_crops: bool = False,
            batch_size: int | None = None) -> np.ndarray:
    """(N, K) float64: the logarithms of the probabilities of each picture's classes."""
    parts = []
    for x in net.batches(shown, "predicting", batch_size, ten_crops):
        logp = log_probabilities(net.network, x).reshape(-1, 10 if ten_crops else 1,
                                                         len(net.classes))
        net.expect_finite(logp)
        parts.append(average(logp, axis=1))
    return np.concatenate(parts)


def _save_csv(path: Path, answers: list[Answer]) -> None:
    """A row for each picture: its name, its true class if that is known, the guesses."""
    most = max(len(said.guesses) for said in answers)
    head = [f"{what} {place + 1}" for place in range(most) for what in ("guess", "probability")]
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["picture", "true", *head])
        for said in answers:
            guesses = [(guess.name, f"{guess.probability:.6f}") for guess in said.guesses]
            writer.writerow([said.name, said.true or "", *chain(*guesses)])


def _record(said: Answer) -> dict:
    guesses = [{"class": guess.name, "probability": round(guess.probability, 6)}
               for guess in said.guesses]
    return {"picture": said.name, "true": said.true, "guesses": guesses}


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
