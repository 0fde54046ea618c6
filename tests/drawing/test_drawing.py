"""Pictures cannot be read by a test, but what goes wrong in them can.

A grid one pixel off, towers swapped, a share drawn as a percentage, rows and columns of a confusion
matrix exchanged, noise blown up to look like a learned filter: each makes a handsome picture that
lies. So the helper is checked number by number, the crisp pictures pixel by pixel, and of the
others the lines and texts of the figure. And a run must not die of its pictures: not of a log with
one row, nor of a NaN, nor with half a PNG where a good one used to be.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import log

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from pictures import pixels

from tinyalex import drawing
from tinyalex.drawing import page
from tinyalex.support.errors import UserError

NAN = float("nan")


def row(epoch, lr=0.01, train=(2.0, 0.8), val=(None, None, None)):
    return {"epoch": epoch, "lr": lr, "images_per_s": 100.0,
            "train_loss": train[0], "train_error": train[1],
            "val_loss": val[0], "val_error": val[1], "val_top5_error": val[2]}


RUN = [row(0.5, lr=0.001), row(1.0, val=(1.9, 0.7, 0.3)),
       row(1.5), row(2.0, val=(1.5, 0.5, 0.2)),
       row(2.5, lr=0.001, train=(1.2, 0.4)), row(3.0, lr=0.001, val=(1.6, 0.55, NAN))]


def lines(axes):
    """What is drawn in a panel with a label of ours: {label: (x, y)}."""
    return {line.get_label(): tuple(map(list, line.get_data())) for line in axes.lines
            if not line.get_label().startswith("_")}


# The grid of filters

def test_the_grid_holds_every_kernel_in_order_with_one_white_pixel_between():
    kernels = np.random.default_rng(1).uniform(-1, 1, (2, 3, 3, 18))
    kernels[0, 0, 0] = 1  # every kernel has peak 1: nothing to scale
    grid = drawing.filter_grid(kernels)
    assert grid.shape == (2 * 3 + 1, 16 * 4 + 1, 3)
    expected = np.ones_like(grid)
    for f in range(18):
        for i in range(2):
            for j in range(3):
                expected[1 + f // 16 * 3 + i, 1 + f % 16 * 4 + j] = (1 + kernels[i, j, :, f]) / 2
    np.testing.assert_allclose(grid, expected, rtol=0, atol=1e-15)
    assert (grid[::3] == 1).all() and (grid[:, ::4] == 1).all()  # the gaps
    assert (grid[4:, 1 + 2 * 4:] == 1).all()  # the places left over


def test_the_grid_breaks_its_rows_where_it_is_told():
    kernels = np.linspace(-1, 1, 5) * np.ones((1, 1, 3, 1))
    grid = drawing.filter_grid(kernels, columns=2)
    assert grid.shape == (7, 5, 3)
    np.testing.assert_array_equal(grid[1::2, 1::2, 0], [[0, 0], [0.5, 1], [1, 1]])


def test_zero_is_mid_grey_even_where_all_kernels_are_zero():
    grid = drawing.filter_grid(np.zeros((2, 2, 3, 1), np.float32))
    assert (grid[1:3, 1:3] == 0.5).all()


def test_a_kernel_keeps_the_ratio_of_its_colours_and_reaches_full_contrast():
    kernel = np.array([0.2, -0.4, 0.1]).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(drawing.filter_grid(kernel)[1, 1], [0.75, 0.0, 0.625])


def test_weak_kernels_are_stretched_but_noise_stays_faint():
    kernels = np.zeros((1, 1, 3, 4))
    kernels[0, 0, 0] = [1, 0.5, 0.25, 0.01]
    red = drawing.filter_grid(kernels)[1, 1:9:2, 0]
    np.testing.assert_allclose(red, [1, 1, 1, 0.5 + 0.5 * 0.01 / 0.25])
    alone = drawing.filter_grid(kernels[..., 3:], loudest=1.0)[1, 1, 0]
    np.testing.assert_allclose(alone, 0.52)


# Pictures of filters

def test_tower_a_stands_above_tower_b_and_every_weight_is_a_square(tmp_path):
    a = np.random.default_rng(2).normal(size=(11, 11, 3, 48))
    b = -a
    drawing.filters({"a": a, "b": b}, tmp_path / "f.png", "conv1")
    picture = pixels(tmp_path / "f.png")
    assert picture.shape[1] == 191 * 5 + 2 * page.MARGIN  # 1000 pixels hold 191 weights five times
    rows = []
    for kernels in (a, b):
        grid = drawing.filter_grid(kernels)[1:-1, 1:-1].repeat(5, axis=0).repeat(5, axis=1)
        rows.append(find_rows(picture[:, page.MARGIN:-page.MARGIN], np.floor(255 * grid)))
    assert rows[1] - rows[0] > 35 * 5 + page.MARGIN


def find_rows(picture, part):
    """The row of `picture` where `part` begins, to within the rounding of colours."""
    for y in range(len(picture) - len(part) + 1):
        if np.abs(picture[y:y + len(part)] - part).max() <= 1:
            return y
    raise AssertionError("the part is not in the picture")


def test_how_faint_a_kernel_is_gets_judged_across_the_towers(tmp_path):
    strong, weak = np.ones((3, 3, 3, 16)), np.full((3, 3, 3, 16), 0.01)
    drawing.filters({"a": strong, "b": weak}, tmp_path / "f.png")
    assert pixels(tmp_path / "f.png")[-page.MARGIN - 1, page.MARGIN, 0] == int(255 * 0.52)


def test_weights_that_are_not_finite_are_drawn_as_zeros_and_counted(tmp_path, figures):
    kernels = np.full((3, 3, 3, 5), -0.1, np.float32)
    broken = kernels.copy()
    broken[0, 0, 0, 0], broken[1, 1, 1, 4] = np.nan, np.inf
    grid = drawing.filter_grid(broken)
    assert grid[1, 1, 0] == 0.5 and grid[1, 1, 1] == 0
    drawing.filters({"a": broken, "b": kernels}, tmp_path / "f.png")
    drawing.filters({"": np.full_like(kernels, np.nan)}, tmp_path / "one.png")
    texts = [[text.get_text() for text in figure.texts] for figure in figures]
    assert texts == [["tower a; weights that are not finite: 2",
                      "tower b; colour specificity 0.00"],
                     ["weights that are not finite: 135"]]
    assert (pixels(tmp_path / "f.png")[-20, page.MARGIN] == 0).all()  # tower b shows as ever
    assert (pixels(tmp_path / "one.png")[60, page.MARGIN] == 127).all()


# Curves

def test_curves_show_what_was_measured_where_it_was_measured(tmp_path, figures):
    drawing.curves(RUN, tmp_path / "c.png", "a run", classes=11)
    assert pixels(tmp_path / "c.png").shape == (500, 1200, 3)
    loss, error = map(lines, figures[0].axes)
    assert loss["training"] == ([0.5, 1.5, 2.5], [2, 2, 1.2])  # not the means over whole epochs
    assert loss["validation"] == ([1, 2, 3], [1.9, 1.5, 1.6])
    assert loss["chance: ln 11 = 2.40"][1] == [log(11)] * 2
    assert error["training"][1] == pytest.approx([80, 80, 40])
    assert error["validation"][1] == pytest.approx([70, 50, 55])
    assert error["validation, top 5"] == ([1, 2], pytest.approx([30, 20]))
    assert error["best 50.0 %, epoch 2 (last 55.0 %)"] == ([2], [50])


def test_chance_and_top_5_are_drawn_only_where_they_mean_something(tmp_path, figures):
    """Chance where the classes are known; five guesses where they do not hit half of them."""
    drawing.curves(RUN, tmp_path / "c.png")
    drawing.curves(RUN, tmp_path / "c.png", classes=10)
    assert set(lines(figures[0].axes[0])) == {"training", "validation"}
    assert "validation" in lines(figures[1].axes[1])
    assert "validation, top 5" not in lines(figures[1].axes[1])


def test_what_was_not_measured_or_not_finite_is_not_drawn(tmp_path, figures):
    inf = float("inf")
    drawing.curves(RUN[::2], tmp_path / "c.png")
    drawing.curves([RUN[1], row(2.0, train=(inf, 0.9), val=(inf, inf, None))], tmp_path / "c.png")
    assert [set(lines(axes)) for axes in figures[0].axes] == [{"training"}, {"training"}]
    loss, error = map(lines, figures[1].axes)
    assert loss == {"training": ([1], [2]), "validation": ([1], [1.9])}
    assert "best 70.0 %, epoch 1 (last 70.0 %)" in error


def test_a_drop_of_the_learning_rate_is_marked_where_the_old_rate_ended(tmp_path, figures):
    drawing.curves(RUN, tmp_path / "c.png")
    for axes in figures[0].axes:
        assert [list(line.get_xdata()) for line in axes.lines if line.get_linestyle() == ":"] == \
            [[2, 2]]
        assert [(text.get_text(), text.get_position()[0]) for text in axes.texts] == \
            [("lr 0.001", 2)]


def test_a_rate_that_falls_all_the_time_has_no_drops(tmp_path, figures):
    drawing.curves([row(i + 1, 1 - i / 20) for i in range(20)], tmp_path / "c.png")
    assert not any(line.get_linestyle() == ":" for line in figures[0].axes[0].lines)


def test_labels_of_close_drops_do_not_overlap(tmp_path, figures):
    rates = [1, 0.1, 0.01, 0.001, 0.001, 0.001, 0.0001] + 13 * [1e-5]
    drawing.curves([row(i + 1, lr) for i, lr in enumerate(rates)], tmp_path / "c.png")
    axes = figures[0].axes[0]
    assert sum(line.get_linestyle() == ":" for line in axes.lines) == 5
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


@pytest.mark.parametrize("rows", [
    RUN[:1], RUN[1:2], RUN[::2], [row(1.0, train=(NAN, 0.9))],
    [row(1.0, train=(float("inf"), None), val=(NAN, 1.0, 1.0))], [{"epoch": 1.0, "lr": 0.01}],
], ids=["inside the first epoch", "one epoch", "no validation", "diverged", "infinite", "nothing"])
def test_a_log_with_little_in_it_gives_a_picture_all_the_same(tmp_path, rows):
    drawing.curves(rows, tmp_path / "c.png", "$ 5 for 1 % & more $")
    assert pixels(tmp_path / "c.png").shape == (500, 1200, 3)


# Confusion

def test_confusion_has_a_row_for_the_true_class_and_shares_of_that_row(tmp_path, figures):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [5, 0, 15]])
    drawing.confusion(matrix, ["cat", r"$\dog$", "a frog whose name is far too long"],
                    tmp_path / "m.png")
    assert min(pixels(tmp_path / "m.png").shape[:2]) > 400
    axes = figures[0].axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array().filled(-1),
                                  [[75, 25, 0], [-1, -1, -1], [25, 0, 75]])
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "3"), ((1, 0), "1"), ((0, 2), "5"), ((2, 2), "15")}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "cat", r"$\dog$", "a frog whose name i…"]


@pytest.mark.parametrize("K, cells", [
    (20, 20), (21, 0), pytest.param(1000, 0, marks=pytest.mark.slow)])
def test_confusion_writes_counts_while_there_is_room_for_them(tmp_path, figures, K, cells):
    drawing.confusion(7 * np.eye(K, dtype=int), [f"class {k}" for k in range(K)],
                      tmp_path / "m.png")
    assert len(figures[0].axes[0].texts) == cells
    assert max(pixels(tmp_path / "m.png").shape) <= 1400


# Samples

def test_samples_are_set_row_by_row_magnified_to_whole_squares(tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    drawing.samples(images, ["cat"] * 5, tmp_path / "s.png", columns=3)
    picture = pixels(tmp_path / "s.png")
    step = 32 * 12 + page.CAPTION + page.MARGIN
    assert picture.shape == (2 * step + page.MARGIN, 1200, 3)
    for i, image in enumerate(images):
        x, y = i % 3 * 400 + 8, i // 3 * step + page.MARGIN
        np.testing.assert_array_equal(picture[y:y + 384:12, x:x + 384:12], image)
        np.testing.assert_array_equal(picture[y + 11:y + 384:12, x + 11:x + 384:12], image)


def test_large_and_oblong_samples_are_made_smaller_in_proportion(tmp_path):
    images = np.full((2, 100, 300, 3), (10, 20, 30), np.uint8)
    drawing.samples(images, ["", "x"], tmp_path / "s.png")
    ours = (pixels(tmp_path / "s.png") == (10, 20, 30)).all(axis=2)
    assert ours.any(axis=0).sum() == 2 * 112 and ours.any(axis=1).sum() == 37


def test_captions_are_cut_to_their_column(tmp_path, figures):
    captions = ["cat\n93 %", "W" * 40, "$1 or $2"]
    drawing.samples(np.zeros((3, 8, 8, 3), np.uint8), captions, tmp_path / "s.png")
    texts = figures[0].texts
    assert [text.get_text() for text in texts[:2]] == ["cat", "93 %"]
    assert texts[2].get_text().startswith("WWWWW") and texts[2].get_text().endswith("W…")
    assert all(text.get_window_extent().width < 120 for text in texts)


# What cannot be drawn

PICTURES = np.zeros((2, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(("draw", "said"), [
    (lambda path: drawing.filters({"a": np.zeros((5, 5, 48, 128))}, path), r"\(5, 5, 48, 128\)"),
    (lambda path: drawing.curves([], path), "no rows"),
    (lambda path: drawing.compare({"one": [], "two": []}), "one, two: no rows"),
    (lambda path: drawing.confusion(np.eye(2), ["a", "b", "c"], path), r"\(2, 2\) for 3 classes"),
    (lambda path: drawing.samples(PICTURES[:0], [], path), "0 pictures, 0 captions"),
    (lambda path: drawing.samples(PICTURES, ["x"], path), "2 pictures, 1 captions"),
    (lambda path: drawing.neighbours([], path), "no pictures"),
    (lambda path: drawing.predictions(PICTURES[:1], [], [[]], path), "1 pictures, 0 captions"),
    (lambda path: drawing.predictions(PICTURES[:1], ["a"], [], path), "guesses for 0"),
    (lambda path: drawing.predictions(PICTURES[:1], ["a", "b"], [[]], path), "2 captions"),
])
def test_what_does_not_fit_together_is_refused_and_nothing_is_written(tmp_path, draw, said):
    with pytest.raises(UserError, match=said):
        draw(tmp_path / "p.png")
    assert not list(tmp_path.iterdir())


# Files, threads, displays

@pytest.mark.slow
def test_threads_may_draw_at_the_same_time(tmp_path):
    def draw(name):
        drawing.curves(RUN, tmp_path / name, "a run", classes=10)
        return (tmp_path / name).read_bytes()

    alone = draw("alone.png")
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, ["1.png", "2.png"])) == [alone] * 2


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"text.usetex": True}, {"font.family": "Font of nobody"},
                                      {"savefig.bbox": "tight", "axes.facecolor": "black"}],
                         ids=lambda settings: next(iter(settings)))
def test_the_users_own_style_is_for_their_own_figures(tmp_path, caplog, settings):
    """LaTeX may not be installed, nor a font; and a page is counted in pixels."""
    def draw(name):
        drawing.curves(RUN, tmp_path / name, "a run", classes=10)
        drawing.samples(np.zeros((2, 8, 8, 3), np.uint8), ["a", "b"], tmp_path / f"sheet-{name}")
        return [pixels(tmp_path / name), pixels(tmp_path / f"sheet-{name}")]

    caplog.set_level("WARNING", "matplotlib")
    plain = draw("plain.png")
    with matplotlib.rc_context(settings):
        styled = dict(matplotlib.rcParams, backend="")  # which is found when it is first used
        for image, expected in zip(draw("styled.png"), plain, strict=True):
            np.testing.assert_array_equal(image, expected)
        assert dict(matplotlib.rcParams, backend="") == styled
    assert not caplog.records


def test_names_that_are_no_text_are_drawn_all_the_same(tmp_path):
    """A file's name may be any bytes, and a folder's is a class and a title."""
    name = "caf\udce9\x1b[31m\n"
    drawing.curves(RUN, tmp_path / "curves.png", name)
    page.save(drawing.compare({name: [row(1.0) | {"seconds": 1.0}]}), tmp_path / "compare.png")
    drawing.confusion(np.eye(2), [name, "b"], tmp_path / "confusion.png", name)
    drawing.samples(np.zeros((1, 8, 8, 3), np.uint8), [name], tmp_path / "samples.png")
    drawing.colours([], {"": np.ones((3, 3, 3, 2))}, tmp_path / "colours.png", name)


@pytest.mark.slow
def test_matplotlib_is_imported_when_something_is_drawn_and_pyplot_never(tmp_path):
    code = ("import sys; from tinyalex import drawing; assert 'matplotlib' not in sys.modules; "
            "drawing.confusion([[1]], ['a'], sys.argv[1]); "
            "sys.exit('matplotlib.pyplot' in sys.modules)")
    command = [sys.executable, "-c", code, str(tmp_path / "m.png")]
    assert subprocess.run(command).returncode == 0


def test_a_name_without_end_is_cut(tmp_path, figures):
    """Matplotlib would measure it for minutes."""
    name = "x" * 20_000
    drawing.samples(np.zeros((1, 8, 8, 3), np.uint8), [name], tmp_path / "sheet.png")
    drawing.confusion(np.eye(2, dtype=int), [name, "b"], tmp_path / "confusion.png", name)
    drawing.curves(RUN, tmp_path / "curves.png", name)
    texts = [text.get_text() for figure in figures for text in figure.findobj(Text)]
    assert len(figures) == 3 and 10 < max(map(len, texts)) <= page.WIDEST
