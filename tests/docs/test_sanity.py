"""docs/sanity.py: a comparison with a network that has forgotten what it knew.

If the shuffle left a layer alone, or started at the wrong end, or the correlation took equal
numbers for ordered ones (a Grad-CAM is half zeros), the figure would look as good, and be wrong.
"""

import numpy as np
import pytest
from pages import script
from peer import network

sanity = script("sanity")


def test_equal_numbers_share_their_places():
    assert sanity.ranks(np.array([[5, 1], [5, 0]])).tolist() == [2.5, 1, 2.5, 0]


def test_the_correlation_is_of_orders_only():
    a = np.random.default_rng(0).standard_normal((30, 30))
    assert sanity.rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert sanity.rank_correlation(a, -a**3) == pytest.approx(-1)
    assert abs(sanity.rank_correlation(a, np.random.default_rng(1).random((30, 30)))) < 0.1
    assert sanity.rank_correlation(a, np.zeros((30, 30))) == 0
    # Pearson's, of the places 0, 1.5, 1.5, 3 and 1, 0, 2.5, 2.5.
    assert sanity.rank_correlation(np.array([0, 1, 1, 2]), np.array([3, 1, 8, 8])) == \
        pytest.approx(np.corrcoef([0, 1.5, 1.5, 3], [1, 0, 2.5, 2.5])[0, 1])


def test_layers_are_shuffled_from_the_scores_down_and_stay_so():
    net = network(2)
    before = {name: value.copy() for name, value in net.state().items()}
    names = []
    for name in sanity.randomised(net, np.random.default_rng(0)):
        names.append(name)
        for key, value in net.state().items():
            np.testing.assert_array_equal(np.sort(value, axis=None),
                                          np.sort(before[key], axis=None))
            if key.endswith("W"):
                assert np.array_equal(value, before[key]) == (key[:-3] not in names), key
    assert names == ["fc5", "fc4", "conv3", "conv2", "conv1"]


def test_a_network_agrees_with_itself_and_less_with_one_that_is_shuffled():
    net, x = network(1), np.random.default_rng(1).standard_normal((2, 27, 27, 3))
    stages = {"trained": sanity.saliencies(net, x, [0, 2])}
    for name in sanity.randomised(net, np.random.default_rng(0)):
        stages[name] = sanity.saliencies(net, x, [0, 2])
    agreement = sanity.agreements(stages)
    assert [*agreement] == ["gradient", "deconvnet", "guided", "Grad-CAM"]
    for method, values in agreement.items():
        # Of a Grad-CAM that is 0 everywhere there is no order.
        share = np.mean([saliency.any() for saliency in stages["trained"][method]])
        assert values[0] == pytest.approx(share) and abs(values[-1]) < 0.8


def test_an_edge_detector_sees_edges():
    crop = np.zeros((8, 8, 3), np.uint8)
    crop[:, 4:] = 90
    assert set(sanity.edges(crop).argmax(axis=1)) <= {3, 4}
    assert sanity.edges(crop)[:, 6:].max() == 0
