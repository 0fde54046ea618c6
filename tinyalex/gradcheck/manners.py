"""What a correct gradient does not show: arguments that change, gradients that pile up, dtypes and
strides that only work by luck."""

import numpy as np

from tinyalex.gradcheck.subjects import LayerSubject


def manners(subject: LayerSubject, seed: int = 0) -> list[str]:
    """What is wrong with how the layer behaves, a sentence each."""
    y = subject.forward(subject.arrays["x"].copy())
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    return [*_arguments(subject, dy), *_repeated(subject, dy), *_strides(subject, dy),
            *_dtypes(subject, dy)]


def _arguments(subject: LayerSubject, dy: np.ndarray) -> list[str]:
    """What forward and backward write to that is not theirs."""
    layer, x, upstream, problems = subject.layer, subject.arrays["x"].copy(), dy.copy(), []
    before = {key: value.copy() for key, value in subject.arrays.items()}
    in_place = getattr(layer, "inplace", False)
    subject.forward(x)
    if not in_place and not np.array_equal(x, before["x"]):
        problems.append("forward writes into x")
        x[...] = before["x"]
    layer.backward(upstream)
    if not in_place and not np.array_equal(x, before["x"]):
        problems.append("backward writes into x")
    if not in_place and not np.array_equal(upstream, dy):
        problems.append("backward writes into dy, which others still read")
    if any(not np.array_equal(layer.params[key], before[key]) for key in before.keys() - {"x"}):
        problems.append("parameters are others after backward; that is the optimiser's work")
    return [f"changes its arguments: {problem}" for problem in problems]


def _repeated(subject: LayerSubject, dy: np.ndarray) -> list[str]:
    """A second backward has to give what the first gave."""
    problems, first, second = [], subject.gradients([dy]), subject.gradients([dy])
    for key, gradient in first.items():
        if not np.array_equal(gradient, second[key], equal_nan=True):
            twice = ", twice the first" * np.allclose(second[key], 2 * gradient)
            problems.append(f"gradients pile up: the second backward gives another d{key}{twice}; "
                            "start from zeros, or write over the old one")
    return problems


def _strides(subject: LayerSubject, dy: np.ndarray) -> list[str]:
    """The same numbers, but with gaps between them in memory."""
    def gappy(a: np.ndarray) -> np.ndarray:
        return np.repeat(a, 2, axis=-1)[..., ::2]

    dx = subject.gradients([dy])["x"]
    subject.forward(gappy(subject.arrays["x"]))
    with_gaps = subject.layer.backward(gappy(dy))
    same = with_gaps.shape == dx.shape and np.allclose(with_gaps, dx, rtol=1e-9, atol=1e-12,
                                                       equal_nan=True)
    return [] if same else ["relies on contiguous memory: the same x and dy, as a view with gaps, "
                            "give another dx"]


def _dtypes(subject: LayerSubject, dy: np.ndarray) -> list[str]:
    """float32 in, float32 out: one float64 among them doubles the memory of a whole network."""
    layer, params = subject.layer, getattr(subject.layer, "params", None) or {}
    in_float64 = dict(params)
    try:
        params.update({key: value.astype(np.float32) for key, value in params.items()})
        y = subject.forward(subject.arrays["x"].astype(np.float32))
        results = {"y": y, "dx": layer.backward(dy.astype(np.float32))}
        results |= {f"d{key}": layer.grads.get(key) for key in params}
        return [f"wrong dtype: {name} is {array.dtype} where everything that went in was float32"
                for name, array in results.items()
                if isinstance(array, np.ndarray) and array.dtype != np.float32]
    finally:
        if params:
            params.update(in_float64)
            layer.grads.clear()
