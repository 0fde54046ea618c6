"""How the error of a numeric gradient depends on the step h, in float64 and in float32."""

import numpy as np

STEPS = 10.0 ** np.arange(-12, 0.01, 0.5)


def error_by_step(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each dtype the steps, and the relative error of the centred difference along a random
    direction v: of y = tanh(x W) with respect to x, against its derivative in float64."""
    rng = np.random.default_rng(seed)
    x, v = rng.standard_normal((2, 8, 50))
    W, dy = rng.standard_normal((50, 20)) / 5, rng.standard_normal((8, 20))
    slope = ((dy * (1 - np.tanh(x @ W) ** 2)) @ W.T * v).sum()

    def error(h: float, dtype: str) -> float:
        above, below = (np.tanh((x + side * h * v).astype(dtype) @ W.astype(dtype))
                        for side in (1, -1))
        return abs(((above - below).astype(float) * dy).sum() / (2 * h) - slope) / abs(slope)

    return {dtype: (STEPS, np.array([error(h, dtype) for h in STEPS]))
            for dtype in ("float64", "float32")}
