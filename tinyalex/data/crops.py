"""A batch as bytes, of which a GPU makes what the network reads.

The host then only cuts out the pixels, a quarter of the bytes cross, and mean, mirror and shift of
colour cost the GPU one pass over memory (section 2 and 4.1).
"""

from dataclasses import dataclass

import numpy as np


class Mean:
    """A mean picture (S, S, 3) float32, of which each device keeps a copy."""

    def __init__(self, picture: np.ndarray):
        self.picture, self.copies = picture, {}

    def on(self, device):
        if device not in self.copies:
            self.copies[device] = device.put(self.picture)
        return self.copies[device]


@dataclass(frozen=True, eq=False)
class Crops:
    """Crops of pictures, and what is left to do with them: x = (pixels - mean + shift) * scale.

    pixels: (N, side, side, 3) uint8, not mirrored yet. places: (N, 4) int32, for each crop top and
    left of its part of the mean picture, whether that part is mirrored, whether the pixels are.
    shifts: (N, 3) float32, added to the colours.
    """

    pixels: np.ndarray
    places: np.ndarray
    shifts: np.ndarray
    mean: Mean
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def finish(self, device):
        """The batch (N, side, side, 3) float32 on a device whose kernels have `finish_crops`."""
        pixels, mean = device.upload(self.pixels), self.mean.on(device)
        places, shifts = device.put(self.places), device.put(self.shifts)
        x = device.empty(self.shape, np.float32)
        device.run(device.kernels.finish_crops, pixels, places, mean, shifts, self.scale, x)
        return x
