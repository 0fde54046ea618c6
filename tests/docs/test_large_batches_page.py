"""docs/workers.md says what docs/large_batches.csv holds, in the words that large_batches.py makes
of it."""

from statistics import mean

from pages import ROOT, script

large_batches = script("large_batches")


def test_the_table_is_made_of_the_results():
    rows = large_batches.TABLE.read()
    assert large_batches.table(rows) in (ROOT / "docs/workers.md").read_text(encoding="utf-8")


def test_the_page_builds_on_what_was_measured():
    rows = large_batches.TABLE.read()

    def errors(way, batch):
        return large_batches.errors(rows, way, batch)

    small, root, linear, warm, lars = large_batches.WAYS
    assert 0.13 < mean(errors(small, 1024)) - mean(errors(linear, 1024)) < 0.15
    for batch in (128, 1024):
        assert mean(errors(linear, batch)) < mean(errors(root, batch)) < mean(errors(lars, batch))
    assert errors(linear, 8192) == errors(warm, 8192) == [0.9, 0.9]
    assert max(errors(root, 8192) + errors(lars, 8192)) < min(errors(small, 8192))
    assert mean(errors(warm, 1024)) > mean(errors(linear, 1024))
    assert abs(mean(errors(lars, 8192)) - mean(errors(root, 8192))) < 0.01
    assert min(errors(linear, 1024)) - max(errors(linear, 128)) > 0.11
