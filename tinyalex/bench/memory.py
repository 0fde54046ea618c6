"""How much memory a process uses, as Linux reports it.

What several networks take cannot be told apart inside one process, nor given back completely when
one of them is gone. So each is measured in a process of its own: `of` starts one, which runs this
module and prints what it has measured.
"""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from tinyalex.bench.speed import FLOOR, OURS, Result, load_peer
from tinyalex.bench.workload import Workload
from tinyalex.devices import Devices
from tinyalex.run import presets
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
        lines = STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise UserError("memory can only be measured where there is /proc/self/status",
                        "run this on Linux.") from None
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def watch(workload: Workload, steps: int) -> list[int]:
    """Bytes in memory after each of this many training steps."""
    after = []
    for _ in progress(range(steps), "watching the memory", unit="step"):
        workload.train()
        after.append(now())
    return after


def weigh_all(result: Result, placement: str) -> None:
    """Note in the result what we and the peers take to train: on GPUs of their pools, else in a
    process of its own each."""
    workload = result.workload
    for who in progress(result.contenders, "memory", unit="network"):
        if who == FLOOR:
            continue
        if not workload.gpus:
            result.memory[who] = of(who, workload.preset, str(workload.batch_size), placement)
        elif who == OURS:
            pools = {device.index: device.pool.peak for device in workload.gpus}
            result.memory[who] = {"peak": sum(pools.values())}
        else:
            result.memory[who] = {"peak": load_peer().gpu_memory(who, workload)}


def of(*arguments: str) -> dict[str, int]:
    """What `weigh` returns, in a process of its own; empty where it could not be measured."""
    done = subprocess.run([sys.executable, "-m", "tinyalex.bench.memory", *arguments],
                          capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}


def weigh(who: str, preset: str, batch_size: str, placement: str) -> dict[str, int]:
    """What `who`, `OURS` or one of `speed.VARIANTS`, takes to train; for a process of its own.

    Returns bytes: "peak", the most it had in memory during some steps; "before", what it had before
    it built the network: Python and the libraries; "pools", what our devices hold of it.
    """
    peer = None if who == OURS else load_peer()
    with Devices(placement, presets.get(preset).towers) as devices:
        before = now()
        runner = workload = Workload(preset, devices, int(batch_size))
        if peer:
            runner = peer.Peer(who, workload)
            del workload
        with contextlib.suppress(OSError):  # restart the peak, where the system allows it
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        for _ in range(STEPS):
            runner.train()
        return {"peak": peak(), "before": before,
                "pools": sum(device.pool.peak for device in devices)}


if __name__ == "__main__":
    print(json.dumps(weigh(*sys.argv[1:])))
