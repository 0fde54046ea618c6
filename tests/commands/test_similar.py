"""Neighbours: the nearest ones, of this network, among these pictures, as they are now.

A distance through the expansion |a|² - 2ab + |b|² loses all its digits where two pictures are
nearly the same; a query that finds itself is no neighbour; features in a cache, or in a file, can
be those of other weights or of pictures that have changed since, and nothing would look wrong.
"""

import contextlib
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pictures import pixels

from tinyalex import drawing, similar
from tinyalex.data import gallery
from tinyalex.drawing import Near
from tinyalex.inside import features
from tinyalex.run import opened
from tinyalex.support.errors import UserError


@pytest.fixture
def net(in_blobs):
    with opened.open_network(in_blobs / "run", "cpu") as net:
        yield net


def test_features_are_what_the_last_layer_with_weights_reads(net):
    shown = gallery.gather(["val"], net.side)
    values = features.extract(net.network, net.batches(shown, "", 7))
    assert values.shape == (40, 256) and values.dtype == np.float32
    state = net.network.state()
    W = np.concatenate([state[f"fc8{t}.W"] for t in "ab"], axis=1)
    b = np.concatenate([state[f"fc8{t}.b"] for t in "ab"])
    scores = np.concatenate([net.network.forward(x).copy() for x in net.batches(shown, "", 40)])
    np.testing.assert_allclose(values @ W + b, scores, rtol=1e-4, atol=1e-4)


def test_features_go_by_the_network_and_not_by_how_it_was_trained(net):
    """Else each new field of the recipe, and each resumed run, would make all files worthless."""
    def of(**changes):
        return similar.fingerprint(replace(net, recipe=replace(net.recipe, **changes)))

    assert of(epochs=9, patience=5, keep="best") == of()
    assert len({of(), of(scale=0.5), of(picture=40), of(lrn="none")}) == 4


def test_the_nearest_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    among = rng.standard_normal((3000, 5)).astype(np.float32) + 1000
    queries = rng.standard_normal((4, 5)).astype(np.float32) + 1000
    among[17] = among[2500] = queries[1]
    order, distances = features.nearest(queries, among, 10)
    for q in range(4):
        brute = np.array([np.linalg.norm(queries[q].astype(float) - one) for one in among])
        np.testing.assert_array_equal(order[q], np.argsort(brute, kind="stable")[:10])
        np.testing.assert_allclose(distances[q], np.sort(brute)[:10], rtol=1e-12)
    assert order[1, :2].tolist() == [17, 2500] and not distances[1, :2].any()


def test_a_picture_is_not_its_own_neighbour():
    among = features.Features(np.arange(5.0)[:, None], list("abcde"), [""] * 5, "", "")
    nearest = features.neighbours("c", np.array([2.0]), among, 3)
    assert [among.names[i] for i, _ in nearest] == ["b", "d", "a"]
    assert [d for _, d in nearest] == [1, 1, 2]
    nearest = features.neighbours("other", np.array([2.0]), among, 3)
    assert [among.names[i] for i, _ in nearest] == ["c", "b", "d"]


