"""What commands say of input that they cannot use: which flag or file it is, in one line, and what
to do in another. A traceback tells a user nothing, and half of a picture looks like a whole one.
"""

import numpy as np
import pytest
from doors import main_of

from tinyalex.data import shapes
from tinyalex.run import checkpoint


@pytest.fixture(scope="module")
def mess(blobs, tmp_path_factory):
    """A folder of things that are not what their names say, and broken/log.csv in a run."""
    folder = tmp_path_factory.mktemp("mess")
    for name in ("empty", "folder", "broken"):
        (folder / name).mkdir()
    for name in ("text.jpg", "folder/text.jpg", "text.npz"):
        (folder / name).write_text("hello")
    about = np.array('{"preset": "tiny", "settings": {}}')
    np.savez(folder / "pickles.npz", tinyalex=np.array(1), about=np.array([{}], dtype=object),
             features=np.array([{}], dtype=object))
    np.savez(folder / "classless.npz", tinyalex=np.array(1), about=about)
    np.savez(folder / "foreign.npz", a=1)
    np.savez(folder / "odd.npz", features=np.zeros((3, 4)), names=np.array(["a"]),
             true=np.array(["a"]), network="", pictures="")
    good = {"features": np.zeros((1, 4), np.float32), "names": np.array(["a"]),
            "true": np.array(["a"]), "network": np.array("x"), "pictures": np.array("x")}
    for name, change in (("nan", {"features": np.full((1, 4), np.nan, np.float32)}),
                         ("single", {"names": np.array("a")}), ("count", {"true": np.array([3])}),
                         ("lists", {"network": np.zeros((3, 3))})):
        np.savez(folder / f"{name}.npz", **(good | change))
    (folder / "cut.npz").write_bytes((blobs / "run/checkpoint.npz").read_bytes()[:90_000])
    for name, change in (("old", lambda settings: settings.pop("towers")),
                         ("half", lambda settings: settings.update(architecture="half"))):
        saved = checkpoint.load(blobs / "run/checkpoint.npz")
        change(saved.about["settings"])
        saved.save(folder / f"{name}.npz")
    (folder / "broken/config.json").write_text((blobs / "run/config.json").read_text())
    (folder / "broken/log.csv").write_text("epoch,step\n1,x\n")
    return folder


DAMAGED, NO_FEATURES = ".npz: not a checkpoint, or a damaged one", "not a file of features"
LOOK = "look run val/rose/02.png --unit"


