"""What a correct gradient does not show: arguments that change, gradients that pile up, dtypes and
strides that only work by luck."""

import numpy as np

from tinyalex.gradcheck.subjects import LayerSubject, random_state_kept


@random_state_kept()
def manners(subject: LayerSubject, seed: int = 0) -> list[str]:
    """What is wrong with how the layer behaves, a sentence each."""
    y = subject.forward(subject.arrays["x"].copy())
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    arguments, repeated = _arguments(subject, dy), _repeated(subject, dy)
    # Where a second backward gives something else anyhow, gaps are not to blame.
    return [*arguments, *repeated, *([] if repeated else _strides(subject, dy)),
            *_dtypes(subject, dy)]


def _arguments(subject: LayerSubject, dy: np.ndarray) -> list[str]:
    """What forward and backward write to that is not theirs."""
    layer, x, upstream = subject.layer, subject.arrays["x"].copy(), dy.copy()
    before = {key: value.copy() for key, value in subject.arrays.items()}
    subject.forward(x)
    forward_wrote = not np.array_equal(x, before["x"])
    x[...] = before["x"]
    layer.backward(upstream)
    changes = {
        "forward writes into x": forward_wrote,
        "backward writes into x": not np.array_equal(x, before["x"]),
        "backward writes into dy, which others still read": not np.array_equal(upstream, dy)}
    if getattr(layer, "inplace", False):
        changes = {}
    changes["parameters differ after backward; changing them is the optimiser's job"] = any(
        not np.array_equal(layer.params[key], before[key]) for key in before.keys() - {"x"})
    return [f"changes its arguments: {change}" for change, made in changes.items() if made]


def _repeated(subject: LayerSubject, dy: np.ndarray) -> list[str]:
    """A second backward has to give what the first gave."""
    first, second = subject.gradients([dy]), subject.gradients([dy])
    return [f"gradients pile up: the second backward gives a different d{key}"
            f"{', twice the first' * np.allclose(second[key], 2 * gradient)}; "
            "start from zeros, or overwrite the old one"
            for key, gradient in first.items()
            if not np.array_equal(gradient, second[key], equal_nan=True)]


def _strides(subject: LayerSubject, dy: np.ndarray) -> list[str]:
    """The same numbers, but with gaps between them in memory."""
    def gappy(a: np.ndarray) -> np.ndarray:
        return np.repeat(a, 2, axis=-1)[..., ::2]

    plain, with_gaps = subject.gradients([dy]), subject.gradients([dy], copy=gappy)
    return ["relies on contiguous memory: the same x and dy, as views with gaps, give a different "
            f"d{key}" for key, gradient in plain.items()
            if with_gaps[key].shape != gradient.shape
            or not np.allclose(with_gaps[key], gradient, rtol=1e-9, atol=1e-12, equal_nan=True)]


def _dtypes(subject: LayerSubject, dy: np.ndarray) -> list[str]:
    """float32 in, float32 out: one float64 among them doubles the memory of a whole network."""
    layer, params = subject.layer, getattr(subject.layer, "params", None) or {}
    in_float64 = dict(params)
    try:
        params.update({key: value.astype(np.float32) for key, value in params.items()})
        y = subject.forward(subject.arrays["x"].astype(np.float32))
        results = {"y": y, "dx": layer.backward(dy.astype(np.float32))}
        results |= {f"d{key}": layer.grads.get(key) for key in params}
        return [f"wrong dtype: {name} is {array.dtype} although everything that went in was float32"
                for name, array in results.items()
                if isinstance(array, np.ndarray) and array.dtype != np.float32]
    finally:
        if params:
            params.update(in_float64)
            layer.grads.clear()
