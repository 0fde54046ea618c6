"""One step of training: forward, loss, backward, update, in this order.

A step that updates before it goes back, or forgets to drop, or returns the loss of after the update
still learns, only worse; so it is held against the same written by hand, bit for bit.
"""

import numpy as np

from tinyalex.architectures import alexnet
from tinyalex.optim import SGD
from tinyalex.training import train_step


def begin():
    network = alexnet.tiny(seed=3)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, *network.input_shape), np.float32)
    return network, SGD(network, lr=0.02), x, rng.integers(0, 10, 6)


def test_a_step_is_the_paper_s_update_with_dropout():
    ours, optimiser, x, labels = begin()
    theirs, by_hand, *_ = begin()
    for _ in range(2):
        loss, scores = train_step(ours, optimiser, x, labels)
        their_scores = theirs.forward(x, remember=True, drop=True)
        their_loss, dscores = theirs.loss_and_gradient(their_scores, labels)
        theirs.backward(dscores)
        by_hand.step()
        assert loss == their_loss
        np.testing.assert_array_equal(scores, their_scores)
    for p, q in zip(ours.parameters, theirs.parameters, strict=True):
        np.testing.assert_array_equal(p.value, q.value, err_msg=p.name)
        assert abs(optimiser.velocity[p.name]).max() > 0, p.name
