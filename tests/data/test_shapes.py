"""The built-in pictures: the same everywhere, fair, and not to be guessed from colours alone.

A dataset that is made can be wrong without anybody noticing. If a picture depends on which were
drawn before it, two machines train on different data. If backgrounds go with classes, or all
things stand in the middle, a network that never learnt what a fish is still gets the marks: so a
classifier that sees mean colours only, and one that can only weigh pixels, are trained here, and
must fail. And a cache file cut short by a full disk must not become the data of every later run,
nor what a process that was to help did not send.
"""

import os

import numpy as np
import pytest
from PIL import Image

from tinyalex.data import shapes
from tinyalex.support.errors import UserError

EXAMS = 500


@pytest.fixture(scope="module")
def pictures():
    """2,500 pictures averaged over 8×8 blocks, (2500, 8, 8, 3) float32 around 0, and labels."""
    images, labels = shapes.make(2000 + EXAMS, seed=11)
    blocks = images.reshape(-1, 8, 8, 8, 8, 3).mean((2, 4), dtype=np.float32)
    return (blocks - blocks.mean(0)) / blocks.std(), labels


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Splits of few pictures, kept in a folder of the test's own, which is returned."""
    monkeypatch.setattr(shapes, "SPLITS", {"train": (12, 1), "val": (10, 2)})
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path))
    return tmp_path


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_pictures():
    images, labels = shapes.make(20, seed=3)
    again, labels_again = shapes.make(20, seed=3)
    assert images.shape == (20, 64, 64, 3) and images.dtype == np.uint8
    assert images.tobytes() == again.tobytes() and (labels == labels_again).all()
    others, _ = shapes.make(20, seed=4)
    assert len({image.tobytes() for image in (*images, *others)}) == 40, "no picture twice"


def test_a_picture_depends_on_the_seed_and_its_number_alone():
    images, labels = shapes.make(20, seed=3)
    assert (shapes.make(7, seed=3)[0] == images[:7]).all()
    for i in (19, 4, 12):
        assert (shapes.draw(labels[i], np.random.default_rng([3, i])) == images[i]).all()


@pytest.fixture
def three_cores(monkeypatch):
    """Enough of them to draw 20 pictures with; returns the numbers of those drawn here."""
    here, numbered = [], shapes.numbered
    monkeypatch.setattr(shapes, "available_cores", lambda: 3)
    monkeypatch.setattr(shapes, "SHARE", 5)
    monkeypatch.setattr(shapes, "numbered", lambda i, seed: here.append(i) or numbered(i, seed))
    return here