def test_features_are_extracted_once_and_anew_for_another_picture(net, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYALEX_DATA", str(tmp_path / "cache"))
    photos = shutil.copytree("val", tmp_path / "photos")
    calls, extract = [], features.extract
    monkeypatch.setattr(features, "extract", lambda *a: (calls.append(1), extract(*a))[1])
    first = similar.cached(net, gallery.gather([str(photos)], net.side))
    again = similar.cached(net, gallery.gather([str(photos)], net.side))
    assert len(calls) == 1
    np.testing.assert_array_equal(first.values, again.values)
    assert (first.names, first.true) == (again.names, again.true)
    next(photos.rglob("*.png")).unlink()
    assert len(similar.cached(net, gallery.gather([str(photos)], net.side)).values) == 39
    net.network.parameters[0].value[0, 0, 0, 0] += 1
    similar.cached(net, gallery.gather([str(photos)], net.side))
    assert len(calls) == 3
    for path in (tmp_path / "cache" / "features").iterdir():
        path.write_bytes(path.read_bytes()[:5000])
    similar.cached(net, gallery.gather([str(photos)], net.side))
    assert len(calls) == 4, "a damaged file is made anew"
    for path in (tmp_path / "cache" / "features").iterdir():
        with contextlib.suppress(UserError):  # those that are still damaged
            before = features.load(path)
            replace(before, names=["elsewhere.png", *before.names[1:]]).save(path)
    similar.cached(net, gallery.gather([str(photos)], net.side))
    assert len(calls) == 5, "and one that names other pictures"

    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(features, "load", forbidden)
    similar.cached(net, gallery.gather([str(photos)], net.side))
    assert len(calls) == 6, "so is one that only another user may read"


def test_the_command_finds_draws_and_saves(in_blobs, capsys, tmp_path):
    out, kept = str(tmp_path / "s.png"), str(tmp_path / "f.npz")
    ask = ["run", "val/rose/02.png", "blobs:load/val/0", "--count", "3", "--out", out]
    assert similar.main([*ask, "--among", "val", "--save", kept]) == 0
    printed = capsys.readouterr().out
    lines = re.findall(r"^ +([\d.]+)  (.+?)  (.+)$", printed, re.MULTILINE)
    assert len(lines) == 6 and not any("/rose/02.png" in name for _, _, name in lines[:3])
    distances = [float(d) for d, _, _ in lines]
    assert distances[:3] == sorted(distances[:3]) and distances[3] == 0, "0 is in val as a file"
    assert "/val/blue sky/00.png" in printed
    with np.load(kept) as file:
        assert file["features"].shape == (40, 256) and len(file["names"]) == 40
    again = f"to search them again: --among {kept} val\n"
    assert similar.main([*ask, "--among", kept, "val"]) == 0
    assert capsys.readouterr().out == printed.replace(
        f"features of 40 pictures: {kept}\n{again}", "")


def test_a_broken_picture_is_named_each_time_and_the_others_are_compared(
        in_blobs, capsys, tmp_path):
    photos = shutil.copytree("val", tmp_path / "photos")
    (photos / "rose" / "bad.png").write_text("<html>")
    ask = ["run", "--out", str(tmp_path / "s.png"), "--count", "1", "--among", str(photos)]
    for _ in ("first computed", "then kept"):
        assert similar.main([*ask, "--", f"{photos}/rose/02.png"]) == 1
        printed, complained = capsys.readouterr()
        assert f"skipped {photos}/rose/bad.png: not a picture" in complained
        assert "bad.png" not in printed and len(re.findall(r"^ +[\d.]+  ", printed, re.M)) == 1
    assert similar.main([*ask[:-1], "val", "--", str(photos / "rose")]) == 1
    printed, complained = capsys.readouterr()
    assert "bad.png" in complained and printed.count(f"{photos}/rose/") == 13


def test_a_picture_of_no_class_of_theirs_is_not_counted_as_wrong(in_blobs, capsys, tmp_path):
    shutil.copy("val/rose/02.png", tmp_path / "mine.png")
    ask = ["run", str(tmp_path / "mine.png"), "--among", "val", "--out", str(tmp_path / "s.png")]
    similar.main(ask)
    assert "own class" not in capsys.readouterr().out
    similar.main([*ask[:2], "val/rose/05.png", *ask[2:]])
    assert re.search(r"of the 6 nearest, (50|66.7|83.3|100).*% are", capsys.readouterr().out)


def test_two_classes_of_one_name_can_be_told_apart(in_blobs, capsys, tmp_path):
    (tmp_path / "names.txt").write_text("grass crane\nrose crane, lifting machine\n")
    similar.main(["run", "val/rose/02.png", "--among", "val", "--names",
                  str(tmp_path / "names.txt"), "--out", str(tmp_path / "s.png")])
    assert "val/rose/02.png (crane (rose))\n" in capsys.readouterr().out


def test_features_of_another_network_are_refused(net, refused, tmp_path):
    val = similar.cached(net, gallery.gather(["val"], net.side))
    features.Features(val.values, val.names, val.true, "other", "").save(tmp_path / "f.npz")
    error = refused(similar.main, ["run", "val", "--among", str(tmp_path / "f.npz")])
    assert "f.npz: features of a different network from run" in error


# The figure

def test_neighbours_stand_beside_what_was_asked_for(tmp_path, figures):
    rows = [[Near(np.full((8, 8, 3), 40 * r + 10 * i, np.uint8), f"{r}{i}", (None, True, False)[i])
             for i in range(3)] for r in range(2)]
    drawing.neighbours(rows, tmp_path / "n.png")
    picture = pixels(tmp_path / "n.png")[..., 0]
    values, firsts = np.unique(picture, return_index=True)
    places = {value: divmod(first, picture.shape[1]) for value, first in
              zip(values.tolist(), firsts.tolist(), strict=True)}
    rows_of, columns_of = ([places[40 * r + 10 * i][axis] for r in range(2) for i in range(3)]
                           for axis in (0, 1))
    assert rows_of[0] == rows_of[1] == rows_of[2] < rows_of[3] == rows_of[5]
    assert columns_of[0] == columns_of[3] < columns_of[1] == columns_of[4] < columns_of[2]
    colours = {text.get_text(): text.get_color() for text in figures[0].texts}
    assert colours["00"] == colours["01"] == "black" != colours["02"] == colours["12"]


@pytest.mark.parametrize(("query", "among", "said"), [
    ("val/grass/01.png", "val", "(grass)"),
    ("photos/01.png", "val", "(class unknown)"),
    ("photos/01.png", "photos", "(class unknown)"),
    ("photos/01.png", "mine", "(photos)"),
])
def test_a_folder_that_is_called_like_no_class_is_none(
        in_blobs, tmp_path, monkeypatch, capsys, query, among, said):
    for folder in ("photos", "mine/photos", "mine/others"):
        shutil.copytree(in_blobs / "val/grass", tmp_path / folder)
    shutil.copytree(in_blobs / "val", tmp_path / "val")
    monkeypatch.chdir(tmp_path)
    similar.main([str(in_blobs / "run"), query, "--among", among, "--count", "1"])
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].endswith(f"{query} {said}")
    assert ("query's own class" in printed) == (said != "(class unknown)")
