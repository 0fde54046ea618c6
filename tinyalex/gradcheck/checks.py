"""The checks themselves: gradients against slopes, and the manners of forward and backward."""

import numpy as np

from tinyalex.gradcheck.diagnosis import explain
from tinyalex.gradcheck.numeric import (
    H,
    Slopes,
    Subject,
    random_direction,
    relative_error,
    tie_keeping_direction,
)
from tinyalex.gradcheck.report import KINK, OK, TOLERANCE, WRONG, Finding, Report, pattern
from tinyalex.gradcheck.scene import Scene
from tinyalex.gradcheck.subjects import ExchangeSubject, LayerSubject, LossSubject, NetworkSubject

EVERY = 600  # numbers: arrays up to this size are checked one by one
DIRECTIONS = 3
RETRIES = 8  # directions drawn for each that may cross no kink


def check_layer(layer, x: np.ndarray, *, kind: str = "", title: str = "", seed: int = 0,
                h: float = H, every: int = EVERY, settings=None) -> Report:
    """Check a layer's gradients at x, in float64 (the layer's parameters become float64), and,
    where they are right, its manners.

    kind: whose mistakes to look for, "Conv2D" and so on; if not given, the shipped class that the
    layer is, or comes from. settings: a shipped layer with the same settings, for a class that has
    other names for them.
    """
    state = np.random.get_state()
    try:
        subject = LayerSubject(layer, x, settings)
        report = check_subject(subject, title or repr(layer), kind or kind_of(layer), seed, h,
                               every)
        if report.ok:
            report.problems += manners(layer, subject, seed)
    finally:
        np.random.set_state(state)
    return report


def check_loss(loss, x: np.ndarray, labels: np.ndarray, *, seed: int = 0, h: float = H) -> Report:
    """Check the gradient of a loss with respect to the scores x (N, K), for labels (N,)."""
    report = check_subject(LossSubject(loss, x, labels), repr(loss), "SoftmaxCrossEntropy", seed, h)
    return report


def check_exchange(exchange, xs, *, seed: int = 0, h: float = H) -> Report:
    """Check an exchange at the maps xs of its towers."""
    subject = ExchangeSubject(exchange, xs)
    title = f"exchange before {getattr(exchange, 'name', '')}"
    return check_subject(subject, title, "Exchange", seed, h)


def check_network(network, x: np.ndarray, *, seed: int = 0, h: float = H,
                  title: str = "network", only: str = "") -> Report:
    """Check every parameter of a network, for pictures x; `only`: of layers whose name begins so.

    The network's parameters become float64. Large arrays are moved along random directions.
    """
    subject = NetworkSubject(network, x)
    if only:
        subject.arrays = {k: v for k, v in subject.arrays.items() if k.startswith(only)}
    return check_subject(subject, title, "", seed, h, every=12)


def kind_of(layer) -> str:
    """The shipped class that a layer is, or comes from; "" where there is none."""
    return next((c.__name__ for c in type(layer).__mro__
                 if c.__module__.startswith("tinyalex.layers.")), "")


def check_subject(subject: Subject, title: str, kind: str = "", seed: int = 0, h: float = H,
                  every: int = EVERY) -> Report:
    """Compare all gradients of a subject with numeric slopes, for a random upstream gradient."""
    rng = np.random.default_rng(seed)
    dys = [rng.standard_normal(y.shape) for y in subject.outputs()]
    if kind == "SoftmaxCrossEntropy":
        dys = [np.ones(())]
    before = {name: array.copy() for name, array in subject.arrays.items()}
    gradients = subject.gradients(dys)
    report = Report(title)
    for name, array in subject.arrays.items():
        if not np.array_equal(array, before[name]):
            report.problems.append(f"changes its arguments: {name} is another after backward")
            array[...] = before[name]
    slopes, numeric = Slopes(subject, dys, h), {}
    for name in subject.arrays:
        finding, numeric[name] = _compare(slopes, name, gradients[name], rng, every)
        report.findings.append(finding)
    for finding in report.findings:
        if finding.verdict == WRONG:
            scene = Scene(finding.name, subject.settings, before, dys, slopes.base, numeric,
                          gradients[finding.name], getattr(subject, "labels", None))
            finding.mistakes = explain(kind, scene)
    return report


