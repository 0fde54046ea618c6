"""docs/transfer.md says what docs/transfer.csv holds, in the words that transfer.py makes of it."""


from pages import ROOT, script

transfer = script("transfer")


def test_the_table_is_made_of_the_results():
    rows = transfer.read()
    assert transfer.table(rows) in (ROOT / "docs/transfer.md").read_text(encoding="utf-8")
    for count, least in ((5, 0.71), (25, 0.81), (250, 0.88)):  # what the page builds on
        assert transfer.mean(transfer.accuracies(rows, "5 of 5 frozen", count)) >= least
    few = transfer.accuracies(rows, "5 of 5 frozen", 5)
    assert min(few) > max(transfer.accuracies(rows, "5 random ones, frozen", 250), default=0)
