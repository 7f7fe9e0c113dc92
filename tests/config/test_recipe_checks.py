"""Techniques that contradict each other are refused, by message; the others pass."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import pytest

from seedlab.config.checks import check_run
from seedlab.errors import SeedlabError
from seedlab.reproduce.identify import with_hashes
from seedlab.spec.recipe import (
    AdapterSpec,
    AveragingSpec,
    FeaturesSpec,
    FreezeSpec,
    HeadSpec,
    LayerRatesSpec,
    MixoutSpec,
    PriorDecaySpec,
    RecipeSpec,
    ReinitSpec,
    active_techniques,
)
from seedlab.spec.run import DiagnosticsSpec, EvaluationSpec, RunSpec, TaskSpec

ON: dict[str, dict[str, Any]] = {
    "layer_rates": {"layer_rates": LayerRatesSpec("zhang")},
    "reinit": {"reinit": ReinitSpec(0)},
    "mixout": {"mixout": MixoutSpec(0.1)},
    "prior_decay": {"prior_decay": PriorDecaySpec(1e-3)},
    "freeze": {"freeze": FreezeSpec(1)},
    "features": {"features": FeaturesSpec(True)},
    "lora": {"adapter": AdapterSpec("lora")},
    "bitfit": {"adapter": AdapterSpec("bitfit")},
    "averaging": {"averaging": AveragingSpec(1.0)},
    "head": {"head": HeadSpec("concat")},
}
"""One way to switch each technique on."""

REFUSED = {
    ("mixout", "features"): "nothing to set back",
    ("mixout", "lora"): "nothing to set back",
    ("mixout", "bitfit"): "nothing to set back",
    ("reinit", "features"): "stay random",
    ("reinit", "lora"): "stay random",
    ("reinit", "bitfit"): "stay random",
    ("layer_rates", "features"): "no layer of the encoder is trained",
    ("prior_decay", "features"): "stays at its pre-trained weights",
    ("prior_decay", "lora"): "pulls low-rank updates to 0",
    ("prior_decay", "bitfit"): "exempt from any decay",
    ("lora", "features"): "lora trains a part of it",
    ("bitfit", "features"): "bitfit trains a part of it",
}


def run_of(recipe: RecipeSpec, **more: Any) -> RunSpec:
    return RunSpec(recipe=recipe, **more)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(ON, 2)))
def test_every_pair_of_techniques(first: str, second: str) -> None:
    if {first, second} == {"lora", "bitfit"}:
        return
    run = run_of(RecipeSpec(**ON[first], **ON[second]))
    reason = REFUSED.get((first, second)) or REFUSED.get((second, first))
    if reason is None:
        check_run(run)
        return
    with pytest.raises(SeedlabError, match=f"can't be combined: .*{reason}.*Switch one"):
        check_run(run)


@pytest.mark.parametrize("name", ON)
def test_a_technique_alone_passes_and_is_known_as_active(name: str) -> None:
    recipe = RecipeSpec(**ON[name])
    check_run(run_of(recipe))
    assert set(active_techniques(recipe)) == set(ON[name])


def test_the_message_names_both_settings_and_how_to_switch_them_off() -> None:
    recipe = RecipeSpec(mixout=MixoutSpec(0.1), features=FeaturesSpec(True))
    with pytest.raises(
        SeedlabError,
        match=re.escape("recipe.mixout.p=0.1 and recipe.features.active=true can't be combined")
        + ".*recipe.mixout.p=0, or recipe.features.active=false",
    ):
        check_run(run_of(recipe))


def test_all_of_zhangs_techniques_go_together() -> None:
    names = ("layer_rates", "reinit", "mixout", "prior_decay")
    sections = {key: value for name in names for key, value in ON[name].items()}
    check_run(run_of(RecipeSpec(**sections)))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            RecipeSpec(loss="rmse", accumulation=2),
            r"recipe.loss=rmse and recipe.accumulation=2 can't be combined: .*accumulation=1",
        ),
        (
            RecipeSpec(layer_rates=LayerRatesSpec("grouped", multipliers=(1.0, 2.0, 3.0))),
            r"multipliers=\[1.0, 2.0, 3.0\] must be four numbers above 0",
        ),
        (
            RecipeSpec(layer_rates=LayerRatesSpec("grouped", multipliers=(0.0, 1.0, 2.0, 3.0))),
            r"multipliers=.* must be four numbers above 0",
        ),
        (
            RecipeSpec(layer_rates=LayerRatesSpec("grouped", multipliers=(1.0, float("nan")) * 2)),
            r"multipliers=.* must be four numbers above 0",
        ),
        (
            RecipeSpec(layer_rates=LayerRatesSpec("zhang", head_learning_rate=1e-5)),
            r"head_learning_rate=1e-05 has no effect: the scheme 'zhang' .*scheme=chang or grouped",
        ),
        (
            RecipeSpec(mixout=MixoutSpec(0.1), dropout=0.2),
            r"recipe.dropout=0.2 has no effect: mixout \(recipe.mixout.p=0.1\).*keep_dropout=true",
        ),
        (
            RecipeSpec(mixout=MixoutSpec(0.1), dropout_active="epoch_start"),
            r"recipe.dropout_active=epoch_start has no effect: mixout",
        ),
    ],
)
def test_refusals(recipe: RecipeSpec, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        check_run(run_of(recipe))


@pytest.mark.parametrize(
    "recipe",
    [
        RecipeSpec(mixout=MixoutSpec(0.1, keep_dropout=True), dropout=0.2),
        RecipeSpec(mixout=MixoutSpec(0.1), dropout=0.0),
        RecipeSpec(layer_rates=LayerRatesSpec("chang", head_learning_rate=1e-5)),
        # What is off may keep values of its own, so that techniques can be swept on and off.
        RecipeSpec(layer_rates=LayerRatesSpec("none", decay=0.9, head_learning_rate=1e-5)),
        RecipeSpec(mixout=MixoutSpec(0.0, "element")),
        RecipeSpec(loss="rmse"),
    ],
)
def test_what_goes_together_passes(recipe: RecipeSpec) -> None:
    check_run(run_of(recipe))


def test_patience_needs_evaluations() -> None:
    alone = EvaluationSpec(per_epoch=0, patience=3)
    with pytest.raises(SeedlabError, match=r"evaluation.patience=3 has no effect: .*per_epoch=1"):
        check_run(run_of(RecipeSpec(), evaluation=alone))
    check_run(run_of(RecipeSpec(), evaluation=dataclasses.replace(alone, every=5)))
    check_run(run_of(RecipeSpec(), evaluation=EvaluationSpec(patience=0)))
    with pytest.raises(SeedlabError, match=r"evaluation.patience=-1 is out of range"):
        check_run(run_of(RecipeSpec(), evaluation=EvaluationSpec(patience=-1)))


def test_rmse_needs_numbers_to_predict() -> None:
    recipe = RecipeSpec(loss="rmse")
    small = {"examples": 20, "dev_examples": 10}
    with pytest.raises(
        SeedlabError,
        match=r"recipe.loss=rmse is a loss of regression, and task 'acceptability' has 2 classes",
    ):
        with_hashes(run_of(recipe, task=TaskSpec(**small)))  # type: ignore[arg-type]
    task = TaskSpec("similarity", **small)  # type: ignore[arg-type]
    assert with_hashes(run_of(recipe, task=task)).data_hash


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (TaskSpec(folds=5, dev_split="halved"), r"task.folds=5 and task.dev_split=halved can't be"),
        (TaskSpec(folds=5, fold=5), r"task.fold=5 does not exist: .*the folds are 0 to 4"),
        (TaskSpec(fold=1), r"task.fold=1 has no effect: it is for cross-validation.*task.folds=5"),
        (TaskSpec(dev_size=100), r"task.dev_size=100 has no effect: .*dev_split=from_train"),
        (TaskSpec(dev_split="halved", dev_size=100), r"task.dev_size=100 has no effect"),
        (TaskSpec(split_seed=2), r"task.split_seed=2 has no effect: it is for task.folds=5, "),
        (TaskSpec(folds=1), r"task.folds=1 is out of range; it must be at least 2, or null"),
        (TaskSpec(split_seed=-1), r"task.split_seed=-1 is out of range"),
        (TaskSpec(dev_split="half"), r"task.dev_split=half is not known.*'halved'\?"),
    ],
)
def test_divisions_of_the_data_that_make_no_sense(task: TaskSpec, message: str) -> None:
    with pytest.raises(SeedlabError, match=message):
        check_run(RunSpec(task=task))


@pytest.mark.parametrize(
    "task",
    [
        TaskSpec(folds=5, fold=4, split_seed=3, train_size=100),
        TaskSpec(dev_split="halved", split_seed=3),
        TaskSpec(dev_split="from_train", dev_size=100, split_seed=3, train_size=100),
    ],
)
def test_divisions_that_do(task: TaskSpec) -> None:
    check_run(RunSpec(task=task))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reinit": ReinitSpec(3)}, r"recipe\.reinit\.layers=3 is more than the 2 layers"),
        ({"freeze": FreezeSpec(3)}, r"recipe\.freeze\.layers=3 is more than the 2 layers"),
        ({"head": HeadSpec("mean")}, r"recipe\.head\.layers=4 is not possible.*2 layers"),
        ({"head": HeadSpec("token0", layer=3)}, r"recipe\.head\.layer=3 is not there"),
    ],
)
def test_layers_that_the_model_lacks_are_refused_before_anything_is_trained(
    change: dict[str, Any], message: str
) -> None:
    """The embedded encoder has two; planning says so, not a worker."""
    task = TaskSpec(examples=16, dev_examples=16)
    with pytest.raises(SeedlabError, match=message):
        with_hashes(RunSpec(task=task, recipe=RecipeSpec(**change)))


def test_a_test_curve_needs_a_test_set() -> None:
    run = RunSpec(
        task=TaskSpec(examples=16, dev_examples=16), diagnostics=DiagnosticsSpec(test_curve=True)
    )
    with pytest.raises(SeedlabError, match=r"and task 'acceptability' has no test set; make one"):
        with_hashes(run)
    halved = dataclasses.replace(run.task, dev_split="halved")
    assert with_hashes(dataclasses.replace(run, task=halved)).data_hash
