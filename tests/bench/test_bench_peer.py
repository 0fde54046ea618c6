"""The network in PyTorch is the same network, or the comparison is worth nothing.

Where a translation goes wrong nothing fails: with the flattened pixels in another order, LRN across
both towers, alpha divided twice, or dropout rescaled, PyTorch computes something else in about the
same time. So scores and all gradients are compared, number by number, with our weights in it.
"""

import contextlib
from unittest.mock import patch

import numpy as np
import pytest

from tinyalex.architectures import alexnet
from tinyalex.bench import speed
from tinyalex.bench.workload import Workload
from tinyalex.convert.layout import wholes
from tinyalex.devices import HOST
from tinyalex.layers import AveragePool2D, Flatten, Linear, LocalResponseNorm
from tinyalex.network import Network
from tinyalex.support.errors import UserError

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install -e ".[peers]"')
peer = speed.load_peer()


def with_strong_lrn(network: Network) -> Network:
    """An alpha at which the sum over the channels around matters."""
    for layer in network.shapes:
        if isinstance(layer, LocalResponseNorm):
            layer.alpha = 0.1
    return network


NETWORKS = {
    "two towers": lambda: alexnet.tiny(keep=1),
    "one tower": lambda: alexnet.tiny(keep=1, towers=1),
    "the authors' own": lambda: alexnet.build(alexnet.original_tower, alexnet.TINY, keep=1),
}


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_scores_and_gradients_agree(name, tuned):
    network = with_strong_lrn(NETWORKS[name]())
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, *network.input_shape), np.float32)
    labels = rng.integers(0, network.classes, 3)
    scores = network.forward(x, remember=True, drop=True)
    loss, dscores = network.loss_and_gradient(scores, labels)
    network.backward(dscores)

    module = peer.translate(network, own_lrn=tuned)
    theirs = module(torch.from_numpy(x).permute(0, 3, 1, 2))
    their_loss = torch.nn.CrossEntropyLoss()(theirs, torch.from_numpy(labels))
    their_loss.backward()
    close(theirs.detach().numpy(), scores)
    assert their_loss.item() == pytest.approx(loss, rel=1e-4)
    for mine, given in zip(module.parameters(), arrays(network, "grads"), strict=True):
        close(mine.grad.numpy(), given)


def arrays(network: Network, kind: str) -> list[np.ndarray]:
    """The network's "params" or "grads" in PyTorch's order and layout."""
    joined = []
    with contextlib.ExitStack() as stack:
        for whole in wholes(network, 1.0):
            for part in whole.parts:
                stack.enter_context(patch.object(part, "params", getattr(part, kind)))
            joined += whole.join()
    return joined


def close(theirs, ours):
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).max() < 1e-3 * np.abs(ours).max()


def test_scores_at_test_time_agree_with_dropout():
    """Ours multiplies by keep, PyTorch's has divided by it in training: the weights make up."""
    network, x = alexnet.tiny(keep=0.5), np.ones((2, 56, 56, 3), np.float32)
    module = peer.translate(network).eval()
    with torch.inference_mode():
        close(module(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy(), network.forward(x))


@pytest.mark.parametrize("variant", ["eager", "channels_last", "tuned"])
def test_a_step_moves_the_weights_as_ours_does(variant):
    workload = Workload("tiny", [HOST], 4)
    for layer in workload.network.shapes:
        if hasattr(layer, "keep"):
            layer.keep = 1
    workload.optimiser.lr = 0.01
    theirs = peer.Peer(variant, workload)
    before = [p.detach().numpy().copy() for p in theirs.module.parameters()]
    for _ in range(2):
        assert theirs.train().item() == pytest.approx(workload.train(), rel=1e-3)
    after = arrays(workload.network, "params")
    for mine, start, given in zip(theirs.module.parameters(), before, after, strict=True):
        close(mine.detach().numpy() - start, given - start)
    close(theirs.infer().numpy(), workload.infer())


def test_a_layer_without_a_counterpart_is_named():
    network = Network([[[AveragePool2D(2, 2, name="pool1"), Flatten(), Linear(12, 2, name="fc2")]]],
                      (4, 4, 3), [HOST])
    with pytest.raises(UserError, match="pool1"):
        peer.translate(network)


def test_a_variant_that_fails_becomes_a_line_and_the_others_are_measured(quick, monkeypatch):
    def fails(module):
        def forward(x):
            raise RuntimeError("no C++ compiler found\nlong story")
        module.forward = forward
        return module

    monkeypatch.setattr(torch, "compile", fails)
    result = speed.measure(Workload("tiny", [HOST], 2), 1, ("eager", "compile"))
    assert result.contenders[2:] == ["eager"]
    assert result.absent == {"compile": "torch.compile failed: RuntimeError: no C++ compiler found"}
