"""What a network asks of the place it lives on: the contract of all devices."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Protocol

import numpy as np

Array = Any  # NumPy's, or CuPy's: the arrays of the device


class Result(Protocol):
    """What is being computed elsewhere; `result` waits for it."""

    def result(self) -> Any: ...


class Pool(Protocol):
    """The memory that a device has. held, peak: bytes taken from the machine, now and at most."""

    @property
    def held(self) -> int: ...

    @property
    def peak(self) -> int: ...

    def trim(self) -> None:
        """Give back what is free."""


class Ready:
    """A result that is already there."""

    def __init__(self, value):
        self.value = value

    def result(self):
        return self.value


class Device(ABC):
    """A place where arrays live and work runs: some cores, or a GPU.

    name: as printed. cores: how many pieces of work it does at the same time.
    xp: the library of its arrays, NumPy or CuPy. kernels: the inner loops, see kernels/.
    pool: its memory.
    chunk_bytes: how large the arrays should be that a layer works on at a time. sum_bytes: the same
    where results are added up: each piece writes all of dW, so there should be fewer of them.
    steps_ahead: how many training steps the host may start before the first is done; 0 on a CPU,
    which has done its work when `run(…).result()` returns.
    takes_bytes: batches should come as bytes, of which the device makes the pictures; see `Batch`.
    """

    name: str
    cores: int
    xp: ModuleType
    kernels: Any  # a module with the functions that kernels/__init__.py lists
    pool: Pool
    chunk_bytes: int
    sum_bytes: int
    steps_ahead = 0
    takes_bytes = False

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype) -> Array:
        """A new array on this device; its values are whatever the memory holds."""

    @abstractmethod
    def put(self, array: np.ndarray) -> Array:
        """The host's array on this device."""

    @abstractmethod
    def put_into(self, mine: Array, array: np.ndarray) -> None:
        """Write the host's array over one of this device's."""

    @abstractmethod
    def get(self, array: Array) -> np.ndarray:
        """This device's array on the host."""

    @abstractmethod
    def fetch(self, array: Array) -> Result:
        """This device's array, or number, on its way to the host."""

    @abstractmethod
    def upload(self, pixels: np.ndarray) -> Array:
        """The pixels of a batch on this device: on a CPU, these themselves."""

    @abstractmethod
    def receive(self, array: Array, source: "Device") -> Array:
        """A copy, on this device, of an array that lives on `source`; see `copy`."""

    @abstractmethod
    def run(self, work: Callable, *args) -> Result:
        """Start work(*args) on the device, after what was started before."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until everything that this device was given is done."""

    @abstractmethod
    def close(self) -> None:
        """Wait for the work to end, and free threads and memory."""

    @abstractmethod
    def over(self, count: int, body: Callable[[slice], Any], bytes_each: int = 0) -> None:
        """Call body(piece) for slices that cover 0..count, on all of the device's cores.

        bytes_each: how much memory the work on one of them touches, so that a piece is of about
        `chunk_bytes`; 0: a piece for each core. Which pieces there are does not depend on chance.
        Bodies of different pieces run at the same time: each writes to places of its own.
        """

    @abstractmethod
    def sum_over(self, count: int, body: Callable[[slice], tuple], bytes_each: int = 0) -> tuple:
        """The same in pieces of about `sum_bytes`, adding up, in a fixed order, the arrays that the
        bodies return."""

    def mask(self, draw: Callable[[tuple[int, ...], int, int], np.ndarray], shape: tuple[int, ...],
             step: int, first: int = 0) -> Array:
        """The booleans draw(shape, step, first) on this device, as the kernel `dropout` wants
        them."""
        return self.put(draw(shape, step, first))


def total(parts: Iterator[tuple]) -> tuple:
    """The arrays of all parts added up, in order, in the memory of the first."""
    sums = next(parts)
    for arrays in parts:
        for mine, array in zip(sums, arrays, strict=True):
            mine += array
    return sums


def copy(array: Array, source: Device, target: Device) -> tuple[Array, int]:
    """`array`, which lives on `source`, for use on `target`: the one way across.

    Returns (array on target, bytes that crossed). On the same device nothing is copied.
    """
    if source is target:
        return array, 0
    return target.receive(array, source), array.nbytes


class Mean:
    """A mean picture (S, S, 3) float32, of which each device keeps a copy."""

    def __init__(self, picture: np.ndarray):
        self.picture = picture
        self._copies: dict[Device, Array] = {}

    def on(self, device: Device) -> Array:
        if device not in self._copies:
            self._copies[device] = device.put(self.picture)
        return self._copies[device]


class Batch:
    """Pictures for a network, (N, H, W, C): ready, or as bytes with what is left to do with them.

    Bytes are a quarter of what else would cross to a GPU, and there mean, mirroring and colour cost
    one pass over memory (paper, sections 2 and 4.1): x = (pixels - mean + shift) * scale.

    pixels: float32, as the network reads them; or uint8 crops that are not mirrored yet. Then
    places: (N, 4) int32, for each crop top and left of its part of the mean picture, whether that
    part is mirrored, whether the pixels are. shifts: (N, 3) float32, added to the colours.
    """

    def __init__(self, pixels: np.ndarray, places: np.ndarray | None = None,
                 shifts: np.ndarray | None = None, mean: Mean | None = None, scale: float = 1.0):
        self.pixels, self.places, self.shifts = pixels, places, shifts
        self.mean, self.scale = mean, scale

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: slice) -> "Batch":
        """Some of the pictures."""
        places = None if self.places is None else self.places[rows]
        shifts = None if self.shifts is None else self.shifts[rows]
        return Batch(self.pixels[rows], places, shifts, self.mean, self.scale)

    def on(self, device: Device) -> Array:
        """The pictures on a device, as the network reads them."""
        pixels = device.upload(self.pixels)
        if self.mean is None or self.places is None or self.shifts is None:
            return pixels
        x = device.empty(self.shape, np.float32)
        device.run(device.kernels.finish_crops, pixels, device.put(self.places),
                   self.mean.on(device), device.put(self.shifts), self.scale, x).result()
        return x
