"""Where arrays live and where work runs.

A placement is a string: "cpu" is one device that owns all cores; "cpu,cpu" is two devices that
own half of them each; "cuda:0" is a GPU (see cuda.py), "cuda:0,cuda:1" two, as in the paper, and
"cuda:0,cuda:0" one that is treated as two; "auto" takes the best there is. A network asks its
devices for memory, hands them work, and copies between them with `copy`, the only way for an array
to cross. base.py says what a device is.
"""

from tinyalex.devices.base import Batch, Device, Mean, copy
from tinyalex.devices.cpu import HOST, CpuDevice, available_cores
from tinyalex.devices.memory import MemoryPool
from tinyalex.devices.placement import Devices, parse_placement
from tinyalex.devices.threads import Threads, python_version

__all__ = ["HOST", "Batch", "CpuDevice", "Device", "Devices", "Mean", "MemoryPool",
           "Threads", "available_cores", "copy", "parse_placement", "python_version"]
