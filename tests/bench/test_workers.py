"""python -m tinyalex.bench.workers: what it measures has to be what its rows say: sums during
backward begin before backward is over, sums after backward do not."""

import numpy as np
import pytest
from gpus import on

from tinyalex.bench import workers
from tinyalex.bench.spans import SUMS, watch_step
from tinyalex.bench.workers import AFTER, DURING, EXACT, HYBRID, NONE, Shared
from tinyalex.devices import Devices
from tinyalex.inside.scaling import Link
from tinyalex.parallel import BLOCKS
from tinyalex.world import World
from tinyalex.world.threads import together


def in_a_world(size, work, monkeypatch, bucket=1 << 14):
    """What work(shared, world) returns for each of so many workers."""
    monkeypatch.setattr(workers, "BUCKET", bucket)

    def worker(world):
        with Devices("cpu", 2) as devices:
            shared = Shared("mini", devices, 8, world)
            try:
                return work(shared, world)
            finally:
                shared.close()

    return together(size, worker)


@pytest.mark.parametrize("way", [DURING, AFTER])
def test_sums_begin_when_the_row_says(way, monkeypatch):
    def watched(shared, world):
        shared.way = way
        watch = watch_step(shared)
        watch.add_sums(world)
        step = watch.step()
        watch.stop()
        return step

    for step in in_a_world(2, watched, monkeypatch):
        sums = [span for span in step if span.name == SUMS]
        backward = max(span.end for span in step if span.name == "conv1a"
                       and span.part == "backward")
        early = [span for span in sums if span.start < backward]
        assert len(sums) == 1 if way == AFTER else len(sums) > 3
        assert bool(early) == (way == DURING)
        assert all(span.end > span.start for span in sums)


def test_all_ways_but_the_one_without_sums_end_with_the_same_weights(monkeypatch):
    def moved(shared, world):
        moves = {}
        for optimiser in shared.optimisers.values():
            optimiser.lr = 0.1
        before = [{name: value.copy() for name, value in of.state().items()}
                  for of in (shared.network, shared.optimiser)]
        for way in shared.ways:
            shared.network.load_state(before[0])
            shared.optimiser.load_state(before[1])
            shared.way = way
            shared.train()
            moves[way] = shared.network.state()["conv1a.W"] - before[0]["conv1a.W"]
        return moves

    first, second = in_a_world(2, moved, monkeypatch)
    for way in (DURING, AFTER, EXACT, *HYBRID):
        assert np.array_equal(first[way], second[way])
        assert np.allclose(first[way], first[DURING], atol=1e-4 * np.abs(first[DURING]).max())
    assert not np.allclose(first[NONE], second[NONE], rtol=0.1)


def test_workers_of_a_machine_share_its_gpus(monkeypatch):
    """Each takes the next one, as in training."""
    monkeypatch.setattr(workers.scaling, "measured", lambda world: None)
    places = {}
    monkeypatch.setattr(workers, "report", lambda shared, world, *_: places.setdefault(
        world.rank, {device.index for device in shared.devices}))
    args = workers._parse(["--preset", "mini", "--batch-size", "8"])
    with on("simulated", "cuda:1"):
        together(2, lambda world: workers._main(args, world))
    assert places == {0: {0}, 1: {1}}


def test_more_workers_than_blocks_measure_the_other_ways():
    class Crowd(World):
        size = BLOCKS + 1

    with Devices("cpu", 2) as devices:
        shared = Shared("mini", devices, 16, Crowd())
        assert [*shared.ways] == [NONE, DURING, AFTER, *HYBRID]


def test_the_model_adds_the_sum_of_all_bytes_where_nothing_hides_it(monkeypatch):
    def expected(shared, world):
        return workers.model(shared, world, Link(0.0, 1e6), 2.0), shared.network.state()

    for seconds, state in in_a_world(2, expected, monkeypatch):
        size = sum(value.nbytes for value in state.values())
        assert seconds[AFTER] == pytest.approx(2 + size / 1e6)  # a ring of two: all of it once
        assert 2 < seconds[DURING] < seconds[AFTER]