@pytest.mark.parametrize(("command", "said"), [
    ("predict MESS/text.npz val", f"MESS/text{DAMAGED}"),
    ("predict MESS/pickles.npz val", f"MESS/pickles{DAMAGED}"),
    ("predict MESS/classless.npz val", f"MESS/classless{DAMAGED}"),
    ("predict MESS/cut.npz val", f"MESS/cut{DAMAGED}"),
    ("predict MESS/foreign.npz val", "foreign.npz: an .npz file, but not a tinyalex checkpoint"),
    ("predict MESS/nothing.npz val", "MESS/nothing.npz: no such checkpoint"),
    ("predict MESS/half.npz val", "half.npz"),
    ("evaluate MESS/old.npz", "old.npz: written by another version"),
    ("predict run MESS/text.jpg", "text.jpg: not a picture that can be read"),
    ("predict run MESS/folder", "folder/text.jpg: not a picture"),
    ("predict run MESS/empty", "empty: no pictures in this folder"),
    ("look run MESS/text.jpg", "text.jpg: not a picture that can be read"),
    ("predict run val --out MESS/p.jpg", "p.jpg' does not end in .png"),
    ("predict run val --out nowhere/p.png", "nowhere/p.png: no place for a file"),
    ("predict run val --names MESS/text.jpg", "text.jpg: not a list of names"),
    ("predict run val --limit 0", "--limit"),
    ("predict run", "PICTURE"),
    ("similar run val --among MESS/pickles.npz", f"pickles.npz: {NO_FEATURES}"),
    ("similar run val --among MESS/text.npz", f"text.npz: {NO_FEATURES}"),
    ("similar run val --among MESS/odd.npz", f"odd.npz: {NO_FEATURES}"),
    ("similar run val --among MESS/nan.npz", "nan.npz: features holds numbers that are not"),
    ("similar run val --among MESS/single.npz", f"single.npz: {NO_FEATURES}"),
    ("similar run val --among MESS/count.npz", f"count.npz: {NO_FEATURES}"),
    ("similar run val --among MESS/lists.npz", f"lists.npz: {NO_FEATURES}"),
    ("similar run val --among run/checkpoint.npz", f"run/checkpoint.npz: {NO_FEATURES}"),
    ("similar run val --among MESS/nothing.npz", "MESS/nothing.npz: no such file"),
    ("look run val", "val: 40 pictures"),
    (f"{LOOK} conv9a:1", "--unit conv9a:1: no layer of maps is called 'conv9a'"),
    (f"{LOOK} fc6a:1", "no layer of maps is called 'fc6a'"),
    (f"{LOOK} conv1:3:4:5", "HINT: name it conv1a:3:4:5 or conv1b:3:4:5."),
    (f"{LOOK} conv1a", "--unit conv1a: conv1a has the maps 0 to 15, with rows 0 to 27"),
    (f"{LOOK} conv1a:16", "maps 0 to 15"), (f"{LOOK} conv1a:-1", "maps 0 to 15"),
    (f"{LOOK} conv1a:1:28:0", "rows 0 to 27"), (f"{LOOK} conv1a:x", "maps 0 to 15"),
    (f"{LOOK} conv1a:1:2", "maps 0 to 15"), (f"{LOOK} conv1a:1:2:3:4", "maps 0 to 15"),
    ("dream run --unit conv9a:1", "conv9a:1: no layer with weights is called 'conv9a'"),
    ("dream run --unit conv1a:16", "conv1a has the maps, or units, 0 to 15"),
    ("dream run --unit class:yak", "class:yak: the network knows no such class"),
    ("dream run --unit fc6a:0-100", "101 units"),
    ("dream run --rule guided", "--rule is for the pictures of --among"),
    ("dream run --limit 3", "--limit is for the pictures of --among"),
    ("dream run --blur 0.13", "at most 0.125"), ("dream run --steps 0", "--steps"),
    ("dream run --among MESS/empty", "empty: no pictures in this folder"),
    ("dream run --among MESS/text.jpg --steps 1", "text.jpg: not a picture that can be read"),
    ("dream run --out nowhere/d.png", "nowhere/d.png: no place for a file"),
    ("dream MESS/cut.npz", f"MESS/cut{DAMAGED}"),
    ("evaluate run nowhere", "nowhere"),
    ("evaluate", "RUN_OR_CHECKPOINT"),
    ("evaluate run --data shapes", "the network knows 3 classes"),
    ("plot val", "val: no run in this folder"),
    ("plot MESS/broken", "log.csv: damaged"),
    ("plot run --what x", "--what"),
    ("plot run --reach -1", "--reach"),
    ("summary --preset nope", "nope"),
    ("summary --batch-size 0", "--batch-size"),
    ("summary --batch-size 9223372036854775808", "at most 2147483647"),
    ("summary --classes 9223372036854775808", "at most 32768"),
    ("summary --devices cuda:0", "cuda:0"),
])
def test_it_is_named_in_one_line_and_nothing_is_drawn(
        mess, in_blobs, monkeypatch, refused, command, said):
    monkeypatch.setattr(shapes, "SPLITS", {"train": (10, 1), "val": (10, 2)})
    name, *argv = command.replace("MESS", str(mess)).split()
    before = set(in_blobs.glob("run/*"))
    error = refused(main_of(f"tinyalex.{name}"), argv)
    assert said.replace("MESS", str(mess)) in error
    assert set(in_blobs.glob("run/*")) == before


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize(("command", "layer"), [
    ("predict LARGE val", "its last layer"), ("predict LARGE val --json", "its last layer"),
    ("evaluate LARGE --data blobs:load", "its last layer"),
    ("evaluate LARGE --data blobs:load --ten-crop", "its last layer"),
    ("look LARGE val/rose/02.png", "its last layer"),
    ("similar LARGE val/rose/02.png --among val", "its last hidden layer"),
    ("dream LARGE --unit conv5a:0 --steps 2", "conv5a")])
def test_a_network_that_overflows_says_nothing_of_any_picture(
        in_blobs, tmp_path, refused, command, layer):
    """Its weights are finite, so the checkpoint opens; but all its answers are NaN, and `predict`
    printed them as guesses, and `look` drew them."""
    saved = checkpoint.load(in_blobs / "run/checkpoint.npz")
    saved.values.update({name: value * 1e30 for name, value in saved.values.items()})
    saved.save(large := tmp_path / "large.npz")
    name, *argv = command.replace("LARGE", str(large)).split()
    error = refused(main_of(f"tinyalex.{name}"), argv)
    assert f"large.npz: {layer} gives numbers that are not finite" in error
    assert [*tmp_path.iterdir()] == [large]


@pytest.mark.parametrize("command", [
    "predict run {}", "similar run {} --among val/grass", "similar run val/grass/01.png --among {}",
    "look run val/grass/01.png --among {}", "dream run --unit conv5a:0 --steps 1 --among {}"])
@pytest.mark.parametrize("pictures", ["val/rose", "val/rose/*.png"])
def test_pictures_found_in_a_folder_are_not_written_over(in_blobs, refused, command, pictures):
    picture = in_blobs / "val/rose/02.png"
    before = picture.read_bytes()
    name, *argv = command.format(pictures).split()
    try:
        error = refused(main_of(f"tinyalex.{name}"), [*argv, "--out", "val/rose/02.png"])
        assert "val/rose/02.png: that is a file to read" in error
        assert picture.read_bytes() == before
    finally:
        picture.write_bytes(before)  # all tests read it
