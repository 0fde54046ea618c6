"""Figures that stand in the pages about the paper and in no other test.

A table that was typed once goes wrong without a sound. What can be counted is counted here, from
the layers themselves; no weights are made for it.
"""

from dataclasses import replace

import numpy as np

from tinyalex.architectures import alexnet
from tinyalex.optim import Plateau, schedule
from tinyalex.run import presets


def walk(size, towers=2):
    """(layer, output shape, parameters, multiply-adds) of the layers of one tower."""
    tower = alexnet.paper_tower(size, 1000 // towers, towers, 0.5, 0.01)
    shape = size.side, size.side, 3
    for stage, layers in enumerate(tower):
        if stage:
            shape = (*shape[:-1], towers * shape[-1])
        for layer in layers:
            W = getattr(layer, "W_shape", None)
            parameters = int(np.prod(W)) + W[-1] if W else 0
            work, shape = layer.multiply_adds(shape), layer.output_shape(shape)
            yield layer, shape, parameters, work


def test_the_activities_of_each_layer_add_up():
    """Figure 2 prints 253,440 for layer 1, which is 55·48·96: 48 is not a side of its maps."""
    activities = {layer.name: 2 * int(np.prod(shape)) for layer, shape, parameters, _
                  in walk(alexnet.PAPER) if parameters}
    assert activities == {"conv1": 290_400, "conv2": 186_624, "conv3": 64_896, "conv4": 64_896,
                          "conv5": 43_264, "fc6": 4096, "fc7": 4096, "fc8": 1000}
    assert sum(activities.values()) == 659_272
    assert 224 * 224 * 3 == 150_528


def test_without_towers_it_would_have_more_parameters_and_half_as_much_work_again():
    whole = replace(alexnet.PAPER, c1=96, c2=256, c3=384, c4=384)
    rows = list(walk(whole, towers=1))
    assert sum(parameters for *_, parameters, _ in rows) == 62_378_344
    assert sum(work for *_, work in rows) == 1_135_256_096


def test_the_recipe_of_the_paper_is_the_printed_one():
    paper = presets.get("paper")
    assert (paper.batch_size, paper.lr, paper.momentum, paper.weight_decay, paper.dropout) == (
        128, 0.01, 0.9, 0.0005, 0.5)
    assert (paper.epochs, paper.picture, paper.scale, paper.velocity) == (90, 256, 1, "keep")
    assert (paper.init, paper.colour, paper.bias_lr, paper.bias_decay) == (
        "paper", "paper", None, True)
    drops = schedule(paper.schedule, paper.lr)
    assert isinstance(drops, Plateau) and (drops.factor, drops.drops) == (0.1, 3)
