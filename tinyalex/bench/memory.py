"""What a process has in memory, as Linux tells it.

What several networks take cannot be told apart inside one process, nor given back completely when
one of them is gone. So each is measured in a process of its own: `of` starts one and reads the line
that it prints.
"""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from tinyalex.bench.speed import load_peer
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress

STATUS = Path("/proc/self/status")
STEPS = 3  # the memory that a step leaves is used again from the second on


def now() -> int:
    """Bytes that the process has in memory at this moment."""
    return _status("VmRSS")


def peak() -> int:
    """The most bytes that it had in memory so far."""
    return _status("VmHWM")


def _status(name: str) -> int:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        raise UserError("memory can only be measured where there is /proc/self/status",
                        "run this on Linux.") from None
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def watch(workload: Workload, steps: int) -> list[int]:
    """Bytes in memory after each of so many training steps."""
    after = []
    for _ in progress(range(steps), "watching the memory", unit="step"):
        workload.train()
        after.append(now())
    return after


def of(who: str, preset: str, batch_size: int, devices: str) -> dict[str, int]:
    """What `weigh` gives for `who`, in a process of its own; empty where it could not be measured.
    """
    command = [sys.executable, "-m", "tinyalex.bench", "--memory-of", who, "--preset", preset,
               "--batch-size", str(batch_size), "--devices", devices]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}


def weigh(who: str, preset: str, batch_size: int, devices: Devices) -> dict[str, int]:
    """What `who` ("ours", or one of `speed.VARIANTS`) takes to train, in a process of its own.

    Returns bytes: "peak", the most it had in memory during some steps; "before", what it had before
    it built the network: Python and the libraries; "pools", what our devices hold of it.
    """
    peer = None if who == "ours" else load_peer()
    before = now()
    runner = workload = Workload(preset, devices, batch_size)
    if peer:
        runner = peer.Peer(who, workload)
        del workload
    with contextlib.suppress(OSError):  # let the peak begin anew, where the system allows it
        Path("/proc/self/clear_refs").write_text("5")
    for _ in range(STEPS):
        runner.train()
    pools = sum(device.pool.peak for device in devices)
    return {"peak": peak(), "before": before, "pools": pools}
