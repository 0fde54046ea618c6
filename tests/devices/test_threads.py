"""Threads that are not to be had, or stayed behind in another process.

Containers and shared machines limit how many threads there may be; and the child of a fork
(multiprocessing on Linux, until Python 3.14) has its parent's pools with nobody in them: work that
is submitted there is never done, and the child hangs.
"""

import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tinyalex.devices import Threads, python_version


def thread_of(_=None) -> str:
    return threading.current_thread().name


def test_work_is_shared_among_as_many_threads_as_were_asked_for():
    threads, all_at_work = Threads(3, "helper"), threading.Barrier(3)
    assert len(set(threads.map(lambda i: all_at_work.wait(10), range(3)))) == 3
    assert threads.submit(thread_of).result().startswith("helper")
    threads.shutdown()


def test_an_interruption_while_they_start_leaves_nobody_waiting(monkeypatch):
    """The process would wait at its end for threads that wait for threads that never come."""
    submit, before = ThreadPoolExecutor.submit, threading.active_count()

    def interrupted(pool, *work):
        if pool._threads:
            raise KeyboardInterrupt
        return submit(pool, *work)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Threads(2, "helper")
    until = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (3, 0), (3, 2)])
def test_without_all_of_them_the_caller_does_the_work(monkeypatch, asked, given):
    start, started = threading.Thread.start, []

    def limited(thread):
        if len(started) == given:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    threads = Threads(asked, "helper")
    assert threads.submit(thread_of).result() == thread_of()
    assert list(threads.map(thread_of, range(3))) == [thread_of()] * 3
    threads.shutdown()
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("own_thread", [False, True])
def test_a_network_works_in_the_child_of_a_fork(own_thread):
    """And its threads do in the parent, before and after."""
    code = f"""if True:
        import os, signal
        import numpy as np
        from tinyalex.architectures import alexnet
        from tinyalex.devices import CpuDevice
        device = CpuDevice(cores=3, own_thread={own_thread})
        network = alexnet.tiny(devices=[device])
        x = np.random.default_rng(0).random((6, *network.input_shape), np.float32)
        before = network.forward(x)
        if os.fork() == 0:
            signal.alarm(20)  # ends a child that hangs
            same = np.array_equal(network.forward(x), before)
            device.close()
            os._exit(0 if same else 1)
        assert os.wait()[1] == 0, "it hung, or computed something else"
        assert np.array_equal(network.forward(x), before)
        device.close()"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(("locked", "ending"), [(True, ""), (False, ", free-threaded")])
def test_a_python_without_its_lock_is_named_as_one(monkeypatch, locked, ending):
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: locked, raising=False)
    assert python_version() == platform.python_version() + ending
