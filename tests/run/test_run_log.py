"""The log of a run, which people open in spreadsheets, and a full disk cuts short."""

import pytest

from tinyalex.run import presets
from tinyalex.run.folder import COLUMNS, Run
from tinyalex.support.errors import UserError

HEAD = ",".join(COLUMNS)
ROWS = "1,6,0.01,0.9,0.4,0.7,0.6,0.0,565.0,0.0,0.23,0.67,\n2,12,0.01,,,,,,,,0.5,nan,\n"


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, presets.get("mini"))


def test_what_is_empty_or_no_number_is_none(run):
    assert run.rows() == []
    run.log.write_text(f"{HEAD}\n{ROWS}")
    first, second = run.rows()
    assert first["val_error"] == 0.6 and first["colour_b"] is None
    assert second["val_error"] is None and second["colour_a"] is None, "kernels without colour"


def test_a_row_that_was_cut_short_is_none_yet(run):
    run.log.write_text(f"{HEAD}\n{ROWS}3,18,0.0")
    assert len(run.rows()) == 2
    run.forget_after(6)
    assert [row["step"] for row in run.rows()] == [6]
    run.log.write_text("")
    assert run.rows() == []


@pytest.mark.parametrize("text", [
    f"{HEAD}\n{ROWS}x,18{',' * 11}\n", f"{HEAD}\n{ROWS}inf,18{',' * 11}\n",
    f"{HEAD}\n,18{',' * 11}\n",
    f"{HEAD}\n{ROWS}3,1e999{',' * 11}\n", f"{HEAD}\n3,nan{',' * 11}\n", f"{HEAD},more\n{ROWS}",
    f"{HEAD[:-2]}\n{ROWS}", f"{HEAD}\n3,18\n{ROWS}", f"{HEAD}\n{ROWS}\xff",
    f"{HEAD}\n3,{'1' * 140_000}\n",
], ids=lambda text: text[len(HEAD) + 1:][-20:])
def test_what_is_no_log_of_a_run_is_named(text, run):
    run.log.write_text(text, "latin-1")
    for read in (run.rows, lambda: run.forget_after(3)):
        with pytest.raises(UserError, match=r"log\.csv: damaged"):
            read()
