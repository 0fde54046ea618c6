"""Runs beside each other: each curve under its own name, and the time that was really taken.

Seconds drawn as minutes, the error of one run in the colour of another, training for validation: a
comparison that lies looks like any other. And live curves must stop when the runs do, neither
before the last epoch is drawn nor never.
"""

import json
import shutil
import sys
import types

import pytest

from tinyalex import drawing, filters, plot
from tinyalex.run import live
from tinyalex.run.folder import Run
from tinyalex.support.errors import UserError


def row(epoch, seconds, train=None, val=None):
    return {"epoch": epoch, "seconds": seconds, "lr": 0.1, "train_error": train,
            "train_loss": train and 3 * train, "val_error": val, "val_loss": val and 2 * val,
            "val_top5_error": val and val / 2}


FAST = [row(0.25, 30, 0.9), row(0.5, 60, 0.5), row(0.75, 90, 0.2), row(1, 120, 0.55, 0.25),
        row(1.5, 180, 0.1), row(2, 240, 0.3, 0.125)]
SLOW = [row(1, 600, 0.8, 0.7), row(2, 1200, 0.6, 0.5)]


def lines(axes):
    return [(line.get_label(), line.get_linestyle(), [*line.get_xdata()], [*line.get_ydata()])
            for line in axes.lines]


def test_every_run_is_drawn_against_epochs_and_against_minutes():
    figure = drawing.compare({"fast": FAST, "slow": SLOW})
    epochs, minutes = map(lines, figure.axes)
    assert ("fast", "-", [1, 2], [25, 12.5]) in epochs
    assert ("fast", "-", [2, 4], [25, 12.5]) in minutes
    assert ("slow", "-", [10, 20], [70, 50]) in minutes
    training = [line[2:] for line in epochs if line[1] == "--"]
    assert training == [([0.25, 0.5, 0.75, 1.5], [90, 50, 20, 10]), ([1, 2], [80, 60])]
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fast", "slow"]


def test_loss_and_top_5_are_drawn_in_their_own_units():
    figure = drawing.compare({"fast": FAST}, "loss")
    assert ("fast", "-", [1, 2], [0.5, 0.25]) in lines(figure.axes[0])
    figure = drawing.compare({"fast": FAST}, "top5", level=10)
    assert ("fast", "-", [1, 2], [12.5, 6.25]) in lines(figure.axes[0])
    assert figure.axes[0].lines[-1].get_ydata()[0] == 10


def test_more_runs_than_colours_and_an_empty_one_are_drawn_all_the_same():
    figure = drawing.compare({str(i): SLOW for i in range(9)} | {"new": []})
    assert len(figure.axes[0].lines) == 18


def test_the_table_says_when_an_error_was_reached():
    fast, slow = plot._table({"fast": FAST, "slow": SLOW}, 25).splitlines()[2:]
    assert fast.split() == ["fast", "2", "4:00", "30.00%", "12.50%", "12.50%", "2", "epoch",
                            "0.75,", "1:30"]
    assert slow.split() == ["slow", "2", "20:00", "60.00%", "50.00%", "50.00%", "2", "never"]
    zero = plot._table({"run": [row(1, 7, 0.0, 0.0)]}, 0).splitlines()[2]
    assert zero.split()[-3:] == ["epoch", "1,", "0:07"]
    assert plot._table({"new": []}, 25).splitlines()[2].split()[1:] == ["–"] * 6 + ["never"]


def test_the_command_compares_runs(in_blobs, capsys, tmp_path):
    other = shutil.copytree("run", tmp_path / "other")
    out = tmp_path / "c.png"
    assert plot.main(["run", str(other), "--out", str(out), "--reach", "100"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split()[:2] == ["run", "3"] and printed[3].split()[0] == "other"
    assert out.is_file()
    assert plot.main(["run", str(shutil.copytree("run", tmp_path / "run"))]) == 0
    assert str(tmp_path / "run") in capsys.readouterr().out, "two runs of one name: by their paths"


# Live

@pytest.fixture
def notebook(monkeypatch):
    """IPython's display, as far as it is used; returns what was shown: (place, PNG)."""
    shown = []

    class Handle:
        def __init__(self):
            self.place = len(shown)

        def update(self, image):
            shown.append((self.place, image.data))

    def display(image, display_id):
        assert display_id is True
        handle = Handle()
        handle.update(image)
        return handle

    module = types.ModuleType("IPython.display")
    module.display = display
    module.Image = lambda data: types.SimpleNamespace(data=data)
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


@pytest.fixture
def running(in_blobs, tmp_path):
    """A run of two epochs, of which only the beginning is there; and what appends a row."""
    folder = tmp_path / "live"
    folder.mkdir()
    config = json.loads((in_blobs / "run" / "config.json").read_text())
    config["settings"]["epochs"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    return Run.open(folder)


def test_live_curves_are_drawn_in_one_place_until_the_last_epoch(running, notebook, monkeypatch):
    coming = iter([FAST[0], FAST[3], None, FAST[5]])

    def sleep(seconds):
        if (next_row := next(coming)) is not None:
            running.append(next_row)

    monkeypatch.setattr(live.time, "sleep", sleep)
    live.live(running.folder)
    assert [place for place, _ in notebook] == [0, 0, 0], "only where a row came, and in one place"
    pictures = [data for _, data in notebook]
    assert len(set(pictures)) == 3 and all(p.startswith(b"\x89PNG") for p in pictures)
    assert next(coming, "over") == "over"


def test_a_cell_that_is_interrupted_ends_quietly(running, notebook, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(live.time, "sleep", interrupt)
    live.live(running.folder)
    assert notebook == []


def test_live_curves_can_be_what_a_trainer_reports_to(running, notebook):
    curves = live.LiveCurves(running.folder)
    running.append(FAST[3])
    curves.update(FAST[3])
    curves.update(FAST[3])
    assert len(notebook) == 1


def test_without_ipython_there_is_a_hint(running, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    running.append(FAST[3])
    with pytest.raises(UserError, match="live curves need IPython"):
        live.live(running.folder)


# Filters

def test_filters_says_and_draws_how_much_towers_care_for_colour(in_blobs, capsys, tmp_path):
    out = tmp_path / "f.png"
    assert filters.main(["run", "--out", str(out)]) == 0
    rows = Run.open(in_blobs / "run").rows()
    lines = capsys.readouterr().out.splitlines()
    for line, letter in ((lines[2], "a"), (lines[3], "b")):
        assert line.split()[:4] == [letter, "16", f"{rows[-1][f'colour_{letter}']:.3f}",
                                    f"{rows[0][f'colour_{letter}']:.3f}"]
    assert out.is_file() and (tmp_path / "f-colour.png").is_file()
    shutil.copy("run/checkpoint.npz", tmp_path / "alone.npz")
    assert filters.main([str(tmp_path / "alone.npz")]) == 0, "without a run there is no history"
    assert "–" in capsys.readouterr().out
