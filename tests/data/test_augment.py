"""Augmentation: crops, mirror images and colours, against straight definitions.

A network trains with any of these wrong, only a little worse: a crop that never reaches the last
row, noise of the size λ where √λ is meant or the other way round, principal colours as rows instead
of columns, one draw for a whole batch. The covariance of many draws tells them apart: of 100,000
the error is below 1 %, and each of these mistakes changes it by far more.
"""

import numpy as np
import pytest
from PIL import Image

from tinyalex.data import augment_page, shapes, speed
from tinyalex.data.__main__ import main as data_command
from tinyalex.data.augment import CENTRE, NOISES, ColourNoise, add_colour, crop_places, ten_crops
from tinyalex.data.statistics import Statistics
from tinyalex.support.errors import UserError

# Of ImageNet, as the authors of the paper measured them (0 to 255): √λ, and the eigenvectors.
DEVIATIONS = np.array([121.78, 37.09, 19.72])
COLOURS = np.array([[-0.5635, -0.5762, -0.5920], [-0.7126, -0.0235, 0.7012],
                    [0.4180, -0.8170, 0.3973]]).T
COLOURS = np.linalg.qr(COLOURS)[0]  # printed with four digits: made orthogonal to the last


def covariance(deviations: np.ndarray) -> np.ndarray:
    return COLOURS @ np.diag(deviations**2) @ COLOURS.T


IMAGENET = Statistics(np.zeros((256, 256, 3), np.float32), covariance(DEVIATIONS))


def test_all_2178_crops_of_the_paper_come_equally_often():
    places = crop_places(np.random.default_rng(1), 217_800, 256, 256, 224)
    kinds, counts = np.unique(places, axis=0, return_counts=True)
    assert len(kinds) == 33 * 33 * 2 == 2178  # the paper counts 32·32·2 = 2048
    assert kinds.min(axis=0).tolist() == [0, 0, 0] and kinds.max(axis=0).tolist() == [32, 32, 1]
    assert counts.min() > 55 and counts.max() < 150, "100 of each, give or take 10"


def test_ten_crops_are_four_corners_and_the_centre_and_the_same_mirrored():
    corners = [[0, 0, 0], [0, 32, 0], [32, 0, 0], [32, 32, 0]]
    views = ten_crops(256, 256, 224).tolist()
    assert views[:CENTRE] == corners and views[CENTRE] == [16, 16, 0]
    assert views[5:] == [[top, left, 1] for top, left, _ in views[:5]]
    assert ten_crops(9, 8, 6)[:5].tolist() == [[0, 0, 0], [0, 2, 0], [3, 0, 0], [3, 2, 0],
                                               [1, 1, 0]]


@pytest.mark.parametrize(("form", "deviations"), [
    ("paper", 255 * 0.1 * (DEVIATIONS / 255) ** 2),  # pixels in units of 255: 5.8, 0.54, 0.15
    ("original", 0.1 * DEVIATIONS),
])
def test_noise_has_the_covariance_that_its_formula_says(form, deviations):
    shifts = NOISES[form](IMAGENET).shifts(seed=0, epoch=1, count=100_000)
    assert shifts.shape == (100_000, 3) and shifts.dtype == np.float32
    # Along each principal colour by itself, so that the smallest counts as much as the largest.
    along = np.cov(shifts.T.astype(float))
    along = COLOURS.T @ along @ COLOURS / np.outer(deviations, deviations)
    np.testing.assert_allclose(along, np.eye(3), atol=0.02)
    assert abs(shifts.mean(axis=0) / shifts.std(axis=0)).max() < 0.02


def test_every_picture_and_every_epoch_draws_anew():
    noise = ColourNoise.paper(IMAGENET)
    draws = np.concatenate([noise.shifts(seed, epoch, 100) for seed in (1, 2) for epoch in (1, 2)])
    assert len(np.unique(draws[:, 0])) == 400
    assert abs(np.corrcoef(draws[:, 0].reshape(4, 100)) - np.eye(4)).max() < 0.4


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_the_noise_of_a_picture_does_not_depend_on_how_many_there_are(count):
    noise = ColourNoise.original(IMAGENET)
    np.testing.assert_array_equal(noise.shifts(1, 2, count), noise.shifts(1, 2, 1000)[:count])


