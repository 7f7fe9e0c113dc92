"""What a recipe changes in the model itself, and that it is part of what is loaded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from seedlab.launch.execute import load_weights_of
from seedlab.models.dropout import KeyedDropout
from seedlab.recipe_spec import AdapterSpec, HeadSpec, MixoutSpec, RecipeSpec
from seedlab.recipes.heads import HeadChoice
from seedlab.recipes.lora import LowRank
from seedlab.seeds import philox_key
from seedlab.spec import ModelSpec, RunSpec
from seedlab.train.structure import Structure, structure_of
from tests.recipes.training import first_batch, run_with, trainee_of, weights_for
from tests.suites.tiny import ARCHITECTURES, tiny_checkpoint, tiny_task


@pytest.mark.parametrize(
    ("recipe", "structure"),
    [
        (RecipeSpec(), Structure()),
        (RecipeSpec(dropout=0.2), Structure(dropout=0.2)),
        (RecipeSpec(mixout=MixoutSpec(p=0.1)), Structure(dropout=0.0)),
        (RecipeSpec(mixout=MixoutSpec(p=0.1, keep_dropout=True)), Structure()),
        (RecipeSpec(dropout=0.2, mixout=MixoutSpec(0.1, "element", True)), Structure(dropout=0.2)),
        (RecipeSpec(head=HeadSpec("mean", 3)), Structure(head=HeadChoice("mean", 3, -1))),
        (RecipeSpec(adapter=AdapterSpec("lora", 4, 8.0)), Structure(low_rank=LowRank(4, 8.0))),
        (RecipeSpec(adapter=AdapterSpec("bitfit")), Structure()),
    ],
)
def test_structure_of_a_recipe(recipe: RecipeSpec, structure: Structure) -> None:
    assert structure_of(recipe) == structure


def test_another_structure_is_another_model(tmp_path: Path) -> None:
    """A worker keeps the model it has loaded only for runs that want the same one."""
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
    trainee = trainee_of(run, weights)
    assert trainee.mixout is not None
    linear = {
        f"{name}.weight"
        for name, module in weights.model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert set(trainee.mixout.weights) == linear
    assert any("classifier" in name for name in linear)
    for name, start in trainee.mixout.start.items():
        assert torch.equal(start, weights.model.get_parameter(name))
    started = {name: start.clone() for name, start in trainee.mixout.start.items()}
    assert {m.p for m in weights.model.modules() if isinstance(m, KeyedDropout)} == {0.0}
    for step in range(2):
        trainee.update(first_batch(run), step, False)
    assert all(torch.equal(started[name], trainee.mixout.start[name]) for name in started)


def test_runs_of_a_column_have_the_masks_of_its_mixout_seed(tmp_path: Path) -> None:
    """Whatever the init seed; another order seed is another mixout seed by default."""
    masks = []
    for init, order in ((0, 4), (1, 4), (0, 5)):
        run = run_with(init, order, mixout=MixoutSpec(p=0.3))
        trainee = trainee_of(run, weights_for(run, tmp_path))
        assert trainee.mixout is not None
        assert trainee.mixout.key == philox_key("mixout", order)
        masks.append(trainee.mixout.masks(2))
    first, same, other = masks
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_evaluation_uses_the_weights_themselves(tmp_path: Path) -> None:
    run = run_with(mixout=MixoutSpec(p=0.9))
    weights = weights_for(run, tmp_path)
    trainee = trainee_of(run, weights)
    for step in range(5):
        trainee.update(first_batch(run), step, False)
    dev = tiny_task().splits["dev"]
    mixed = trainee.logits(dev)
    trainee.mixout = None
    np.testing.assert_array_equal(mixed, trainee.logits(dev))
