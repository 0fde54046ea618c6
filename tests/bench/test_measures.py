"""What each measure gains: a plain form that computes something else would prove nothing, and one
that never takes the place of the fast one would show that nothing is gained.
"""

from contextlib import ExitStack
from unittest.mock import patch

import pytest
from runs import assert_close
from threadpoolctl import threadpool_info

import tinyalex.bench.__main__ as bench
from tinyalex.bench import measures
from tinyalex.bench.timing import Spread
from tinyalex.bench.workload import Workload
from tinyalex.devices import HOST, CpuDevice
from tinyalex.kernels import norm
from tinyalex.kernels import numpy as kernels
from tinyalex.optim import SGD


@pytest.mark.parametrize("name", measures.MEASURES)
def test_without_a_measure_the_network_computes_the_same_and_afterwards_it_has_it(name):
    """The update too; what is taken back must really be taken back, and come again."""
    steps = 0 if "BLAS" in name else 2  # its threads fight where other programs run

    def step(*contexts):
        workload = Workload("tiny", [CpuDevice("cpu0"), CpuDevice("cpu1")], 3)
        workload.optimiser.lr = 0.01
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context(workload))
            during = fingerprint(workload)
            losses = [workload.train() for _ in range(steps)]
        return losses, workload.network.state(), during, fingerprint(workload)

    losses, state, before, _ = step()
    again, plain_state, during, after = step(measures.MEASURES[name])
    assert during != before == after
    assert again == pytest.approx(losses, rel=1e-5)
    assert_close(plain_state, state, rtol=1e-3, atol=1e-6)


def fingerprint(workload):
    """All that measures change."""
    first, device = workload.network.stages[0][0], workload.network.devices[0]
    return (kernels.im2col, kernels.col2im, kernels.max_pool, kernels.window_sum,
            kernels.sum_rows, norm.power, type(device.pool).empty, device.chunk_bytes,
            device.sum_bytes, first[0].input_gradient, first[1].inplace, SGD._update,
            [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"])


def test_slowdowns_are_ratios_within_a_round(monkeypatch, time):
    workload = Workload("tiny", [HOST], 2)
    monkeypatch.setitem(measures.MEASURES, "none", lambda w: patch.object(w, "pace", 3.0))
    workload.pace = 2.0
    workload.train = workload.infer = lambda: time.passes(workload.pace)
    spreads = measures.measure(workload, "none", rounds=2)
    assert spreads == dict.fromkeys(("training", "inference"), Spread(1.5, 1.5, 1.5))


def test_a_row_is_printed_as_soon_as_it_is_measured(monkeypatch, capsys, tmp_path):
    """What is stopped half-way keeps what it has."""
    printed = []

    def measure(workload, name, rounds):
        printed.append(capsys.readouterr().out)
        return dict.fromkeys(("training", "inference"), Spread(1.0, 1.0, 1.0))

    monkeypatch.setattr(measures, "measure", measure)
    bench.main(["--preset", "tiny", "--batch-size", "2", "--measures", "lrn", "--csv",
                str(tmp_path / "m.csv")])
    printed.append(capsys.readouterr().out)
    sums, power = (name for name in measures.MEASURES if "LRN" in name)
    assert len(printed) == 3 and sums not in printed[0]
    assert printed[1].startswith(sums) and printed[2].startswith(power)
    assert len((tmp_path / "m.csv").read_text().splitlines()) == 1 + 2 * 2
    assert measures.named("") == list(measures.MEASURES)
