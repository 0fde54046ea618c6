"""The paper's experiments: one thing changed, and everything else as it was.

The slips would be silent, since nearly any network trains: a tanh that stands where the ReLU was
only in one tower; LRN that is gone from one layer; a layer taken out while its ReLU stays; an
experiment that also changes the size of what fc6 reads, or the weights of layers that it should
not touch.
"""

import numpy as np
import pytest
from listed import names, outputs

from tinyalex.architectures import ablations, alexnet, others
from tinyalex.inside import costs
from tinyalex.support.errors import UserError


def changed(build=alexnet.cifar, **changes):
    return build(edit=ablations.edit(**changes))


def test_nothing_asked_for_changes_nothing():
    assert ablations.edit() is None
    assert ablations.edit(activation="relu", pool="3/2") is None


def test_tanh_stands_where_each_relu_stood():
    plain, tanh = alexnet.cifar(), changed(activation="tanh")
    for tower in range(2):
        expected = [[n.replace("relu", "tanh") for n in stage] for stage in names(plain, tower)]
        assert names(tanh, tower) == expected
    kinds = {type(layer).__name__ for layer in tanh.shapes}
    assert "Tanh" in kinds and "ReLU" not in kinds


def test_without_lrn_everything_else_stays(undrawn_weights):
    none = changed(lrn="none")
    assert names(none)[0] == ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2"]
    assert costs.totals(none) == costs.totals(alexnet.cifar())
    assert names(changed(alexnet.original, lrn="none"))[0] == [
        "conv1", "pool1", "relu1", "conv2", "relu2", "pool2"]


def test_lrn_moves_before_the_unit_and_behind_it_again(undrawn_weights):
    before = changed(lrn="before")
    assert names(before)[0] == [
        "conv1", "lrn1", "relu1", "pool1", "conv2", "lrn2", "relu2", "pool2"]
    assert names(changed(lrn="after")) == names(alexnet.cifar())
    # The authors' net pools between the two, in layer 1.
    assert names(changed(alexnet.original, lrn="after"))[0][:4] == [
        "conv1", "pool1", "relu1", "lrn1"]


def test_the_order_of_lrn_and_relu_matters_to_what_comes_out():
    x = np.random.default_rng(0).standard_normal((2, 28, 28, 3), np.float32) * 30
    plain, before = alexnet.cifar().forward(x), changed(lrn="before").forward(x)
    assert abs(plain - before).max() > 1e-4 * abs(plain).max()


def test_pooling_side_by_side_keeps_the_papers_maps(undrawn_weights):
    """55 → 27 → 13 → 6, with windows 3/2 and 2/2 alike: only what a window sees changes."""
    plain, beside = outputs(alexnet.paper()), outputs(changed(alexnet.paper, pool="2/2"))
    assert plain == beside


def test_pooling_side_by_side_on_a_small_scale_lets_fc6_read_what_is_there():
    beside = changed(pool="2/2")  # 28 → 14 → 7 → 3, where 3/2 gives 13 → 6 → 2
    assert outputs(beside)["pool5a"] == (3, 3, 48)
    assert beside.forward(np.zeros((1, 28, 28, 3), np.float32)).shape == (1, 10)


@pytest.mark.parametrize("gone", ablations.MIDDLE)
def test_a_layer_taken_out_takes_its_unit_along_and_the_next_one_reads_what_it_read(gone):
    plain, less = alexnet.cifar(), changed(without=gone)
    number = gone[-1]
    with_it = {gone, f"relu{number}", f"lrn{number}", f"dropout{number}"}
    expected = [[n for n in stage if n not in with_it] for stage in names(plain)]
    assert names(less) == [stage for stage in expected if stage]
    x = np.random.default_rng(0).standard_normal((2, 28, 28, 3), np.float32)
    scores = less.forward(x, remember=True, drop=True)
    less.backward(less.loss_and_gradient(scores, np.zeros(2, int))[1])
    kept = {p.name: p for p in less.parameters}
    # Weights of layers that still read the same are drawn as before.
    same = [p.name for p in plain.parameters
            if p.name in kept and kept[p.name].value.shape == p.value.shape]
    assert len(same) >= len(kept) - 4
    for p in plain.parameters:
        if p.name in same:
            np.testing.assert_array_equal(p.value, kept[p.name].value, err_msg=p.name)


def test_the_papers_net_without_conv3_has_the_counts_of_the_others(undrawn_weights):
    counts = costs.totals(changed(alexnet.paper, without="conv3"))["parameters"]
    # conv4 reads both towers' 2·128 maps now, not the 192 of its own conv3.
    assert counts == 60_965_224 - 885_120 + 2 * 9 * (256 - 192) * 192


@pytest.mark.parametrize(("choice", "named"), [
    ({"activation": "sigmoid"}, "--activation sigmoid"), ({"lrn": "both"}, "--lrn both"),
    ({"pool": "4/4"}, "--pool 4/4"), ({"without": "conv1"}, "--without conv1"),
    ({"without": "conv3,"}, "--without")])
def test_what_cannot_be_changed_is_said(choice, named):
    with pytest.raises(UserError, match=named):
        ablations.edit(**choice)


def test_a_layer_that_is_not_there_cannot_be_taken_out():
    """Silently nothing would change, and the run would be called an experiment."""
    with pytest.raises(UserError, match="without conv4: this network has no such layer"):
        changed(others.cifar10_quick, without="conv4")
