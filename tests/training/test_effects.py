"""Options with which a recipe's model is loaded, and mixout in a whole model."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from seedlab.inputs.loaded import load_weights_of
from seedlab.models.heads import HeadChoice
from seedlab.models.keyed_dropout import KeyedDropout
from seedlab.models.lora import LoraOptions
from seedlab.randomness.streams import philox_key
from seedlab.spec.recipe import AdapterSpec, HeadSpec, MixoutSpec, RecipeSpec
from seedlab.spec.run import ModelSpec, RunSpec
from seedlab.training.effects import model_options_of
from seedlab.training.techniques.effect import ModelOptions
from tests.suites.plain_training import first_batch, run_with, trainee_of, weights_for
from tests.suites.tiny import ARCHITECTURES, tiny_checkpoint, tiny_task


@pytest.mark.parametrize(
    ("recipe", "model_options"),
    [
        (RecipeSpec(), ModelOptions()),
        (RecipeSpec(dropout=0.2), ModelOptions(dropout=0.2)),
        (RecipeSpec(mixout=MixoutSpec(p=0.1)), ModelOptions(dropout=0.0)),
        (RecipeSpec(mixout=MixoutSpec(p=0.1, keep_dropout=True)), ModelOptions()),
        (
            RecipeSpec(dropout=0.2, mixout=MixoutSpec(0.1, "element", True)),
            ModelOptions(dropout=0.2),
        ),
        (RecipeSpec(head=HeadSpec("mean", 3)), ModelOptions(head=HeadChoice("mean", 3, -1))),
        (
            RecipeSpec(adapter=AdapterSpec("lora", 4, 8.0)),
            ModelOptions(low_rank=LoraOptions(4, 8.0)),
        ),
        (RecipeSpec(adapter=AdapterSpec("bitfit")), ModelOptions()),
    ],
)
def test_a_recipe_decides_how_its_model_is_loaded(
    recipe: RecipeSpec, model_options: ModelOptions
) -> None:
    assert model_options_of(recipe) == model_options


def test_other_options_load_another_model(tmp_path: Path) -> None:
    """A worker reuses its loaded model only for runs that load the same model."""
    tiny_checkpoint(tmp_path / "bert", "bert")
    task, model = tiny_task(), ModelSpec(path=str(tmp_path / "bert"))
    recipes = [
        RecipeSpec(),
        RecipeSpec(mixout=MixoutSpec(p=0.1)),
        RecipeSpec(head=HeadSpec("mean", 2)),
        RecipeSpec(adapter=AdapterSpec("lora", 2)),
        RecipeSpec(adapter=AdapterSpec("lora", 3)),
    ]
    loaded = []
    for recipe in recipes:
        run = RunSpec(recipe=recipe, model=model)
        loaded.append(load_weights_of(run, task, "cpu"))
        same = dataclasses.replace(run, recipe=dataclasses.replace(recipe, epochs=9, batch_size=3))
        assert load_weights_of(same, task, "cpu") is loaded[-1]
    assert len({id(weights.model) for weights in loaded}) == len(recipes)
    load_weights_of.__globals__["_weights"].cache_clear()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mixout_mixes_every_linear_map_and_replaces_dropout(
    architecture: str, tmp_path: Path
) -> None:
    """The classifier included; its start is its own random one. Weights alone, no biases."""
    run = run_with(mixout=MixoutSpec(p=0.3))
    weights = weights_for(run, tmp_path, architecture)
    pack_model = trainee_of(run, weights)
    assert pack_model.substitute is not None
    linear = {
        f"{name}.weight"
        for name, module in weights.model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert set(pack_model.substitute.weights) == linear
    assert any("classifier" in name for name in linear)
    for name, start in pack_model.substitute.start.items():
        assert torch.equal(start, weights.model.get_parameter(name))
    started = {name: start.clone() for name, start in pack_model.substitute.start.items()}
    assert {m.p for m in weights.model.modules() if isinstance(m, KeyedDropout)} == {0.0}
    for step in range(2):
        pack_model.update(first_batch(run), step, False)
    assert all(torch.equal(started[name], pack_model.substitute.start[name]) for name in started)


def test_runs_of_a_column_have_the_masks_of_its_mixout_seed(tmp_path: Path) -> None:
    """Whatever the init seed; another order seed is another mixout seed by default."""
    masks = []
    for init, order in ((0, 4), (1, 4), (0, 5)):
        run = run_with(init, order, mixout=MixoutSpec(p=0.3))
        pack_model = trainee_of(run, weights_for(run, tmp_path))
        assert pack_model.substitute is not None
        assert pack_model.substitute.key == philox_key("mixout", order)
        masks.append(pack_model.substitute.masks(2))
    first, same, other = masks
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_evaluation_uses_the_weights_themselves(tmp_path: Path) -> None:
    run = run_with(mixout=MixoutSpec(p=0.9))
    weights = weights_for(run, tmp_path)
    pack_model = trainee_of(run, weights)
    for step in range(5):
        pack_model.update(first_batch(run), step, False)
    dev = tiny_task().splits["dev"]
    mixed = pack_model.logits(dev)
    pack_model.substitute = None
    np.testing.assert_array_equal(mixed, pack_model.logits(dev))
