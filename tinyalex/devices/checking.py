"""Devices that notice when arrays of different devices meet.

On a GPU such a slip is an illegal address, a silent copy, or a wrong number. These devices compute
on the CPU, but their arrays know where they live: an operation on arrays of two devices, or on an
array of a device that is not working at that moment, raises `DeviceError`. A network that runs on
two of them, and gives what it gives on plain ones, copies exactly where it must.

    devices = [CheckingDevice("first"), CheckingDevice("second")]
"""

import threading

import numpy as np

from tinyalex.devices.cpu import CpuDevice
from tinyalex.kernels import numpy as numpy_kernels

_at_work = threading.local()


class DeviceError(RuntimeError):
    """Arrays met that live on different devices, or work ran on the wrong one."""


class CheckedArray(np.ndarray):
    """An array that knows its device; views of it know it too."""

    home = None

    def __array_finalize__(self, source):
        self.home = getattr(source, "home", None)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        device = _the_device(ufunc.__name__, (inputs, out, kwargs))
        if out is not None:
            kwargs["out"] = tuple(_plain(array) for array in out)
        result = getattr(ufunc, method)(*map(_plain, inputs), **_plain(kwargs))
        return out[0] if out is not None else _checked(result, device)

    def __array_function__(self, function, types, args, kwargs):
        device = _the_device(function.__name__, (args, kwargs))
        out = kwargs.get("out")
        result = function(*_plain(args), **_plain(kwargs))
        return out if out is not None else _checked(result, device)

    def __setitem__(self, key, value):
        _the_device("assignment", (self, value))
        np.asarray(self)[_plain(key)] = _plain(value)


class CheckedKernels:
    """The CPU's kernels, each of which first checks where its arrays live."""

    def __getattr__(self, name):
        kernel = getattr(numpy_kernels, name)

        def checked(*args):
            _the_device(name, args)
            return kernel(*_plain(args))

        return checked


class CheckingDevice(CpuDevice):
    """A CPU device whose arrays are checked."""

    kernels = CheckedKernels()

    def empty(self, shape, dtype):
        return _checked(super().empty(shape, dtype), self)

    def put(self, array):
        return array if getattr(array, "home", None) is self else _checked(np.array(array), self)

    def put_into(self, mine, array):
        np.copyto(_plain(mine), array)

    def get(self, array):
        return np.array(_plain(array))

    def receive(self, array, source):
        if array.home is not source:
            raise DeviceError(f"copy: the array is on {array.home}, not on {source}")
        return self.put(_plain(array))

    def run(self, work, *args):
        def here():
            _at_work.device = self
            try:
                return work(*args)
            finally:
                _at_work.device = None

        return super().run(here)


def _checked(result, device):
    if isinstance(result, np.ndarray):
        result = result.view(CheckedArray)
        result.home = device
    return result


def _plain(value):
    """The same with ordinary arrays in place of checked ones."""
    if isinstance(value, CheckedArray):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _arrays(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))


def _the_device(what: str, values) -> CheckingDevice:
    """The one device of all arrays in `values`, which must be working. Numbers, and arrays that
    hold a single one, live nowhere."""
    homes = {getattr(array, "home", None) for array in _arrays(values) if array.ndim}
    if len(homes) != 1:
        raise DeviceError(f"{what}: arrays of {' and '.join(sorted(map(str, homes)))} met "
                          "(None is the host)")
    home = homes.pop()
    current = getattr(_at_work, "device", None)
    if current is not home or home is None:
        raise DeviceError(f"{what}: the arrays are on {home}, but {current} is working")
    return home
