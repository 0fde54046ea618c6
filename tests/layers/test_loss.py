"""A lesson on softmax and the logarithmic loss.

    p = softmax(x)    loss = the mean of −log p_label    dx = (p − onehot) / N

How it usually goes wrong. The loss forgets 1/N, and the learning rate is blamed; or the gradient
forgets the one-hot, and the scores only ever fall. An upstream gradient of ones for all p would
find neither: the p of a picture add up to 1 whatever x is. And exp overflows above 88 in float32.
"""

import numpy as np
import pytest

from tinyalex import gradcheck, metrics
from tinyalex.devices import Devices
from tinyalex.layers import SoftmaxCrossEntropy
from tinyalex.support.errors import UserError


@pytest.mark.parametrize(("N", "K"), [(4, 3), (1, 5), (3, 2)])
def test_the_gradient_is_the_slope(N, K):
    rng = np.random.default_rng(0)
    report = gradcheck.check_loss(SoftmaxCrossEntropy(), rng.standard_normal((N, K)),
                                  rng.integers(0, K, N))
    assert report.ok, report
    assert report.error < 1e-7


def test_with_weights_of_the_classes_the_gradient_is_the_slope_and_the_mean_is_over_the_pictures():
    """Not over the weights: w of (2, 2, 2) doubles loss and gradient. That unequal weights are no
    common factor, a gradient of the right direction alone would not show."""
    rng, weighted = np.random.default_rng(0), SoftmaxCrossEntropy()
    x, labels = rng.standard_normal((6, 3)), np.array([0, 1, 2, 2, 2, 0])
    weighted.class_weights = np.array([3.0, 0.5, 0.25], np.float32)
    report = gradcheck.check_loss(weighted, x, labels)
    assert report.ok and report.error < 1e-7, report
    single = [SoftmaxCrossEntropy().forward(x[[i]], labels[[i]]) for i in range(6)]
    assert weighted.forward(x, labels) == pytest.approx(
        np.mean(weighted.class_weights[labels] * single))
    weighted.class_weights = np.full(3, 2.0)
    assert weighted.forward(x, labels) == pytest.approx(2 * np.mean(single))


def test_weights_of_the_classes_count_alike_on_a_gpu(gpu):
    rng, results = np.random.default_rng(0), []
    x, labels = rng.standard_normal((6, 3), np.float32), np.array([0, 1, 2, 2, 2, 0])
    for place in ("cpu", gpu):
        with Devices(place) as devices:
            loss = SoftmaxCrossEntropy()
            loss.device, loss.class_weights = devices[0], np.array([3, 0.5, 0.25])
            value = loss.forward(devices[0].put(x), labels, remember=True)
            results.append((float(value), devices[0].get(loss.backward())))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-5, atol=1e-7)
    assert results[1][1].dtype == np.float32


def test_the_loss_is_what_the_formula_says_and_large_scores_do_not_overflow():
    x, labels = np.random.default_rng(0).standard_normal((4, 5)), np.array([0, 3, 3, 1])
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    loss = SoftmaxCrossEntropy()
    assert loss.forward(x, labels) == pytest.approx(-np.log(p[range(4), labels]).mean())
    assert np.isfinite(loss.forward((x * 1e4).astype(np.float32), labels))


@pytest.mark.parametrize(("labels", "said"), {
    "a column": ([[0], [2], [1]], r"shape \(3, 1\)"),
    "one-hot": (np.eye(3, dtype=int), r"shape \(3, 3\)"),
    "too few": ([0, 2], r"shape \(2,\)"),
    "floats": ([0.0, 2.0, 1.0], "float64"),
    "yes and no": ([True, False, True], "bool"),
    "-1 for unknown": ([0, -1, 2], "run from -1 to 2; with 3 classes"),
    "counted from 1": ([1, 2, 3], "run from 1 to 3; with 3 classes"),
}.values())
def test_labels_that_are_none_are_refused(labels, said):
    """As an index NumPy takes them all: a column, or one-hot rows, pair every picture with every
    label, and -1 is the last class."""
    scores = np.zeros((3, 3))
    for read in (SoftmaxCrossEntropy("loss").forward, metrics.wrong, metrics.score):
        with pytest.raises(UserError, match=said):
            read(scores, np.array(labels))
        with pytest.raises(UserError, match="list of object"):
            read(scores, [0, 1, 2])


def test_labels_of_any_kind_of_integer_are_the_same():
    scores, labels = np.random.default_rng(0).standard_normal((3, 4)), np.array([0, 3, 1])
    losses = {float(SoftmaxCrossEntropy().forward(scores, labels.astype(kind)))
              for kind in (np.int64, np.uint8, ">i4")}
    assert len(losses) == 1


def test_scores_are_floats_a_row_for_each_picture():
    for scores, said in ((np.ones((3, 4), int), "x has to be an array of floats"),
                         (np.ones(4), "scores have the shape"), (np.ones((0, 4)), "no picture")):
        with pytest.raises(UserError, match=said):
            SoftmaxCrossEntropy().forward(scores, np.zeros(len(scores), int))
