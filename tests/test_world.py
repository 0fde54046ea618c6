"""Which workers there are, how they share a machine, and how they end: where one could wait for
ever, or go on as if it were alone."""

import os
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from tinyalex import world
from tinyalex.run.stopping import Stopped, Stopping
from tinyalex.run.trainer import Trainer
from tinyalex.support import launched
from tinyalex.support.errors import UserError
from tinyalex.world.threads import together


@pytest.mark.parametrize(("hosts", "shares"), [
    ("aab", [[0, 1], [2, 3], [0, 1, 2, 3]]),
    ("abb", [[0, 1, 2, 3], [0, 1], [2, 3]]),
    ("aaa", [[0], [1], [2, 3]]),
])
def test_the_workers_of_a_machine_share_its_cores(hosts, shares, monkeypatch):
    """Four on each machine. Who has one to itself tells the others so, or they would wait."""
    cores: dict[int, set[int]] = {}  # by thread, as in Linux

    def keep_to(_, chosen):
        cores[threading.get_ident()] = set(chosen)

    def take(worker):
        here = [rank for rank, host in enumerate(hosts) if host == hosts[worker.rank]]
        worker.host = hosts[worker.rank]
        worker.local_rank, worker.local_size = here.index(worker.rank), len(here)
        worker.take_cores()
        return worker.tell("in step"), sorted(os.sched_getaffinity(0))

    monkeypatch.setattr(os, "sched_setaffinity", keep_to, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores.get(
        threading.get_ident(), {0, 1, 2, 3}), raising=False)
    assert together(3, take) == [("in step", share) for share in shares]


def test_an_mpi_that_does_not_know_its_launcher_is_refused(monkeypatch):
    """Else each of the processes trains alone, in a folder of its own."""
    alone = SimpleNamespace(MpiWorld=SimpleNamespace(workers=lambda: 1))
    monkeypatch.setitem(sys.modules, "tinyalex.world.mpi", alone)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(UserError, match="one of 4 processes, but mpi4py finds only this one"):
        world.find()


def test_a_signal_that_comes_while_the_workers_ask_each_other_is_not_lost():
    """They spend much of their time so. All stop after the next step, not this one alone."""
    stopping = Stopping()

    class Asking(world.World):
        size = 2

        def gather(self, array):
            said = array.copy()
            stopping.signal = signal.SIGTERM
            return [said, np.zeros_like(said)]

    trainer = SimpleNamespace(world=Asking())
    Trainer._check(trainer, stopping)
    with pytest.raises(Stopped):
        Trainer._check(trainer, stopping)


def test_help_is_no_failure_of_a_worker(capsys):
    class Two(world.World):
        size = 2

    with pytest.raises(SystemExit), Two().together():
        raise SystemExit(0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("count", ["", "1", "many", "-2"])
def test_a_process_whose_environment_names_no_others_is_alone(monkeypatch, count):
    for name in launched.SIZES:
        monkeypatch.setenv(name, count)
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    assert world.find().size == 1
