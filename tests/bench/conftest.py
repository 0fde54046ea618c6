"""What the tests of the benchmark share."""

import pytest

from tinyalex.bench import spans, timing


@pytest.fixture
def quick(monkeypatch):
    """Nothing is repeated until it takes long enough to be measured."""
    monkeypatch.setattr(timing, "AT_LEAST", 0)


@pytest.fixture
def time(monkeypatch):
    """A clock that stands still until somebody calls time.passes."""

    class Time:
        now = 0.0

        def passes(self, seconds):
            self.now += seconds

    time = Time()
    for module in (timing, spans):
        monkeypatch.setattr(module, "perf_counter", lambda: time.now)
    return time