def _compare(slopes: Slopes, name, analytic, rng, every) -> tuple[Finding, np.ndarray | None]:
    """The finding for one array, and its numeric gradient where that was taken in full."""
    finding, array = Finding(name), slopes.subject.arrays[name]
    complaint = _no_gradient(analytic, array)
    if complaint:
        finding.verdict, finding.pattern, finding.error = WRONG, complaint, float("inf")
    if array.size > every:
        if not complaint:
            _by_direction(finding, slopes, name, analytic, rng)
        return finding, None
    numeric, noise = np.empty(array.shape), np.empty(array.shape)
    smooth = np.ones(array.shape, bool)
    bad = np.zeros(array.shape, bool)  # outside what even a kink allows
    for index in np.ndindex(array.shape):
        slope = slopes.at(name, index)
        numeric[index], noise[index], smooth[index] = slope.value, slope.noise, not slope.kink
        if slope.kink and not complaint:
            bad[index] = not _between(slope, analytic[index])
    if not complaint:
        error = np.where(smooth, relative_error(analytic, numeric, noise), bad)
        _by_number(finding, name, np.where(np.isfinite(error), error, np.inf), analytic, numeric)
        finding.kinks = int((~smooth).sum())
        if finding.kinks and finding.verdict == OK:
            _at_ties(finding, slopes, name, analytic, rng)
    return finding, numeric


def _no_gradient(analytic, array) -> str:
    if analytic is None:
        return "backward gives no gradient (None, or nothing in grads)"
    if not isinstance(analytic, np.ndarray):
        return f"the gradient is a {type(analytic).__name__}, no array"
    if analytic.shape != array.shape:
        return f"the gradient has shape {analytic.shape}, the array {array.shape}"
    return "" if analytic.dtype.kind == "f" else f"the gradient holds {analytic.dtype} numbers"


def _between(slope, value) -> bool:
    room = 1e-6 * max(abs(slope.low), abs(slope.high))
    return bool(slope.low - room <= value <= slope.high + room)


def _by_number(finding: Finding, name, error, analytic, numeric):
    worst = np.unravel_index(error.argmax(), error.shape)
    finding.error, finding.checked = float(error[worst]), f"{error.size} numbers"
    finding.worst = f"{name}[{', '.join(map(str, map(int, worst)))}]"
    finding.says, finding.slope = float(analytic[worst]), float(numeric[worst])
    if finding.error > TOLERANCE:
        finding.verdict = WRONG
        finding.pattern = pattern(analytic, numeric, error > TOLERANCE)


def _by_direction(finding: Finding, slopes: Slopes, name, analytic, rng):
    array = slopes.subject.arrays[name]
    # Drawn one at a time: fc6 of the paper has 19 million numbers in each tower.
    directions = (random_direction(array.shape, rng) for _ in range(DIRECTIONS * RETRIES))
    _along(finding, slopes, name, analytic, directions)
    if not finding.checked:
        finding.verdict = KINK
    finding.checked = finding.checked or "every direction crosses a kink: try another seed"


def _at_ties(finding: Finding, slopes: Slopes, name, analytic, rng):
    """Single numbers have no slope at a tie; all equal numbers moved together may have one."""
    array, error = slopes.subject.arrays[name], finding.error
    directions = (tie_keeping_direction(array, rng) for _ in range(DIRECTIONS))
    _along(finding, slopes, name, analytic, directions)
    finding.error = max(error, finding.error)
    finding.checked = f"{array.size} numbers"
    if finding.kinks == array.size and finding.verdict == OK and not finding.worst:
        finding.verdict = KINK


