"""What the paper does to a picture before the network sees it: crops, mirror images, colour noise.

All of it is decided by numbers drawn in advance for every picture of an epoch, so that neither the
batch size nor the number of threads can change what a picture becomes.
"""

from dataclasses import dataclass

import numpy as np

from tinyalex.data.statistics import Statistics

CENTRE = 4  # the index in ten_crops of the centre, unmirrored


def crop_places(rng: np.random.Generator, count: int, height: int, width: int,
                side: int) -> np.ndarray:
    """Where to crop each of `count` pictures at random: (count, 3), its rows (top, left, mirrored).

    The first of the paper's two forms of augmentation (section 4.1). A crop of side×side pixels
    may begin at any pixel from 0 to height - side inclusive, and as far to the right; mirrored is 0
    or 1. In 256×256 pixels 224×224 have 33·33·2 = 2178 places; the paper counts 32·32·2 = 2048.
    """
    return rng.integers(0, [height - side + 1, width - side + 1, 2], (count, 3))


def ten_crops(height: int, width: int, side: int) -> np.ndarray:
    """The ten views that the paper tests with (section 4.1): (10, 3), rows (top, left, mirrored).

    The four corners and the centre, which is number CENTRE, then the mirror images of the same
    five. The network's softmax outputs for the ten are averaged.
    """
    bottom, right = height - side, width - side
    five = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return np.array([(*place, mirrored) for mirrored in (0, 1) for place in five])


@dataclass(frozen=True, eq=False)
class ColourNoise:
    """A colour shift, the same for all pixels of a picture, along the principal colours of the
    training set: the second form of augmentation (section 4.1).

    directions: (3, 3), a column for each principal colour, as long as the standard deviation of the
        shift along it, in units of a pixel, 0 to 255.
    divisor: what the pixels are divided by afterwards.
    until: the last epoch with noise (and division); None: it never ends.

    The mean is subtracted before; a picture becomes (picture - mean + shift) / divisor.
    """

    directions: np.ndarray
    divisor: float = 1.0
    until: int | None = None

    @classmethod
    def paper(cls, statistics: Statistics, until: int | None = None) -> "ColourNoise":
        """As the paper prints it: add P·(α∘λ) to every pixel, α ~ N(0, 0.1²).

        P and λ are the eigenvectors and eigenvalues of the covariance of the RGB values. λ is a
        square: measured in units u of a pixel's value it has the unit u², and the sum "pixel + αλ"
        depends on u. With pixels 0 to 255 the largest λ of photographs is about 15,000, and αλ
        about ±1500: nothing would be left to see. With pixels 0 to 1 it is about 0.23, and ±0.023
        of 1 or ±6 of 255 makes sense. So that is taken to be the meaning: λ is divided by 255², and
        the shift multiplied by 255.
        """
        values, vectors = statistics.principal_colours()
        return cls(vectors * (0.1 * values / 255), until=until)

    @classmethod
    def original(cls, statistics: Statistics, until: int | None = None) -> "ColourNoise":
        """As the authors ran it: (x + 0.1·P·(√λ∘z)) / 1.1, z ~ N(0, 1), x without the mean.

        √λ is a standard deviation and has the unit of a pixel: noise of a tenth of the existing
        variation, about ±12 of 255 along the first principal colour. Pictures are not divided at
        test time, nor in training once the noise is off; the authors set `until` to 66.
        """
        values, vectors = statistics.principal_colours()
        return cls(vectors * (0.1 * np.sqrt(values)), divisor=1.1, until=until)

    def active(self, epoch: int) -> bool:
        """Whether there is noise in this epoch; they count from 1."""
        return self.until is None or epoch <= self.until

    def shifts(self, seed: int, epoch: int, count: int) -> np.ndarray:
        """What to add to the colours of each picture in this epoch: (count, 3) float32, 0 to 255.

        The shift of a picture depends on its index, the epoch and the seed, and not on `count`.
        """
        # A stream of its own: with noise or without, order and crops are the same.
        draws = np.random.default_rng([seed, epoch, 1]).standard_normal((count, 3))
        # Not draws @ directions.T: BLAS may round a row differently when there are more of them.
        return (draws[:, None] * self.directions).sum(axis=2).astype(np.float32)


def add_colour(x: np.ndarray, shift: np.ndarray) -> None:
    """Add a shift of colour (3,) to all pixels of a picture x (H, W, 3), in place."""
    # A whole row at a time: in steps of three numbers NumPy takes four times as long.
    x += np.full((x.shape[1], 3), shift)


NOISES = {"paper": ColourNoise.paper, "original": ColourNoise.original}  # by their names for users
