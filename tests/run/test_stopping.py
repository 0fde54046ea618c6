"""What a signal does to a run: it is remembered, and nothing is half-done.

A handler runs between any two instructions of Python. One that prints can meet a print that is
under way, or a reader who is gone, and its exception ends the step that was to be saved.
"""

import os
import signal

import pytest

from tinyalex.run.stopping import Stopped, stop_on_signal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has other signals")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_only_remembered_until_somebody_looks(number, capfd):
    before = signal.getsignal(number)
    with stop_on_signal() as stopping:
        stopping.check()
        signal.raise_signal(number)
        assert stopping.signal == number
        with pytest.raises(Stopped):
            stopping.check()
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("first", SIGNALS)
def test_ctrl_c_after_a_signal_interrupts_at_once(first):
    with stop_on_signal() as stopping, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(first)
        assert stopping.signal == first
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_systems_that_send_a_signal_twice_do_not_interrupt_the_saving(number):
    with stop_on_signal() as stopping:
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert stopping.signal == number