def test_noise_ends_after_the_epoch_that_it_is_told():
    noise = ColourNoise.original(IMAGENET, until=66)
    assert [noise.active(epoch) for epoch in (1, 66, 67)] == [True, True, False]
    assert ColourNoise.paper(IMAGENET).active(10_000)


def test_all_pixels_of_a_picture_get_the_same_shift():
    x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    expected = x + np.float32([1, -2, 3])
    add_colour(x, np.float32([1, -2, 3]))
    np.testing.assert_array_equal(x, expected)


# The commands

@pytest.fixture
def few(monkeypatch, data_folder):
    monkeypatch.setattr(shapes, "SPLITS", {"train": (20, 1), "val": (10, 2)})


def test_the_page_shows_what_is_in_its_frames_and_what_it_says(monkeypatch, few, tmp_path):
    shown = {}
    monkeypatch.setattr(augment_page, "_page",
                        lambda sections, scale, path: shown.update(enumerate(sections.values())))
    augment_page.draw(shapes.load("train"), tmp_path / "a.png", seed=1, pictures=2)
    crops, colours, means, ten = (shown[i] for i in range(4))
    for whole, *tiles in [*crops, *ten]:
        assert len({tile.frames[0][3] for tile in tiles}) == len(tiles) >= 5
        for (top, left, side, colour), tile in zip(whole.frames, tiles, strict=False):
            inside = whole.image[top : top + side, left : left + side]
            mirrored = tile.caption == "mirrored"
            np.testing.assert_array_equal(tile.image, inside[:, ::-1] if mirrored else inside)
            assert tile.frames == [(0, 0, side, colour)] and side == 56
    assert {tile.caption for row in crops for tile in row[1:]} == {"mirrored", ""}
    for (whole, *paper, _, _, _), (picture, *_) in zip(colours, crops, strict=True):
        np.testing.assert_array_equal(whole.image, picture.image)
        for tile in paper:
            shift = np.array(tile.caption.split(), int)
            expected = np.clip(whole.image + shift, 0, 255)
            assert abs(tile.image - expected).max() <= 1 and len(shift) == 3
    assert len(means[0]) == 4


def test_the_page_is_a_picture(few, tmp_path):
    path = tmp_path / "page.png"
    assert data_command(["augment", "--out", str(path), "--seed", "3"]) == 0
    with Image.open(path) as page:
        assert page.format == "PNG" and page.width == 7 * 200 - 8 + 32
        page = np.asarray(page.convert("RGB"))
    for colour in augment_page.COLOURS[:5]:  # one random crop and two of the ten have it
        assert (page == colour).all(axis=2).sum() > 2 * 4 * 2 * 160


def test_speed_tells_for_each_number_of_workers_and_each_part(few, monkeypatch, capsys):
    monkeypatch.setattr(speed, "ROUNDS", 2)
    assert data_command(["speed", "--workers", "1,3", "--colour", "original"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "20 pictures of 64×64, shapes (train)"
    assert [line.split()[0] for line in lines[4:6]] == ["1", "3"]
    names = [line[:14].strip() for line in lines[8:]]
    assert names == ["read", "crop - mean", "same, mirrored", "colour noise", "scale", "on average"]


def test_the_average_takes_half_of_the_pictures_mirrored_and_no_reading():
    took = {"read": 1000, "crop - mean": 100, "same, mirrored": 200, "colour noise": 50, "scale": 7}
    lines = speed.report({1: [7000, 5000, 6000], 2: [8000.4] * 3}, took).splitlines()
    assert lines[1].split()[:2] == ["1", "6,000"] and lines[1].endswith("(5,000 to 7,000)")
    assert lines[2].split()[:2] == ["2", "8,000"]
    assert lines[-1].split()[:3] == ["on", "average", "207"] and " 4,831 images/s" in lines[-1]


@pytest.mark.parametrize(("words", "said"), [
    (["speed", "--workers", "1,0"], "'0' is not a whole number of at least 1"),
    (["speed", "--workers", "2,2"], "'2,2' has a number twice"),
    (["speed", "--preset", "paper"], "--preset paper needs to know the data"),
    (["speed", "--preset", "cube"], "--preset cube: there is no such preset"),
    (["augment", "--data", "nothing"], "--data nothing: no such dataset"),
])
def test_what_cannot_be_shown_or_measured_is_said(words, said, few):
    with pytest.raises(UserError, match=said):
        data_command(words)
