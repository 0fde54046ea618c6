"""A recipe says everything that decides a run, and nothing that no run can have.

A field that a preset has and a file has not is looked up in today's preset, and one day the run is
another. A flag that is called otherwise than its field changes nothing, and nobody is told. And a
number out of range, from a damaged file or a notebook, ends in a traceback far from its cause.
"""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest

from tinyalex import train
from tinyalex.layers import Dropout
from tinyalex.run import presets
from tinyalex.run.presets import PRESETS
from tinyalex.run.recipe import LIMITS, Recipe
from tinyalex.support.errors import UserError

NAMES = {f.name for f in fields(Recipe)}


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_is_the_same_after_it_was_a_file(name):
    settings = json.loads(json.dumps(presets.get(name).settings()))
    assert settings.keys() == NAMES and settings["preset"] == name
    assert Recipe.of(settings, Path("config.json")) == presets.get(name)


@pytest.mark.parametrize(("name", "values"), {
    "architecture": ["resnet", "", None, 3, ["tiny"]],
    "towers": [0, 5, 1.0, True, None, "2"],
    "dropout": [-0.1, 1, None, "0.5"],
    "init": ["zeros", None],
    "activation": ["gelu", 1],
    "without": ["conv1", "fc8", 6],
    "data": [None, 1],
    "picture": [0, 10**9, 32.5],
    "scale": [0, float("nan"), float("inf"), 10**400],
    "mean_crop": ["left", None],
    "augment": [1, "yes", None],
    "colour_until": [-1, 2.5],
    "batch_size": [0, -3, 1.5, 10**400],
    "lr": [-1, float("nan"), float("inf"), "0.1", None],
    "schedule": ["never", "0", "5:", 20],
    "bias_decay": [0, None],
    "limit": [0, 2.5],
    "workers": [-1, 65],
    "seed": [-1, 2**64],
}.items())
def test_what_no_run_can_have_is_refused_and_a_file_with_it_is_named(name, values):
    recipe = presets.get("tiny")
    for value in values:
        with pytest.raises(UserError):
            replace(recipe, **{name: value})
        with pytest.raises(UserError, match=r"config\.json: ") as caught:
            Recipe.of(recipe.settings() | {name: value}, Path("config.json"))
        assert "damaged" in caught.value.hint


def test_json_may_have_1_where_1_point_0_was():
    assert Recipe.of(presets.get("paper").settings() | {"scale": 1}, Path("x")).scale == 1


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_file_without_one_of_the_fields_is_of_another_version(name):
    """No field has a default here: that would be today's, not the file's."""
    settings = presets.get("tiny").settings()
    del settings[name]
    with pytest.raises(UserError, match=f"config.json: written by another version.*'{name}'"):
        Recipe.of(settings, Path("config.json"))


def test_every_number_has_its_limits():
    numbers = {f.name for f in fields(Recipe)
               if {int, float} & {f.type, *get_args(f.type)}}
    assert numbers == LIMITS.keys()


def test_every_flag_that_is_not_about_a_folder_is_a_field():
    assert vars(train.parse([])).keys() - {"out", "resume", "weights", "scale_lr"} <= NAMES


@pytest.mark.parametrize("name", ["tiny", "half", "cifar10-quick"])
def test_what_a_recipe_says_of_the_network_is_what_is_built(name):
    recipe = replace(presets.get(name), dropout=0.25, towers=1)
    network = recipe.network(12)
    assert (network.classes, network.towers) == (12, 1)
    keeps = {layer.keep for stage in network.stages for tower in stage for layer in tower
             if isinstance(layer, Dropout)}
    assert keeps <= {0.75}
    assert recipe.network(12, towers=2).towers == 2