def test_other_processes_draw_in_turns_what_one_alone_would_draw(
        three_cores, monkeypatch, tmp_path):
    (tmp_path / "numpy.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    images, labels = shapes.make(20, seed=3)
    assert three_cores == [*range(0, 20, 3)], "the folder's numpy.py was run, or nobody helped"
    monkeypatch.setattr(shapes, "available_cores", lambda: 1)
    alone, labels_alone = shapes.make(20, seed=3)
    assert (images == alone).all() and (labels == labels_alone).all()


@pytest.mark.parametrize("helper, missing", [
    ("raise SystemExit(1)", 13),
    ("import sys; from tinyalex.data import shapes; _, _, first, _, _, seed = sys.argv; "
     "picture = shapes.numbered(int(first), int(seed)).tobytes(); "
     "sys.stdout.buffer.write(picture + picture[:99])", 11)], ids=["fails", "stops half-way"])
def test_what_a_process_does_not_send_is_drawn_here(three_cores, monkeypatch, helper, missing):
    monkeypatch.setattr(shapes, "HELPER", helper)
    images, _ = shapes.make(20, seed=3)
    assert len(three_cores) == 7 + missing
    assert (images == [shapes.numbered(i, 3) for i in range(20)]).all()


def test_where_no_process_can_be_started_all_are_drawn_here(three_cores, monkeypatch):
    """Python in a browser has none."""
    monkeypatch.setattr(shapes.sys, "executable", None)
    shapes.make(20, seed=3)
    assert three_cores == [*range(20)]


def test_the_classes_are_balanced_and_every_form_comes_in_both_families():
    _, labels = shapes.make(30, seed=0)
    assert (np.bincount(labels) == 3).all() and len(set(shapes.CLASSES)) == 10
    families = {name.split()[0] for name in shapes.CLASSES}
    forms = {name.split()[1] for name in shapes.CLASSES}
    assert set(shapes.CLASSES) == {f"{family} {form}" for family in families for form in forms}
    assert len(families) == 2 and len(forms) == 5


@pytest.mark.parametrize("form", range(5), ids=list(shapes.FORMS))
def test_only_the_thing_itself_shows_the_family_and_it_is_redder_where_warm(form):
    for seed in range(12):
        warm, cool = (shapes.draw(2 * form + family, np.random.default_rng(seed)).astype(int)
                      for family in (0, 1))
        changed = np.argwhere((warm != cool).any(2))
        sides = np.ptp(changed, axis=0) + 1
        assert 0.2 < sides.max() / 64 < 0.95, "background or light went with the family"
        redness = [image[tuple(changed.T)] @ (1, 0, -1) for image in (warm, cool)]
        assert redness[0].mean() - redness[1].mean() > 40


def test_a_larger_picture_is_the_same_picture_but_sharper():
    """A length in pixels where a share of the side was meant shows in pictures of another size."""
    for seed in range(30):
        small, large = (shapes.draw(seed % 10, np.random.default_rng(seed), s) for s in (64, 192))
        assert large.shape == (192, 192, 3)
        blocks = [image.reshape(16, len(image) // 16, 16, -1, 3).mean((1, 3))
                  for image in (small, large)]
        assert np.abs(blocks[0] - blocks[1]).mean() < 1.6, "of 255; the grain alone makes up to 1.3"


@pytest.mark.slow
def test_a_classifier_that_only_weighs_pixels_stays_under_half(pictures):
    blocks, labels = pictures
    x = blocks.reshape(len(labels), -1)
    W = _softmax_weights(x[:-EXAMS], labels[:-EXAMS])
    right = ((x[-EXAMS:] @ W).argmax(1) == labels[-EXAMS:]).mean()
    assert 0.2 < right < 0.5, "0.38 when this was written; more with all things in the middle"


def _softmax_weights(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Multinomial regression by gradient descent with momentum, long enough to settle."""
    goal = np.eye(10, dtype=np.float32)[labels]
    W = velocity = np.zeros((x.shape[1], 10), np.float32)
    for _ in range(100):
        scores = np.exp(x @ W)
        error = scores / scores.sum(1, keepdims=True) - goal
        velocity = 0.9 * velocity - 0.01 * (x.T @ error / len(x) + 0.01 * W)
        W = W + velocity
    return W


@pytest.mark.slow
def test_the_mean_colour_does_not_give_the_class_away(pictures):
    blocks, labels = pictures
    colours = blocks.mean((1, 2))
    train, known = colours[:-EXAMS], labels[:-EXAMS]
    centres = np.stack([train[known == label].mean(0) for label in range(10)])
    distance = ((colours[-EXAMS:, None] - centres) ** 2).sum(2)
    assert (distance.argmin(1) == labels[-EXAMS:]).mean() < 0.22, "a blind guess: 0.1"


def test_a_split_is_drawn_once_and_then_read(few, monkeypatch):
    drawn = shapes.load("train")
    assert drawn.classes == shapes.CLASSES and len(drawn) == 12
    assert len(shapes.load("val")) == 10 and len(os.listdir(few)) == 2
    monkeypatch.setattr(shapes, "draw", None)
    read = shapes.load("train")
    assert (read.images == drawn.images).all() and (read.labels == drawn.labels).all()


def test_whoever_waits_for_them_is_told_where_to_look_meanwhile(few):
    lines = []
    for _ in range(2):
        shapes.load("train", lines.append)
    (line,) = lines
    assert line == f"drawing 12 pictures, once; the first of them: {few}/shapes-v2-train.png"
    sheet = np.asarray(Image.open(few / "shapes-v2-train.png"))
    assert (sheet[64:128, 128:192] == shapes.numbered(12, seed=1)).all(), "row 1, column 2"


def test_a_broken_cache_file_or_one_of_other_pictures_is_drawn_again(few, monkeypatch):
    drawn = shapes.load("train")
    (path,) = few.iterdir()
    whole = path.read_bytes()
    wrong_bit = bytearray(whole)
    wrong_bit[len(whole) // 2] ^= 1
    for damaged in (whole[:-100], whole[:60], b"", b"<html>not found</html>", bytes(wrong_bit)):
        path.write_bytes(damaged)
        assert (shapes.load("train").images == drawn.images).all()
        assert path.read_bytes() == whole
    monkeypatch.setattr(shapes, "SPLITS", {"train": (15, 1)})
    assert len(shapes.load("train")) == 15


def test_a_changed_drawing_has_a_new_version():
    """Whoever changes a drawing would go on training on the old pictures, from the cache."""
    images, _ = shapes.make(10, seed=0)
    means = {2: [144.4, 133.4, 119.0, 116.1, 127.7, 113.6, 109.0, 137.9, 132.0, 139.9]}
    assert np.abs(images.mean((1, 2, 3)) - means[shapes.VERSION]).max() < 0.3, (
        "the pictures have changed: count shapes.VERSION up, and put their means here")


def test_unknown_splits_and_labels_are_named(few):
    with pytest.raises(UserError, match="'test'"):
        shapes.load("test")
    for label in (-1, 10):
        with pytest.raises(UserError, match=f"label {label}"):
            shapes.draw(label, np.random.default_rng(0))
    assert os.listdir(few) == []