def _along(finding: Finding, slopes: Slopes, name, analytic, directions):
    finding.worst, finding.error, done, skipped = "", 0.0, 0, 0
    for v in directions:
        if done == DIRECTIONS:
            break
        slope = slopes.along(name, v)
        if slope.kink:
            skipped += 1
            continue
        done += 1
        says = float((analytic * v).sum())
        # A direction may happen to run along the level: compare with what it typically gives.
        typical = float(np.sqrt((analytic * analytic).sum()))
        error = float(relative_error(says, slope.value, max(slope.noise, 1e-8 * typical)))
        if not finding.worst or not error <= finding.error:
            finding.error = error if np.isfinite(error) else float("inf")
            finding.worst, finding.says, finding.slope = "a random direction", says, slope.value
    finding.checked = f"{done} directions" * bool(done)
    if finding.error > TOLERANCE:
        finding.verdict = WRONG
        finding.pattern = f"wrong along {done} random directions of {analytic.size} numbers"


def manners(layer, subject: LayerSubject, seed: int = 0) -> list[str]:
    """What a correct gradient does not show: arguments that change, gradients that pile up, dtypes
    and strides that only work by luck. A sentence each."""
    problems, x = [], subject.arrays["x"]
    y = subject.forward(x.copy())
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    inplace = getattr(layer, "inplace", False)
    given, upstream = x.copy(), dy.copy()
    before = {k: v.copy() for k, v in subject.arrays.items() if k != "x"}
    subject.forward(given)
    if not inplace and not np.array_equal(given, x):
        problems.append("changes its arguments: forward writes into x")
        given[...] = x
    dx = layer.backward(upstream)
    if not inplace and not np.array_equal(given, x):
        problems.append("changes its arguments: backward writes into x")
    if not inplace and not np.array_equal(upstream, dy):
        problems.append("changes its arguments: backward writes into dy, which others still read")
    if any(not np.array_equal(layer.params[k], v) for k, v in before.items()):
        problems.append("changes its arguments: parameters are others after backward; that is the "
                        "optimiser's work")
    first, second = subject.gradients([dy]), subject.gradients([dy])
    for key, one in first.items():
        two = second[key]
        if isinstance(one, np.ndarray) and not np.array_equal(one, two, equal_nan=True):
            double = np.allclose(two, 2 * one) or np.allclose(two - one, one - 0 * one)
            problems.append(f"gradients pile up: the second backward gives another d{key}"
                            + (", twice the first" if double else "")
                            + "; start from zeros, or write over the old one")
    problems += _strides(subject, dy, dx) + _dtypes(layer, subject, dy)
    return problems


def _strides(subject: LayerSubject, dy, dx) -> list[str]:
    """The same numbers, but with gaps between them in memory."""
    def gappy(a):
        return np.repeat(a, 2, axis=-1)[..., ::2]

    if not isinstance(dx, np.ndarray):
        return []
    subject.forward(gappy(subject.arrays["x"]))
    got = subject.layer.backward(gappy(dy))
    same = got.shape == dx.shape and np.allclose(got, dx, rtol=1e-9, atol=1e-12, equal_nan=True)
    return [] if same else ["relies on contiguous memory: the same x and dy, as a view with gaps, "
                            "give another dx"]


def _dtypes(layer, subject: LayerSubject, dy) -> list[str]:
    """float32 in, float32 out: one float64 among them doubles the memory of a whole network."""
    kept = dict(layer.params) if getattr(layer, "params", None) else {}
    problems = []
    try:
        for key, value in kept.items():
            layer.params[key] = value.astype(np.float32)
        y = subject.forward(subject.arrays["x"].astype(np.float32))
        dx = layer.backward(dy.astype(np.float32))
        results = {"y": y, "dx": dx, **{f"d{k}": layer.grads.get(k) for k in kept}}
        for name, array in results.items():
            if isinstance(array, np.ndarray) and array.dtype != np.float32:
                problems.append(f"wrong dtype: {name} is {array.dtype} where everything that went "
                                "in was float32")
    finally:
        if kept:
            layer.params.update(kept)
            layer.grads.clear()
    return problems

