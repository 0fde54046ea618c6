"""How the error of a numeric gradient depends on the step h, in float64 and in float32."""

import numpy as np

from tinyalex.layers import Conv2D, LocalResponseNorm, Tanh

STEPS = 10.0 ** np.arange(-12, 0.01, 0.5)


def error_by_step(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each dtype the steps, and the relative error of the centred difference along a random
    direction: of conv → LRN → tanh, with respect to its input, against backward in float64."""
    rng = np.random.default_rng(seed)
    layers = [Conv2D(2, 6, 3, pad=1, std=0.3, rng=seed), LocalResponseNorm(5, alpha=0.3), Tanh()]
    x, v = rng.standard_normal((2, 2, 6, 6, 2))
    truth, dy = _slope_by_backward(layers, x, v, rng)
    return {dtype: (STEPS, np.array([_error(layers, x, v, dy, h, dtype, truth) for h in STEPS]))
            for dtype in ("float64", "float32")}


def _slope_by_backward(layers, x, v, rng):
    y = _forward(layers, x, "float64", remember=True)
    dy = rng.standard_normal(y.shape)
    dx = dy
    for layer in reversed(layers):
        dx = layer.backward(dx)
    return (dx * v).sum(), dy


def _error(layers, x, v, dy, h, dtype, truth) -> float:
    above, below = (_forward(layers, x + side * h * v, dtype) for side in (1, -1))
    return abs(((above - below).astype(float) * dy).sum() / (2 * h) - truth) / abs(truth)


def _forward(layers, x, dtype, remember=False):
    y = x.astype(dtype)
    for layer in layers:
        for key, value in layer.params.items():
            layer.params[key] = value.astype(dtype)
        y = layer.forward(y, remember)
    return y
