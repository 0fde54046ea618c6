"""docs/transfer.md says what docs/transfer.csv holds, in the words that transfer.py makes of it."""

import pytest
from pages import ROOT, script

table_of_runs, transfer = script("table_of_runs"), script("transfer")


def test_the_table_is_made_of_the_results():
    rows = transfer.TABLE.read()
    assert transfer.table(rows) in (ROOT / "docs/transfer.md").read_text(encoding="utf-8")
    for count, least in ((5, 0.71), (25, 0.81), (250, 0.88)):  # what the page builds on
        assert transfer.mean(transfer.accuracies(rows, "5 of 5 frozen", count)) >= least
    few = transfer.accuracies(rows, "5 of 5 frozen", 5)
    assert min(few) > max(transfer.accuracies(rows, "5 random ones, frozen", 250), default=0)


def test_what_is_in_the_table_is_not_trained_again(tmp_path):
    table = table_of_runs.Table(tmp_path / "t.csv", {"way": str, "draw": int}, "error")
    assert table.read() == {}
    keys, trained = [("b", 1), ("a", 2), ("a, c", 3)], []

    def train(way, draw):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append((way, draw))
        return draw / 8

    with pytest.raises(KeyboardInterrupt):
        table.complete(keys, train)
    assert table.read() == {("b", 1): 0.125, ("a", 2): 0.25}
    assert table.complete(keys, lambda way, draw: 0.5)["a, c", 3] == 0.5
    assert trained == keys[:2] and table.read() == {("b", 1): 0.125, ("a", 2): 0.25,
                                                    ("a, c", 3): 0.5}
    assert (tmp_path / "t.csv").read_text().splitlines()[:2] == ["way,draw,error", "a,2,0.2500"]
