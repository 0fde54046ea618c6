"""What the paper takes from the training pictures as a whole: their mean, and how colours vary."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Statistics:
    """mean: (H, W, 3) float32, the mean of all pictures, pixel by pixel (section 2).
    covariance: (3, 3) float64, of the RGB values, 0 to 255, of all pixels (section 4.1)."""

    mean: np.ndarray
    covariance: np.ndarray

    def principal_colours(self) -> tuple[np.ndarray, np.ndarray]:
        """The eigenvalues of the covariance (3,), the largest first, and the eigenvectors, (3, 3),
        one a column. An eigenvector's sign means nothing; its largest component is positive here.
        """
        values, vectors = np.linalg.eigh(self.covariance)
        values, vectors = np.maximum(values, 0)[::-1], vectors[:, ::-1]
        largest = vectors[abs(vectors).argmax(axis=0), range(3)]
        return values, vectors * np.sign(largest)


@dataclass
class Sums:
    """Sums over pictures, in whole numbers: they can be added up in any order, and in parts, and
    come out the same to the last digit (up to about 2 million pictures of 256×256).

    count: pictures. pixels: (H, W, 3) int64, their sum. products: (3, 3) int64, the sum of r·r,
    r·g, … over all pixels.
    """

    count: int = 0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros((), np.int64))
    products: np.ndarray = field(default_factory=lambda: np.zeros((), np.int64))

    @classmethod
    def of(cls, images: np.ndarray) -> "Sums":
        """images: (N, H, W, 3) uint8, a few at a time."""
        colours = images.reshape(-1, 3).astype(np.float64)
        products = colours.T @ colours  # whole numbers below 2**53, so exact
        return cls(len(images), images.sum(axis=0, dtype=np.int64), products.astype(np.int64))

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.pixels + other.pixels,
                    self.products + other.products)

    def statistics(self) -> Statistics:
        mean = self.pixels / self.count
        colour, pixels = mean.mean(axis=(0, 1)), self.count * mean.shape[0] * mean.shape[1]
        return Statistics(mean.astype(np.float32),
                          self.products / pixels - np.outer(colour, colour))
